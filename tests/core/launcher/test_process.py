"""The process launcher: the promises of all launchers, and what it says about itself."""

from __future__ import annotations

import os

import pytest

from fetchml_core.convert import from_data, to_data
from fetchml_core.launcher.process import ProcessLauncher
from fetchml_core.launcher.spec import Launched
from tests.core.launcher.jobs import CLOCK, Attempt, Contract, make_spec
from tests.support.wait import poll_until


@pytest.fixture
def launcher():
    """The process launcher, with this process's own environment."""
    return ProcessLauncher(env=dict(os.environ), clock=CLOCK)


@pytest.fixture
def image():
    """No image is needed."""
    return "localhost/none"


class TestProcess(Contract):
    """The contract, on the bare host."""


def test_says_that_it_does_not_sandbox(launcher, tmp_path):
    """Every attempt is marked, and the host's capabilities name what is lost."""
    attempt = Attempt(launcher, make_spec(tmp_path))
    attempt.go().record()
    attempt.clean()

    assert "sandbox" in attempt.launched.not_enforced
    assert attempt.launched.enforced == ()
    assert "not sandboxed" in launcher.check().reasons[0]


def test_launched_survives_a_restart(launcher, tmp_path):
    """What was written down is enough to adopt the attempt: another launcher sees, ends and cleans it."""
    attempt = Attempt(launcher, make_spec(tmp_path, ("sleep", "60"))).go()
    again = from_data(to_data(attempt.launched), Launched)
    other = ProcessLauncher(env={}, clock=CLOCK)

    assert other.alive(again)
    assert other.kill(again)
    other.clean(again, attempt.spec.folder, attempt.spec.checkpoint)
    assert not other.alive(again)


def test_pid_used_again_is_not_our_init(launcher, tmp_path):
    """A living process with the same pid and another start is not taken for the attempt."""
    attempt = Attempt(launcher, make_spec(tmp_path))
    attempt.go().record()
    attempt.clean()
    stranger = Launched("process", pid=os.getpid(), start_ticks=1)

    assert not launcher.alive(stranger)
    assert not launcher.signal(stranger, 15)
    assert launcher.kill(stranger)


def test_clean_by_name(launcher, tmp_path):
    """An attempt whose launch was cut short, before anybody wrote it down, is found by its folder alone."""
    attempt = Attempt(launcher, make_spec(tmp_path, ("sleep", "60"))).go()
    poll_until(lambda: attempt.spec.control.joinpath("started").exists(), what="started")
    launcher.clean(attempt.spec.name, attempt.spec.folder, attempt.spec.checkpoint)

    assert not launcher.alive(attempt.launched)


def test_home_is_private(launcher, tmp_path):
    """The job's home is a folder of its own, not the account's."""
    attempt = Attempt(launcher, make_spec(tmp_path, ("sh", "-c", "cd && pwd"))).go()
    attempt.record()
    attempt.clean()

    assert attempt.output() == f"{attempt.spec.folder}/home\n"
