"""What one has to read of a queue to say why its jobs wait: bounded, however long the line is."""

from __future__ import annotations

from fetchml_core.jobs.job import Job
from fetchml_core.jobs.states import ACTIVE
from fetchml_core.queue.base import Filter, Queue

from .schedule import LOOKED_AT

_HELD_BY_WORKERS = Filter(states=ACTIVE)


def front(queue: Queue) -> list[Job]:
    """Return the jobs that run or are about to, and those at the front of the line, as many as the schedule looks at."""
    return [*queue.jobs(_HELD_BY_WORKERS), *queue.line(LOOKED_AT)]
