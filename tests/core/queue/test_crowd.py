"""Many workers on one queue: each job is done once, and in the order of the line."""

from __future__ import annotations

import logging
import os
import pickle
import time

import pytest
from attrs import evolve

from fetchml_core.clock import Clock
from fetchml_core.jobs.job import Lease, Outcome
from fetchml_core.jobs.states import State
from fetchml_core.queue.base import Finished, claim_order
from fetchml_core.queue.engines import open_queue
from tests.core.queue.contract import SPEC, first

ENGINES = ("native", "sqlite", "filesystem")
WORKERS = 8
SHORT = 200
JOBS = int(os.environ.get("FETCHML_CROWD", str(SHORT)))
LONGEST_GAP_S = 1.0
LOG = logging.getLogger("proof")


class Rising(Clock):
    """A wall clock that nobody sets, so that the times in the records tell the order of the claims."""

    def now(self) -> float:
        """Seconds."""
        return time.clock_gettime(time.CLOCK_MONOTONIC)


def work(kind, path, name):
    """Claim and finish until nothing is left; return the claims as (time, job, attempt)."""
    queue = open_queue(kind, path, Rising())
    claims = []
    while (job := queue.claim(first, Lease(name, "boot-1", 1e9))) is not None:
        claims.append((job.attempt.claimed_at, job.id, job.attempt.number))
        queue.advance(job.id, job.attempt.number, Finished(Outcome(State.SUCCEEDED)))
    return claims


def in_children(works):
    """Do each of *works* in a forked child, all at once; return what they return."""
    pipes = []
    for one in works:
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(reader)
            with os.fdopen(writer, "wb") as pipe:
                pipe.write(pickle.dumps(one()))
            os._exit(0)
        os.close(writer)
        pipes.append((pid, reader))
    answers = []
    for pid, reader in pipes:
        with os.fdopen(reader, "rb") as pipe:
            said = pipe.read()
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        answers.append(pickle.loads(said))
    return answers


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("kind", ENGINES)
def test_a_crowd_of_workers_does_each_job_once(kind, tmp_path):
    """#6: eight workers claim and finish at once: each job goes to one of them, first in line first."""
    queue = open_queue(kind, tmp_path / "queue", Rising())
    specs = [evolve(SPEC, priority=1 + n * 7 % 10) for n in range(JOBS)]
    line = [job.id for job in sorted(queue.submit_array(specs, user="anna", key="crowd"), key=claim_order)]
    began = time.monotonic()
    claims = in_children([lambda n=n: work(kind, tmp_path / "queue", f"w{n}") for n in range(WORKERS)])
    took = time.monotonic() - began
    claims = sorted(claim for one in claims for claim in one)
    gap = max(later[0] - earlier[0] for earlier, later in zip(claims, claims[1:], strict=False))
    LOG.info("%s: %d jobs/s, largest gap between claims %d ms", kind, JOBS / took, gap * 1000)

    assert [job for _, job, _ in claims] == line
    assert {attempt for *_, attempt in claims} == {1}
    jobs = open_queue(kind, tmp_path / "queue", Rising()).jobs()
    assert {(job.state, len(job.attempts)) for job in jobs} == {(State.SUCCEEDED, 1)}
    assert len(jobs) == JOBS
    if JOBS > SHORT:  # on a machine that does other things beside, the short form says nothing about time
        assert gap < LONGEST_GAP_S
