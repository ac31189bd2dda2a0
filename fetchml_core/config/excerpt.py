"""Show one line of a configuration file with marks under the trouble, and never a secret of it.

Layer 1, pure. A text is shown only where it is known to be none: keys, and what stands behind a key that the schema
knows and does not mark secret, or a misspelling of one. Everything else on a line is masked, so a file that cannot
even be parsed keeps its secrets. Control characters are spelt out, and columns are cells of a terminal.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from typing import TYPE_CHECKING

import attrs
from attrs import frozen

from .option import fields_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .findings import Place

MASK = "***"
WIDTH = 100
#: Nobody reads a longer line, and looking for its secrets would take time.
LONGEST = 2_000
#: How far up the key is looked for that a line belongs to; further up nothing is shown.
NEAR = 300
TAB = 4
_CUT = "..."

_NAME = r"""(?:"[^"\n]*"|'[^'\n]*'|[^\s:=,{}\[\]"'#]+)"""
_KEY = re.compile(
    rf"(?P<lead>[ \t]*(?P<dash>(?:-[ \t]+)*))(?!-[ \t])(?P<name>{_NAME})[ \t]*(?P<sep>[:=]|(?=[ \t]))[ \t]*"
)
_HEADER = re.compile(r"[ \t]*\[{1,2}[ \t]*[\w.\"'-]+[ \t]*\]{0,2}[ \t]*(#.*)?")
_PAIR = re.compile(rf"""[{{,][ \t]*({_NAME})[ \t]*[:=][ \t]*("[^"]*"?|'[^']*'?|\[[^\]]*\]?|[^,{{}}]*)""")
_USERINFO = re.compile(r"://\S*@")
_REFERENCE = re.compile(r"""["']?\$\{\w+\}["']?[ \t]*""", re.ASCII)
_URL = re.compile(
    r"""["']?\w+://(?P<user>[^\s"']*@)?[A-Za-z0-9.-]*(:\d{1,5})?(/[\w.-]{0,40})?["']?[ \t]*""", re.ASCII
)
# What samples say instead of a secret: to be seen and replaced.
_PLACEHOLDER_WORD = r"(?:CHANGE_ME[A-Z0-9_]*|replace-with-[a-z0-9-]+|<[a-z-]+>)"
_PLACEHOLDER = re.compile(rf"""(?:["']?{_PLACEHOLDER_WORD}["']?|""|'')[ \t]*""", re.ASCII)
_SHOWN_USER = re.compile(rf"://:?(\$\{{\w+\}}|{_PLACEHOLDER_WORD})@", re.ASCII)
_SECRET_WORD = re.compile(r"pass|pwd|secret|token|key|hash|cred|conn|dsn|url|auth", re.IGNORECASE)
_BLANKS = frozenset("\u115f\u1160\u3164\uffa0\u2800\u034f\u17b4\u17b5")


@frozen
class Excerpt:
    """A line as a terminal shows it.

    Args:
        text: The line, windowed, safe and without secrets.
        start: The cell where the trouble begins, from 0.
        cells: How wide it is, at least 1.
    """

    text: str
    start: int
    cells: int


def excerpt(lines: Sequence[str], place: Place) -> Excerpt | None:
    """Return the line of *place* with what to mark in it; None where there is no such line to show."""
    if not 1 <= place.line <= len(lines):
        return None
    line = lines[place.line - 1].rstrip("\r")
    if len(line) > LONGEST:
        return None
    begin = max(0, place.column - 1)
    pieces = list(_pieces(line, hidden_parts(lines, place.line - 1)))
    return _windowed(pieces, begin, begin + token_length(line, begin))


def hide_secrets(lines: Sequence[str]) -> list[str]:
    """Return the *lines* of a file with every secret masked."""
    return [
        "".join(text for _, text, _ in _pieces(line, hidden_parts(lines, index)))
        if len(line) <= LONGEST
        else MASK
        for index, line in enumerate(lines)
    ]


def token_length(line: str, begin: int) -> int:
    """Return how many characters of *line* from *begin* on belong together: a key, a quoted text, a plain value."""
    rest = line[begin:]
    if rest[:1] in {'"', "'"}:
        end = rest.find(rest[0], 1)
        return end + 1 if end > 0 else len(rest.rstrip())
    if rest[:1].isspace():
        return len(rest) - len(rest.lstrip())
    closing = {"[": "]", "{": "}"}.get(rest[:1])
    if closing:
        return rest.rfind(closing) + 1 or 1
    flow = "{" in line[:begin] or "[" in line[:begin]
    match = re.match(
        r"[^\n]*?(?=\s+#|[ \t]*[:=](?:\s|$)|[,\]}]|\s*$)"
        if flow
        else r"[^\n]*?(?=\s+#|[ \t]*[:=](?:\s|$)|\s*$)",
        rest,
    )
    return len(match[0]) if match else 0


