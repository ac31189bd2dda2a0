"""An append-only file of checksummed records: the native queue's memory.

    <folder>/
        journal   line     meaning
                  first    FETCHML-QUEUE 1
                  others   CRC LENGTH JSON: CRC-32 of the JSON in 8 hex digits, its bytes in decimal, one event
        lock      held (flock) to append, shared to read
        synced    how far the journal is known to be on disk, in this boot of the machine:

                  offset  size  field    meaning
                  0       8     magic    FMLSYNC1
                  8       16    boot     first half of the SHA-256 of the boot id; of another boot the rest is void
                  24      8     epoch    one higher with every cut, big-endian
                  32      8     end      bytes of the journal that a sync has reached, big-endian

A record counts once it and its newline are on disk. A last line without newline is a write that was cut by a
crash: it was never acknowledged, and the next writer removes it. Anything else that does not check is damage,
and is reported with its place rather than skipped: a queue that forgets is worse than one that stops.

Records are appended under the lock and synced after it, so that writers who come at the same time share the work of
the disk: a sync reaches all that was appended before it. Who reads what is not synced yet syncs it first. A failed
sync is never tried again, since the kernel may have dropped the pages: the journal is cut back to what is known to be
on disk, the epoch tells everybody to read anew, and whoever had appended the rest learns that it did not happen.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
import weakref
import zlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from attrs import frozen

from fetchml_core.errors import HostError, explain_os_error
from fetchml_core.fsio import locked, make_folder, sync_folder, write_all

HEADER = b"FETCHML-QUEUE 1\n"
_MAGIC = b"FETCHML-QUEUE "


_SYNCED = struct.Struct(">8s16sQQ")
_SYNCED_MAGIC = b"FMLSYNC1"


@frozen
class Written:
    """A record that was appended and is not known to be on disk yet."""

    start: int
    line: bytes
    epoch: int

    @property
    def end(self) -> int:
        """Where it ends in the journal."""
        return self.start + len(self.line)


@frozen
class Synced:
    """What the file of that name says."""

    epoch: int
    end: int


class Journal:
    """One process's view of the file; `catch_up` reads what others have added.

    Args:
        folder: The queue's folder, made if missing.
        boot_id: Of this boot of the machine.
    """

    def __init__(self, folder: Path, boot_id: str) -> None:
        self._folder = folder
        self._path = folder / "journal"
        self._lock = folder / "lock"
        self._boot = hashlib.sha256(boot_id.encode()).digest()[:16]
        self._fd = -1
        self._synced_fd = -1
        self._read = 0
        self._epoch = 0
        self._failed = False

    @property
    def path(self) -> Path:
        """The file."""
        return self._path

    def size(self) -> int:
        """Return the length of the file now."""
        try:
            return self._path.stat().st_size
        except FileNotFoundError:
            return 0

    def rewound(self) -> bool:
        """Whether what was read before no longer counts: forget it, `catch_up` begins anew. Asked under a lock."""
        if self._fd < 0:
            return False
        epoch = self._synced().epoch
        if epoch == self._epoch and os.fstat(self._fd).st_size >= self._read:
            return False
        self._epoch, self._read = epoch, 0
        return True

    def catch_up(self) -> Iterator[dict[str, Any]]:
        """Yield the events since the last call, oldest first. The caller holds a lock."""
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
        """Inside it nobody else reads or writes."""
        try:
            make_folder(self._folder)
        except OSError as error:
            raise explain_os_error(error, "make the queue's folder") from None
        return locked(self._lock)

    def lock_to_read(self) -> AbstractContextManager[int | None]:
        """Inside it nobody else writes; where there is no queue yet, it makes none."""
        return locked(self._lock, shared=True) if self._lock.exists() else nullcontext()

    def append(self, event: dict[str, Any]) -> Written:
        """Add *event*; it counts when `settle` has returned. The caller holds `lock` and has caught up.

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
            if os.fstat(self._fd).st_size != self._read:
                os.ftruncate(self._fd, self._read)  # what a crash left half-written
            os.lseek(self._fd, self._read, os.SEEK_SET)
            write_all(self._fd, line)
        except OSError as error:
            self._undo(self._read)
            raise explain_os_error(error, "write to the queue") from None
        written = Written(self._read, line, self._epoch)
        self._read = written.end
        return written

    def settle(self, written: Written) -> None:
        """Make *written* durable. Call it without the lock: others append meanwhile.

        Raises:
            FetchError: it did not happen; nobody will ever see it.
        """
        try:
            os.fdatasync(self._fd)
        except OSError as error:
            with self.lock():
                if self._synced().epoch == written.epoch:
                    self._undo(self._synced().end, cut=True)
            raise explain_os_error(error, "write to the queue") from None
        with self.lock():
            synced = self._synced()
            if synced.epoch != written.epoch and not self._is_there(written):
                raise HostError(
                    "queue-write-lost",
                    "the disk refused a write to the queue beside this one, which was taken back with it",
                    context=str(self._path),
                    hint="look at the disk (dmesg), then run the same command again",
                )
            if synced.end < written.end:
                self._mark(synced.epoch, written.end)

    def settle_what_was_read(self) -> None:
        """Make durable what was read and is not known to be: nobody acts on what a power cut could take back."""
        if self._fd >= 0 and self._read > self._synced().end:
            try:
                os.fdatasync(self._fd)
            except OSError as error:
                raise explain_os_error(error, "read the queue") from None

    def _open(self, flags: int = 0) -> bool:
        try:
            self._fd = self._keep(
                os.open(self._path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | flags, 0o600)
            )
        except FileNotFoundError:
            return False
        except OSError as error:
            raise explain_os_error(error, "open the queue") from None
        self._epoch = self._synced().epoch
        return True

    def _keep(self, fd: int) -> int:
        weakref.finalize(self, os.close, fd)
        return fd

    def _synced(self) -> Synced:
        """How far the journal is known to be on disk; nothing is known of another boot."""
        try:
            if self._synced_fd < 0:
                path = self._folder / "synced"
                self._synced_fd = self._keep(
                    os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
                )
            data = os.pread(self._synced_fd, _SYNCED.size, 0)
        except OSError as error:
            raise explain_os_error(error, "open the queue") from None
        if len(data) == _SYNCED.size:
            magic, boot, epoch, end = _SYNCED.unpack(data)
            if (magic, boot) == (_SYNCED_MAGIC, self._boot):
                return Synced(epoch, end)
        return Synced(0, 0)

    def _mark(self, epoch: int, end: int) -> None:
        """Note how far the journal is on disk; not synced itself, as it counts in this boot only."""
        os.pwrite(self._synced_fd, _SYNCED.pack(_SYNCED_MAGIC, self._boot, epoch, end), 0)

    def _is_there(self, written: Written) -> bool:
        return os.pread(self._fd, len(written.line), written.start) == written.line

    def _create(self) -> None:
        if self._fd < 0:
            self._open(os.O_CREAT)
        os.ftruncate(self._fd, 0)
        write_all(self._fd, HEADER)
        os.fsync(self._fd)
        sync_folder(self._folder)
        self._read = len(HEADER)

    def _undo(self, end: int, *, cut: bool = False) -> None:
        """Take back what stands behind *end*; where even that fails, write no more in this process.

        Args:
            end: What stays.
            cut: Others may have read what is taken back.
        """
        try:
            if self._fd >= 0:
                os.ftruncate(self._fd, end)
            if cut:
                self._mark(self._synced().epoch + 1, end)
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
