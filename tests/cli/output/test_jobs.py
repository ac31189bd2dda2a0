"""Jobs as rows."""

from __future__ import annotations

import pytest

from fetchml_cli.output.jobs import COLUMNS, asked_for, job_row, tries, waited
from fetchml_cli.output.table import aligned, tab_separated
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


LACKS = "needs 16.0 GiB of memory, 11.0 GiB of 32.0 GiB free: job 12 (anna) has 1.0 GiB, 13 (bob) 20.0 GiB"


def rows(*workers, attempts=1):
    """A running job for each worker, and one that waits."""
    spec = JobSpec("resnet50-imagenet-sweep", ("true",), "a" * 64)
    before = (FAILED,) * (attempts - 1)
    tried = [(*before, Attempt(attempts, worker, 900.0, 1000.0)) for worker in workers]
    running = [Job(1041 + n, "anna", spec, 0.0, State.RUNNING, one) for n, one in enumerate(tried)]
    waits = Job(1050, "anna", spec, 0.0)
    whys = [*("GPU 0" for _ in running), LACKS]
    return [job_row(job, why, 8000.0, user=False) for job, why in zip([*running, waits], whys, strict=True)]


def test_a_terminal_of_80_columns():
    """The blocker has most of the room: the worker that all have, and the try that is the first, go without saying."""
    assert list(aligned(COLUMNS, rows("gpu-box-1"), width=80)) == [
        " JOB  NAME             STATE      WAIT    RUN  WHERE/WHY",
        "1041  resnet50-image…  running  16m40s  1h56m  GPU 0",
        "1050  resnet50-image…  queued    2h13m         needs 16.0 GiB of memory, 11.0 G…",
    ]
    wide = list(aligned(COLUMNS, rows("gpu-box-1"), width=200))
    assert wide[0].split() == ["JOB", "NAME", "WORKER", "STATE", "WAIT", "RUN", "WHERE/WHY"]
    assert wide[2].endswith(LACKS)


def test_what_differs_stays_in_a_narrow_terminal():
    """Which of two workers has a job, and that one was tried again, is told at any width; programs get all of it."""
    several = rows("gpu-box-1", "gpu-box-2", attempts=2)
    head, first, second, _ = aligned(COLUMNS, several, width=80)

    assert head.split() == ["JOB", "NAME", "WORKER", "STATE", "WAIT", "RUN", "TRY", "WHERE/WHY"]
    assert (first.split()[2], second.split()[2]) == ("gpu-box-1", "gpu-box-2")
    once = next(tab_separated(rows("gpu-box-1"))).split("\t")
    assert (once[3], once[8]) == ("gpu-box-1", "1")
