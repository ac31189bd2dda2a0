"""What is printed as the next command asks the host that was asked: it names the profile that was chosen."""

from __future__ import annotations

import json

import pytest


@pytest.fixture
def ml(world, run_verb, tmp_path):
    """Run a verb of a profile that is not the default one, on the world's host."""
    profile = tmp_path / ".ml" / "config-lab.toml"
    profile.write_text("[cli]\n")
    profile.chmod(0o600)
    return run_verb


def test_the_hint_of_an_error(ml):
    """However the option was written, in text and in JSON; what comes after -- is the job's."""
    told = "ml status --profile lab -a lists jobs"

    for words in (("--profile", "lab"), ("--profile=lab",), ("--profile", "none", "--profile", "lab")):
        assert told in ml("show", "99", *words).err
    assert json.loads(ml("show", "99", "--profile=lab", "--json").err)["error"]["hint"].startswith(told)
    assert "ml status -a lists jobs" in ml("show", "99").err
    assert "--profile" not in ml("submit", "nowhere", "--", "--profile", "lab").err


def test_hints_beside_an_answer(ml, world):
    """On stderr, and in the rows of one job; what somebody typed stays as it was."""
    assert "ml submit --profile lab PATH makes one" in ml("status", "--profile", "lab").err
    job = world.submit(argv=("sh", "-c", "ml status"))
    world.host.queue.hold(job.id)

    assert f"hint   ml release --profile lab {job.id}\n" in ml("why", "1", "--profile", "lab").out
    assert "sh -c 'ml status'" in ml("show", "1", "--profile", "lab").out
    assert f"hint   ml release {job.id}\n" in ml("why", "1").out