def hidden_parts(lines: Sequence[str], index: int) -> list[tuple[int, int]]:
    """Return the parts of line *index* that may hold a secret, as ranges of characters."""
    line = lines[index].rstrip("\r")
    shown = [False] * len(line)
    for start, end in _shown_parts(lines, index, line):
        shown[start:end] = [True] * (min(end, len(line)) - start)
    for match in _USERINFO.finditer(line):
        if not _SHOWN_USER.fullmatch(match[0]):
            shown[match.start() + 3 : match.end() - 1] = [False] * (match.end() - match.start() - 4)
    parts: list[tuple[int, int]] = []
    for at, seen in enumerate(shown):
        if seen or (line[at].isspace() and not (parts and parts[-1][1] == at)):
            continue
        if parts and parts[-1][1] == at:
            parts[-1] = (parts[-1][0], at + 1)
        else:
            parts.append((at, at + 1))
    return [(start, start + len(line[start:end].rstrip())) for start, end in parts]


def _shown_parts(lines: Sequence[str], index: int, line: str) -> Iterator[tuple[int, int]]:
    """Yield the parts of *line* that are no secrets."""
    match = _KEY.match(line)
    if not line.strip() or _in_secret_text(lines, index):
        return
    if line.lstrip().startswith("#"):
        if not _tells_secret(line.lstrip(" \t#")):
            yield 0, len(line)
        return
    if _HEADER.fullmatch(line) and not line.startswith((" ", "\t")):
        yield 0, len(line)
        return
    parent = _parent(lines, index)
    item = match is not None and match["dash"] and not re.match(r"[:=](?:\s|$)", line[match.start("sep") :])
    if match is None or item:
        glued = match is not None and match["sep"] and _SECRET_WORD.search(match["name"])
        if is_open(parent) and not glued:
            yield 0, len(line)
        return
    yield 0, match.end("sep")
    name, rest = _bare(match["name"]), match.end()
    value = line[rest:]
    if value.startswith("{"):
        yield from _flow_parts(line, rest)
    elif (
        is_open(name)
        or (parent == "permissions" and not is_secret(name))
        or (
            _REFERENCE.fullmatch(value)
            or _PLACEHOLDER.fullmatch(value)
            or (is_secret(name) and _URL.fullmatch(value))
        )
    ):
        yield rest, len(line)


def _tells_secret(comment: str) -> bool:
    """Whether a comment may hold a secret: a line that was switched off, or words about one."""
    match = _KEY.match(comment)
    switched_off = match is not None and match["sep"] in {":", "="} and not is_open(_bare(match["name"]))
    return bool(_SECRET_WORD.search(comment)) or (switched_off and "schema" not in comment)


def _flow_parts(line: str, start: int) -> Iterator[tuple[int, int]]:
    """Yield what may be shown of ``{key: value, …}``."""
    for at in range(start, len(line)):
        if line[at] in "{},":
            yield at, at + 1
    for match in _PAIR.finditer(line, start):
        yield match.start(), match.start(2)
        if is_open(_bare(match[1])) and not match[2].startswith("{"):
            yield match.span(2)


def _parent(lines: Sequence[str], index: int) -> str:
    """Return the key that line *index* stands below, "" where none is near."""
    own = lines[index]
    indent = len(own) - len(own.lstrip())
    dashed = own.lstrip().startswith("-")
    for above in reversed(lines[max(0, index - NEAR) : index]):
        match = _KEY.match(above)
        if match is None or above.lstrip().startswith("#"):
            continue
        depth = len(above) - len(above.lstrip())
        if depth < indent or (dashed and depth == indent and not match["dash"]):
            return _bare(match["name"])
    return ""


