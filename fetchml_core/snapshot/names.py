"""Which names may stand in a snapshot: one rule for the client that sends and the host that receives.

Layer 2, pure. A path is relative, its parts are parted by ``/``, and it means the same file on every system:
no ``..``, ``.`` or empty part, no control or direction-changing character, no backslash, UTF-8 in normal form C.
"""

from __future__ import annotations

import re
import unicodedata

MAX_PART = 255
"""Bytes of one name: the limit of Linux file systems."""
MAX_PATH = 4096
"""Bytes of a path: PATH_MAX."""
MAX_DEPTH = 32

# C0, DEL and C1 controls, backslash, line and paragraph separators, bidi overrides (they make a name look like
# another one), byte order mark, and the surrogates that stand for bytes that are not UTF-8.
_WIDE = "\\x80-\\x9f\\u2028-\\u202e\\u2066-\\u2069\\ufeff\\ud800-\\udfff"
_FORBIDDEN = re.compile(f"[\\x00-\\x1f\\x7f\\\\{_WIDE}]")
FORBIDDEN_WIDE = re.compile(f"[{_WIDE}]")
"""The forbidden characters above ASCII."""
_BAD_PART = re.compile(r"(?:\A|/)\.{0,2}(?:/|\Z)")


def fault(path: str) -> str:
    """Return why *path* may not stand in a snapshot; empty when it may."""
    return character_fault(path) or shape_fault(path)


def character_fault(path: str) -> str:
    """Return what is wrong with the characters of *path*."""
    bad = _FORBIDDEN.search(path)
    if bad:
        return _bad_character(bad[0])
    if not path.isascii() and not unicodedata.is_normalized("NFC", path):
        return "its name is not in Unicode normal form C"
    return ""


def shape_fault(path: str) -> str:
    """Return what is wrong with the parts and lengths of *path*, whose characters were checked before."""
    if _BAD_PART.search(path):
        return "a name is empty, '.', '..' or absolute"
    if path.count("/") >= MAX_DEPTH:
        return f"deeper than {MAX_DEPTH} folders"
    size = len(path) if path.isascii() else len(path.encode())
    if size <= MAX_PART:
        return ""
    if size > MAX_PATH:
        return f"longer than {MAX_PATH} bytes"
    if any(len(part.encode()) > MAX_PART for part in path.split("/")):
        return f"a name is longer than {MAX_PART} bytes"
    return ""


def fold(path: str) -> str:
    """Return *path* as a file system that ignores case sees it."""
    return path.lower() if path.isascii() else unicodedata.normalize("NFC", path.casefold())


def show(path: str, *, limit: int = 200) -> str:
    """Return *path* fit for a message: one line, no control characters, valid UTF-8, at most *limit* characters."""
    text = _FORBIDDEN.sub(lambda bad: _escape(bad[0]), path)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _escape(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # surrogateescape: the byte is code - 0xDC00
        return f"\\x{code - 0xDC00:02x}"
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def _bad_character(character: str) -> str:
    if "\ud800" <= character <= "\udfff":
        return "its name is not UTF-8"
    if character == "\\":
        return "its name holds a backslash"
    return "its name holds a control character"
