"""Jobs as rows."""

from __future__ import annotations

import pytest

from fetchml_cli.output.jobs import tries
from fetchml_core.jobs.job import Attempt, Job, JobSpec, Outcome
from fetchml_core.jobs.states import State

SPEC = JobSpec(name="train", argv=("true",), snapshot="a" * 64)
LOST = Attempt(1, "box1", 1.0, ended_at=2.0, outcome=Outcome(State.LOST))
GIVEN_BACK = Attempt(2, "box1", 3.0, ended_at=4.0)
RUNNING = Attempt(3, "box1", 5.0)


@pytest.mark.parametrize(
    ("attempts", "wanted"),
    [((), 0), ((GIVEN_BACK,), 0), ((LOST, GIVEN_BACK), 1), ((LOST, GIVEN_BACK, RUNNING), 2)],
)
def test_what_was_given_back_is_no_try(attempts, wanted):
    """An attempt that ended before anything ran counts for nothing, one that runs counts."""
    assert tries(Job(1, "anna", SPEC, 0.0, attempts=attempts)) == wanted
