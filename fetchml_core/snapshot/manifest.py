"""The list of files in a snapshot, as bytes whose hash is the snapshot's id.

Layer 2, pure; runs on both ends. Format, version 1, UTF-8, each line ended by a line feed:

    line      form                              meaning
    1         fetchml-manifest 1                name and version of the format
    2 …       DIGEST KIND SIZE PATH             one file, parted by single spaces

    field     form                              meaning
    DIGEST    64 digits of 0-9a-f               SHA-256 of the content
    KIND      x or -                            whether the file is executable
    SIZE      decimal, no leading zero          bytes, at most MAX_FILE
    PATH      see names.py                      sorted by code point, strictly rising

A set of files has exactly one form, so equal trees have equal ids. There are no folders (those that files need are
made), links, owners or times: nothing a receiver would have to trust.

Invariants: total — any bytes give a manifest or ``manifest-refused``; bounded — size and number of lines are
checked before anything is built; canonical — what parses encodes to the same bytes.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from typing import TYPE_CHECKING

from attrs import field, frozen

from fetchml_core.errors import InputError

from . import names

if TYPE_CHECKING:
    from collections.abc import Iterable

HEADER = "fetchml-manifest 1\n"
MAX_BYTES = 32 << 20
"""Enough for MAX_ENTRIES paths of 90 bytes; the worst bytes of this size are refused within two seconds."""
MAX_ENTRIES = 200_000
MAX_FILE = 1 << 40

_LINE = re.compile(r"([0-9a-f]{64}) ([x-]) (0|[1-9][0-9]{0,15}) (.+)", re.ASCII)
_DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)
_BAD_BYTES = bytes(code for code in (*range(0x20), 0x7F, 0x5C) if code != 0x0A)


@frozen
class Entry:
    """One file: path in the tree, size in bytes, whether it is executable, SHA-256 in hexadecimal."""

    path: str
    size: int
    executable: bool
    digest: str


@frozen
class Manifest:
    """The files of a snapshot, sorted by path; made by `make_manifest` and `parse_manifest` only."""

    entries: tuple[Entry, ...]
    data: bytes = field(repr=False)
    digest: str

    @property
    def total_bytes(self) -> int:
        """Bytes of all files together."""
        return sum(entry.size for entry in self.entries)

    def blobs(self) -> dict[str, int]:
        """Return the digest and size of each content, once, in the order of the paths."""
        return {entry.digest: entry.size for entry in self.entries}


def is_digest(text: str) -> bool:
    """Return whether *text* is a SHA-256 as we write it."""
    return _DIGEST.fullmatch(text) is not None


def make_manifest(entries: Iterable[Entry]) -> Manifest:
    """Return the manifest of *entries*, in any order.

    Raises:
        InputError: ``manifest-refused`` when two clash or one is not allowed.
    """
    lines = [HEADER]
    for entry in sorted(entries, key=lambda entry: entry.path):
        if "\n" in entry.path or not _is_utf8(entry.path):  # the rest is seen when the lines are read
            raise _refused(names.fault(entry.path), entry.path)
        lines.append(f"{entry.digest} {'x' if entry.executable else '-'} {entry.size} {entry.path}\n")
    return parse_manifest("".join(lines).encode())


def _is_utf8(path: str) -> bool:
    if path.isascii():
        return True
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def parse_manifest(data: bytes) -> Manifest:
    """Return the manifest that *data* holds, which may come from anyone.

    Raises:
        InputError: ``manifest-refused``; its context names the entry.
    """
    text = _decode(data)
    entries: list[Entry] = []
    clashes = _Clashes()
    sizes: dict[str, int] = {}
    last = ""
    for number, line in enumerate(text[:-1].split("\n")[1:], 2):
        match = _LINE.fullmatch(line)
        if match is None:
            raise _refused(f"line {number} is no entry", line)
        digest, kind, digits, path = match.groups()
        size = int(digits)
        problem = names.shape_fault(path) or _order_fault(last, path) or clashes.add(path)
        if not problem and size > MAX_FILE:
            problem = "larger than any file may be"
        if not problem and sizes.setdefault(digest, size) != size:
            problem = "the same content has another size elsewhere"
        if problem:
            raise _refused(problem, path)
        entries.append(Entry(path, size, kind == "x", digest))
        last = path
    return Manifest(tuple(entries), data, hashlib.sha256(data).hexdigest())


def _decode(data: bytes) -> str:
    """Return the text of *data* after the checks that look at all of it at once."""
    if len(data) > MAX_BYTES:
        raise _refused(f"longer than {MAX_BYTES >> 20} MiB", f"{len(data)} bytes")
    lines = data.count(b"\n")
    if lines > MAX_ENTRIES + 1:
        raise _refused(f"more than {MAX_ENTRIES} files", f"{lines - 1} files")
    if not data.startswith(HEADER.encode()) or not data.endswith(b"\n"):
        raise _refused("not a manifest of version 1, or cut short", repr(data[:40]))
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise _refused("not UTF-8", repr(data[max(0, error.start - 40) : error.end])) from None
    # Two passes in C over all of it; which line is at fault is looked for only when one is.
    if len(data.translate(None, _BAD_BYTES)) != len(data) or not (text.isascii() or _is_clean(text)):
        raise _first_refused(text)
    return text


def _is_clean(text: str) -> bool:
    """Return whether *text* is in form C and free of what is forbidden above ASCII.

    A line feed never composes with what follows it, so the whole is in form C when each line is.
    """
    return names.FORBIDDEN_WIDE.search(text) is None and unicodedata.is_normalized("NFC", text)


def _first_refused(text: str) -> InputError:
    for line in text.split("\n"):
        problem = names.character_fault(line)
        if problem:
            return _refused(problem, line.split(" ", 3)[-1])
    return _refused("a character that is not allowed in a name", "")


def _order_fault(last: str, path: str) -> str:
    if path > last:
        return ""
    return "listed twice" if path == last else "not in order"


class _Clashes:
    """The names met so far, as a file system that ignores case would hold them."""

    def __init__(self) -> None:
        self._files: set[str] = set()
        self._folders: dict[str, str] = {}
        self._parent = ""

    def add(self, path: str) -> str:
        """Take in *path*; return what it clashes with, or nothing."""
        folded = names.fold(path)
        if folded in self._files or folded in self._folders:
            return "it differs from another name by case only, or is a file and a folder"
        self._files.add(folded)
        parent = path.rpartition("/")[0]
        if parent == self._parent:
            return ""
        self._parent = parent
        return self._add_folders(parent, folded.rpartition("/")[0])

    def _add_folders(self, folder: str, folded: str) -> str:
        while folder:
            known = self._folders.get(folded)
            if known == folder:
                return ""
            if known is not None or folded in self._files:
                return "its folder differs from another name by case only, or is a file too"
            self._folders[folded] = folder
            folder, folded = folder.rpartition("/")[0], folded.rpartition("/")[0]
        return f"more than {MAX_ENTRIES} folders" if len(self._folders) > MAX_ENTRIES else ""


def _refused(problem: str, where: str) -> InputError:
    return InputError(
        "manifest-refused",
        f"the list of files is refused: {problem}",
        context=names.show(where),
        hint="rename the file, or name it in .mlignore; then submit again",
    )
