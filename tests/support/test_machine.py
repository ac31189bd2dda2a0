"""Terminals, small disks, waiting, and the rules about what is missing and what is left behind."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import require
from tests.support.leftovers import VARIABLE, end_processes, processes_with, run_id
from tests.support.wait import free_port, poll_until


def test_terminal_is_driven(tmux):
    """What is typed runs, and Ctrl-C interrupts it."""
    tmux.start()
    tmux.type("echo $((6 * 7)) at $HOME")
    tmux.wait_for("42 at")
    tmux.type("echo star''ted; sleep 1000")
    tmux.wait_for("started")
    tmux.send_keys("C-c")
    tmux.type("echo over=$?")

    assert "$ echo over=$?" in tmux.wait_for("over=130")


def test_terminal_says_what_it_shows(tmux):
    """Text that does not come fails with the screen in the message."""
    tmux.start(["sh", "-c", "echo something; sleep 100"])
    tmux.wait_for("something")

    with pytest.raises(AssertionError, match="something"):
        tmux.wait_for("other", timeout=0.2)


def test_small_disk_fills(small_filesystem):
    """A write past the size fails with ENOSPC."""
    disk = small_filesystem("64k")

    with pytest.raises(OSError, match="No space") as caught:
        (disk / "big").write_bytes(bytes(100_000))
    assert caught.value.errno == errno.ENOSPC


def test_inodes_run_out(small_filesystem):
    """With 5 inodes the root folder and four files fit."""
    disk = small_filesystem("1m", inodes=5)
    for number in range(4):
        (disk / str(number)).touch()

    with pytest.raises(OSError, match="No space"):
        (disk / "one more").touch()


def test_poll_until_names_what_it_waits_for():
    """The failure says what did not happen."""
    with pytest.raises(AssertionError, match="hell freezes"):
        poll_until(lambda: False, "hell freezes", timeout=0.1)


def test_free_port_is_free():
    """Nobody listens at it."""
    assert 1024 < free_port() < 65536


def test_need_skips_with_the_way_out(monkeypatch):
    """A missing part skips, and the reason is a command to type."""
    monkeypatch.delenv(require.VARIABLE, raising=False)
    monkeypatch.setitem(require.PARTS, "strace", require.Part(lambda: False, "apt-get install -y strace"))
    require.has.cache_clear()

    with pytest.raises(pytest.skip.Exception, match="no strace; apt-get install -y strace"):
        require.need("strace")


@pytest.mark.parametrize("wanted", ["strace", "tmux,strace", "all"])
def test_required_part_fails(monkeypatch, wanted):
    """Where FETCHML_REQUIRE names the part the same thing is a failure."""
    monkeypatch.setenv(require.VARIABLE, wanted)
    monkeypatch.setitem(require.PARTS, "strace", require.Part(lambda: False, "apt-get install -y strace"))
    require.has.cache_clear()

    with pytest.raises(pytest.fail.Exception, match="required by FETCHML_REQUIRE"):
        require.need("strace")


def test_required_name_must_exist(monkeypatch):
    """A typo in FETCHML_REQUIRE is an error, because it would allow a skip."""
    monkeypatch.setenv(require.VARIABLE, "podmann")

    with pytest.raises(pytest.UsageError, match="podmann"):
        require.required()


@pytest.fixture(autouse=True)
def _fresh_probes():
    """What a test changed in the table is not remembered."""
    yield
    require.has.cache_clear()


def test_detached_process_is_found_and_ended():
    """A process that left its session still carries the id of the run."""
    process = subprocess.Popen(
        ["sleep", "1000"], start_new_session=True, env={**os.environ, "FETCHML_TEST_X": "y"}
    )

    # Its environment is there a moment after Popen returns.
    poll_until(
        lambda: process.pid in [found.pid for found in processes_with("FETCHML_TEST_X", "y")],
        "it is found",
    )
    assert process.pid in [found.pid for found in processes_with(VARIABLE, run_id())]
    end_processes("FETCHML_TEST_X", "y")
    assert process.wait(5) != 0


def test_leftovers_fail_the_run(tmp_path):
    """A run whose tests pass but leave a process behind fails and names it."""
    (tmp_path / "test_leaky.py").write_text(
        "import subprocess\ndef test_leaks():\n    subprocess.Popen(['sleep', '4321'], start_new_session=True)\n"
    )
    paths = f"{Path(__file__).parents[2]}:{os.environ.get('PYTHONPATH', '')}"
    env = {**os.environ, VARIABLE: "nested", "PYTHONPATH": paths, "FETCHML_TEST_PATIENCE": "0.2"}
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "tests.support.leftovers"]
    done = subprocess.run(
        [*argv, str(tmp_path)], env=env, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
    )

    assert done.returncode == 1, done.stdout + done.stderr
    assert "sleep 4321" in done.stdout
    assert processes_with(VARIABLE, "nested") == []
