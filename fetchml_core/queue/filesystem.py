"""The filesystem queue: one small file per job, to be read and repaired with ordinary tools.

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
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from attrs import evolve

from fetchml_core.clock import Clock
from fetchml_core.convert import from_data, to_data
from fetchml_core.errors import FetchError, HostError, explain_os_error
from fetchml_core.fsio import locked, make_folder, read_plain_file, sync_folder, write_durably
from fetchml_core.jobs.job import Job, JobSpec, Lease, Stop
from fetchml_core.jobs.states import State

from .base import (
    ALL,
    Beat,
    Change,
    Choose,
    Damage,
    Filter,
    Pause,
    Properties,
    Stored,
    Watch,
    boot_lease,
    boot_lease_ended,
    claim_order,
    select,
)
from .moves import (
    Event,
    advance_event,
    apply,
    claim_event,
    hold_event,
    refuse_if_moved,
    release_event,
    same_or_refuse,
    stop_event,
    submit_event,
    submitted,
    unknown_job,
)
from .stored import decode, encode, is_new
from .watch import FileWatch

PROPERTIES = Properties("filesystem", survives_power_cut=True, several_hosts=False)
JOB = b"FETCHML-JOB "
PAUSE = b"FETCHML-PAUSE "
VERSION = b"1"
MAX_RECORD = 64 << 20
_Seen = tuple[int, int, int]


class FilesystemQueue:
    """`fetchml_core.queue.base.Queue` over a folder of files.

    A file that cannot be read is told by whatever would need it: lists, and new jobs, whose keys might be in it. The
    other jobs are claimed, worked on and shown.

    Args:
        folder: Where they lie; made with the first job.
        clock: For the times in the records.
    """

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._folder = folder
        self._jobs = folder / "jobs"
        self._lock = folder / "lock"
        self._clock = clock
        #: What was read (None: it could not be), with what tells that a file is still the same.
        self._known: dict[int, tuple[_Seen, Stored | None]] = {}
        self._read_at = (-1, -1)

    @property
    def properties(self) -> Properties:
        """See `Queue.properties`."""
        return PROPERTIES

    @property
    def home(self) -> str:
        """See `Queue.home`."""
        return ""

    # --- for those who submit ---

    def submit(self, spec: JobSpec, *, user: str, key: str) -> Job:
        """See `Queue.submit`."""
        return self._submit({key: spec}, user)[0]

    def submit_array(self, specs: Sequence[JobSpec], *, user: str, key: str) -> list[Job]:
        """See `Queue.submit_array`."""
        return self._submit({f"{key}/{n}": spec for n, spec in enumerate(specs)}, user)

    def _submit(self, wanted: dict[str, JobSpec], user: str) -> list[Job]:
        with self._changing():
            refuse_if_moved(self._pause())
            everything = [stored.job for stored in self._all()]
            known = {stored.key: stored.job for stored in self._all() if stored.job.user == user}
            jobs = {
                key: same_or_refuse(known[key], key, spec) for key, spec in wanted.items() if key in known
            }
            line = max((job.line or job.submitted_at for job in everything), default=0.0)
            new = [(key, spec) for key, spec in wanted.items() if key not in known]
            stored = []
            for job_id, (key, spec) in enumerate(new, start=self._next_id()):
                event = submit_event(job_id, spec, user, key, self._clock.now(), line)
                stored.append(Stored(key, submitted(event)))
                line = event["line"]
            jobs.update({one.key: job for one, job in zip(stored, self._take_in(stored), strict=True)})
            return [jobs[key] for key in wanted]

    def stop(self, job_id: int, stop: Stop) -> Job:
        """See `Queue.stop`."""
        return self._change(job_id, lambda job: stop_event(job, stop, self._clock.now()))

    def hold(self, job_id: int) -> Job:
        """See `Queue.hold`."""
        return self._change(job_id, lambda job: hold_event(job, self._clock.now()))

    def release(self, job_id: int) -> Job:
        """See `Queue.release`."""
        return self._change(job_id, lambda job: release_event(job, self._clock.now()))

    # --- for workers ---

    def claim(self, choose: Choose, lease: Lease) -> Job | None:
        """See `Queue.claim`."""
        with self._reading():
            if not self._queued():
                return None  # no idle worker keeps the others waiting
        with self._changing():
            waiting = self._queued()
            chosen = choose(sorted((stored.job for stored in waiting.values()), key=claim_order))
            if chosen is None:
                return None
            job = apply(chosen, claim_event(chosen, lease, self._clock.now()))
            return self._store(Stored(waiting[chosen.id].key, job))

    def advance(self, job_id: int, attempt: int, change: Change) -> Job:
        """See `Queue.advance`. A heartbeat is as durable as the rest: a job's file is never at risk."""
        return self._change(
            job_id,
            lambda job: advance_event(job, attempt, change, self._clock.now()),
            news=not isinstance(change, Beat),
        )

    def lease(self, worker: str, seconds: float) -> Lease:
        """See `Queue.lease`."""
        return boot_lease(self._clock, worker, seconds)

    def lease_ended(self, lease: Lease) -> bool:
        """See `Queue.lease_ended`."""
        return boot_lease_ended(self._clock, lease)

    # --- for those who look ---

    def get(self, job_id: int) -> Job:
        """See `Queue.get`."""
        with self._reading():
            return self._one(job_id).job

    def jobs(
        self, wanted: Filter = ALL, *, newest: bool = False, after: int = 0, limit: int | None = None
    ) -> Sequence[Job]:
        """See `Queue.jobs`."""
        return select(self._everything(), wanted, newest=newest, after=after, limit=limit)

    def counts(self) -> dict[State, int]:
        """See `Queue.counts`."""
        found = Counter(job.state for job in self._everything())
        return {state: found[state] for state in State}

    def revision(self) -> int:
        """See `Queue.revision`."""
        return self._number("revision")

    def changes(self, after: int, *, limit: int = 1000) -> Sequence[Job]:
        """See `Queue.changes`."""
        changed = [job for job in self._everything() if job.revision > after]
        return sorted(changed, key=lambda job: job.revision)[:limit]

    def watch(self) -> Watch:
        """See `Queue.watch`."""
        return FileWatch(self._folder, ["revision"])

    # --- for admins ---

    def pause(self, pause: Pause) -> None:
        """See `Queue.pause`."""
        with self._changing():
            self._count_up()
            write_durably(self._paused, _framed(PAUSE, json.dumps(to_data(pause)).encode("ascii")))

    def resume(self) -> None:
        """See `Queue.resume`."""
        if self.paused() is None:
            return  # of a queue that is not there, none is made
        with self._changing():
            self._count_up()
            self._paused.unlink(missing_ok=True)
            sync_folder(self._folder)

    def paused(self) -> Pause | None:
        """See `Queue.paused`."""
        with self._reading():
            return self._pause()

    def export(self) -> Iterator[Stored]:
        """See `Queue.export`."""
        with self._reading():
            everything = self._all()
        yield from everything

    def adopt(self, stored: Sequence[Stored]) -> None:
        """See `Queue.adopt`."""
        with self._changing():
            by_id = {one.job.id: one for one in self._all()}
            by_key = {(one.job.user, one.key): one for one in by_id.values()}
            new = []
            for one in stored:
                if is_new(one, by_id.get(one.job.id), by_key.get((one.job.user, one.key))):
                    by_id[one.job.id] = by_key[one.job.user, one.key] = one
                    new.append(one)
            self._take_in(new)

    def check(self, *, repair: bool = False) -> Sequence[Damage]:
        """See `Queue.check`."""
        if not self._lock.exists():
            return []
        with self._changing() if repair else self._reading():
            return list(self._damages(repair=repair))

    # --- damage ---

    def _damages(self, *, repair: bool) -> Iterator[Damage]:
        highest, newest = 0, 0
        for job_id in sorted(self._ids()):
            highest = max(highest, job_id)
            path = self._jobs / str(job_id)
            try:
                newest = max(newest, self._one(job_id).job.revision)
            except HostError as error:
                if error.code == "queue-format":
                    raise
                yield Damage(str(path), error.message, self._move_aside(path) if repair else "", (job_id,))
        try:
            self._pause()
        except HostError as error:
            done = self._move_aside(self._paused) + ": jobs are given out again" if repair else ""
            yield Damage(str(self._paused), error.message, done)
        yield from self._wrong_numbers(highest, newest, repair=repair)

    def _wrong_numbers(self, highest: int, newest: int, *, repair: bool) -> Iterator[Damage]:
        try:
            wrong = self._last() < highest
        except HostError:
            wrong = True
        if wrong:
            if repair:
                highest = max([highest, *self._ids_aside()])
                write_durably(self._folder / "last", b"%d\n" % highest)
            done = f"set to {highest}" if repair else ""
            yield Damage(str(self._folder / "last"), "this is not the highest id that was given", done)
        if self.revision() < newest:
            if repair:
                self._write_number("revision", newest + 1)
            done = f"set to {newest + 1}" if repair else ""
            yield Damage(str(self._folder / "revision"), "lower than that of a job", done)

    def _move_aside(self, path: Path) -> str:
        """Move a file into ``damaged``, never over another one; return what was done, for people."""
        folder = self._folder / "damaged"
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
        names = (path.name.partition("-")[0] for path in (self._folder / "damaged").glob("*"))
        return [int(name) for name in names if name.isdecimal()]

    # --- what they have in common ---

    @property
    def _paused(self) -> Path:
        return self._folder / "paused"

    def _everything(self) -> Sequence[Job]:
        with self._reading():
            return [stored.job for stored in self._all()]

    def _queued(self) -> dict[int, Stored]:
        """The jobs that may be claimed; none while the queue is paused."""
        if self._pause() is not None:
            return {}
        self._look()
        found = (stored for _, stored in self._known.values() if stored is not None)
        return {stored.job.id: stored for stored in found if stored.job.state is State.QUEUED}

    def _change(self, job_id: int, decide: Callable[[Job], Event | None], *, news: bool = True) -> Job:
        self.get(job_id)  # of a queue that is not there, none is made
        with self._changing():
            stored = self._one(job_id)
            event = decide(stored.job)
            if event is None:
                return stored.job
            return self._store(Stored(stored.key, apply(stored.job, event)), news=news)

    @contextlib.contextmanager
    def _changing(self) -> Iterator[None]:
        """Inside it nobody else reads or writes: what is not durable yet is seen by nobody."""
        try:
            make_folder(self._jobs)
            with locked(self._lock):
                yield
        except OSError as error:
            raise explain_os_error(error, "write to the queue") from None

    def _reading(self) -> AbstractContextManager[object]:
        """Inside it nobody writes; where there is no queue yet, it makes none."""
        return locked(self._lock, shared=True) if self._lock.exists() else nullcontext()

    def _next_id(self) -> int:
        """The id after the last that was given, whatever has become of its file."""
        return max(self._last(), *self._known, 0) + 1

    def _last(self) -> int:
        """What stands in `last`."""
        try:
            return int((self._folder / "last").read_bytes())
        except FileNotFoundError:
            return 0
        except ValueError:
            raise self._damaged(self._folder / "last") from None

    def _pause(self) -> Pause | None:
        try:
            body = self._body(self._paused, PAUSE)
        except FileNotFoundError:
            return None
        try:
            return from_data(json.loads(body), Pause)
        except (ValueError, FetchError):
            raise self._damaged(self._paused) from None

    def _take_in(self, new: Sequence[Stored]) -> list[Job]:
        """Write jobs that are new here: all of them or, where that fails, none."""
        if new:
            last = max(self._last(), *(stored.job.id for stored in new))
            write_durably(self._folder / "last", b"%d\n" % last)
        try:
            return [self._store(stored) for stored in new]
        except BaseException:
            for stored in new:
                self._path(stored.job.id).unlink(missing_ok=True)
            raise

    def _store(self, stored: Stored, *, news: bool = True) -> Job:
        """Write a job. The count goes first: a change that nobody hears of would be worse than a false alarm."""
        if news:
            stored = evolve(stored, job=evolve(stored.job, revision=self._count_up()))
        else:
            self._write_number("beats", self._number("beats") + 1)
        write_durably(self._path(stored.job.id), _framed(JOB, encode(stored).encode("ascii")))
        return stored.job

    def _path(self, job_id: int) -> Path:
        return self._jobs / str(job_id)

    def _count_up(self) -> int:
        """Raise the revision and return it; ids stand for revisions in old records, so it is higher than those."""
        revision = max(self.revision(), self._last()) + 1
        self._write_number("revision", revision)
        return revision

    def _number(self, name: str) -> int:
        try:
            return int.from_bytes((self._folder / name).read_bytes(), "big")
        except FileNotFoundError:
            return 0

    def _write_number(self, name: str, number: int) -> None:
        """Write in place, as it is read without the lock."""
        fd = os.open(self._folder / name, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            os.pwrite(fd, number.to_bytes(8, "big"), 0)
            if name == "revision":
                os.fdatasync(fd)
        finally:
            os.close(fd)

    def _one(self, job_id: int) -> Stored:
        path = self._path(job_id)
        try:
            body = self._body(path, JOB)
        except FileNotFoundError:
            raise unknown_job(job_id) from None
        except OSError as error:
            raise explain_os_error(error, "read the queue") from None
        with contextlib.suppress(ValueError, KeyError, TypeError, FetchError):
            stored = decode(body)
            if stored.job.id == job_id:
                return evolve(stored, job=evolve(stored.job, revision=stored.job.revision or job_id))
        raise self._damaged(path)

    def _all(self) -> list[Stored]:
        """All jobs, oldest first; raises where one cannot be read."""
        self._look()
        return [stored or self._one(job_id) for job_id, (_, stored) in self._known.items()]

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
            return self._one(job_id)
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


def _framed(magic: bytes, body: bytes) -> bytes:
    return b"%s%s %08x %d\n%s\n" % (magic, VERSION, zlib.crc32(body), len(body), body)
