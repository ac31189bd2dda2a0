"""An append-only file of checksummed records: the native queue's memory of the jobs that live.

    <folder>/
        journal   lines (see `journal_format`), and behind them zeros: room that is reserved ahead, as a file that does
                  not grow is synced faster
        lock      held (flock) to append, shared to read
        state     see `journal_state`

The records end with the first zero, or with a last line that has no newline: a write that was cut and never
acknowledged, which the next writer removes. There are none before the `end` that ``state`` tells. Anything else that does not check is damage,
and is reported with its place rather than skipped: a queue that forgets is worse than one that stops.

Records are appended under the lock and synced after it, so that writers who come at the same time share the work of
the disk: a sync reaches all that was appended before it. Who reads what is not synced yet syncs it first. A failed
sync is never tried again, since the kernel may have dropped the pages: the journal is cut back to what is known to be
on disk, the epoch tells everybody to read anew, and whoever had appended the rest learns that it did not happen.

A journal that begins anew is a file of its own that takes the old one's name once it is on disk; everybody sees by the
file's inode that it is another one.
"""

from __future__ import annotations

import contextlib
import errno
import os
import weakref
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import NamedTuple

from fetchml_core.errors import HostError, explain_os_error
from fetchml_core.fsio import make_folder, sync_folder

from .journal_format import (
    SHORTEST,
    Header,
    Piece,
    check_line,
    damaged,
    read_all_at,
    read_header,
    write_all_at,
)
from .journal_state import UNKNOWN, State, StateFile
from .lock import QueueLock

RESERVE = 256 << 10
"""How much room is reserved ahead at a time."""
_LONGEST_BASE = 4096
_PAGE = 4096


