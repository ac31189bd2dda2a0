"""Read a job's output by its place in the whole output, while it grows and after its middle was dropped.

Layer 2. The files are described in `init.py`: ``log`` holds the first part, ``log.<offset>`` a later one. An offset
counts the bytes the job printed, kept or not, so it means the same at all times. The job may have written these files
itself: they are opened as plain files only, at most `MAX_PARTS` of them, and each read is bounded by its size.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from attrs import frozen

from fetchml_core.errors import HostError
from fetchml_core.fsio import open_plain_file

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from fetchml_core.clock import Clock

MAX_PARTS = 16
SETTLED_S = 3.0
"""A folder's time moves in steps: only this long after its last change does it tell of every later one."""
_PART = re.compile(r"log\.(\d{1,15})", re.ASCII)


@frozen
class LogChunk:
    """A piece of a job's output.

    Args:
        offset: Where it begins; later than asked for when what was asked for is dropped.
        data: The bytes; empty at the end of what there is.
        dropped: How many bytes are missing between the place asked for and *offset*.
    """

    offset: int
    data: bytes
    dropped: int = 0

    @property
    def next(self) -> int:
        """Where to read on."""
        return self.offset + len(self.data)


def read_log(control: Path, offset: int, size: int) -> LogChunk:
    """Return at most *size* bytes of the output from *offset* on.

    Args:
        control: The attempt's control folder on the host; it need not exist yet.
        offset: A place in the whole output, at least 0.
        size: At least 1.
    """
    return _read_parts(control, _parts(control), offset, size)


class LogReader:
    """Reads the output on and on while it grows. Where nothing is new no folder is listed and no file opened.

    Args:
        control: The attempt's control folder on the host; it need not exist yet.
        clock: The machine's.
    """

    def __init__(self, control: Path, clock: Clock) -> None:
        self._control = control
        self._clock = clock
        self._offset = 0
        self._parts = [(0, "log")]
        self._newest = control / "log"
        self._changed: int | None = None

    def read(self, size: int) -> LogChunk:
        """Return at most *size* bytes, at least 1, of what has come since; no data at the end of what there is."""
        self._list()
        if self._parts[-1][0] + _size(self._newest) <= self._offset:
            return LogChunk(self._offset, b"")
        chunk = _read_parts(self._control, self._parts, self._offset, size)
        self._offset = chunk.next
        return chunk

    def _list(self) -> None:
        """Look which parts there are, unless by the folder's own time none has come or gone."""
        try:
            changed = os.stat(self._control).st_mtime_ns  # noqa: PTH116 - no detour, this is asked twice a second
        except FileNotFoundError:
            return
        if changed != self._changed:
            self._parts = _parts(self._control)
            self._newest = self._control / self._parts[-1][1]
            settled = self._clock.now() - changed / 1e9 > SETTLED_S
            self._changed = changed if settled else None


def log_end(control: Path) -> int:
    """Return the length of the output so far, the dropped part included."""
    end = 0
    for start, name in _parts(control):
        try:
            fd = open_plain_file(control / name)
        except (OSError, HostError):
            continue
        end = max(end, start + os.fstat(fd).st_size)
        os.close(fd)
    return end


def sync_log(control: Path) -> None:
    """Make the output durable.

    Raises:
        OSError: it failed, and what was printed may be gone after a power cut.
    """
    for _, name in _parts(control):
        try:
            fd = open_plain_file(control / name)
        except (FileNotFoundError, HostError):
            continue
        try:
            if os.fstat(fd).st_size:
                os.fsync(fd)
        finally:
            os.close(fd)


def cut_mark(dropped: int) -> bytes:
    """Return the line that stands for *dropped* bytes of output."""
    return f"\n[fetchml: {dropped} bytes of output dropped here]\n".encode("ascii")


def _parts(control: Path) -> list[tuple[int, str]]:
    try:
        names = os.listdir(control)  # noqa: PTH208 - names, not paths
    except FileNotFoundError:
        names = []
    later = sorted((int(match[1]), name) for name in names if (match := _PART.fullmatch(name)))
    return [(0, "log"), *later[-MAX_PARTS:]]


def _read_parts(control: Path, parts: Sequence[tuple[int, str]], offset: int, size: int) -> LogChunk:
    for start, name in parts:
        data = _read(control / name, max(0, offset - start), size)
        if data:
            begin = max(offset, start)
            return LogChunk(begin, data, begin - offset)
    return LogChunk(offset, b"")


def _size(path: Path) -> int:
    try:
        return os.lstat(path).st_size
    except OSError:  # not made yet, or dropped in this moment
        return 0


def _read(path: Path, offset: int, size: int) -> bytes:
    try:
        fd = open_plain_file(path)
    except (OSError, HostError):  # dropped in this moment, or no plain file
        return b""
    try:
        return os.pread(fd, size, offset)
    finally:
        os.close(fd)
