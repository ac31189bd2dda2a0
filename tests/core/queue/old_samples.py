"""What the samples of older layouts in tests/data/queue hold: six jobs, made by the version that wrote them."""

from __future__ import annotations

from pathlib import Path

from fetchml_core.jobs.job import Outcome
from fetchml_core.jobs.states import State
from fetchml_core.queue.base import Finished
from tests.core.queue.contract import LEASE, SPEC, first

SAMPLES = Path(__file__).parents[2] / "data" / "queue"


def assert_all_is_there(open_queue):
    """Jobs, keys, attempts and the line are as they were, and the queue goes on: ids, follower, worker, key."""
    queue = open_queue()
    jobs = queue.jobs()
    assert [(job.id, job.user, job.state.value, len(job.attempts)) for job in jobs] == [
        (1, "anna", "failed", 1),
        (2, "anna", "queued", 0),
        (3, "bob", "cancelled", 0),
        (4, "bob", "queued", 0),
        (5, "anna", "queued", 0),
        (6, "anna", "running", 2),
    ]
    assert jobs[0].outcome == Outcome(State.FAILED, "exit 3", code=3)
    assert jobs[5].spec.env == {"A": "ü"}
    assert queue.counts()[State.QUEUED] == 3
    assert queue.check() == []

    seen = []
    while batch := queue.changes(seen[-1].revision if seen else 0, limit=2):
        seen += batch
    assert sorted(job.id for job in seen) == [1, 2, 3, 4, 5, 6]
    assert queue.submit(jobs[1].spec, user="anna", key="k1").id == 2
    new = queue.submit(SPEC, user="anna", key="new")
    assert new.id == 7
    assert new.line >= 1060.0
    assert new.revision > seen[-1].revision
    assert queue.advance(6, 2, Finished(Outcome(State.SUCCEEDED))).revision > new.revision
    assert [queue.claim(first, LEASE).id for _ in range(3)] == [2, 5, 7]
    assert [job.id for job in open_queue().changes(new.revision)] == [6, 2, 5, 7]
