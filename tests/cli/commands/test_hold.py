"""``ml hold`` and ``ml release``, over the local transport to a real agent."""

from __future__ import annotations

import json

import pytest


@pytest.fixture
def ml(run_verb):
    """Run a verb; returns status, stdout and stderr."""
    return run_verb


@pytest.mark.parametrize(
    ("verb", "done", "state"), [("hold", "held", "held"), ("release", "released", "queued")]
)
def test_a_line_for_each_job(world, ml, verb, done, state):
    """What could not be done is said in words, and in the status."""
    world.ended()
    world.running()
    world.submit()
    ran = ml(verb, "1-3")

    assert ran.status == 1
    assert ran.out.splitlines() == [
        f"job 1 cannot be {done}: it is succeeded",
        f"job 2 cannot be {done}: it is running",
        f"job 3 {state}",
    ]
    assert (ml(verb, "3").status, ml(verb, "3").out) == (0, f"job 3 {state}\n")


def test_json(world, ml):
    """One object, as of every verb."""
    world.running()
    world.submit()
    shown = json.loads(ml("hold", "1-2", "--json").out)

    assert [job["state"] for job in shown["jobs"]] == ["running", "held"]
    assert shown["unfit"] == [1]


def test_status_says_held(world, ml):
    """In the state and as the reason."""
    world.submit()
    ml("hold", "1")
    row = ml("status").out.rstrip("\n").split("\t")

    assert (row[5], row[-1]) == ("held", "held")
