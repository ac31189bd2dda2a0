"""Jobs as rows."""

from __future__ import annotations

import pytest

from fetchml_cli.output.jobs import asked_for, tries, waited
from fetchml_core.jobs.job import Attempt, Job, JobSpec, Outcome, Resources
from fetchml_core.jobs.states import State

SPEC = JobSpec(name="train", argv=("true",), snapshot="a" * 64)
LOST = Attempt(1, "box1", 1.0, ended_at=2.0, outcome=Outcome(State.LOST))
GIVEN_BACK = Attempt(2, "box1", 3.0, ended_at=4.0)
FAILED = Attempt(1, "box1", 3.0, started_at=5.0, ended_at=30.0, outcome=Outcome(State.FAILED))
RUNNING = Attempt(3, "box1", 5.0)


@pytest.mark.parametrize(
    ("attempts", "wanted"),
    [((), 0), ((GIVEN_BACK,), 0), ((LOST, GIVEN_BACK), 1), ((LOST, GIVEN_BACK, RUNNING), 2)],
)
def test_what_was_given_back_is_no_try(attempts, wanted):
    """An attempt that ended before anything ran counts for nothing, one that runs counts."""
    assert tries(Job(1, "anna", SPEC, 0.0, attempts=attempts)) == wanted


@pytest.mark.parametrize(
    ("state", "attempts", "wanted"),
    [
        (State.QUEUED, (), 100.0),
        (State.HELD, (), 100.0),
        (State.STARTING, (Attempt(1, "box1", 3.0),), 100.0),
        (State.RUNNING, (Attempt(1, "box1", 3.0, started_at=5.0),), 5.0),
        (State.QUEUED, (FAILED,), 70.0),
        (State.RUNNING, (FAILED, Attempt(2, "box1", 39.0, started_at=40.0)), 10.0),
        (State.FAILED, (FAILED,), 5.0),
    ],
)
def test_a_further_try_is_waited_for_from_the_end_of_the_one_before(state, attempts, wanted):
    """Neither does what ran before count as waiting, nor does the waiting stand still."""
    assert waited(Job(1, "anna", SPEC, 0.0, state=state, attempts=attempts), 100.0) == wanted


def test_what_was_asked_for():
    """Each thing in words; what was left to the host is left out."""
    assert asked_for(Resources()) == []
    assert asked_for(Resources(cpus=1.0, memory=64 << 20, gpus=2)) == [
        "1 CPU",
        "64.0 MiB of memory",
        "2 GPUs",
    ]
