"""Each verb in this process, over the local transport to a real agent, with jobs in every state."""

from __future__ import annotations

import json

import pytest
from attrs import evolve

from fetchml_cli.commands.common import wait_status
from fetchml_cli.commands.pull import PARTS
from fetchml_core.jobs.job import Attempt, Job, JobSpec, Outcome
from fetchml_core.jobs.states import State
from tests.core.snapshot.trees import sha


@pytest.fixture
def ml(run_verb):
    """Run a verb; returns status, stdout and stderr."""
    return run_verb


def job(state, code=None, number=None):
    """An ended job."""
    attempt = Attempt(1, "box1", 0.0, outcome=Outcome(state, code=code, signal=number))
    return Job(1, "anna", JobSpec("x", ("true",), ""), 0.0, state, (attempt,))


@pytest.mark.parametrize(
    ("states", "status"),
    [
        (["succeeded"], 0),
        (["failed"], 1),
        (["lost"], 1),
        (["timed-out"], 8),
        (["cancelled"], 7),
        (["cancelled", "timed-out"], 8),
        (["cancelled", "timed-out", "failed"], 1),
        (["succeeded", "cancelled"], 7),
        ([], 0),
    ],
)
def test_the_exit_status_of_a_wait(states, status):
    """Of several jobs the first of 1, 8, 7 (design section 7)."""
    assert wait_status([job(State(word)) for word in states]) == status


@pytest.mark.parametrize(
    ("ended", "status"),
    [
        (job(State.FAILED, code=42), 42),
        (job(State.FAILED, number=11), 139),
        (job(State.CANCELLED), 7),
        (job(State.CANCELLED, code=0), 0),
    ],
)
def test_the_jobs_own_status(ended, status):
    """--exit-status job passes code or 128 + signal on; a job without either keeps the verdict's."""
    assert wait_status([ended], of_job=True) == status


def test_the_jobs_own_status_is_for_one_job_only():
    """Of several there is no own status."""
    assert wait_status([job(State.FAILED, code=42)] * 2, of_job=True) == 1


def test_wait(world, ml):
    """Each ended job is told on stderr, stdout stays free for data."""
    world.ended()
    world.ended(Outcome(State.FAILED, "exit 3", failure="code", code=3))
    assert ml("wait", "1").status == 0
    both = ml("wait", "1-2")

    assert (both.status, both.out) == (1, "")
    assert "job 2 failed" in both.err
    assert ml("wait", "2", "--exit-status", "job").status == 3


def test_wait_runs_out(world, ml):
    """--timeout ends the wait, not the job."""
    world.running()

    assert ml("wait", "1", "--timeout", "200ms").status == 9
    assert world.host.queue.get(1).state is State.RUNNING


@pytest.mark.parametrize(
    "verb", ["show", "why", "logs", "wait", "cancel", "hold", "release", "pull", "status"]
)
def test_an_unknown_job_is_five(world, ml, verb):
    """With the word that was typed and where to look."""
    ran = ml(verb, "99")

    assert (ran.status, ran.out) == (5, "")
    assert "job-unknown" in ran.err
    assert "99" in ran.err


def test_cancel(world, ml):
    """What is stopped, stopping or had ended, a line each; as JSON one object."""
    world.ended()
    world.running()
    world.submit()
    ran = ml("cancel", "1-3", "--reason", "typo")

    assert ran.status == 0
    assert ran.out.splitlines() == ["job 1 had ended: succeeded", "job 2 stopping", "job 3 cancelled"]
    shown = json.loads(ml("cancel", "1-3", "--json").out)
    assert shown["ended_before"] == [1, 3]


def test_status_is_tab_separated_without_a_terminal(world, ml):
    """One row per job, no colour, the blocker at the end."""
    world.running()
    world.submit()
    ran = ml("status")
    rows = [line.split("\t") for line in ran.out.splitlines()]

    assert ran.status == 0
    assert len({len(row) for row in rows}) == 1
    assert "starts next" in rows[-1]
    assert "\x1b" not in ran.out


def test_status_says_when_there_is_nothing(world, ml):
    """Empty stdout, a word on stderr."""
    ran = ml("status")

    assert ran.status == 0
    assert "ml submit" in ran.err


def test_logs_pass_bytes_on_in_a_pipe(world, ml):
    """As they were printed, an ended job's without following."""
    world.print_log(world.ended(), b"one\ntwo\n\x1b[1mthree\n")

    assert ml("logs", "1").out == "one\ntwo\n\x1b[1mthree\n"
    assert ml("logs", "1", "--tail", "1").out == "\x1b[1mthree\n"


def test_logs_of_a_queued_job_say_why(world, ml):
    """Nothing on stdout."""
    world.submit()
    ran = ml("logs", "1")

    assert (ran.status, ran.out) == (0, "")
    assert "starts next" in ran.err


def test_follow_ends_with_the_jobs_verdict(world, ml):
    """Also of a job that had ended."""
    world.print_log(world.ended(Outcome(State.FAILED, "exit 3", code=3)), b"bye\n")
    ran = ml("logs", "1", "-f")

    assert (ran.status, ran.out) == (1, "bye\n")
    assert "job 1 failed" in ran.err


def test_pull(world, ml, tmp_path):
    """Files come with content and mode, a second pull fetches nothing, a broken one goes on."""
    folder = world.results(world.ended())
    (folder / "deep").mkdir()
    (folder / "deep/model").write_bytes(b"weights")
    (folder / "run.sh").write_bytes(b"#!/bin/sh\n")
    (folder / "run.sh").chmod(0o700)
    first = ml("pull", "1", "out")
    assert (first.status, first.out) == (0, f"{tmp_path / 'out'}\n")
    assert (tmp_path / "out/deep/model").read_bytes() == b"weights"
    assert (tmp_path / "out/run.sh").stat().st_mode & 0o100
    (tmp_path / "out/deep/model").unlink()
    (tmp_path / "out" / PARTS).mkdir()
    (tmp_path / "out" / PARTS / sha(b"weights")).write_bytes(b"wei")
    again = json.loads(ml("pull", "1", "out", "--json").out)

    assert again["fetched"] == 1
    assert (tmp_path / "out/deep/model").read_bytes() == b"weights"
    assert not (tmp_path / "out" / PARTS).exists()


def test_submit_accepts_and_says_where_in_line(world, ml, tmp_path):
    """The line of the design; -q the id alone; the same tree again sends no file."""
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "train.py").write_text("print(1)\n")
    first = ml("submit", "code/train.py")

    assert first.status == 0, first.err
    assert first.out.startswith("job 1 queued on ")
    assert "1st in line" in first.out
    assert ml("submit", "code/train.py", "-q").out == "2\n"
    assert [queued.spec.name for queued in world.host.queue.jobs()] == ["code", "code"]


def test_show_tells_everything(world, ml):
    """Text for people, one object for scripts."""
    done = world.ended(Outcome(State.FAILED, "exit 3", code=3, hint="look here"))
    assert "exit 3" in ml("show", "1").out
    shown = json.loads(ml("show", "1", "--json").out)

    assert shown["job"]["id"] == done.id
    assert evolve(done).state.value == shown["job"]["state"]


def test_cancel_dry_run_ends_nothing(world, ml):
    """It names what would be stopped and what has ended, and leaves both."""
    world.submit(key="1")
    world.submit(key="2")
    ml("cancel", "1")

    assert ml("cancel", "1-2", "--dry-run").out.splitlines() == [
        "job 1 has ended: cancelled",
        "job 2 would be stopped: queued",
    ]
    assert [job.state.value for job in world.host.queue.jobs()] == ["cancelled", "queued"]
