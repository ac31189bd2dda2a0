"""All jobs of a queue that keeps events, as the events so far have made them."""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from typing import overload

from fetchml_core.jobs.job import Job, JobSpec
from fetchml_core.jobs.states import State

from .base import claim_order
from .moves import Event, apply, same_or_refuse, submitted, unknown_job


class Ledger:
    """A fold over events, in their order."""

    def __init__(self) -> None:
        self.jobs: dict[int, Job] = {}
        self.revision = 0
        self.line = 0.0
        self._keys: dict[tuple[str, str], int] = {}
        self._line: list[tuple[float, int]] = []

    @property
    def queued(self) -> Sequence[Job]:
        """The queued jobs in the order of the line; it changes with the ledger."""
        return _Line(self._line, self.jobs)

    @property
    def next_id(self) -> int:
        """The id of the next job."""
        return next(reversed(self.jobs), 0) + 1

    def get(self, job_id: int) -> Job:
        """Return a job, or raise ``job-unknown``."""
        try:
            return self.jobs[job_id]
        except KeyError:
            raise unknown_job(job_id) from None

    def find_key(self, user: str, key: str, spec: JobSpec) -> Job | None:
        """Return the job that *user* submitted under *key*, or None; another *spec* is refused."""
        job_id = self._keys.get((user, key))
        return None if job_id is None else same_or_refuse(self.jobs[job_id], key, spec)

    def apply(self, event: Event) -> Job:
        """Take an event in and return the job it changed."""
        if event["e"] == "submit":
            job = submitted(event)
            self._keys[event["user"], event["key"]] = job.id
        else:
            job = apply(self.get(event["id"]), event)
        before = self.jobs.get(job.id)
        if before is not None and before.state is State.QUEUED:
            del self._line[bisect.bisect_left(self._line, claim_order(before))]
        if job.state is State.QUEUED:
            bisect.insort(self._line, claim_order(job))
        self.jobs[job.id] = job
        self.revision = max(self.revision, job.revision)
        self.line = max(self.line, job.line)
        return job


class _Line(Sequence[Job]):
    """The queued jobs, looked up one by one: who takes the first does not pay for the rest."""

    def __init__(self, order: list[tuple[float, int]], jobs: dict[int, Job]) -> None:
        self._order = order
        self._jobs = jobs

    def __len__(self) -> int:
        return len(self._order)

    @overload
    def __getitem__(self, index: int) -> Job: ...
    @overload
    def __getitem__(self, index: slice) -> list[Job]: ...
    def __getitem__(self, index: int | slice) -> Job | list[Job]:
        if isinstance(index, slice):
            return [self._jobs[job_id] for _, job_id in self._order[index]]
        return self._jobs[self._order[index][1]]
