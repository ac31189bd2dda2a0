r"""Terminal safety: a stranger's text is read, never obeyed.

Layer 6, pure. Names, errors and logs come from other people and other machines; a terminal that obeys them can
be made to hide lines, retitle windows or paste commands. Two tools:

* `safe_text` for names, messages and cells: everything but visible characters and spaces is shown as ``\x1b``,
  ``\u202e``. Hidden that way are the control characters (C0, DEL, C1), bidirectional overrides, lone surrogates,
  unassigned and private characters, and those that take no room: zero-width ones, fillers, tags.
* `LogFilter` for what a job prints: colour (``ESC [ … m``), newline and tab are obeyed, the rest is shown the
  same way.

A lone carriage return (progress bars) becomes a new line. Obeyed, it would let the end of a line overwrite its
beginning, which has been an attack on log viewers; shown as ``\r``, an hour of tqdm would be one endless line.
At the start of a line it is dropped: there is nothing to overwrite.
"""

from __future__ import annotations

import codecs
import re
import unicodedata

_SGR = re.compile(r"(\x1b\[[0-9;:]{0,32}m)")
_SGR_BEGUN = re.compile(r"\x1b(?:\[[0-9;:]{0,32})?")
_SGR_LONGEST = 2 + 32  # of one that is not complete
_CARRIAGE_RETURNS = re.compile(r"\r+")
RESET = "\x1b[0m"

# Letters and marks that show nothing: Hangul fillers, braille blank, grapheme joiner, Khmer vowels, selectors.
_BLANKS = frozenset("\u115f\u1160\u3164\uffa0\u2800\u034f\u17b4\u17b5")
_SELECTORS = (0xE0100, 0xE01EF)


def _escaped(character: str) -> str:
    if character in "\n\t\r":
        return {"\n": "\\n", "\t": "\\t", "\r": "\\r"}[character]
    code = ord(character)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _visible(character: str) -> bool:
    if character in _BLANKS or _SELECTORS[0] <= ord(character) <= _SELECTORS[1]:
        return False
    # Not printable for Python are categories C and Z; of these, spaces that take room are harmless.
    return character.isprintable() or unicodedata.category(character) == "Zs"


class _Shown(dict[int, str]):
    """What `str.translate` puts for each character; learns as it goes, and stops at some thousand."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        shown = character if _visible(character) else _escaped(character)
        if len(self) < 8192:
            self[code] = shown
        return shown


_ONE_LINE = _Shown()
_LINES = _Shown({ord("\n"): "\n", ord("\t"): "\t"})


def safe_text(text: str, *, lines: bool = False) -> str:
    r"""Return *text* so that a terminal shows all of it and obeys none of it.

    Args:
        text: A stranger's words.
        lines: Keep newlines and tabs, for text that may have several lines; else they become ``\n`` and ``\t``.
    """
    if text.isascii() and text.isprintable():
        return text
    return text.translate(_LINES if lines else _ONE_LINE)


class LogFilter:
    """Turns a job's output into text that is safe for a terminal.

    How the bytes are cut into chunks never changes the text. At most a few dozen bytes are held back.

    Args:
        colour: False drops colour instead of passing it (NO_COLOR).
    """

    def __init__(self, *, colour: bool = True) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._colour = colour
        self._held = ""  # the end of the last chunk, which the next one may complete
        self._line_start = True
        self._coloured = False

    def feed(self, data: bytes) -> str:
        """Return the text for the next chunk; what is incomplete is held back."""
        text, self._held = _split_tail(self._held + self._decoder.decode(data))
        return self._show(text)

    def close(self) -> str:
        """Return what was held back, and the end of any colour. Call it whatever happened."""
        text, self._held = self._held + self._decoder.decode(b"", final=True), ""
        shown = self._show(text)
        if self._coloured:
            self._coloured = False
            shown += RESET
        return shown

    def _show(self, text: str) -> str:
        if not text:
            return ""
        text = self._newlines(text)
        pieces = _SGR.split(text)
        for index, piece in enumerate(pieces):
            pieces[index] = self._sgr(piece) if index % 2 else safe_text(piece, lines=True)
        return "".join(pieces)

    def _newlines(self, text: str) -> str:
        before = "\n" if self._line_start else " "
        text = _CARRIAGE_RETURNS.sub("\r", before + text).replace("\r\n", "\n")
        text = text.replace("\n\r", "\n").replace("\r", "\n")
        self._line_start = text[-1] == "\n"
        return text[1:]

    def _sgr(self, sequence: str) -> str:
        if not self._colour:
            return ""
        self._coloured = bool(sequence[2:-1].strip("0;:"))
        return sequence


def _split_tail(text: str) -> tuple[str, str]:
    """Cut off what the next chunk may change: carriage returns, or a colour sequence that is not complete."""
    if text.endswith("\r"):
        return text.rstrip("\r"), "\r"
    begin = text.rfind("\x1b", max(0, len(text) - _SGR_LONGEST))
    if begin >= 0 and _SGR_BEGUN.fullmatch(text, begin):
        return text[:begin], text[begin:]
    return text, ""
