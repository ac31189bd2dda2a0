"""The native queue: files only, no server; writers that come at the same time share a sync."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from fetchml_core.clock import Clock
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
    select,
)
from .journal import Journal, Written
from .ledger import Ledger
from .moves import Event, advance_event, claim_event, hold_event, release_event, stop_event, submit_event

PROPERTIES = Properties("native", survives_power_cut=True, several_hosts=False)


class NativeQueue:
    """`fetchml_core.queue.base.Queue` over a journal.

    Args:
        folder: Where the journal lies; made with the first job.
        clock: For the times in the records.
    """

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._journal = Journal(folder, clock.boot().boot_id)
        self._ledger = Ledger()
        self._clock = clock

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
        with self._journal.lock():
            self._catch_up()
            known = self._ledger.find_key(user, key, spec)
            if known is None:
                job, written = self._write(
                    submit_event(self._ledger.next_id, spec, user, key, self._clock.now(), self._ledger.line)
                )
        if known is not None:
            self._journal.settle_what_was_read()
            return known
        self._journal.settle(written)
        return job

    def claim(self, choose: Choose, lease: Lease) -> Job | None:
        """See `Queue.claim`."""
        with self._journal.lock_to_read():
            self._catch_up()
        if not self._ledger.queued:
            return None  # no idle worker keeps the others waiting
        with self._journal.lock():
            self._catch_up()
            chosen = choose(self._ledger.queued)
            if chosen is None:
                return None
            job, written = self._write(claim_event(chosen, lease, self._clock.now()))
        self._journal.settle(written)
        return job

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
        self._refresh()
        return self._ledger.get(job_id)

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
        self._refresh()
        return list(self._ledger.jobs.values())

    def revision(self) -> int:
        """See `Queue.revision`."""
        return self._journal.size()

    def _refresh(self) -> None:
        with self._journal.lock_to_read():
            self._catch_up()
            self._journal.settle_what_was_read()

    def _catch_up(self) -> None:
        """Take in what others have written. The caller holds a lock."""
        if self._journal.rewound():
            self._ledger = Ledger()
        for event in self._journal.catch_up():
            self._ledger.apply(event)

    def _change(self, job_id: int, decide: Callable[[Job], Event | None]) -> Job:
        """Decide under the lock on what is true now; write the event, if there is one."""
        with self._journal.lock():
            self._catch_up()
            job = self._ledger.get(job_id)
            event = decide(job)
            if event is not None:
                job, written = self._write(event)
        if event is None:
            self._journal.settle_what_was_read()
        else:
            self._journal.settle(written)
        return job

    def _write(self, event: Event) -> tuple[Job, Written]:
        """Append *event* and let it be true here; it counts once it is settled. The caller holds the lock."""
        if event["e"] != "beat":
            event["n"] = self._ledger.revision + 1
        written = self._journal.append(event)
        return self._ledger.apply(event), written
