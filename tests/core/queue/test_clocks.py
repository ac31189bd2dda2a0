"""A wall clock that jumps: leases do not notice, and the line stays a line."""

from __future__ import annotations

import pytest
from attrs import evolve

from fetchml_core.clock import BootTime
from fetchml_core.jobs.job import Lease, Outcome
from fetchml_core.jobs.states import State
from fetchml_core.queue.base import AGEING_S, Beat, Finished, Requeued
from fetchml_core.queue.engines import open_queue
from tests.core.queue.contract import SPEC, first

ENGINES = ("native", "sqlite", "filesystem")
HOUR, YEAR = 3600.0, 365.25 * 86400
SUMMER_2026 = 1_774_746_000.0  # 29 March, 01:00 UTC: clocks in Europe jump
JUMPS = {
    "an hour on": [HOUR],
    "an hour back": [-HOUR],
    "ten years on": [10 * YEAR],
    "ten years back": [-10 * YEAR],
    "before 1970": [-SUMMER_2026 - YEAR],
    "summer and winter": [HOUR, -HOUR],
    "to and fro": [YEAR, -2 * YEAR, HOUR, YEAR, -0.5],
}
LEASES = 500
LENGTH_S = 60.0
TICK_S = 1.0


class TwoClocks:
    """A wall clock that can be set, and a boot clock that only goes on."""

    def __init__(self) -> None:
        self.wall, self.booted, self.boot_id = SUMMER_2026, 5_000.0, "boot-1"

    def now(self) -> float:
        """The wall clock."""
        return self.wall

    def boot(self) -> BootTime:
        """The boot clock."""
        return BootTime(self.boot_id, self.booted)

    def run(self, seconds: float) -> None:
        """Let time go by."""
        self.wall += seconds
        self.booted += seconds


@pytest.fixture
def clock():
    """Both clocks."""
    return TwoClocks()


@pytest.fixture(params=ENGINES)
def queue(request, tmp_path, clock):
    """An empty queue that goes by them."""
    return open_queue(request.param, tmp_path / "queue", clock)


@pytest.mark.parametrize("jumps", JUMPS.values(), ids=JUMPS.keys())
def test_no_jump_ends_or_prolongs_a_lease(queue, clock, jumps):
    """#8: 500 leases, given while the clock jumps, end after their length and not before."""
    leases = []
    for n in range(LEASES):
        leases.append((clock.booted, queue.lease("box1", LENGTH_S)))
        clock.run(TICK_S)
        clock.wall += jumps[n % len(jumps)] if n % 25 == 24 else 0.0
        wrong = [
            given for given, lease in leases if queue.lease_ended(lease) != (given + LENGTH_S < clock.booted)
        ]
        assert wrong == []
    clock.run(LENGTH_S + TICK_S)

    assert all(queue.lease_ended(lease) for _, lease in leases)


@pytest.mark.parametrize("jumps", JUMPS.values(), ids=JUMPS.keys())
def test_a_held_job_keeps_its_lease_through_a_jump(queue, clock, jumps):
    """#8: what is stored with a job and read back ends at the same moment, and a heartbeat renews it."""
    queue.submit(SPEC, user="anna", key="1")
    job = queue.claim(first, queue.lease("box1", LENGTH_S))
    for jump in jumps:
        clock.wall += jump
        clock.run(LENGTH_S / 2)
        assert not queue.lease_ended(queue.get(job.id).lease)
        queue.advance(job.id, 1, Beat(queue.lease("box1", LENGTH_S)))
    clock.run(LENGTH_S + TICK_S)

    assert queue.lease_ended(queue.get(job.id).lease)
    queue.advance(job.id, 1, Requeued(Outcome(State.LOST)))
    assert queue.claim(first, queue.lease("box2", LENGTH_S)).attempt.number == 2


def test_another_boot_ends_all_leases(queue, clock):
    """#8: after a start of the machine no lease of before counts, however long it was and wherever the clock stands."""
    leases = [queue.lease("box1", length) for length in (1.0, HOUR, YEAR)]
    for booted in (0.0, clock.booted, clock.booted + 2 * YEAR):
        clock.boot_id, clock.booted = "boot-2", booted
        assert all(queue.lease_ended(lease) for lease in leases)


def drain(queue):
    """Claim and finish all; return the ids in the order of the line."""
    ids = []
    while (job := queue.claim(first, Lease("box1", "boot-1", 1e9))) is not None:
        ids.append(job.id)
        queue.advance(job.id, job.attempt.number, Finished(Outcome(State.SUCCEEDED)))
    return ids


@pytest.mark.parametrize("jumps", JUMPS.values(), ids=JUMPS.keys())
def test_jobs_of_one_priority_stay_in_their_order(queue, clock, jumps):
    """#8: who came first goes first, whatever the clock said when he came."""
    ids = []
    for n in range(12):
        ids.append(queue.submit(SPEC, user="anna", key=str(n)).id)
        clock.run(TICK_S)
        clock.wall += jumps[n % len(jumps)] if n % 2 else 0.0

    assert drain(queue) == ids


@pytest.mark.parametrize("jump", [HOUR, -HOUR, 10 * YEAR, -10 * YEAR])
def test_a_jump_starves_nobody(queue, clock, jump):
    """#8: a job of low priority that waits while the clock jumps back is not overtaken for ever by new ones."""
    old = queue.submit(evolve(SPEC, priority=1), user="anna", key="old").id
    clock.wall += jump
    overtaken = 0
    for hour in range(20):
        new = queue.submit(evolve(SPEC, priority=10), user="bob", key=str(hour)).id
        job = queue.claim(first, Lease("box1", "boot-1", 1e9))
        queue.advance(job.id, 1, Finished(Outcome(State.SUCCEEDED)))
        if job.id == old:
            break
        assert job.id <= new
        overtaken += 1
        clock.run(AGEING_S)

    assert queue.get(old).state is State.SUCCEEDED
    assert overtaken <= 10 + 1
