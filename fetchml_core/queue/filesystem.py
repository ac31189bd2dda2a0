"""The filesystem queue: one small file per job, to be read and repaired with ordinary tools.

    <folder>/
        jobs/<id>    first line FETCHML-JOB 1 CRC LENGTH, then the record (see `stored`) in LENGTH bytes of JSON;
                     CRC is its CRC-32 in 8 hex digits
        last         the highest id that was given, in decimal
        revision     8 bytes, big-endian, one higher with every change
        lock         held (flock) for every change

A job's file is replaced as a whole, synced with its folder, before a change is acknowledged; `last` is written before
the job it names, so an id is never given twice. The revision only tells that there is something to read: it is not
synced. Simple rather than fast: every process reads all files once, and then those that changed.
"""

from __future__ import annotations

import contextlib
import os
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from attrs import evolve

from fetchml_core.clock import Clock
from fetchml_core.errors import HostError, explain_os_error
from fetchml_core.fsio import locked, make_folder, read_plain_file, write_durably
from fetchml_core.jobs.job import Job, JobSpec, Lease, Stop
from fetchml_core.jobs.states import State

from .base import (
    ALL,
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
    release_event,
    same_or_refuse,
    stop_event,
    submit_event,
    submitted,
    unknown_job,
)
from .stored import decode, encode

PROPERTIES = Properties("filesystem", survives_power_cut=True, several_hosts=False)
MAGIC = b"FETCHML-JOB "
VERSION = b"1"
MAX_RECORD = 64 << 20
_Seen = tuple[int, int, int]


