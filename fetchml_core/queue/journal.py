"""An append-only file of checksummed records: the native queue's memory of the jobs that live.

    <folder>/
        journal   lines (see `journal_format`), and behind them zeros: room that is reserved ahead, as a file that does
                  not grow is synced faster
        lock      held (flock) to append, shared to read
        state     see `journal_state`

The records end with the first zero, or with a last line that has no newline: a write that was cut and never
acknowledged, which the next writer removes. There are none before the `end` that ``state`` tells. Anything else that does not check
is damage, and is reported with its place rather than skipped: a queue that forgets is worse than one that stops.

Records are appended under the lock and synced after it, so that writers who come at the same time share the work of
the disk: a sync reaches all that was appended before it. Who reads what is not synced yet syncs it first. A failed
sync is never tried again, since the kernel may have dropped the pages: the journal is written anew into another file,
and nobody loses anything. Where that fails, too, whoever writes next must do it first.

A journal that begins anew is a file of its own that takes the old one's name once it is on disk; everybody sees by the
generation in ``state``, or else by the file's inode, that it is another one. (No path is looked up where that can be
spared: since Linux 6.13 to ask for a file's times makes the next sync write its inode, too, which takes half as long
again.)
"""

from __future__ import annotations

import contextlib
import errno
import os
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from fetchml_core.errors import FetchError, HostError, explain_os_error
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
        self._lock = QueueLock(folder / "lock")
        self._state = StateFile(folder / "state", boot_id)
        self._file: _File | None = None
        self._header = Header()
        self._header_size = 0
        self._read = 0
        self._to_settle = 0  # what stands before this may be acted upon only once it is on disk
        self._reserved = 0
        self._known = UNKNOWN
        self._rest = False
        self._company = False
        self._failed = False

    @property
    def path(self) -> Path:
        """The file."""
        return self._path

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

    def look(self) -> bool:
        """Say whether the file that was read is still the journal. Asked first under a lock."""
        self._known = self._state.read()
        return self._file is not None and self._is_current(self._file, self._header.generation)

    @property
    def can_be_followed(self) -> bool:
        """Whether the one that has taken its place may be read from where it goes on."""
        return self._file is not None and self._header.version > 1

    def end_of_old(self) -> Piece:
        """Return the last records of a journal that is another file now."""
        fd = self._opened().fd
        data = read_all_at(fd, self._read, os.fstat(fd).st_size - self._read)
        return self._take(data[: self._end_of_records(data, self._read)])

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
        self._read = self._to_settle = 0

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
        if size:
            self._to_settle = self._read
        if self._read < max(self._end, self._least()):
            raise damaged(self._path, self._read)
        self._rest = self._rest or size != len(data)
        return piece

    def prepare(self) -> None:
        """See that it is known where the journal ends, and how much is on disk. The caller holds `lock`, caught up.

        After a boot nothing is known: all that was read is synced, so that a later failure cannot take it back.
        """
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
                self._note(self._read)
                self._state.write_synced(self._header.generation, self._read)
        except OSError as error:
            raise explain_os_error(error, "write to the queue", str(self._path)) from None

    def append(self, lines: bytes, *, lasting: bool = True) -> Written:
        """Add records; they count when `settle` has returned. The caller holds `lock` and has called `prepare`.

        Args:
            lines: What `to_line` has made, joined.
            lasting: False for what a power cut may take back: this process then acts on it without a sync.

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
            self._note(end)
        except OSError as error:
            self._take_back()
            raise explain_os_error(error, "write to the queue", str(self._path)) from None
        self._read = end
        if lasting:
            self._to_settle = end
        return Written(file, self._header.generation, end)

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
        self.replace(lines, Header(generation=self._header.generation + 1, base=len(lines)))

    @property
    def failed(self) -> bool:
        """Whether a write could not be made durable: before anything is added, `write_anew` must."""
        return self._failed or self._known.failed

    def write_anew(self) -> None:
        """Bring all that was written to disk, in another file. The caller holds `lock`, caught up.

        Raises:
            FetchError: ``queue-damaged`` where the kernel has dropped what was to be written, too.
        """
        if self._file is not None:
            self._rescue(self._file, self._header.generation)
        self._failed = False

    def known(self) -> State:
        """Return what is known of this file, or of the one that was here. The caller holds `lock`."""
        self._known = known = self._state.read()
        self.forget()
        with contextlib.suppress(HostError):
            if self._open():
                self._begin(self._opened().fd)
                if self._header_size:
                    known = State(self._header.generation, max(self._end, self._least()))
        self.forget()
        return known

    def replace(self, lines: bytes, header: Header) -> None:
        """Put a journal of *lines* in the place of the one that is there; likewise.

        Args:
            lines: What `to_line` has made, joined.
            header: Of a generation one higher than it was, or more: then everybody reads all of it.

        Raises:
            FetchError: as `begin_anew`.
        """
        temporary = self._path.with_name("journal.new")
        flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            file = _File(os.open(temporary, flags, 0o600))
            write_all_at(file.fd, bytes(header) + lines, 0)
            os.fsync(file.fd)
            self._state.forget()  # from here on everybody looks at the name
            temporary.rename(self._path)
            sync_folder(self._folder)
            end = len(bytes(header)) + len(lines)
            self._state.write_synced(header.generation, end)
            self._state.write(header.generation, end)
        except OSError as error:
            raise explain_os_error(error, "write to the queue", str(self._path)) from None

    # --- without it ---

    def settle(self, written: Written) -> None:
        """Make *written* durable. Call it without the lock: others append meanwhile.

        Raises:
            FetchError: it may have happened or not; it has, once somebody else could write.
        """
        end = written.end
        if self._company:
            state = self._state.read()
            if state.generation == written.generation:
                if state.synced >= end:
                    return
                end = max(end, state.end)  # what others have appended is reached, too
        try:
            os.fdatasync(written.file.fd)
        except OSError as error:
            self._settle_anew(written, error)
            return
        with contextlib.suppress(OSError):  # it is on disk, whether that is noted or not
            self._state.write_synced(written.generation, end)

    def _settle_anew(self, written: Written, error: OSError) -> None:
        """Write all that this file holds into another one; one that has taken its place already has it on disk."""
        with self.lock():
            self._known = self._state.read()
            if not self._is_current(written.file, written.generation):
                return
            try:
                self._rescue(written.file, written.generation)
            except FetchError:
                self._failed = True
                with contextlib.suppress(OSError):
                    self._state.write(written.generation, max(written.end, self._known.end), failed=True)
                raise explain_os_error(error, "write to the queue", str(self._path)) from None

    def _rescue(self, file: _File, generation: int) -> None:
        """Copy the records of *file*, each checked, into one that takes its place, all on disk; none is followed there."""
        try:
            data = read_all_at(file.fd, 0, os.fstat(file.fd).st_size)
        except OSError as error:
            raise explain_os_error(error, "read the queue", str(self._path)) from None
        header, start = read_header(data[:SHORTEST], self._path)
        data = data[start:]
        data = data[: data.rfind(b"\n", 0, self._end_of_records(data, start)) + 1]
        if start + len(data) < self._known.end:
            raise damaged(self._path, start + len(data))
        offset = start
        for line in data.splitlines(keepends=True):
            if check_line(line[:-1]) is None:
                raise damaged(self._path, offset)
            offset += len(line)
        self.replace(data, Header(generation=generation + 2, base=header.base))

    def settle_what_was_read(self) -> None:
        """Make durable what was read and is not known to be: nobody acts on what a power cut could take back."""
        file = self._file
        if file is not None and self._to_settle > self._synced and not self.failed:
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
        self._reserved = 0
        self._rest = False
        return True

    def _is_current(self, file: _File, generation: int) -> bool:
        if self._known is not UNKNOWN:
            return self._known.generation == generation
        try:
            return self._path.stat().st_ino == file.inode
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
        self._note(self._header_size)
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

    def _take_back(self) -> None:
        """Remove what was added and nobody has seen; where even that fails, whoever writes next sees to it."""
        self._reserved = 0
        if self._file is not None:
            with contextlib.suppress(OSError):
                os.ftruncate(self._file.fd, self._read)

    @property
    def _end(self) -> int:
        """Where the records end at least; 0 where nothing is known of this boot and generation."""
        return self._known.end if self._known.generation == self._header.generation else 0

    @property
    def _synced(self) -> int:
        """How far they are on disk at least; likewise."""
        return self._known.synced if self._known.generation == self._header.generation else 0

    def _least(self) -> int:
        return self._header_size + self._header.base

    def _note(self, end: int) -> None:
        """Write down where the records end."""
        self._state.write(self._header.generation, end)
        self._known = State(self._header.generation, end, self._synced)

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
        return data[: self._end_of_records(data, self._read)]

    def _begin(self, fd: int) -> None:
        """Read the first line."""
        self._header, self._header_size = read_header(os.pread(fd, SHORTEST, 0), self._path)
        self._read = self._header_size

    def _end_of_records(self, data: bytes, start: int) -> int:
        """Where the records in *data* end, if `end` does not tell: it may be behind the truth, or lost with the boot.

        A power cut may leave pages that were never synced, or leave them out: whole ones, up to their ends.

        Args:
            data: What the file holds from *start* on.
            start: Offset.
        """
        end = data.find(b"\0")
        if end < 0:
            return len(data)
        page_end = -(-(start + end + 1) // _PAGE) * _PAGE - start
        if data[end:page_end].strip(b"\0"):
            raise damaged(self._path, start + end)
        self._rest = True
        return end
