"""Redis, and while it is away a filesystem queue of the host's own: no job is lost, none is done twice.

A job that is accepted while Redis is away lies in the folder, under an id that Redis gave to this host before (see
`reserve`), and may be claimed and run. When Redis answers again it moves there and keeps its id; one that a worker holds
moves once it has ended or was given back. A job is at one place at a time: what may have arrived in Redis, as nobody
knows while the answer is lost, is neither claimed nor changed here.

Jobs that only Redis knows are out of reach while it is away (``queue-unreachable``), and so are its pause and the keys
of jobs submitted before. A key that is used again in between makes a second job; `RedisQueue.take_over` ends one of them
before anybody works on it, unless that had happened already when Redis went.

Beside the files of the folder and of `reserve` there is, while Redis is away, an empty file ``away``: its time is when
the first process found it so.
"""

from __future__ import annotations

import contextlib
import select
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import TypeVar

from attrs import evolve

from fetchml_core.clock import Clock
from fetchml_core.errors import HostError, NotFoundError
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
)
from .filesystem import FilesystemQueue
from .moves import refuse_if_moved, same_or_refuse, submit_event, submitted
from .redis import BOOT, RedisQueue
from .reserve import BLOCK, Reserve

T = TypeVar("T")

SHORT_PATIENCE_S = 1.0
"""How long Redis is asked again before the folder stands in."""
AWAY_S = 3.0
"""How long it is then not asked at all, so that nobody waits at every step."""


