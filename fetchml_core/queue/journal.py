"""An append-only file of checksummed records: the native queue's memory.

    <folder>/journal

    line      meaning
    first     FETCHML-QUEUE 1
    others    CRC LENGTH JSON: CRC-32 of the JSON in 8 hex digits, its bytes in decimal, one event

A record counts once it and its newline are on disk. A last line without newline is a write that was cut by a
crash: it was never acknowledged, and the next writer removes it. Anything else that does not check is damage,
and is reported with its place rather than skipped: a queue that forgets is worse than one that stops.
"""

from __future__ import annotations

import json
import os
import weakref
import zlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from fetchml_core.errors import HostError, explain_os_error
from fetchml_core.fsio import locked, make_folder, sync_folder, write_all

HEADER = b"FETCHML-QUEUE 1\n"
_MAGIC = b"FETCHML-QUEUE "


class Journal:
    """One process's view of the file; `catch_up` reads what others have added.

    Args:
        folder: The queue's folder, made if missing.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / "journal"
        self._lock = folder / "lock"
        self._fd = -1
        self._read = 0
        self._failed = False

    @property
    def path(self) -> Path:
        """The file."""
        return self._path

    def size(self) -> int:
        """Return the length of the file now; it only grows."""
        try:
            return self._path.stat().st_size
        except FileNotFoundError:
            return 0

    def catch_up(self) -> Iterator[dict[str, Any]]:
        """Yield the events since the last call, oldest first."""
        if self._fd < 0 and not self._open():
            return
        data = self._read_rest()
        if self._read == 0:
            data = self._check_header(data)
        start = 0
        while (end := data.find(b"\n", start)) >= 0:
            event = _parse(data[start:end], self._path, self._read)
            self._read += end + 1 - start
            start = end + 1
            yield event

    def lock(self) -> AbstractContextManager[int]:
        """Inside it nobody else reads or writes: a record that is not durable yet is seen by nobody."""
        try:
            make_folder(self._folder)
        except OSError as error:
            raise explain_os_error(error, "make the queue's folder") from None
        return locked(self._lock)

    def lock_to_read(self) -> AbstractContextManager[int | None]:
        """Inside it nobody else writes; where there is no queue yet, it makes none."""
        return locked(self._lock, shared=True) if self._lock.exists() else nullcontext()

    def append(self, event: dict[str, Any]) -> None:
        """Add *event* and make it durable. The caller holds `lock` and has caught up.

        Raises:
            FetchError: it is not in the journal; the file is as it was before.
        """
        if self._failed:
            raise HostError("queue-read-only", "a write to the queue failed before", context=str(self._path))
        body = json.dumps(event, separators=(",", ":"), ensure_ascii=True).encode("ascii")
        line = b"%08x %d %s\n" % (zlib.crc32(body), len(body), body)
        try:
            if self._read == 0:
                self._create()
            os.ftruncate(self._fd, self._read)  # what a crash left half-written
            os.lseek(self._fd, 0, os.SEEK_END)
            write_all(self._fd, line)
            os.fdatasync(self._fd)
        except OSError as error:
            self._undo()
            raise explain_os_error(error, "write to the queue") from None
        self._read += len(line)

    def _open(self, flags: int = 0) -> bool:
        try:
            self._fd = os.open(self._path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | flags, 0o600)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise explain_os_error(error, "open the queue") from None
        weakref.finalize(self, os.close, self._fd)
        return True

    def _create(self) -> None:
        if self._fd < 0:
            self._open(os.O_CREAT)
        os.ftruncate(self._fd, 0)
        write_all(self._fd, HEADER)
        os.fsync(self._fd)
        sync_folder(self._folder)
        self._read = len(HEADER)

    def _undo(self) -> None:
        """Take back a write that failed; where even that fails, write no more in this process."""
        try:
            if self._fd >= 0:
                os.ftruncate(self._fd, self._read)
        except OSError:
            self._failed = True

    def _read_rest(self) -> bytes:
        parts = []
        offset = self._read
        while chunk := os.pread(self._fd, 1 << 20, offset):
            parts.append(chunk)
            offset += len(chunk)
        return b"".join(parts)

    def _check_header(self, data: bytes) -> bytes:
        if len(data) < len(HEADER) and HEADER.startswith(data):
            return b""  # its writer was cut before the first record
        if not data.startswith(HEADER):
            version = data[len(_MAGIC) :].split(b"\n")[0][:20] if data.startswith(_MAGIC) else b""
            raise HostError(
                "queue-format",
                f"this queue has format {version.decode('ascii', 'replace')}, we read 1"
                if version
                else "this file is no FetchML queue",
                context=str(self._path),
                hint="use the version of FetchML that wrote it, or move the folder aside",
            )
        self._read = len(HEADER)
        return data[len(HEADER) :]


def _parse(line: bytes, path: Path, offset: int) -> dict[str, Any]:
    """Return the event in *line*, or raise ``queue-damaged`` naming the place."""
    try:
        crc, length, body = line.split(b" ", 2)
        if int(length) == len(body) and int(crc, 16) == zlib.crc32(body):
            event = json.loads(body)
            if isinstance(event, dict):
                return event
    except ValueError:
        pass
    raise HostError(
        "queue-damaged",
        "a record of the queue does not match its checksum",
        context=f"{path} at byte {offset}",
        hint="keep a copy of the folder before anything else touches it",
    )
