"""The native queue: files only, no server; writers that come at the same time share a sync."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from fetchml_core.clock import Clock
from fetchml_core.jobs.job import Job, JobSpec, Lease, Stop

from .base import Change, Choose, Properties
from .journal import Journal, Written
from .ledger import Ledger
from .moves import Event, advance_event, claim_event, stop_event, submit_event

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

    def submit(self, spec: JobSpec, *, user: str, key: str) -> Job:
        """See `Queue.submit`."""
        with self._journal.lock():
            self._catch_up()
            known = self._ledger.find_key(user, key, spec)
            if known is None:
                job, written = self._write(
                    submit_event(self._ledger.next_id, spec, user, key, self._clock.now())
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

    def get(self, job_id: int) -> Job:
        """See `Queue.get`."""
        self._refresh()
        return self._ledger.get(job_id)

    def jobs(self) -> Sequence[Job]:
        """See `Queue.jobs`."""
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
        written = self._journal.append(event)
        return self._ledger.apply(event), written