def _in_secret_text(lines: Sequence[str], index: int) -> bool:
    """Whether line *index* may go on with a secret text that began further up: an open quote, a block text."""
    first = max(0, index - NEAR)
    for at in range(index - 1, first - 1, -1):
        match = _KEY.match(lines[at])
        if match is None or match["dash"] or is_open(_bare(match["name"])):
            continue
        value = lines[at][match.end() :].rstrip()
        quote = value[:1]
        if quote in {'"', "'"}:
            mark = quote * 3 if value.startswith(quote * 3) else quote
            if value.find(mark, len(mark)) < 0 and not any(mark in lines[i] for i in range(at + 1, index)):
                return True
        elif quote in {"|", ">"} and not value.startswith("|="):
            depth = len(lines[at]) - len(lines[at].lstrip())
            if all(_deeper(lines[i], depth) for i in range(at + 1, index + 1)):
                return True
    return is_secret(_parent(lines, index))


def _deeper(line: str, depth: int) -> bool:
    return not line.strip() or len(line) - len(line.lstrip()) > depth


def _bare(name: str) -> str:
    """The last part of a key as it is written."""
    return name.strip("\"'").rpartition(".")[2] if name[:1] not in {'"', "'"} else name.strip("\"'")


@functools.cache
def _names() -> tuple[frozenset[str], frozenset[str]]:
    """The names of all options and sections of all kinds: those that may be shown, and the secret ones."""
    from .kinds import all_kinds

    plain: set[str] = set()
    secret: set[str] = set()
    todo = [kind.cls for kind in all_kinds()]
    while todo:
        for field in fields_of(todo.pop()).values():
            names = {field.name, field.option.alias} - {""}
            (secret if field.option.secret else plain).update(names)
            if attrs.has(field.item):
                todo.append(field.item)
    return frozenset(plain - secret), frozenset(secret)


def is_secret(name: str) -> bool:
    """Whether a key of this name holds a secret in any kind of file."""
    return name.lower() in _names()[1]


@functools.lru_cache(maxsize=512)
def is_open(name: str) -> bool:
    """Whether what stands behind a key of this name may be shown: a known name or a misspelling of one, not secret."""
    plain, secret = _names()
    word = name.lower()
    if word in plain:
        return True
    if not word or len(word) > 64 or word in secret or _SECRET_WORD.search(word):
        return False
    import difflib

    near = difflib.get_close_matches(word.replace("-", "_"), [*plain, *secret], n=1, cutoff=0.7)
    return bool(near) and near[0] in plain


def _pieces(line: str, hidden: list[tuple[int, int]]) -> Iterator[tuple[int, str, int]]:
    """Yield (index of the character, what is shown for it, its cells); a hidden part is one piece."""
    masks = dict(hidden)
    at, cell = 0, 0
    while at < len(line):
        if at in masks:
            yield at, MASK, len(MASK)
            at, cell = masks[at], cell + len(MASK)
            continue
        text, cells = _shown(line[at], cell)
        yield at, text, cells
        at, cell = at + 1, cell + cells


def _shown(character: str, cell: int) -> tuple[str, int]:
    """What is shown for *character*, and its cells."""
    if character == "\t":
        room = TAB - cell % TAB
        return " " * room, room
    if character in _BLANKS or not character.isprintable():  # a no-break space too, which nobody sees
        code = ord(character)
        text = f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
        return text, len(text)
    if unicodedata.east_asian_width(character) in "WF":
        return character, 2
    return character, 0 if unicodedata.category(character) in {"Mn", "Me"} else 1


def _windowed(pieces: list[tuple[int, str, int]], begin: int, end: int) -> Excerpt:
    """Lay the *pieces* out, at most about `WIDTH` cells of them, those of characters *begin* to *end* marked."""
    first = next((i for i, (at, _, _) in enumerate(pieces) if at >= begin), len(pieces))
    if first and (first == len(pieces) or pieces[first][0] > begin) and pieces[first - 1][1] == MASK:
        first -= 1  # the trouble lies inside a masked part
    last = next((i for i, (at, _, _) in enumerate(pieces) if at >= end), len(pieces))
    last = max(first + 1, last)
    low, cells = 0, sum(width for *_, width in pieces)
    before = sum(width for *_, width in pieces[:first])
    if cells > WIDTH and before > WIDTH * 2 // 3:
        while before > WIDTH // 3:
            before -= pieces[low][2]
            low += 1
    text, start, marked, used = _CUT if low else "", 0, 0, len(_CUT) if low else 0
    for i in range(low, len(pieces)):
        if used + pieces[i][2] > WIDTH:
            text += _CUT
            break
        start = used if i == first else start
        text += pieces[i][1]
        used += pieces[i][2]
        marked += pieces[i][2] if first <= i < last else 0
    if first >= len(pieces):
        start = used
    return Excerpt(text.rstrip(), start, max(1, marked))
