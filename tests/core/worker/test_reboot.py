"""The machine has started anew: what ran before is over, and each job goes on as its retries allow."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest

from fetchml_core.jobs.job import Launched, Lease, Outcome, Stop
from fetchml_core.jobs.states import State
from fetchml_core.launcher import evidence
from fetchml_core.queue.base import Requeued, Started
from tests.core.service.support import WORKER_FILE, World
from tests.core.worker.support import Serving, sweep
from tests.support.wait import poll_until

ENGINES = ("native", "sqlite", "filesystem")
JOBS = 50
RETRIES = 2
SOON_S = 20.0
GONE = Launched("process", pid=4_000_000, start_ticks=1)
LOST = Outcome(State.LOST, "worker died", failure="infrastructure")


@pytest.fixture(params=ENGINES)
def world(request, tmp_path):
    """A host with a queue of each engine."""
    extra = f"max_retries: {RETRIES}\nqueue:\n  type: {request.param}\n"
    made = World(tmp_path / "base", worker=WORKER_FILE + extra)
    yield made
    sweep(made)


@pytest.fixture
def serving(world):
    """A worker that claims nothing until it is told to."""
    made = Serving(world)
    made.worker._ending = True
    yield made
    made.leave()


def lease(n):
    """A lease of the boot before, long as it may be; every other one is another worker's."""
    return Lease(f"box{n % 2 + 1}", "the-boot-before", 1e12)


def was_running(world, n, *, launch=GONE, lost=0):
    """A job that ran when the power failed, and had been lost *lost* times before."""
    queue = world.host.queue
    job = world.submit(argv=("sh", "-c", "echo ran >>$FETCHML_CHECKPOINT_DIR/ran"), key=f"job-{n}")
    for attempt in range(1, lost + 2):
        queue.claim(lambda jobs: next(one for one in jobs if one.id == job.id), lease(n))
        queue.advance(job.id, attempt, Started(launch, lease(n)))
        if attempt <= lost:
            queue.advance(job.id, attempt, Requeued(LOST))
    return queue.get(job.id)


def judge(serving, jobs):
    """Let the worker look until no job stands where the power cut left it; return what they are then."""
    queue = serving.host.queue
    ids = {job.id for job in jobs}

    def over():
        serving.worker._turn()
        return not any(job.state.active for job in queue.jobs() if job.id in ids)

    poll_until(over, "all are judged", timeout=SOON_S)
    return [queue.get(job.id) for job in jobs]


def test_after_a_reboot_every_job_is_judged_at_once(world, serving):
    """#10: fifty jobs ran; none of their leases counts, each is tried again or lost by its retries, none runs twice."""
    jobs = [was_running(world, n, lost=RETRIES if n % 5 == 4 else 0) for n in range(JOBS)]
    began = time.monotonic()
    jobs = judge(serving, jobs)

    assert time.monotonic() - began < SOON_S
    assert [job.state for job in jobs] == [State.LOST if n % 5 == 4 else State.QUEUED for n in range(JOBS)]
    assert all(attempt.outcome.state is State.LOST for job in jobs for attempt in job.attempts)

    queue = world.host.queue
    for job in jobs[4:]:
        queue.stop(job.id, Stop("anna"))
    serving.worker._ending = False
    for job in jobs[:4]:
        assert serving.ended(job).state is State.SUCCEEDED
        assert Path(world.host.data.checkpoint(job.id), "ran").read_text() == "ran\n"


def test_after_a_reboot_a_job_that_was_to_stop_is_cancelled(world, serving):
    """#10: who cancelled a job before the power failed does not find it running again."""
    jobs = [was_running(world, n) for n in range(2)]
    for job in jobs:
        world.host.queue.stop(job.id, Stop("anna"))

    assert [job.state for job in judge(serving, jobs)] == [State.CANCELLED, State.CANCELLED]


@pytest.mark.parametrize("n", [0, 1])
def test_after_a_reboot_no_process_is_taken_for_a_job(world, serving, n):
    """#10: a process that got the same pid at the same moment after the start is a stranger all the same."""
    stranger = subprocess.Popen(["sleep", "600"])
    try:
        stat = evidence.read_stat(stranger.pid)
        launch = Launched("process", stranger.pid, stat.start_ticks, boot_id="the-boot-before")
        job = was_running(world, n, launch=launch)
        serving.worker._turn()
        with_time = time.monotonic() + 1.0
        while world.host.queue.get(job.id).state.active and time.monotonic() < with_time:
            serving.worker._turn()
            time.sleep(0.02)

        assert world.host.queue.get(job.id).state is State.QUEUED
    finally:
        stranger.kill()
        stranger.wait()
