"""The queued jobs of one host, as a process knows them: a long line is read once, then only what has changed."""

from __future__ import annotations

import bisect

from fetchml_core.jobs.job import Job
from fetchml_core.jobs.states import State

from .base import claim_order
from .redis_record import Row


class Line:
    """Queued jobs in the order of `claim_order`.

    Args:
        home: Of these jobs.
    """

    def __init__(self, home: str) -> None:
        self._home = home
        self._rows: dict[int, Row] = {}
        self._order: list[tuple[float, int]] = []
        #: All changes up to this revision of the queue are known; -1: nothing is.
        self.revision = -1

    def jobs(self) -> list[Job]:
        """Return them."""
        return [self._rows[job_id].stored.job for _, job_id in self._order]

    def row(self, job_id: int) -> Row:
        """Return one of them, as it was read."""
        return self._rows[job_id]

    def clear(self) -> None:
        """Know nothing."""
        self._rows.clear()
        self._order.clear()
        self.revision = -1

    def take_in(self, job_id: int, row: Row | None) -> None:
        """Know how a job stands now; None where it is gone."""
        known = self._rows.pop(job_id, None)
        if known is not None:
            del self._order[bisect.bisect_left(self._order, claim_order(known.stored.job))]
        if row is not None and row.stored.job.state is State.QUEUED and row.stored.job.home == self._home:
            self._rows[job_id] = row
            bisect.insort(self._order, claim_order(row.stored.job))
