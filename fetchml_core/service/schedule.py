"""Which queued jobs start now and on what, and why the others do not. Pure.

Jobs are looked at in turn (`turns.py`), and each that fits into what is free starts: a big one that does not fit lets
smaller ones pass. From `PATIENCE_S` on it no longer does: for the one that stands first in line among those who have
waited so long, what it needs is kept free, and jobs after it start only on the rest. One at a time: a second one
would keep things idle that the first does not even let it have.

A job that failed twice pauses before it is tried again (`jobs/retries.py`), and is passed over meanwhile.

A job that asks for more than the host has in all, because the host has shrunk, blocks nobody; one that could run if
all its GPUs were well waits, and has nothing kept for it meanwhile.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence

from attrs import frozen

from fetchml_core.jobs.job import Job, Resources
from fetchml_core.jobs.retries import failed_gpus, waits_until

from .room import Capacity, Demand, Holding, Lack, Room, entire
from .turns import in_turn, stands_since

PATIENCE_S = 15 * 60.0
"""How long a job that does not fit lets smaller ones pass: gaps are filled meanwhile, and next to the hours that a
training takes it is little. There is no key for it in the configuration."""
LOOKED_AT, OF_A_USER = 500, 100
"""So many jobs of the line are looked at, and so many of each user are tried, from the front. A pass costs the same
then however long the line is; nobody who queues thousands hides the others behind them, and of a hundred jobs of one
user some other rarely fits where none of them does."""


@frozen
class Verdict:
    """What is decided of one queued job.

    Args:
        place: How many are looked at before it; None for one that can never start here.
        demand: What it needs.
        gpus: The GPUs that it gets, by UUID, if it starts.
        lacks: What there is too little of; empty where it starts, or where only *kept_for* is in its way.
        kept_for: What it could have otherwise is kept for this job.
        kept: Of what there is enough, were it not kept: words of `Lack.kind`.
        keeps: What it needs is kept free for it.
    """

    job: Job
    place: int | None
    demand: Demand
    gpus: tuple[str, ...] = ()
    lacks: tuple[Lack, ...] = ()
    kept_for: Job | None = None
    kept: tuple[str, ...] = ()
    keeps: bool = False

    @property
    def starts(self) -> bool:
        """Whether it starts now."""
        return self.place is not None and not self.lacks and self.kept_for is None

    @property
    def never(self) -> bool:
        """Whether the host could not run it even if it did nothing else."""
        return self.place is None


def verdicts(
    line: Sequence[Job], held: Sequence[Holding], capacity: Capacity, now: float
) -> Iterator[Verdict]:
    """Decide of each queued job in turn, as if those before it that start had started; who never can comes last.

    Args:
        line: The queued jobs in the order of `claim_order`. It may read its items lazily.
        held: What jobs hold that run or are about to.
        capacity: What the host has.
        now: Seconds since the epoch.
    """
    room = Room(capacity)
    for holding in held:
        room.take(holding.demand, holding.gpus)
    tried, hopeless = _tried(line, capacity, now)
    waits_long = _first_to_wait_long(tried, room, Room(capacity), now)
    rest, kept_for = room, None  # what jobs may start on, and for whom the rest of the room is kept
    users = Counter(holding.job.user for holding in held)
    for place, job in enumerate(in_turn((job for job, _ in tried.values()), users)):
        demand = tried[job.id][1]
        lacks = room.lacks(demand)
        missing = {lack.kind for lack in lacks}
        kept = tuple(lack.kind for lack in rest.lacks(demand) if lack.kind not in missing)
        if not lacks and not kept:
            gpus = rest.pick(demand)
            for counted in (room,) if rest is room else (room, rest):
                counted.take(demand, gpus)
            yield Verdict(job, place, demand, gpus)
        elif job.id == waits_long and lacks:
            rest, kept_for = room.copy(), job
            rest.keep(demand)
            yield Verdict(job, place, demand, lacks=lacks, keeps=True)
        else:
            yield Verdict(job, place, demand, lacks=lacks, kept_for=kept_for if kept else None, kept=kept)
    yield from hopeless


def first_start(
    line: Sequence[Job], held: Sequence[Holding], capacity: Capacity, now: float
) -> Verdict | None:
    """Return the verdict on the job that starts next; None where none can. The arguments are those of `verdicts`."""
    return next((verdict for verdict in verdicts(line, held, capacity, now) if verdict.starts), None)


def next_try(line: Sequence[Job], now: float) -> float:
    """Return when the first of the jobs that pause may be tried again, in seconds since the epoch; infinite for none."""
    return min((until for job in line[:LOOKED_AT] if (until := waits_until(job, now))), default=math.inf)


def _tried(
    line: Sequence[Job], capacity: Capacity, now: float
) -> tuple[dict[int, tuple[Job, Demand]], list[Verdict]]:
    """Return the jobs that are tried, by id, in the order of the line, and those of them that can never start."""
    tried: dict[int, tuple[Job, Demand]] = {}
    hopeless: list[Verdict] = []
    whole, users = entire(capacity), Counter[str]()
    known: dict[tuple[Resources, frozenset[str]], tuple[Demand, tuple[Lack, ...]]] = {}
    for job in line[:LOOKED_AT]:
        if users[job.user] >= OF_A_USER or waits_until(job, now):
            continue
        alike = job.spec.resources, failed_gpus(job)
        if (found := known.get(alike)) is None:
            demand = capacity.demand(job)
            found = known[alike] = demand, whole.lacks(demand)
        demand, lacks = found
        if lacks:
            hopeless.append(Verdict(job, None, demand, lacks=lacks))
        else:
            users[job.user] += 1
            tried[job.id] = job, demand
    return tried, hopeless


def _first_to_wait_long(
    tried: dict[int, tuple[Job, Demand]], room: Room, idle: Room, now: float
) -> int | None:
    """Return the id of the job for which room is to be kept, None where there is none.

    It is told by the line, not by the turns: these change with every job that starts or ends, and what is kept for
    one job and then for another may never suffice for either.
    """
    latest = max(
        (stands_since(job) for job, _ in tried.values()), default=now
    )  # beyond now after the clock was set back
    for job, demand in tried.values():
        if (
            max(now, latest) - stands_since(job) >= PATIENCE_S
            and room.lacks(demand)
            and not idle.lacks(demand)
        ):
            return job.id
    return None
