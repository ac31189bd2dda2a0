"""Cancel and what it leaves: nothing of the job but its records, log and results."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.wait import poll_until

LAUNCHERS = ["local-process", "local-rootful", "local-rootless"]

POLITE = """
    import signal
    def told(*_):
        with open(os.environ["FETCHML_STOP_FILE"]) as file:
            reason = file.read()
        with open(os.path.join(os.environ["FETCHML_RESULTS"], "reason"), "w") as file:
            file.write(reason)
        print("saved", flush=True)
        sys.exit(0)
    assert not os.path.exists(os.environ["FETCHML_STOP_FILE"])
    signal.signal(signal.SIGTERM, told)
    print("ready", flush=True)
    gate()
"""
STUBBORN = """
    import signal, subprocess
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print("ready", flush=True)
    gate()
"""
FAMILY = r"""
    import glob, subprocess
    # one write each: lines of several processes stay whole
    nap = "import time, os; os.setsid(); os.write(1, b'%d\\n' % os.getpid()); open('up-%d' % os.getpid(), 'w'); time.sleep(600)"
    for _ in range(3):
        subprocess.Popen([sys.executable, "-c", nap, "fetchml-test-%s" % os.environ["MARK"]])
    while len(glob.glob("up-*")) < 3:
        time.sleep(0.05)
    print("ready", flush=True)
"""


@pytest.mark.parametrize("pair", LAUNCHERS)
def test_running(way, pair):
    """A running job reads the reason before it is told to end, may save its work, and is cancelled."""
    host = way(pair, graceful_timeout="20s")
    job = host.submit(POLITE)
    host.until_prints(job, "ready")

    host.ml.ok("cancel", str(job), "--reason", "wrong learning rate")
    host.ml.fails(7, "wait", str(job))

    folder = host.ml.cwd / "fetched"
    host.ml.ok("pull", str(job), str(folder))
    assert (folder / "reason").read_text("utf-8") == "wrong learning rate\n"
    assert host.ml.ok("logs", str(job)) == "ready\nsaved\n"
    shown = host.show(job)["job"]
    assert shown["stop"]["reason"] == "wrong learning rate"
    assert "wrong learning rate" in shown["why"]


@pytest.mark.parametrize("pair", LAUNCHERS)
def test_stubborn(way, pair):
    """A job that ignores SIGTERM is killed when its grace is over, or at once with ``--now``."""
    host = way(pair, graceful_timeout="1s", max_workers=2)
    slow = host.submit(STUBBORN)
    host.until_prints(slow, "ready")
    host.ml.ok("cancel", str(slow))
    host.ml.fails(7, "wait", str(slow))
    assert host.show(slow)["job"]["attempts"][0]["outcome"]["signal"] == 9

    host.end_worker()
    host.configure(graceful_timeout="10m")
    job = host.submit(STUBBORN)
    host.until_prints(job, "ready")
    host.ml.ok("cancel", str(job))
    host.until(job, "stopping")
    host.ml.ok("cancel", str(job), "--now")
    host.ml.fails(7, "wait", str(job), "--timeout", "20s")


def test_queued_and_finished(way):
    """A queued job is cancelled at once and never runs; cancelling what has ended is no error and changes nothing."""
    host = way("local-process", max_workers=1)
    first = host.submit("gate()\n", folder="busy")
    job = host.submit("print('ran')\n")
    host.until(first, "running")

    assert "cancelled" in host.ml.ok("cancel", str(job), "--reason", "typo")
    assert host.state(job) == "cancelled"
    host.open(first)
    host.ml.ok("wait", str(first))
    assert host.show(job)["job"]["attempts"] == []

    before = host.show(first)["job"]
    told = host.ml.json("cancel", str(first), str(job))
    assert sorted(told["ended_before"]) == [first, job]
    assert host.show(first)["job"] == before
    assert "had ended: succeeded" in host.ml.ok("cancel", str(first))


def test_all_or_nothing(way):
    """Where one of several jobs is unknown, none is cancelled."""
    host = way("local-process")
    job = host.submit("gate()\n")
    host.until(job, "running")
    host.ml.fails(5, "cancel", str(job), "99")
    assert host.state(job) == "running"


@pytest.mark.parametrize("pair", LAUNCHERS)
def test_background_children_are_gone(way, pair, tmp_path):
    """What a job left running in the background, sessions of their own included, ends with it."""
    host = way(pair)
    mark = tmp_path.name
    job = host.submit(FAMILY, "--env", f"MARK={mark}")
    host.ml.ok("wait", str(job))

    assert len(host.ml.ok("logs", str(job)).split()) == 4
    poll_until(lambda: not _processes(f"fetchml-test-{mark}"), "the children are gone")
    assert host.state(job) == "succeeded"


def _processes(word):
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_bytes().endswith(word.encode() + b"\0"):
                found.append(path)
        except OSError:
            continue
    return found
