"""The native queue: files only, no server, one lock, one fsync per change."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from fetchml_core.clock import Clock
from fetchml_core.jobs.job import Job, JobSpec, Lease, Stop
from fetchml_core.jobs.states import State

from .base import Change, Choose, Properties, claim_order
from .journal import Journal
from .ledger import Event, Ledger

PROPERTIES = Properties("native", survives_power_cut=True, several_hosts=False)


class NativeQueue:
    """`fetchml_core.queue.base.Queue` over a journal.

    Args:
        folder: Where the journal lies; made with the first job.
        clock: For the times in the records.
    """

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._journal = Journal(folder)
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
            return known or self._write(self._ledger.decide_submit(spec, user, key, self._clock.now()))

    def claim(self, choose: Choose, lease: Lease) -> Job | None:
        """See `Queue.claim`."""
        self._refresh()
        if not self._queued():
            return None
        with self._journal.lock():
            self._catch_up()
            chosen = choose(self._queued())
            if chosen is None:
                return None
            return self._write(self._ledger.decide_claim(chosen, lease, self._clock.now()))

    def advance(self, job_id: int, attempt: int, change: Change) -> Job:
        """See `Queue.advance`."""
        return self._change(
            lambda: self._ledger.decide_advance(job_id, attempt, change, self._clock.now()), job_id
        )

    def stop(self, job_id: int, stop: Stop) -> Job:
        """See `Queue.stop`."""
        return self._change(lambda: self._ledger.decide_stop(job_id, stop, self._clock.now()), job_id)

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

    def _queued(self) -> list[Job]:
        return sorted(
            (job for job in self._ledger.jobs.values() if job.state is State.QUEUED), key=claim_order
        )

    def _refresh(self) -> None:
        with self._journal.lock_to_read():
            self._catch_up()

    def _catch_up(self) -> None:
        """Take in what others have written. The caller holds a lock."""
        for event in self._journal.catch_up():
            self._ledger.apply(event)

    def _change(self, decide: Callable[[], Event | None], job_id: int) -> Job:
        """Decide under the lock on what is true now; write the event, if there is one."""
        with self._journal.lock():
            self._catch_up()
            event = decide()
            return self._write(event) if event is not None else self._ledger.get(job_id)

    def _write(self, event: Event) -> Job:
        """Make *event* durable, then true. The caller holds the lock."""
        self._journal.append(event)
        return self._ledger.apply(event)