class FallbackQueue:
    """`fetchml_core.queue.base.Queue` over Redis and a folder.

    Args:
        shared: The queue in Redis.
        folder: Where jobs wait while it is away.
        clock: The machine's clocks. Leases are on its boot clock, which needs no server, as only this host's workers
            claim and judge its jobs.
    """

    def __init__(self, shared: RedisQueue, folder: Path, clock: Clock) -> None:
        self._shared = shared
        self._local = _Folder(folder, clock)
        self._reserve = Reserve(folder)
        self._away_file = folder / "away"
        self._answered = False
        self._clock = clock
        self._away: HostError | None = None
        self._ask_again = 0.0
        self._last_revision = 0

    @property
    def properties(self) -> Properties:
        """See `Queue.properties`."""
        return self._shared.properties

    @property
    def home(self) -> str:
        """See `Queue.home`."""
        return self._shared.home

    # --- for those who submit ---

    def submit(self, spec: JobSpec, *, user: str, key: str) -> Job:
        """See `Queue.submit`.

        Raises:
            HostError: ``queue-moved``; ``ids-used-up``: Redis is away, and so many jobs were accepted meanwhile.
        """
        wanted = {key: spec}
        return self._submit(wanted, user, lambda: [self._shared.submit(spec, user=user, key=key)])[0]

    def submit_array(self, specs: Sequence[JobSpec], *, user: str, key: str) -> list[Job]:
        """See `Queue.submit_array`, and `submit`."""
        wanted = {f"{key}/{n}": spec for n, spec in enumerate(specs)}
        return self._submit(wanted, user, lambda: self._shared.submit_array(specs, user=user, key=key))

    def _submit(self, wanted: dict[str, JobSpec], user: str, there: Callable[[], list[Job]]) -> list[Job]:
        if self._settle() and not self._known(wanted, user):
            with _UnlessAway():
                return self._ask(there)
        return self._accept(wanted, user)

    def _accept(self, wanted: dict[str, JobSpec], user: str) -> list[Job]:
        """Accept jobs here."""
        with self._reserve.lock():
            known = self._known(wanted, user)
            jobs = {key: same_or_refuse(stored.job, key, wanted[key]) for key, stored in known.items()}
            new = [key for key in wanted if key not in known]
            if new:
                refuse_if_moved(self._local.paused())
            now = self._clock.now()
            line = max((stored.job.line for stored in self._local.export()), default=now)
            stored = []
            for job_id, key in zip(self._reserve.take(len(new)), new, strict=True):
                event = submit_event(job_id, wanted[key], user, key, now, max(line, now))
                stored.append(Stored(key, submitted(event)))
            self._local.adopt(stored)
            jobs.update({one.key: self._local.get(one.job.id) for one in stored})
        return [self._ours(jobs[key]) for key in wanted]

    def _known(self, wanted: dict[str, JobSpec], user: str) -> dict[str, Stored]:
        """The jobs that lie here under these keys."""
        return {
            stored.key: stored
            for stored in self._local.export()
            if stored.job.user == user and stored.key in wanted
        }

    def stop(self, job_id: int, stop: Stop) -> Job:
        """See `Queue.stop`."""
        return self._change(
            job_id, lambda: self._local.stop(job_id, stop), lambda: self._shared.stop(job_id, stop)
        )

    def hold(self, job_id: int) -> Job:
        """See `Queue.hold`."""
        return self._change(job_id, lambda: self._local.hold(job_id), lambda: self._shared.hold(job_id))

    def release(self, job_id: int) -> Job:
        """See `Queue.release`."""
        return self._change(job_id, lambda: self._local.release(job_id), lambda: self._shared.release(job_id))

    # --- for workers ---

    def claim(self, choose: Choose, lease: Lease) -> Job | None:
        """See `Queue.claim`. What waits here moves to Redis first, where that answers."""
        if self._settle():
            with _UnlessAway():
                return self._ask(lambda: self._shared.claim(choose, lease))
        if self._local.is_empty():
            return None
        with self._reserve.lock():
            moving = self._reserve.moving()

            def choose_here(jobs: Sequence[Job]) -> Job | None:
                here = {job.id: job for job in jobs if job.id not in moving}
                chosen = choose([self._ours(job) for job in here.values()])
                return None if chosen is None else here[chosen.id]

            job = self._local.claim(choose_here, lease)
            return None if job is None else self._ours(job)

    def advance(self, job_id: int, attempt: int, change: Change) -> Job:
        """See `Queue.advance`."""
        return self._change(
            job_id,
            lambda: self._local.advance(job_id, attempt, change),
            lambda: self._shared.advance(job_id, attempt, change),
        )

    def lease(self, worker: str, seconds: float) -> Lease:
        """See `Queue.lease`."""
        return boot_lease(self._clock, worker, seconds)

    def lease_ended(self, lease: Lease) -> bool:
        """See `Queue.lease_ended`."""
        if lease.boot_id == BOOT:  # of before there was a fallback
            return self._ask(lambda: self._shared.lease_ended(lease))
        return boot_lease_ended(self._clock, lease)

    # --- for those who look ---

    def get(self, job_id: int) -> Job:
        """See `Queue.get`."""
        self._settle()
        with contextlib.suppress(NotFoundError):
            return self._ours(self._local.get(job_id))
        return self._ask(lambda: self._shared.get(job_id))

    def jobs(
        self, wanted: Filter = ALL, *, newest: bool = False, after: int = 0, limit: int | None = None
    ) -> Sequence[Job]:
        """See `Queue.jobs`. While Redis is away these are the jobs that lie here."""
        self._settle()
        here = self._local.jobs(wanted, newest=newest, after=after, limit=limit)
        found = {job.id: self._ours(job) for job in here}
        with _UnlessAway():
            there = self._ask(lambda: self._shared.jobs(wanted, newest=newest, after=after, limit=limit))
            found.update({job.id: job for job in there})  # one that has just moved is newer there
        return sorted(found.values(), key=lambda job: job.id, reverse=newest)[:limit]

    def line(self, limit: int) -> Sequence[Job]:
        """See `Queue.line`. While Redis is away these are the jobs that lie here."""
        self._settle()
        found = {job.id: self._ours(job) for job in self._local.line(limit)}
        with _UnlessAway():
            there = self._ask(lambda: self._shared.line(limit))
            found.update({job.id: job for job in there})
        return sorted(found.values(), key=claim_order)[:limit]

    def counts(self) -> dict[State, int]:
        """See `Queue.counts`. While Redis is away they are those of the jobs that lie here."""
        self._settle()
        counts = self._local.counts()
        with _UnlessAway():
            there = self._ask(self._shared.counts)
            return {state: count + there[state] for state, count in counts.items()}
        return counts

    def revision(self) -> int:
        """See `Queue.revision`."""
        here = self._local.revision()
        with _UnlessAway():
            self._last_revision = self._ask(self._shared.revision)
        return self._last_revision + here

    def changes(self, after: int, *, limit: int = 1000) -> Sequence[Job]:
        """See `Queue.changes`. A job that lies here is told of when it has moved."""
        self._settle()
        with _UnlessAway():
            return self._ask(lambda: self._shared.changes(after, limit=limit))
        return []

    def watch(self) -> Watch:
        """See `Queue.watch`."""
        return _Both(self._shared.watch(), self._local.watch())

    def notes(self) -> tuple[str, ...]:
        """Say in sentences for people how it stands: whether Redis is away, and what waits here."""
        self._settle()
        said: tuple[str, ...] = ()
        try:
            said = self._ask(self._shared.notes)
        except HostError as error:
            if not _is_away(error):
                raise
            left = self._reserve.left()
            alone = (
                f"this host takes jobs on its own ({left} more) and runs them; those in Redis go on, unseen"
            )
            said = (f"Redis at {error.context} is away{self._since()}: {alone}",)
        here = len(self._local.jobs())
        jobs = "1 job lies on this host until Redis can take it"
        if here > 1:
            jobs = f"{here} jobs lie on this host until Redis can take them"
        return (*said, jobs) if here else said

    # --- for admins ---

    def pause(self, pause: Pause) -> None:
        """See `Queue.pause`. That the queue was moved holds while Redis is away, too: nothing would move on from here."""
        self._ask(lambda: self._shared.pause(pause))
        if pause.moved_to:
            self._local.pause(pause)
        else:
            self._local.resume()

    def resume(self) -> None:
        """See `Queue.resume`."""
        self._ask(self._shared.resume)
        self._local.resume()

    def paused(self) -> Pause | None:
        """See `Queue.paused`; while Redis is away only that the queue was moved is known."""
        with _UnlessAway():
            return self._ask(self._shared.paused)
        return self._local.paused()

    def export(self) -> Iterator[Stored]:
        """See `Queue.export`."""
        self._settle()
        here = {stored.job.id: stored for stored in self._local.export()}
        there = self._ask(lambda: {stored.job.id: stored for stored in self._shared.export()})
        everything = {**here, **there}
        yield from (everything[job_id] for job_id in sorted(everything))

    def adopt(self, stored: Sequence[Stored]) -> None:
        """See `Queue.adopt`."""
        self._ask(lambda: self._shared.adopt(stored))

    def check(self, *, repair: bool = False) -> Sequence[Damage]:
        """See `Queue.check`."""
        here = self._local.check(repair=repair)
        return [*here, *self._ask(lambda: self._shared.check(repair=repair))]

    # --- Redis, or the folder ---

    def _ask(self, call: Callable[[], T]) -> T:
        """Return what Redis answers; where it was away a moment ago, it is not asked."""
        if self._away is not None and self._clock.boot().seconds < self._ask_again:
            raise self._away
        try:
            answer = call()
        except HostError as error:
            if _is_away(error):
                self._note_away(error)
            raise
        if not self._answered:
            self._answered, self._away = True, None
            with contextlib.suppress(OSError):
                self._away_file.unlink()
        return answer

    def _note_away(self, error: HostError) -> None:
        self._answered, self._away = False, error
        self._ask_again = self._clock.boot().seconds + AWAY_S
        with contextlib.suppress(OSError):  # it is for people alone
            if not self._away_file.exists():
                self._away_file.touch(mode=0o600)

    def _since(self) -> str:
        """Since when Redis is away, in words; empty where that is not known."""
        try:
            found = self._away_file.stat().st_mtime
        except OSError:
            return ""
        return datetime.fromtimestamp(int(found), timezone.utc).strftime(" since %Y-%m-%dT%H:%M:%SZ")

    def _settle(self) -> bool:
        """Move to Redis what waits here, and keep enough ids; say whether Redis answered, where it was asked."""
        with _UnlessAway():
            if not self._local.is_empty():
                with self._reserve.lock():
                    self._ask(self._move)
            if self._reserve.left() < BLOCK // 2:
                with self._reserve.lock():
                    self._ask(self._refill)
            return True
        return False

    def _refill(self) -> None:
        missing = BLOCK - self._reserve.left()
        if missing > BLOCK // 2:  # nobody else was quicker
            self._reserve.add(self._shared.reserve(missing))

    def _move(self) -> None:
        """Move the jobs that no worker holds. The caller holds the lock.

        That they are on their way is written first: ended at any point, this is done again, and no sooner does
        anybody touch them.
        """
        self._shared.revision()  # nothing sets out while Redis is away: it could not be worked on here meanwhile
        moving, everything = self._reserve.moving(), list(self._local.export())
        for stored in everything:
            if stored.job.state.active:
                self._shared.displace(stored)
        ready = [stored for stored in everything if not stored.job.state.active]
        if not ready:
            return
        if moving != {stored.job.id for stored in ready}:
            self._reserve.set_moving([stored.job.id for stored in ready])
        for stored in ready:
            self._shared.take_over(evolve(stored, job=self._ours(stored.job)))
            self._local.forget(stored.job.id)
        self._reserve.set_moving([])

    def _change(self, job_id: int, here: Callable[[], Job], there: Callable[[], Job]) -> Job:
        """Do it where the job is."""
        self._settle()
        if not self._local.is_empty():
            with self._reserve.lock():
                if job_id not in self._reserve.moving():
                    with contextlib.suppress(NotFoundError):
                        return self._ours(here())
        return self._ask(there)

    def _ours(self, job: Job) -> Job:
        return evolve(job, home=self.home)


