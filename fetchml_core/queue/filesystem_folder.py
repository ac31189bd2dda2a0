"""The files of the filesystem queue: one small file per job, to be read and repaired with ordinary tools.

    <folder>/
        jobs/<id>    first line FETCHML-JOB 1 CRC LENGTH, then the record (see `stored`) in LENGTH bytes of JSON;
                     CRC is its CRC-32 in 8 hex digits
        paused       there while the queue is paused: likewise, FETCHML-PAUSE 1 and a `Pause`
        last         the highest id that was given, in decimal
        revision     8 bytes, big-endian, one higher with every change
        beats        likewise, with every heartbeat
        lock         held (flock) for every change
        damaged/     what a repair has moved aside

A file is replaced as a whole, synced with its folder, before a change is acknowledged; `last` is written before the
job it names, so an id is never given twice, and the revision before the job that carries it. A record without one is of
a time when there was none: its id stands for it. The CRC of a later format has to count its number in, so that it is
told from a flipped digit. Simple rather than fast: every process reads all files once, and then those that changed.
"""

from __future__ import annotations

import contextlib
import json
import os
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from attrs import evolve

from fetchml_core.convert import from_data, to_data
from fetchml_core.errors import FetchError, HostError, explain_os_error
from fetchml_core.fsio import locked, make_folder, read_plain_file, sync_folder, write_durably
from fetchml_core.jobs.job import Job
from fetchml_core.jobs.states import State

from .base import Damage, Pause, Stored
from .moves import unknown_job
from .stored import decode, encode

JOB = b"FETCHML-JOB "
PAUSE = b"FETCHML-PAUSE "
VERSION = b"1"
MAX_RECORD = 64 << 20
_Seen = tuple[int, int, int]


