"""Which queued job a worker claims: the schedule, in the form in which a queue asks for it."""

from __future__ import annotations

import math
from collections.abc import Sequence

from fetchml_core.jobs.job import Job
from fetchml_core.service.room import Capacity, Holding
from fetchml_core.service.schedule import first_start, next_try


class Choice:
    """Chooses for `Queue.claim`, which may ask again.

    Afterwards *gpus* are those of the job that was chosen last, and *next_try* tells when the first of the jobs that
    are not tried again at once may be.

    Args:
        held: What jobs hold that run or are about to.
        capacity: What the host has.
        now: Seconds since the epoch.
    """

    def __init__(self, held: Sequence[Holding], capacity: Capacity, now: float) -> None:
        self._held = held
        self._capacity = capacity
        self._now = now
        self.gpus: tuple[str, ...] = ()
        self.next_try = math.inf

    def __call__(self, line: Sequence[Job]) -> Job | None:
        """Return the job of *line* that starts next, None where none can."""
        verdict = first_start(line, self._held, self._capacity, self._now)
        self.next_try = next_try(line, self._now)
        if verdict is None:
            return None
        self.gpus = verdict.gpus
        return verdict.job
