"""What holds of a journal in this boot of the machine: the file ``state`` beside it.

It is there to spare work, and never synced: where it cannot be read or is of another boot, nothing is known.

    offset  size  field       meaning
    0       8     magic       FMLSTAT3
    8       16    boot        first half of the SHA-256 of the boot id; of another boot nothing here counts
    24      8     generation  of the journal, big-endian as all; all zero while another one takes its place
    32      8     end         where the records end at least
    40      8     failed      1 once a sync has failed: the journal must be written anew before anything is added
    48      4     crc         CRC-32 of the fields before it, as this is read without the lock, too
    64      16    boot        likewise
    80      8     generation  likewise; of another one `synced` is void
    88      8     synced      how far a sync has reached at least
    96      4     crc         likewise

The first part is written under the queue's lock, the second without it, whoever has synced: two at once may leave the
lesser figure, which costs somebody a sync too many.
"""

from __future__ import annotations

import errno
import hashlib
import os
import struct
import weakref
import zlib
from pathlib import Path
from typing import Any, NamedTuple

from .journal_format import write_all_at

_MAGIC = b"FMLSTAT3"
_HEAD = struct.Struct(">8s16sQQQ")
_SYNCED = struct.Struct(">16sQQ")
_CRC = struct.Struct(">L")
_SECOND = 64
_SIZE = _SECOND + _SYNCED.size + _CRC.size


class State(NamedTuple):
    """What the file says; nothing where *generation* is none of a journal."""

    generation: int = -1
    end: int = 0
    synced: int = 0
    failed: bool = False


UNKNOWN = State()


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
            data = os.pread(self._fd, _SIZE, 0)
        except OSError:
            return UNKNOWN
        head = _checked(_HEAD, data, 0)
        if head is None or head[:2] != (_MAGIC, self._boot):
            return UNKNOWN
        _, _, generation, end, failed = head
        second = _checked(_SYNCED, data, _SECOND)
        synced = second[2] if second is not None and second[:2] == (self._boot, generation) else 0
        return State(generation, end, synced, bool(failed))

    def write(self, generation: int, end: int, *, failed: bool = False) -> None:
        """Write down where the records end; the caller holds the queue's lock. Raises OSError."""
        self._put(_HEAD.pack(_MAGIC, self._boot, generation, end, failed), 0)

    def write_synced(self, generation: int, synced: int) -> None:
        """Write down how far a sync has reached. Raises OSError."""
        self._put(_SYNCED.pack(self._boot, generation, synced), _SECOND)

    def forget(self) -> None:
        """Let nothing be known; the caller holds the queue's lock. Raises OSError."""
        self._put(bytes(_HEAD.size), 0)

    def _put(self, data: bytes, offset: int) -> None:
        if self._fd < 0:
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(self._path))
        write_all_at(self._fd, data + _CRC.pack(zlib.crc32(data)), offset)


def _checked(fields: struct.Struct, data: bytes, offset: int) -> tuple[Any, ...] | None:
    """Return what stands at *offset*, None where it does not match its checksum."""
    end = offset + fields.size
    if len(data) < end + _CRC.size or _CRC.unpack_from(data, end)[0] != zlib.crc32(data[offset:end]):
        return None
    return fields.unpack_from(data, offset)