class QueueFolder:
    """The files of one queue. Callers hold `changing` or `reading` around whatever they do with it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._jobs = path / "jobs"
        self._lock = path / "lock"
        self._pause_file = path / "paused"
        #: What was read (None: it could not be), with what tells that a file is still the same.
        self._known: dict[int, tuple[_Seen, Stored | None]] = {}
        self._read_at = (-1, -1)

    def revision(self) -> int:
        """Return the revision; it needs no lock."""
        return self._number("revision")

    def queued(self) -> dict[int, Stored]:
        """The jobs that may be claimed; none while the queue is paused."""
        if self.pause() is not None:
            return {}
        self._look()
        found = (stored for _, stored in self._known.values() if stored is not None)
        return {stored.job.id: stored for stored in found if stored.job.state is State.QUEUED}

    @contextlib.contextmanager
    def changing(self) -> Iterator[None]:
        """Inside it nobody else reads or writes: what is not durable yet is seen by nobody."""
        try:
            make_folder(self._jobs)
            with locked(self._lock):
                yield
        except OSError as error:
            raise explain_os_error(error, "write to the queue", self.path) from None

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """Inside it nobody writes; where there is no queue yet, it makes none."""
        try:
            with locked(self._lock, shared=True) if self._lock.exists() else contextlib.nullcontext():
                yield
        except OSError as error:
            raise explain_os_error(error, "read the queue", self.path) from None

    def next_id(self) -> int:
        """The id after the last that was given, whatever has become of its file."""
        return max(self._last(), *self._known, 0) + 1

    def _last(self) -> int:
        """What stands in `last`."""
        try:
            return int((self.path / "last").read_bytes())
        except FileNotFoundError:
            return 0
        except ValueError:
            raise self._damaged(self.path / "last") from None

    def pause(self) -> Pause | None:
        """Return the pause, None where there is none."""
        try:
            body = self._body(self._pause_file, PAUSE)
        except FileNotFoundError:
            return None
        try:
            return from_data(json.loads(body), Pause)
        except (ValueError, FetchError):
            raise self._damaged(self._pause_file) from None

    def set_pause(self, pause: Pause | None) -> None:
        """Write the pause, or end it."""
        self._count_up()
        with _put_back_on_error(self._pause_file):
            if pause is None:
                _remove(self._pause_file)
            else:
                write_durably(self._pause_file, _framed(PAUSE, json.dumps(to_data(pause)).encode("ascii")))

    def take_in(self, new: Sequence[Stored]) -> list[Job]:
        """Write jobs that are new here: all of them or, where that fails, none."""
        if new:
            last = max(self._last(), *(stored.job.id for stored in new))
            write_durably(self.path / "last", b"%d\n" % last)
        try:
            return [self.store(stored) for stored in new]
        except BaseException:
            for stored in reversed(new):  # ended here as well, it leaves the first of them
                self._path(stored.job.id).unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                sync_folder(self._jobs)
            raise

    def store(self, stored: Stored, *, news: bool = True) -> Job:
        """Write a job. The count goes first: a change that nobody hears of would be worse than a false alarm."""
        if news:
            stored = evolve(stored, job=evolve(stored.job, revision=self._count_up()))
        else:
            self._write_number("beats", self._number("beats") + 1)
        path = self._path(stored.job.id)
        with _put_back_on_error(path):
            write_durably(path, _framed(JOB, encode(stored).encode("ascii")))
        return stored.job

    def forget(self, job_id: int) -> None:
        """Remove a job that another queue has, durably."""
        self._count_up()
        _remove(self._path(job_id))

    def _path(self, job_id: int) -> Path:
        return self._jobs / str(job_id)

    def _count_up(self) -> int:
        """Raise the revision and return it; ids stand for revisions in old records, so it is higher than those."""
        revision = max(self.revision(), self._last()) + 1
        self._write_number("revision", revision)
        return revision

    def _number(self, name: str) -> int:
        try:
            data = (self.path / name).read_bytes()
        except FileNotFoundError:
            return 0
        if len(data) > 8 or data[:1] > b"\x7f":
            raise self._damaged(self.path / name)
        return int.from_bytes(data, "big")

    def _write_number(self, name: str, number: int) -> None:
        """Write in place, as it is read without the lock."""
        fd = os.open(self.path / name, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            os.pwrite(fd, number.to_bytes(8, "big"), 0)
            if name == "revision":
                os.fdatasync(fd)
        finally:
            os.close(fd)

    def one(self, job_id: int) -> Stored:
        """Return one job, or raise ``job-unknown`` or ``queue-damaged``."""
        path = self._path(job_id)
        try:
            body = self._body(path, JOB)
        except FileNotFoundError:
            raise unknown_job(job_id) from None
        except OSError as error:
            raise explain_os_error(error, "read the queue", path) from None
        with contextlib.suppress(ValueError, KeyError, TypeError, FetchError):
            stored = decode(body)
            if stored.job.id == job_id:
                return evolve(stored, job=evolve(stored.job, revision=stored.job.revision or job_id))
        raise self._damaged(path)

    def everything(self) -> list[Stored]:
        """All jobs, oldest first; raises where one cannot be read."""
        self._look()
        return [stored or self.one(job_id) for job_id, (_, stored) in self._known.items()]

    def _look(self) -> None:
        """Take in what others have written; files that are as they were are not read again."""
        counts = (self.revision(), self._number("beats"))
        if counts == self._read_at and self._known:
            return
        known = {}
        for job_id in sorted(self._ids()):
            status = self._path(job_id).lstat()
            seen = (status.st_ino, status.st_mtime_ns, status.st_size)
            before = self._known.get(job_id)
            known[job_id] = before if before and before[0] == seen else (seen, self._one_or_none(job_id))
        self._known, self._read_at = known, counts

    def _one_or_none(self, job_id: int) -> Stored | None:
        try:
            return self.one(job_id)
        except HostError:
            return None

    def _ids(self) -> list[int]:
        try:
            return [int(entry.name) for entry in os.scandir(self._jobs) if entry.name.isdecimal()]
        except FileNotFoundError:
            return []

    def _body(self, path: Path, magic: bytes) -> bytes:
        """Return what a framed file holds."""
        data = read_plain_file(path, limit=MAX_RECORD)
        header, _, rest = data.partition(b"\n")
        version, _, count = header.removeprefix(magic).partition(b" ")
        body = rest[:-1]
        if data == _framed(magic, body):
            return body
        flipped = b"%s%s %s\n%s" % (magic, VERSION, count, rest) == _framed(magic, body)
        if header.startswith(magic) and version.isdigit() and version != VERSION and not flipped:
            raise HostError(
                "queue-format",
                f"this file has format {version.decode()}, we read {VERSION.decode()}",
                context=str(path),
                hint="use the version of FetchML that wrote it, or move the folder aside",
            )
        raise self._damaged(path)

    @staticmethod
    def _damaged(path: Path) -> HostError:
        return HostError(
            "queue-damaged",
            "a file of the queue does not match its checksum",
            context=str(path),
            hint="ml queue check --repair",
        )

    # --- damage ---

    def damages(self, *, repair: bool) -> Iterator[Damage]:
        """Yield what is damaged; with *repair* move it aside."""
        found = {job_id: self._readable(job_id) for job_id in sorted(self._ids())}
        newest = max((stored.job.revision for stored in found.values() if stored), default=0)
        # The numbers first: what is moved aside is counted.
        yield from self._wrong_last(max([0, *found, *self._ids_aside()]), repair=repair)
        yield from self._wrong_number("revision", newest, repair=repair)
        yield from self._wrong_number("beats", 0, repair=repair)
        for job_id, stored in found.items():
            if stored is None:
                path = self._path(job_id)
                done = self._move_aside(path) if repair else ""
                yield Damage(str(path), "a job that does not match its checksum", done, (job_id,))
        try:
            self.pause()
        except HostError as error:
            done = self._move_aside(self._pause_file) + ": jobs are given out again" if repair else ""
            yield Damage(str(self._pause_file), error.message, done)

    def _readable(self, job_id: int) -> Stored | None:
        """Return one job, None where it is damaged; a newer format is none."""
        try:
            return self.one(job_id)
        except HostError as error:
            if error.code == "queue-format":
                raise
            return None

    def _wrong_last(self, highest: int, *, repair: bool) -> Iterator[Damage]:
        path = self.path / "last"
        with contextlib.suppress(HostError):
            if self._last() >= highest:
                return
        if repair:
            write_durably(path, b"%d\n" % highest)
        done = f"set to {highest}" if repair else ""
        yield Damage(str(path), "this is not the highest id that was given", done)

    def _wrong_number(self, name: str, least: int, *, repair: bool) -> Iterator[Damage]:
        with contextlib.suppress(HostError):
            if self._number(name) >= least:
                return
        if repair:
            (self.path / name).unlink(missing_ok=True)
            self._write_number(name, least + 1)
        done = f"set to {least + 1}" if repair else ""
        yield Damage(str(self.path / name), "this is not how often something has changed", done)

    def _move_aside(self, path: Path) -> str:
        """Move a file into ``damaged``, never over another one; return what was done, for people."""
        folder = self.path / "damaged"
        make_folder(folder)
        target, number = folder / path.name, 0
        while target.exists():
            number += 1
            target = folder / f"{path.name}-{number}"
        path.rename(target)
        sync_folder(folder)
        sync_folder(path.parent)
        self._count_up()
        return f"moved to {target}"

    def _ids_aside(self) -> list[int]:
        """The ids of the jobs that were moved aside."""
        names = (path.name.partition("-")[0] for path in (self.path / "damaged").glob("*"))
        return [int(name) for name in names if name.isdecimal()]


@contextlib.contextmanager
def _put_back_on_error(path: Path) -> Iterator[None]:
    """Replace or remove *path* inside it: when its folder cannot be synced then, all would see what is not durable."""
    before = path.read_bytes() if path.exists() else None
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):
            if before is None:
                _remove(path)
            else:
                write_durably(path, before)
        raise


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)
    sync_folder(path.parent)


def _framed(magic: bytes, body: bytes) -> bytes:
    return b"%s%s %08x %d\n%s\n" % (magic, VERSION, zlib.crc32(body), len(body), body)