class _UnlessAway:
    """What needs Redis stands inside it; where that is away, the code goes on behind it."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        return _is_away(error)


def _is_away(error: BaseException | None) -> bool:
    return isinstance(error, HostError) and error.code == "queue-unreachable"


class _Folder(FilesystemQueue):
    """The filesystem queue, whose jobs may leave it."""

    def is_empty(self) -> bool:
        """Whether no job lies here."""
        try:
            return not any(path.name.isdecimal() for path in (self._files.path / "jobs").iterdir())
        except FileNotFoundError:
            return True

    def forget(self, job_id: int) -> None:
        """Remove a job that another queue has, durably."""
        with self._files.changing():
            self._files.forget(job_id)


class _Both:
    """`fetchml_core.queue.base.Watch` over Redis and the folder; while Redis is away it has no descriptor."""

    def __init__(self, there: Watch, here: Watch) -> None:
        self._watches = (there, here)
        self._together = select.epoll()
        self._registered: tuple[int, ...] = ()
        self._register()

    def fileno(self) -> int:
        """See `Watch.fileno`."""
        return -1 if -1 in self._registered else self._together.fileno()

    def clear(self) -> None:
        """See `Watch.clear`."""
        for watch in self._watches:
            watch.clear()
        self._register()

    def close(self) -> None:
        """See `Watch.close`."""
        for watch in self._watches:
            watch.close()
        self._together.close()

    def _register(self) -> None:
        """Listen to the descriptors as they are now; one that was closed is gone by itself."""
        self._together.close()
        self._together = select.epoll()
        self._registered = tuple(watch.fileno() for watch in self._watches)
        for fd in self._registered:
            if fd >= 0:
                self._together.register(fd, select.EPOLLIN)
