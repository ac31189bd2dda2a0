"""The words and numbers of everything that keeps a job waiting."""

from __future__ import annotations

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from fetchml_core.jobs.job import Attempt, Job, JobSpec, Outcome
from fetchml_core.jobs.states import State
from fetchml_core.queue.base import Pause
from fetchml_core.service.blockers import Situation, on_one_line, standings
from fetchml_core.service.schedule import PATIENCE_S
from fetchml_core.wire.why import Holder
from fetchml_core.wire.worker import DrainInfo, WorkerInfo
from tests.core.service.hosts import GIB, NOW, failed_on, gpu, host, job, running, starting

ALIVE = WorkerInfo(True, "box1")
SMALL = host(8, 32, slots=2)


def told(jobs, capacity=SMALL, worker=ALIVE, **here):
    """Where every job stands, by id."""
    return standings(jobs, {one.id for one in jobs}, Situation(capacity, worker, NOW, **here))


def lines(jobs, *args, **here):
    """What a table says of every job, by id."""
    return {number: on_one_line(standing) for number, standing in told(jobs, *args, **here).items()}


def texts(jobs, number, capacity, **here):
    """All blockers of one job, in words."""
    return [blocker.text for blocker in told(jobs, capacity, **here)[number].blockers]


@pytest.mark.parametrize(
    ("jobs", "worker", "why"),
    [
        ([job(1)], WorkerInfo(False), {1: "no worker runs"}),
        ([job(1)], WorkerInfo(False, problem="no podman"), {1: "no worker: no podman"}),
        ([job(1), job(2)], ALIVE, {1: "starts next", 2: "starts next"}),
        (
            [job(1), job(2), job(3, priority=9)],
            ALIVE,
            {
                3: "starts next",
                1: "starts next",
                2: "2 of 2 slots taken: job 3 (anna), 1 (anna); 2 before it",
            },
        ),
        ([running(1, "bob"), job(2)], ALIVE, {1: "", 2: "starts next"}),
        (
            [running(1, "bob"), running(2, "eve"), job(3), job(4)],
            ALIVE,
            {
                1: "",
                2: "",
                3: "2 of 2 slots taken: job 1 (bob), 2 (eve)",
                4: "2 of 2 slots taken: job 1 (bob), 2 (eve); 1 before it",
            },
        ),
        ([evolve(job(1), state=State.HELD)], WorkerInfo(False), {1: "held"}),
        ([], ALIVE, {}),
    ],
)
def test_the_first_blocker(jobs, worker, why):
    """What a table says, on a host with two slots."""
    assert lines(jobs, SMALL, worker) == why


def test_what_is_missing_and_who_has_it():
    """Every blocker, with numbers."""
    active = [running(12, "anna", cpus=4.0, memory=GIB), running(13, "bob", cpus=2.5, memory=20 * GIB)]
    jobs = [*active, job(14, cpus=4, memory=16 * GIB)]

    assert texts(jobs, 14, SMALL) == [
        "2 of 2 slots taken: job 12 (anna), 13 (bob)",
        "needs 4 CPUs, 1.5 of 8 free: job 12 (anna) has 4, 13 (bob) 2.5",
        "needs 16.0 GiB of memory, 11.0 GiB of 32.0 GiB free: job 12 (anna) has 1.0 GiB, 13 (bob) 20.0 GiB",
    ]
    blocker = told(jobs, SMALL)[14].blockers[1]
    assert (blocker.kind, blocker.needed, blocker.free, blocker.total) == ("cpus", 4.0, 1.5, 8.0)
    assert blocker.holders == (Holder(12, "anna", 4.0), Holder(13, "bob", 2.5))