class FilesystemQueue:
    """`fetchml_core.queue.base.Queue` over a folder of files.

    Args:
        folder: Where they lie; made with the first job.
        clock: For the times in the records.
    """

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._folder = folder
        self._jobs = folder / "jobs"
        self._lock = folder / "lock"
        self._clock = clock
        #: What was read, with what tells that a file is still the same.
        self._known: dict[int, tuple[_Seen, Stored]] = {}
        self._read_at = -1

    @property
    def properties(self) -> Properties:
        """See `Queue.properties`."""
        return PROPERTIES

    @property
    def home(self) -> str:
        """See `Queue.home`."""
        return ""

    def submit(self, spec: JobSpec, *, user: str, key: str) -> Job:
        """See `Queue.submit`."""
        with self._changing():
            for stored in self._all():
                if (stored.job.user, stored.key) == (user, key):
                    return same_or_refuse(stored.job, key, spec)
            job_id = self._next_id()
            line = max((stored.job.line for _, stored in self._known.values()), default=0.0)
            event = submit_event(job_id, spec, user, key, self._clock.now(), line)
            write_durably(self._folder / "last", b"%d\n" % job_id)
            return self._store(Stored(key, submitted(event)))

    def claim(self, choose: Choose, lease: Lease) -> Job | None:
        """See `Queue.claim`."""
        if not any(job.state is State.QUEUED for job in self.jobs()):
            return None  # no idle worker keeps the others waiting
        with self._changing():
            waiting = {stored.job.id: stored for stored in self._all() if stored.job.state is State.QUEUED}
            chosen = choose(sorted((stored.job for stored in waiting.values()), key=claim_order))
            if chosen is None:
                return None
            job = apply(chosen, claim_event(chosen, lease, self._clock.now()))
            return self._store(Stored(waiting[chosen.id].key, job))

    def advance(self, job_id: int, attempt: int, change: Change) -> Job:
        """See `Queue.advance`."""
        return self._change(job_id, lambda job: advance_event(job, attempt, change, self._clock.now()))

    def stop(self, job_id: int, stop: Stop) -> Job:
        """See `Queue.stop`."""
        return self._change(job_id, lambda job: stop_event(job, stop, self._clock.now()))

    def hold(self, job_id: int) -> Job:
        """See `Queue.hold`."""
        return self._change(job_id, lambda job: hold_event(job, self._clock.now()))

    def release(self, job_id: int) -> Job:
        """See `Queue.release`."""
        return self._change(job_id, lambda job: release_event(job, self._clock.now()))

    def lease(self, worker: str, seconds: float) -> Lease:
        """See `Queue.lease`."""
        return boot_lease(self._clock, worker, seconds)

    def lease_ended(self, lease: Lease) -> bool:
        """See `Queue.lease_ended`."""
        return boot_lease_ended(self._clock, lease)

    def submit_array(self, specs: Sequence[JobSpec], *, user: str, key: str) -> list[Job]:
        """See `Queue.submit_array`."""
        return [self.submit(spec, user=user, key=f"{key}/{n}") for n, spec in enumerate(specs)]

    def watch(self) -> Watch:
        """See `Queue.watch`."""
        raise NotImplementedError

    def pause(self, pause: Pause) -> None:
        """See `Queue.pause`."""
        raise NotImplementedError

    def resume(self) -> None:
        """See `Queue.resume`."""
        raise NotImplementedError

    def paused(self) -> Pause | None:
        """See `Queue.paused`."""
        return None

    def export(self) -> Iterator[Stored]:
        """See `Queue.export`."""
        raise NotImplementedError

    def adopt(self, stored: Sequence[Stored]) -> None:
        """See `Queue.adopt`."""
        raise NotImplementedError

    def check(self, *, repair: bool = False) -> Sequence[Damage]:
        """See `Queue.check`."""
        raise NotImplementedError

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

    def changes(self, after: int, *, limit: int = 1000) -> Sequence[Job]:
        """See `Queue.changes`."""
        changed = [job for job in self._everything() if job.revision > after]
        return sorted(changed, key=lambda job: job.revision)[:limit]

    def _everything(self) -> Sequence[Job]:
        with self._reading():
            return [stored.job for stored in self._all()]

    def revision(self) -> int:
        """See `Queue.revision`."""
        try:
            return int.from_bytes((self._folder / "revision").read_bytes(), "big")
        except FileNotFoundError:
            return 0

    def _change(self, job_id: int, decide: Callable[[Job], Event | None]) -> Job:
        self.get(job_id)  # of a queue that is not there, none is made
        with self._changing():
            stored = self._one(job_id)
            event = decide(stored.job)
            return stored.job if event is None else self._store(Stored(stored.key, apply(stored.job, event)))

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
        try:
            last = int((self._folder / "last").read_bytes())
        except FileNotFoundError:
            last = 0
        except ValueError:
            raise self._damaged(self._folder / "last") from None
        return max(last, *self._known, 0) + 1

    def _store(self, stored: Stored) -> Job:
        """Write a job. The revision goes first: a change that nobody hears of would be worse than a false alarm."""
        stored = evolve(stored, job=evolve(stored.job, revision=self._count_up()))
        body = encode(stored).encode("ascii")
        path = self._jobs / str(stored.job.id)
        write_durably(path, _framed(body))
        return stored.job

    def _count_up(self) -> int:
        """Raise the revision and return it; written in place, as it is read without the lock."""
        revision = self.revision() + 1
        fd = os.open(
            self._folder / "revision", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
        )
        try:
            os.pwrite(fd, revision.to_bytes(8, "big"), 0)
        finally:
            os.close(fd)
        return revision

    def _one(self, job_id: int) -> Stored:
        path = self._jobs / str(job_id)
        try:
            return self._parse(path, read_plain_file(path, limit=MAX_RECORD))
        except FileNotFoundError:
            raise unknown_job(job_id) from None
        except OSError as error:
            raise explain_os_error(error, "read the queue") from None

    def _all(self) -> list[Stored]:
        """All jobs, oldest first; files that are as they were are not read again."""
        revision = self.revision()
        if revision != self._read_at or not self._known:
            self._known = dict(sorted(self._look()))
            self._read_at = revision
        return [stored for _, stored in self._known.values()]

    def _look(self) -> Iterator[tuple[int, tuple[_Seen, Stored]]]:
        try:
            entries = [entry for entry in os.scandir(self._jobs) if entry.name.isdigit()]
        except FileNotFoundError:
            return
        for entry in entries:
            status = entry.stat(follow_symlinks=False)
            seen = (status.st_ino, status.st_mtime_ns, status.st_size)
            job_id = int(entry.name)
            known = self._known.get(job_id)
            yield job_id, known if known and known[0] == seen else (seen, self._one(job_id))

    def _parse(self, path: Path, data: bytes) -> Stored:
        header, _, rest = data.partition(b"\n")
        version = header.removeprefix(MAGIC).split(b" ")[0]
        if header.startswith(MAGIC) and version.isdigit() and version != VERSION:
            raise HostError(
                "queue-format",
                f"this job has format {version.decode()}, we read {VERSION.decode()}",
                context=str(path),
                hint="use the version of FetchML that wrote it, or move the folder aside",
            )
        body = rest[:-1]
        if data == _framed(body):
            with contextlib.suppress(ValueError, KeyError, TypeError):
                return decode(body)
        raise self._damaged(path)

    @staticmethod
    def _damaged(path: Path) -> HostError:
        return HostError(
            "queue-damaged",
            "a file of the queue does not match its checksum",
            context=str(path),
            hint="keep a copy of the folder before anything else touches it",
        )


def _framed(body: bytes) -> bytes:
    return b"%s%s %08x %d\n%s\n" % (MAGIC, VERSION, zlib.crc32(body), len(body), body)
