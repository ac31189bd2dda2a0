"""Heartbeats of a native queue: when the leases of running jobs end, beside the journal.

They come every few seconds for as long as a job runs, say nothing that outlives the boot of the machine, and so are
neither records of the journal nor synced. The file is a table of entries, big-endian:

    offset  size  field    meaning
    0       8     job      its id; 0 is a free place
    8       4     attempt
    12      16    boot     first half of the SHA-256 of the boot id; of another boot the entry is void
    28      8     until    when the lease ends, in seconds since that boot (IEEE 754)
    36      4     crc      CRC-32 of the rest; where it does not match, the entry is void
"""

from __future__ import annotations

import hashlib
import os
import struct
import weakref
import zlib
from collections.abc import Container
from pathlib import Path

from fetchml_core.errors import explain_os_error

from .journal_format import write_all_at

_ENTRY = struct.Struct(">QL16sd")
_CRC = struct.Struct(">L")
_SIZE = _ENTRY.size + _CRC.size


class Beats:
    """The table, read and written under the queue's lock.

    Args:
        path: The file; made with the first beat.
        boot_id: Of this boot of the machine.
    """

    def __init__(self, path: Path, boot_id: str) -> None:
        self._path = path
        self._boot = hashlib.sha256(boot_id.encode()).digest()[:16]
        self._fd = -1

    def read(self) -> dict[tuple[int, int], float]:
        """Return when the lease of each (job, attempt) ends, as far as it has beaten in this boot."""
        return {key: until for key, until in self._entries() if until is not None}

    def write(self, job_id: int, attempt: int, until: float, active: Container[int]) -> None:
        """Note the end of a lease; the places of jobs that are not *active* any more are free."""
        keys = [key for key, _ in self._entries()]
        own = [place for place, key in enumerate(keys) if key == (job_id, attempt)]
        free = [place for place, (job, _) in enumerate(keys) if job not in active]
        place = (own or free or [len(keys)])[0]
        entry = _ENTRY.pack(job_id, attempt, self._boot, until)
        try:
            fd = self._open(os.O_CREAT)
            write_all_at(fd, entry + _CRC.pack(zlib.crc32(entry)), place * _SIZE)
        except OSError as error:
            raise explain_os_error(error, "write to the queue", self._path) from None

    def _entries(self) -> list[tuple[tuple[int, int], float | None]]:
        try:
            fd = self._open()
            data = b""
            while chunk := os.pread(fd, 1 << 16, len(data)):
                data += chunk
        except FileNotFoundError:
            return []
        except OSError as error:
            raise explain_os_error(error, "read the queue", self._path) from None
        found: list[tuple[tuple[int, int], float | None]] = []
        for offset in range(0, len(data) - _SIZE + 1, _SIZE):
            entry = data[offset : offset + _ENTRY.size]
            job, attempt, boot, until = _ENTRY.unpack(entry)
            (crc,) = _CRC.unpack_from(data, offset + _ENTRY.size)
            valid = crc == zlib.crc32(entry)
            found.append(
                ((job, attempt) if valid else (0, 0), until if valid and boot == self._boot else None)
            )
        return found

    def _open(self, flags: int = 0) -> int:
        if self._fd < 0:
            self._fd = os.open(self._path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | flags, 0o600)
            weakref.finalize(self, os.close, self._fd)
        return self._fd