class _File:
    """One journal file, open as long as anybody needs it."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.inode = os.fstat(fd).st_ino
        weakref.finalize(self, os.close, fd)


class Written(NamedTuple):
    """Records that were appended and are not known to be on disk yet."""

    file: _File
    generation: int
    epoch: int
    start: int
    data: bytes

    @property
    def end(self) -> int:
        """Where they end in the journal."""
        return self.start + len(self.data)


class Turn(Enum):
    """What may have become of a journal: what was read is still true, or said anew in another file, or void."""

    SAME = "same"
    BEGUN_ANEW = "begun anew"
    REWOUND = "rewound"


class Journal:
    """One process's view of the file; `catch_up` reads what others have added.

    Args:
        folder: The queue's folder, made if missing.
        boot_id: Of this boot of the machine.
    """

    def __init__(self, folder: Path, boot_id: str) -> None:
        self._folder = folder
        self._path = folder / "journal"
        self._name = str(self._path)
        self._lock = QueueLock(folder / "lock")
        self._state = StateFile(folder / "state", boot_id)
        self._file: _File | None = None
        self._header = Header()
        self._header_size = 0
        self._read = 0
        self._reserved = 0
        self._epoch = 0
        self._known = UNKNOWN
        self._rest = False
        self._company = False
        self._failed = False

    @property
    def path(self) -> Path:
        """The file."""
        return self._path

    @property
    def epoch(self) -> int:
        """One higher whenever something was taken back. Asked under a lock."""
        return self._known.epoch

    @property
    def version(self) -> int:
        """The format of the file that was read."""
        return self._header.version

    @property
    def base(self) -> int:
        """How many bytes of records it began with."""
        return self._header.base

    @property
    def grown(self) -> int:
        """How many bytes were appended since."""
        return self._read - self._least()

    # --- under the lock ---

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Inside it nobody else reads or writes."""
        try:
            if self._file is None:
                make_folder(self._folder)
            self._lock.take()
        except OSError as error:
            raise explain_os_error(error, "use the queue", str(self._path)) from None
        try:
            yield
        finally:
            self._lock.give()

    @contextlib.contextmanager
    def lock_to_read(self) -> Iterator[bool]:
        """Inside it nobody else writes; False where there is no queue yet: it makes none."""
        if self._file is None and not self._path.exists():
            yield False
            return
        try:
            self._lock.take(shared=True)
        except OSError as error:
            raise explain_os_error(error, "use the queue", str(self._path)) from None
        try:
            yield True
        finally:
            self._lock.give()

    def look(self) -> Turn:
        """Say what has become of the journal since it was read last. Asked first under a lock."""
        self._known = self._state.read()
        file = self._file
        if file is None or self._known.epoch != self._epoch:
            return Turn.REWOUND
        if self._is_current(file):
            return Turn.SAME
        return Turn.REWOUND if self._header.version == 1 else Turn.BEGUN_ANEW

    def end_of_old(self) -> Piece:
        """Return the last records of a journal that is another file now."""
        fd = self._opened().fd
        data = read_all_at(fd, self._read, os.fstat(fd).st_size - self._read)
        return self._take(data[: self._end_of_records(data)])

    def go_on(self) -> bytes | None:
        """Turn to the file that is the journal now, behind the records that it began with.

        Returns: the first of them as JSON; None where it does not follow directly on the one that was read.
        """
        generation = self._header.generation
        self.forget()
        if not self._open():
            return None
        fd = self._opened().fd
        self._begin(fd)
        first = os.pread(fd, _LONGEST_BASE, self._read).partition(b"\n")[0]
        body = check_line(first)
        if body is None or self._header.generation != generation + 1 or self._known.end < self._least():
            self.forget()
            return None
        self._read = self._least()
        return body

    def forget(self) -> None:
        """Begin anew with the next `catch_up`."""
        self._file = None
        self._read = 0

    def catch_up(self) -> Piece:
        """Return the records since the last call. The caller holds a lock.

        Raises:
            HostError: ``queue-damaged``, ``queue-format``.
        """
        if self._file is None and not self._open():
            return Piece(0, b"")
        return self._take(self._read_more())

    def bodies(self, piece: Piece) -> Iterator[bytes]:
        """Yield the events in *piece* as JSON, oldest first.

        Raises:
            HostError: ``queue-damaged``.
        """
        offset = piece.offset
        for line in piece.data.splitlines():
            body = check_line(line)
            if body is None:
                raise damaged(self._path, offset)
            offset += len(line) + 1
            yield body

    def _take(self, data: bytes) -> Piece:
        """Count the whole records in *data*, which stands where reading has come to, as read."""
        size = data.rfind(b"\n") + 1
        piece = Piece(self._read, data[:size])
        self._read += size
        self._company = size > 0
        if self._read < self._end:
            raise damaged(self._path, self._read)
        self._rest = self._rest or size != len(data)
        return piece

    def prepare(self) -> None:
        """See that it is known where the journal ends, and how much is on disk. The caller holds `lock`, caught up.

        After a boot nothing is known: all that was read is synced, so that a later failure cannot take it back.
        """
        if self._failed:
            raise HostError("queue-read-only", "a write to the queue failed before", context=str(self._path))
        if self._read == 0 or (self._end and not self._rest):
            return  # nothing is there, or all is known
        file = self._opened()
        try:
            os.ftruncate(file.fd, self._read)  # what a crash has left
            self._rest = False
            self._reserved = self._read
            if not self._end:
                os.fdatasync(file.fd)
                sync_folder(self._folder)  # whoever began the journal anew may not have come to it
                self._note(self._epoch, self._read, self._read)
        except OSError as error:
            raise explain_os_error(error, "write to the queue", str(self._path)) from None

    def append(self, lines: bytes) -> Written:
        """Add records; they count when `settle` has returned. The caller holds `lock` and has called `prepare`.

        Args:
            lines: What `to_line` has made, joined.

        Raises:
            FetchError: they are not in the journal; it is as it was before.
        """
        try:
            if self._read == 0:
                self._create()
            file, start = self._opened(), self._read
            end = start + len(lines)
            self._reserve(file, end)
            write_all_at(file.fd, lines, start)
            self._note(self._known.epoch, end, self._known.synced)
        except OSError as error:
            self._take_back(self._read)
            raise explain_os_error(error, "write to the queue", str(self._path)) from None
        self._read = end
        return Written(file, self._header.generation, self._epoch, start, lines)

    def begin_anew(self, lines: bytes) -> None:
        """Replace the journal by one that holds only *lines*, which say the same. The caller holds `lock`, caught up.

        Raises:
            FetchError: one of the two is the journal; it is read anew.
        """
        old, version = self._opened(), self._header.version
        if version == 1:
            # A process of that version does not see that the file is another one: let it stop at this line.
            try:
                os.pwrite(old.fd, b"this queue has a newer format\n", self._read)
            except OSError as error:
                raise explain_os_error(error, "write to the queue", str(self._path)) from None
        self.replace(lines, self._header, self._known.epoch)

    def known_end(self) -> int:
        """Return where the records end at least; 0 where nothing is known of this boot. The caller holds `lock`."""
        self._known = self._state.read()
        self.forget()
        with contextlib.suppress(HostError):
            self._open()
            self._begin(self._opened().fd)
        end = self._end
        self.forget()
        return end

    def replace(self, lines: bytes, old: Header, epoch: int) -> None:
        """Put a journal of *lines* in the place of one with the header *old*; likewise.

        Args:
            lines: What `to_line` has made, joined.
            old: Header of the one that was.
            epoch: From now on; a higher one lets everybody read all of it.

        Raises:
            FetchError: as `begin_anew`.
        """
        header = Header(generation=old.generation + 1, base=len(lines))
        temporary = self._path.with_name("journal.new")
        flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            file = _File(os.open(temporary, flags, 0o600))
            write_all_at(file.fd, bytes(header) + lines, 0)
            os.fsync(file.fd)
            temporary.rename(self._path)
            sync_folder(self._folder)
            end = len(bytes(header)) + len(lines)
            self._write_state(State(header.generation, epoch, end, end))
        except OSError as error:
            raise explain_os_error(error, "write to the queue", str(self._path)) from None

    # --- without it ---

    def settle(self, written: Written) -> None:
        """Make *written* durable. Call it without the lock: others append meanwhile.

        Raises:
            FetchError: it did not happen; nobody will ever see it.
        """
        if self._company:
            os.sched_yield()  # somebody else's sync may be about to begin, which will do for both
        state = self._state.read() if self._company else self._known
        if _covers(state, written):
            return
        end = state.end
        try:
            os.fdatasync(written.file.fd)
        except OSError as error:
            self._settle_failed(written, error)
            return
        if not (self._company and _covers(self._state.read(), written)):
            self._mark(written, end)

    def _settle_failed(self, written: Written, error: OSError) -> None:
        with self.lock():
            self._known = self._state.read()
            if self._known.epoch == written.epoch:
                if not self._is_current(written.file):
                    return  # all that was in this one is on disk in the one that took its place
                self._take_back(self._safe(), file=written.file)
        raise explain_os_error(error, "write to the queue", str(self._path)) from None

    def _mark(self, written: Written, end: int) -> None:
        """Note that the records up to *end* are on disk, others' too, if they still are what they were."""
        with self.lock():
            self._known = self._state.read()
            current = self._is_current(written.file)
            if self._known.epoch != written.epoch:
                if not (current and _is_there(written)):
                    raise HostError(
                        "queue-write-lost",
                        "the disk refused a write to the queue beside this one, which was taken back with it",
                        context=str(self._path),
                        hint="look at the disk (dmesg | tail), then run the same command again",
                    )
                end = written.end
            if current and self._synced < end:
                with contextlib.suppress(OSError):  # it is on disk, whether that is noted or not
                    self._note(self._known.epoch, self._known.end, end)

    def settle_what_was_read(self) -> None:
        """Make durable what was read and is not known to be: nobody acts on what a power cut could take back."""
        file = self._file
        if file is not None and self._read > self._synced:
            try:
                os.fdatasync(file.fd)
            except OSError as error:
                raise explain_os_error(error, "read the queue", str(self._path)) from None

    # --- details ---

    def _opened(self) -> _File:
        assert self._file is not None  # noqa: S101 - whoever writes has caught up with it
        return self._file

    def _open(self, flags: int = 0) -> bool:
        try:
            self._file = _File(os.open(self._path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | flags, 0o600))
        except FileNotFoundError:
            return False
        except OSError as error:
            raise explain_os_error(error, "open the queue", str(self._path)) from None
        self._epoch = self._known.epoch
        self._reserved = 0
        self._rest = False
        return True

    def _is_current(self, file: _File) -> bool:
        try:
            return os.stat(self._name).st_ino == file.inode  # noqa: PTH116 - three times a job, and Path is slow
        except FileNotFoundError:
            return False

    def _create(self) -> None:
        if self._file is None:
            self._open(os.O_CREAT)
        file, header = self._opened(), Header()
        os.ftruncate(file.fd, 0)
        write_all_at(file.fd, bytes(header), 0)
        os.fsync(file.fd)
        sync_folder(self._folder)
        self._header, self._header_size = header, len(bytes(header))
        self._note(self._epoch, self._header_size, self._header_size)
        self._read = self._header_size

    def _reserve(self, file: _File, end: int) -> None:
        """Have room for the records up to *end*, and for more."""
        if end <= self._reserved:
            return
        self._reserved = os.fstat(file.fd).st_size
        if end > self._reserved:
            room = end - self._reserved + RESERVE
            try:
                os.posix_fallocate(file.fd, self._reserved, room)
            except OSError as error:
                if error.errno not in {errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSPC}:
                    raise
                room = 0  # a file system without it, or with no room but for the records perhaps
            self._reserved += room

    def _take_back(self, end: int, *, file: _File | None = None) -> None:
        """Cut the journal at *end*, and tell everybody to read anew; where even that fails, write no more from here."""
        file = file or self._file
        self._reserved = 0
        try:
            if file is not None:
                os.ftruncate(file.fd, end)
                self._note(self._known.epoch + 1, end, min(end, self._known.synced))
        except OSError:
            self._failed = True

    @property
    def _end(self) -> int:
        """Where the records end at least; 0 where nothing is known of this boot and generation."""
        return self._known.end if self._known.generation == self._header.generation else 0

    @property
    def _synced(self) -> int:
        """How far they are on disk at least; likewise."""
        return self._known.synced if self._known.generation == self._header.generation else 0

    def _safe(self) -> int:
        """How far they are on disk: what began the journal was synced before it took its name."""
        return max(self._synced, self._least())

    def _least(self) -> int:
        return self._header_size + self._header.base

    def _note(self, epoch: int, end: int, synced: int) -> None:
        """Write down what is known of this generation."""
        self._write_state(State(self._header.generation, epoch, end, synced))

    def _write_state(self, state: State) -> None:
        self._state.write(state)
        self._known = state

    def _read_more(self) -> bytes:
        """Return what stands between what was read and the end of the records."""
        fd = self._opened().fd
        if self._read == 0:
            self._begin(fd)
        size = self._end - self._read
        if size >= 0:
            data = read_all_at(fd, self._read, size + 1)
            if data[size:] in {b"", b"\0"}:
                return data[:size]
        data = read_all_at(fd, self._read, os.fstat(fd).st_size - self._read)
        return data[: self._end_of_records(data)]

    def _begin(self, fd: int) -> None:
        """Read the first line."""
        self._header, self._header_size = read_header(os.pread(fd, SHORTEST, 0), self._path)
        self._read = self._header_size

    def _end_of_records(self, data: bytes) -> int:
        """Where the records in *data* end, if `end` does not tell: it may be behind the truth, or lost with the boot.

        A power cut may leave pages that were never synced, or leave them out: whole ones, up to their ends.
        """
        end = data.find(b"\0")
        if end < 0:
            return len(data)
        page_end = -(-(self._read + end + 1) // _PAGE) * _PAGE - self._read
        if data[end:page_end].strip(b"\0"):
            raise damaged(self._path, self._read + end)
        self._rest = True
        return end


def _covers(state: State, written: Written) -> bool:
    """Whether somebody's sync is known to have reached *written*."""
    same = state.generation == written.generation and state.epoch == written.epoch
    return same and state.synced >= written.end


def _is_there(written: Written) -> bool:
    return os.pread(written.file.fd, len(written.data), written.start) == written.data