def test_why_each_gpu_is_not_to_be_had():
    """Held by whom, too small, of unknown size, or out of use."""
    capacity = host(
        8,
        32,
        gpu(0, 80),
        gpu(1, 80),
        gpu(2, 8),
        gpu(3, None),
        gpu(4, 80, problem="it fell off the bus"),
        gpu(5, 80),
    )
    jobs = [
        running(1, "bob", "g0", gpus=1),
        starting(2, "eve", gpus=1, gpu_memory=9 * GIB),
        job(3, gpus=2, gpu_memory=16 * GIB),
    ]
    (blocker,) = told(jobs, capacity)[3].blockers

    assert blocker.text == (
        "needs 2 GPUs with 16.0 GiB, 1 of 6 free: GPU 0 is held by job 1 (bob); GPU 1 is held by job 2 (eve); "
        "GPU 2 has 8.0 GiB; GPU 3 does not tell its memory and 1 more"
    )
    assert blocker.holders == (Holder(1, "bob", 1.0, ("g0",)), Holder(2, "eve", 1.0, ("g1",)))
    assert texts([job(3, gpus=1)], 3, host(8, 32, gpu(4, problem="it fell off the bus"))) == [
        "needs 1 GPU, 0 of 1 free: GPU 4 is out of use: it fell off the bus"
    ]


def test_a_job_that_waits_for_another_card_than_the_one_that_failed():
    """The free one is named, with the reason why it is not taken."""
    capacity, other = host(8, 32, gpu(0), gpu(1)), running(1, "bob", "g1", gpus=1)

    assert texts([other, failed_on(job(2, gpus=1), "g0")], 2, capacity) == [
        "needs 1 GPU, 0 of 2 free: GPU 0 failed under it before; GPU 1 is held by job 1 (bob)"
    ]


def test_many_holders_are_counted():
    """A sentence stays short; the list has everybody."""
    jobs = [*(running(n, "bob") for n in range(1, 9)), job(9)]
    (blocker,) = told(jobs, host(8))[9].blockers

    assert blocker.text.endswith("job 1 (bob) has 1, 2 (bob) 1, 3 (bob) 1, 4 (bob) 1 and 4 more")
    assert len(blocker.holders) == 8


def test_what_is_kept_for_another():
    """Both are told: whose it is kept for, and that it is."""
    jobs = [running(1, "bob", cpus=5.0), job(2, age=PATIENCE_S, cpus=8), job(3, "eve")]
    found = told(jobs, host(8))

    assert found[2].keeps
    assert [blocker.kind for blocker in found[2].blockers] == ["cpus"]
    assert on_one_line(found[3]) == "free CPUs kept for job 2 (anna), which has waited 15m00s; 1 before it"
    assert not found[3].keeps


def test_only_what_is_in_the_way_is_told():
    """A job that lacks something of its own is not told of room that it could not use."""
    jobs = [running(1, "bob", cpus=5.0), job(2, age=PATIENCE_S, cpus=8), job(3, "eve", cpus=4)]
    jobs += [running(4, "joe", "g0", gpus=1, cpus=0.5), job(5, "eve", gpus=1)]
    found = told(jobs, host(8, 32, gpu(0)))

    assert [blocker.kind for blocker in found[3].blockers] == ["cpus"]
    assert [blocker.kind for blocker in found[5].blockers] == ["gpus", "kept"]


def test_what_can_never_start_here():
    """A host that has shrunk says so, with what it has."""
    jobs = [job(1, cpus=16, memory=64 * GIB), job(2, gpus=2, gpu_memory=GIB)]

    assert texts(jobs, 1, host(8)) == [
        "needs 16 CPUs, and the host has 8 CPUs in all: it can never start here",
        "needs 64.0 GiB of memory, and the host has 32.0 GiB of memory in all: it can never start here",
    ]
    assert texts(jobs, 2, host(8, 32, gpu(0))) == [
        "needs 2 GPUs with 1.0 GiB, and of the host's 1 it could only use 1: it can never start here"
    ]
    assert told(jobs, host(8))[1].ahead is None


def test_blockers_of_the_whole_host_come_first():
    """A pause and a worker that is gone stand before what a job lacks beside."""
    jobs = [running(1, "bob", cpus=8.0), job(2)]
    found = told(jobs, host(8), WorkerInfo(False), pause=Pause("ada", "new driver"))

    assert [blocker.kind for blocker in found[2].blockers] == ["paused", "worker", "cpus"]
    assert on_one_line(found[2]) == "the queue is paused by ada: new driver"
    assert lines(jobs, pause=Pause("ada", moved_to="redis"))[2] == "the queue was moved to redis by ada"


