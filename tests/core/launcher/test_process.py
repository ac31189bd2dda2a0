"""The process launcher: the promises of all launchers, and what it says about itself."""

from __future__ import annotations

import os
import signal

import pytest

from fetchml_core.convert import from_data, to_data
from fetchml_core.errors import HostError
from fetchml_core.launcher.process import ProcessLauncher
from fetchml_core.launcher.spec import Launched
from tests.core.launcher.jobs import CLOCK, Attempt, Contract, make_spec
from tests.support.wait import poll_until


@pytest.fixture
def launcher():
    """The process launcher, with this process's own environment."""
    made = ProcessLauncher(env=dict(os.environ), clock=CLOCK)
    yield made
    made.close()


@pytest.fixture
def image():
    """No image is needed."""
    return "localhost/none"


class TestProcess(Contract):
    """The contract, on the bare host."""

    variables = frozenset({"CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES"})


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


def server_of(launcher):
    """The pid of the launcher's fork server."""
    return launcher._forks._process.pid


def test_the_server_of_inits_may_die(launcher, tmp_path):
    """A fork server that was killed leaves its attempts alone, and the next launch starts another one."""
    first = Attempt(launcher, make_spec(tmp_path / "one", ("sleep", "60"))).go()
    server = server_of(launcher)
    os.kill(server, signal.SIGKILL)
    os.waitid(os.P_PID, server, os.WEXITED | os.WNOWAIT)
    second = Attempt(launcher, make_spec(tmp_path / "two", ("sh", "-c", "echo ran"))).go()

    assert second.record().code == 0
    assert second.output() == "ran\n"
    assert server_of(launcher) != server
    assert launcher.alive(first.launched)
    first.clean()
    second.clean()


def test_a_server_that_dies_over_a_launch_starts_no_second_init(launcher, tmp_path, monkeypatch):
    """Nobody knows whether it had started one: the launch has failed, and what there is goes with the clean-up."""
    monkeypatch.setattr("fetchml_core.launcher.forks._PROGRAM", str(tmp_path / "forkserver.py"))
    (tmp_path / "forkserver.py").write_text(
        "import os, sys\n"
        "folder = bytes.fromhex(sys.stdin.readline()).decode()\n"
        "open(folder + '/asked', 'a').write('once ')\n"
        "if os.fork() == 0:\n"
        "    os.setsid(); os.chdir(folder); [os.close(fd) for fd in (0, 1)]\n"
        "    import time; time.sleep(60)\n"
    )
    other = ProcessLauncher(env=dict(os.environ), clock=CLOCK)
    spec = make_spec(tmp_path)
    with pytest.raises(HostError, match="init-failed"):
        other.launch(spec)

    assert (spec.control / "asked").read_text() == "once "
    assert [left.job_id for left in other.leftovers(tmp_path / "jobs")] == [7]
    other.clean(spec.name, spec.folder, spec.checkpoint)
    assert other.leftovers(tmp_path / "jobs") == []
    other.close()


def test_an_init_that_fails_says_why(launcher, tmp_path):
    """What it could not do stands in the error, and the next launch is not harmed."""
    spec = make_spec(tmp_path)
    (spec.control / "exit.json.tmp").mkdir(parents=True)
    with pytest.raises(HostError, match="init-failed") as caught:
        launcher.launch(spec)
    assert "IsADirectoryError" in caught.value.context
    assert "exit.json.tmp" in caught.value.context

    (spec.control / "exit.json.tmp").rmdir()
    attempt = Attempt(launcher, spec).go()
    assert attempt.record().code == 0
    attempt.clean()


def test_an_init_outlives_its_launcher(launcher, tmp_path):
    """A worker that ends takes its fork server along and nothing else."""
    attempt = Attempt(launcher, make_spec(tmp_path, ("sh", "-c", "sleep 0.2; echo done"))).go()
    launcher.close()

    assert attempt.record().code == 0
    assert attempt.output() == "done\n"
    attempt.clean()
