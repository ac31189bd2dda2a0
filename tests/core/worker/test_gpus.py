"""Which GPUs a worker gives to its jobs, and that it gives none twice, also after a restart."""

from __future__ import annotations

from types import SimpleNamespace

from attrs import evolve

from fetchml_core.jobs.job import Resources
from fetchml_core.jobs.states import State
from fetchml_core.queue.base import Started
from tests.core.service.hosts import gpu
from tests.core.service.support import LAUNCH

ONE = Resources(cpus=0.25, memory=1 << 20, gpus=1)


def with_gpus(serving, *gpus):
    """Let the worker's host have these GPUs."""
    worker = serving.worker
    inventory = evolve(worker._capacity.inventory, gpus=gpus)
    worker._capacity = evolve(worker._capacity, inventory=inventory)
    worker._next_beat = float("inf")  # a beat looks at the host anew
    return worker


def given(worker):
    """The GPUs of the jobs that it runs, by id."""
    return {number: runner.gpus for number, runner in worker._runners.items()}


def claimed(world, number, worker="box1"):
    """Let a worker have claimed so many jobs for a GPU, none of which is launched."""
    queue = world.host.queue
    for _ in range(number):
        world.submit(resources=ONE)
        queue.claim(lambda line: line[0], queue.lease(worker, 60))


def test_the_card_of_a_running_job_is_taken(world, serve):
    """By the record of its launch, whichever worker launched it."""
    claimed(world, 1, "other")
    queue = world.host.queue
    queue.advance(1, 1, Started(evolve(LAUNCH, gpus=("g0",)), queue.lease("other", 60)))
    world.submit(resources=ONE)
    worker = with_gpus(serve(), gpu(0), gpu(1))
    worker._claim()

    assert given(worker) == {2: ("g1",)}


def test_the_card_of_a_job_that_starts_is_taken(world, serve):
    """Only the worker knows it until the launch is recorded."""
    claimed(world, 1)
    world.submit(resources=ONE)
    worker = with_gpus(serve(), gpu(0), gpu(1))
    worker._runners[1] = SimpleNamespace(gpus=("g1",), job=world.host.queue.get(1))
    worker._claim()

    assert worker._runners.pop(1).gpus == ("g1",)
    assert given(worker) == {2: ("g0",)}


def test_claimed_jobs_get_their_cards_from_the_next_worker(world, serve):
    """A worker that died between claim and launch left no word of them: each gets one of its own."""
    claimed(world, 2)
    worker = with_gpus(serve(), gpu(0), gpu(1))
    worker._take_up(worker._held())

    assert given(worker) == {1: ("g0",), 2: ("g1",)}


def test_the_gpu_is_gone(world, serve):
    """Between claim and launch: the attempt fails as the host's fault, and never runs without."""
    claimed(world, 1)
    serving = serve()
    with_gpus(serving)
    outcome = serving.ended(world.host.queue.get(1)).outcome

    assert (outcome.state, outcome.failure, outcome.error) == (
        State.FAILED,
        "infrastructure",
        "gpu-not-available",
    )