def test_a_drained_host_says_who_drained_it():
    """It stands before what a job lacks, and instead of the worker that is gone for it."""
    worker = WorkerInfo(False, drained=DrainInfo("ada", "new disk", NOW))
    found = told([running(1, "bob", cpus=8.0), job(2)], host(8), worker)

    assert [blocker.kind for blocker in found[2].blockers] == ["drained", "cpus"]
    assert on_one_line(found[2]) == "the worker is drained by ada: new disk"


def failed_twice(number, ago):
    """A queued job whose second try failed *ago* seconds before now."""
    failed = Outcome(State.FAILED, "no space left")
    tries = tuple(Attempt(n, "box1", 0.0, outcome=failed, ended_at=NOW - ago) for n in (1, 2))
    return evolve(job(number), attempts=tries)


def test_a_job_that_failed_twice_is_passed_over_for_a_while():
    """It says for how long and what had happened; the others go on, and so does it when the time is over."""
    assert lines([failed_twice(1, 5.5), job(2)]) == {1: "tried again in 5s (no space left)", 2: "starts next"}
    assert lines([failed_twice(1, 10.0), job(2)]) == {1: "starts next", 2: "starts next"}
    assert [one.kind for one in told([failed_twice(1, 5.5)], worker=WorkerInfo(False))[1].blockers] == [
        "worker",
        "retry",
    ]


def test_jobs_of_other_hosts_wait_for_theirs():
    """What they hold is held elsewhere, and they stand in another line."""
    far = [evolve(running(1, "bob", cpus=8.0), home="box2"), evolve(job(2), home="box2")]
    near = evolve(job(3), home="box1")

    assert lines([*far, near], host(8), home="box1") == {2: "waits for a worker of box2", 3: "starts next"}


def test_far_back_in_line():
    """Behind all that are looked at, only the place is told."""
    jobs = [running(1, "bob", cpus=8.0), *(job(n, "anna", age=9000 - n) for n in range(2, 200))]

    assert lines(jobs, host(8))[199] == "197 before it"


def test_where_a_job_runs():
    """Its GPUs by number; that nothing fences jobs on a shared one is said."""
    capacity = host(8, 32, gpu(0), gpu(1, slots=2), gpu(2, instance_of="x"))

    assert lines([running(1, "bob", "g0", gpus=1)], capacity)[1] == "GPU 0"
    assert lines([running(1, "bob", "g0", "g1", gpus=2)], capacity)[1] == (
        "GPU 0, GPU 1 (may be shared: nothing fences the jobs on it)"
    )
    assert lines([running(1, "bob", "g2", gpus=1)], capacity)[1] == "GPU 2 (g2)"
    holds = told([running(1, "bob", "g0", gpus=1, cpus=1.5)], capacity)[1].holds
    assert (holds.cpus, holds.memory, holds.gpus) == (1.5, GIB, ("g0",))


jobs_of_any_state = st.lists(st.tuples(st.sampled_from(State), st.integers(1, 10)), max_size=8).map(
    lambda rows: [
        Job(n, f"user{n}", JobSpec("x", ("true",), "", priority=priority), 0.0, state)
        for n, (state, priority) in enumerate(rows, 1)
    ]
)


@given(jobs_of_any_state, st.booleans(), st.integers(1, 3))
def test_every_waiting_job_has_a_reason(jobs, alive, slots):
    """Queued and held jobs have one; where there is a worker and room, as many start as there is room for."""
    found = told(jobs, host(64, 64, slots=slots), WorkerInfo(alive))
    waiting = [one for one in jobs if one.state is State.QUEUED]
    busy = sum(one.state.active for one in jobs)
    room = max(0, slots - busy) if alive else 0

    assert set(found) == {one.id for one in jobs if not one.state.final}
    assert all(on_one_line(found[one.id]) == "held" for one in jobs if one.state is State.HELD)
    starts = [one.id for one in waiting if on_one_line(found[one.id]) == "starts next"]
    assert len(starts) == min(room, len(waiting))
