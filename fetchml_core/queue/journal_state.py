"""What holds of a journal in this boot of the machine: the file ``state`` beside it.

It is there to spare work, and never synced: where it cannot be read or is of another boot, nothing is known.

    offset  size  field       meaning
    0       8     magic       FMLSTAT2
    8       16    boot        first half of the SHA-256 of the boot id; of another boot the rest is void
    24      8     generation  of the journal, big-endian as all; of another one `end` and `synced` are void
    32      8     epoch       one higher whenever something was taken back
    40      8     end         where the records end at least
    48      8     synced      how far a sync has reached
    56      4     crc         CRC-32 of the rest, as it is read without the lock, too
"""

from __future__ import annotations

import errno
import hashlib
import os
import struct
import weakref
import zlib
from pathlib import Path
from typing import NamedTuple

from .journal_format import write_all_at

_STATE = struct.Struct(">8s16sQQQQ")
_CRC = struct.Struct(">L")
_MAGIC = b"FMLSTAT2"


class State(NamedTuple):
    """What the file says; all zero where nothing is known."""

    generation: int
    epoch: int
    end: int
    synced: int


UNKNOWN = State(0, 0, 0, 0)


class StateFile:
    """The file; made when it is first read.

    Args:
        path: Where it lies.
        boot_id: Of this boot of the machine.
    """

    def __init__(self, path: Path, boot_id: str) -> None:
        self._path = path
        self._boot = hashlib.sha256(boot_id.encode()).digest()[:16]
        self._fd = -1

    def read(self) -> State:
        """Return what is known."""
        try:
            if self._fd < 0:
                flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
                self._fd = os.open(self._path, flags, 0o600)
                weakref.finalize(self, os.close, self._fd)
            data = os.pread(self._fd, _STATE.size + _CRC.size, 0)
        except OSError:
            return UNKNOWN
        if len(data) == _STATE.size + _CRC.size and data[8:24] == self._boot:
            body = data[: _STATE.size]
            magic, _, *fields = _STATE.unpack(body)
            if magic == _MAGIC and _CRC.unpack_from(data, _STATE.size)[0] == zlib.crc32(body):
                return State(*fields)
        return UNKNOWN

    def write(self, state: State) -> None:
        """Write down what is known; the caller holds the queue's lock. Raises OSError."""
        if self._fd < 0:
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(self._path))
        body = _STATE.pack(_MAGIC, self._boot, *state)
        write_all_at(self._fd, body + _CRC.pack(zlib.crc32(body)), 0)
