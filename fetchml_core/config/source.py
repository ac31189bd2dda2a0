"""Read a configuration file as text, or say in one line why it cannot be read.

Layer 1, the only part of `config` that opens files. A FIFO does not block, a huge file is not read, and a link
is followed: where configuration lies is the admin's choice.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING, NamedTuple

from .findings import NOWHERE, Place, show_path
from .node import MAX_BYTES

if TYPE_CHECKING:
    from pathlib import Path

_BOMS = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16", b"\xef\xbb\xbf": "a byte order mark"}


class SourceError(Exception):
    """A file that gives no tree at all: one problem, nothing further can be said."""

    def __init__(self, code: str, message: str, place: Place = NOWHERE, *, hint: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.place = place
        self.hint = hint


class Source(NamedTuple):
    """A file that was read: its text, and its mode at that moment."""

    text: str
    mode: int


def read_text(path: Path, *, limit: int = MAX_BYTES) -> str:
    """Return the text of the file at *path*; arguments and errors are those of `read_source`."""
    return read_source(path, limit=limit).text


def read_source(path: Path, *, limit: int = MAX_BYTES) -> Source:
    """Return the text of the file at *path*, with the mode of that very file.

    Args:
        path: The file.
        limit: The most bytes it may have.

    Raises:
        SourceError: ``file-missing``, ``file-unreadable``, ``not-a-file``, ``file-too-large``, ``not-utf8``,
            ``file-empty`` or ``control-character``.
    """
    data, mode = read_bytes(path, limit=limit)
    for mark, name in _BOMS.items():
        if data.startswith(mark):
            raise SourceError(
                "not-utf8", f"the file starts with {name}", Place(1, 1), hint="save it as plain UTF-8"
            )
    if (position := data.find(b"\0")) >= 0:
        raise SourceError("control-character", "the file has a NUL byte", _place(data, position))
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise SourceError(
            "not-utf8", "this byte is not UTF-8", _place(data, error.start), hint="save it as plain UTF-8"
        ) from None
    if not text.strip():
        raise SourceError("file-empty", "the file is empty", hint="remove it to have the defaults")
    return Source(text, mode)


def read_bytes(path: Path, *, limit: int) -> tuple[bytes, int]:
    """Return what the regular file at *path* holds, and its mode.

    Args:
        path: The file.
        limit: The most bytes it may have.

    Raises:
        SourceError: ``file-missing``, ``file-unreadable``, ``not-a-file`` or ``file-too-large``.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except OSError as error:
        raise _unreadable(path, error) from None
    except ValueError:  # a NUL in the name
        raise SourceError("file-missing", "there is no such file") from None
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            folder = stat.S_ISDIR(status.st_mode)
            raise SourceError(
                "not-a-file",
                "this is a directory" if folder else "this is no regular file",
                hint=f"name a file in it: ls {show_path(path)}" if folder else f"ls -l {show_path(path)}",
            )
        if status.st_size > limit:
            raise SourceError("file-too-large", f"the file is longer than {limit >> 10} KiB")
        with os.fdopen(fd, "rb", closefd=False) as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise _unreadable(path, error) from None
    finally:
        os.close(fd)
    if len(data) > limit:  # it grew, or it is one of the kernel's that tell no size
        raise SourceError("file-too-large", f"the file is longer than {limit >> 10} KiB")
    return data, stat.S_IMODE(status.st_mode)


def _unreadable(path: Path, error: OSError) -> SourceError:
    if error.errno in {errno.ENOENT, errno.ENOTDIR}:
        return SourceError("file-missing", "there is no such file", hint=f"ls -ld {show_path(path.parent)}")
    return SourceError(
        "file-unreadable", f"cannot be read: {error.strerror}", hint=f"ls -l {show_path(path)}"
    )


def _place(data: bytes, position: int) -> Place:
    """The place of byte *position*; the column counts characters as far as they are UTF-8."""
    start = data.rfind(b"\n", 0, position) + 1
    return Place(data.count(b"\n", 0, position) + 1, len(data[start:position].decode("utf-8", "replace")) + 1)
