"""The order in which queued jobs are looked at: priority, then age, and users in turn within a priority. Pure.

Jobs stand in line by `claim_order`: priority, then age, where waiting raises the priority. Which place in that line
a priority has is settled by that alone; which of its jobs stands there, the turns decide. A job comes `TURN_S` later
for each job that its user holds now, and for each that he has before it in the same priority. So of two users the
one who holds less goes first, and a hundred jobs of one do not make the other wait.

Nobody starves: turns set a job back by as many days as its user has jobs before it and no more, and whoever comes
after those days stands behind it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from fetchml_core.jobs.job import Job

TURN_S = 24 * 3600.0
"""What a turn is worth. Longer than most jobs run, so that users really take turns; not without end, so that
somebody whose job runs for a month gets his next one started while others keep coming."""


def in_turn(line: Iterable[Job], held: Mapping[str, int]) -> Iterator[Job]:
    """Yield the jobs of *line*, which is in the order of `claim_order`, users in turn.

    Args:
        line: Queued jobs.
        held: How many jobs each user holds now; users who hold none may be missing.
    """
    line = list(line)
    before: Counter[tuple[int, str]] = Counter()
    classes: dict[int, list[tuple[float, int, Job]]] = {}
    for job in line:
        priority = job.spec.priority
        turn = held.get(job.user, 0) + before[priority, job.user]
        before[priority, job.user] += 1
        place = stands_since(job) + turn * TURN_S
        classes.setdefault(priority, []).append((place, job.id, job))
    turns = {priority: iter(sorted(rows, key=lambda row: row[:2])) for priority, rows in classes.items()}
    for job in line:
        yield next(turns[job.spec.priority])[2]


def stands_since(job: Job) -> float:
    """Return since when *job* stands in line, in seconds since the epoch."""
    return job.line or job.submitted_at
