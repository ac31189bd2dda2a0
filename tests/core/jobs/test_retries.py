"""The pause between tries: none before the first further one, then longer each time."""

from __future__ import annotations

import pytest

from fetchml_core.jobs.job import Attempt, Job, JobSpec, Outcome
from fetchml_core.jobs.retries import FIRST_S, LONGEST_S, waits_until
from fetchml_core.jobs.states import State

ENDED = 1000.0
FAILED = Outcome(State.FAILED)


def queued(*outcomes, state=State.QUEUED):
    """A job whose attempts ended so, the last one at ENDED; None was given back."""
    attempts = tuple(
        Attempt(n, "box1", 0.0, outcome=one, ended_at=ENDED) for n, one in enumerate(outcomes, 1)
    )
    return Job(1, "anna", JobSpec("x", ("true",), ""), 0.0, state, attempts)


@pytest.mark.parametrize(
    ("failures", "pause"),
    [
        (0, 0),
        (1, 0),
        (2, FIRST_S),
        (3, 3 * FIRST_S),
        (4, 9 * FIRST_S),
        (6, LONGEST_S),
        (101, LONGEST_S),
    ],
)
def test_the_pause_grows(failures, pause):
    """It is over at its end, not before."""
    job = queued(*[FAILED] * failures)

    assert waits_until(job, ENDED) == (ENDED + pause if pause else 0)
    assert waits_until(job, ENDED + pause) == 0


def test_what_was_given_back_is_no_failure():
    """An attempt without an outcome adds no pause."""
    assert waits_until(queued(FAILED, None, None), ENDED) == 0


@pytest.mark.parametrize("state", sorted(set(State) - {State.QUEUED}, key=str))
def test_only_a_queued_job_waits(state):
    """The others are not to be claimed anyway."""
    assert waits_until(queued(FAILED, FAILED, state=state), ENDED) == 0


def test_a_clock_that_was_set_back_makes_nobody_wait():
    """The end of the last try lies in the future then: nobody knows how long ago it was."""
    assert waits_until(queued(FAILED, FAILED), ENDED - 1) == 0
