"""A worker that was stopped beyond its leases and comes back: its word no longer counts."""

from __future__ import annotations

import os
import pickle
import signal
import time

import pytest

from fetchml_core.clock import Clock
from fetchml_core.errors import FetchError
from fetchml_core.jobs.job import Outcome
from fetchml_core.jobs.states import State
from fetchml_core.launcher.evidence import read_stat
from fetchml_core.queue.base import Beat, Finished, Requeued, Returned, Started
from fetchml_core.queue.engines import open_queue
from tests.core.queue.contract import LAUNCH, SPEC, first
from tests.support.wait import poll_until

ENGINES = ("native", "sqlite", "filesystem")
JOBS = int(os.environ.get("FETCHML_ZOMBIES", "20"))
LEASE_S = 0.3
LOST = Outcome(State.LOST, "no sign of life", failure="infrastructure")


def be_a_zombie(kind, path, ready, answer):
    """Claim all jobs, say so, and go on with each of them whatever has happened meanwhile."""
    queue = open_queue(kind, path, Clock())
    held = []
    while (job := queue.claim(first, queue.lease("zombie", LEASE_S))) is not None:
        queue.advance(job.id, 1, Started(LAUNCH, queue.lease("zombie", LEASE_S)))
        held.append(job.id)
    os.write(ready, b"!")
    os.kill(os.getpid(), signal.SIGSTOP)
    changes = (
        Beat(queue.lease("zombie", LEASE_S)),
        Started(LAUNCH, queue.lease("zombie", LEASE_S)),
        Finished(Outcome(State.SUCCEEDED)),
        Requeued(LOST),
        Returned(),
    )
    codes = [said_to(queue, job, change) for job in held for change in changes]
    with os.fdopen(answer, "wb") as pipe:
        pipe.write(pickle.dumps(codes))


def said_to(queue, job, change):
    """What the queue says to a word about attempt 1."""
    try:
        queue.advance(job, 1, change)
    except FetchError as error:
        return error.code
    return "accepted"


@pytest.fixture
def zombie():
    """A factory of stopped workers: call it, get the pid and the pipe it will answer on."""
    pids = []

    def make(kind, path):
        ready, say_ready = os.pipe()
        answer, say_answer = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                be_a_zombie(kind, path, say_ready, say_answer)
            finally:
                os._exit(0)
        pids.append(pid)
        os.close(say_ready)
        os.close(say_answer)
        assert os.read(ready, 1) == b"!"
        os.close(ready)
        poll_until(lambda: read_stat(pid).state == "T", "the worker is stopped")
        return pid, answer

    yield make
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


@pytest.mark.parametrize("kind", ENGINES)
def test_a_zombie_is_fenced_out(kind, tmp_path, zombie):
    """#7: SIGSTOP beyond the lease, another worker takes over, SIGCONT: nothing of what the first one says is taken."""
    path = tmp_path / "queue"
    queue = open_queue(kind, path, Clock())
    queue.submit_array([SPEC] * JOBS, user="anna", key="all")
    pid, answer = zombie(kind, path)
    poll_until(lambda: all(queue.lease_ended(job.lease) for job in queue.jobs()), "all its leases have ended")
    for job in queue.jobs():
        queue.advance(job.id, 1, Requeued(LOST))
    half = [queue.claim(first, queue.lease("other", 600)).id for _ in range(JOBS // 2)]
    before = queue.jobs()

    os.kill(pid, signal.SIGCONT)
    with os.fdopen(answer, "rb") as pipe:
        codes = pickle.loads(pipe.read())

    assert codes == ["stale-attempt"] * (JOBS * 5)
    assert open_queue(kind, path, Clock()).jobs() == before
    for job in half:
        assert queue.advance(job, 2, Finished(Outcome(State.SUCCEEDED))).state is State.SUCCEEDED


@pytest.mark.parametrize("kind", ENGINES)
def test_a_lease_that_is_renewed_does_not_end(kind, tmp_path):
    """#7: a worker that is heard of in time keeps its job beyond the length of one lease."""
    queue = open_queue(kind, tmp_path / "queue", Clock())
    queue.submit(SPEC, user="anna", key="1")
    job = queue.claim(first, queue.lease("worker", LEASE_S))
    end = time.monotonic() + 2 * LEASE_S
    while time.monotonic() < end:
        job = queue.advance(job.id, 1, Beat(queue.lease("worker", LEASE_S)))
        time.sleep(0.05)

    assert not queue.lease_ended(open_queue(kind, tmp_path / "queue", Clock()).get(job.id).lease)
