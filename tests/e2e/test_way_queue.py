"""Holding a job and pausing the queue, as people meet them, with a real worker."""

from __future__ import annotations

import pytest

from tests.support.wait import poll_until

HELLO = """
    print("hello", flush=True)
"""


def row(host, job):
    """The cells of a job's line in the list."""
    lines = [line.split("\t") for line in host.ml.ok("status", str(job)).splitlines()]
    (cells,) = [cells for cells in lines if cells[0] == str(job)]
    return cells


@pytest.mark.parametrize("pair", ["local-process", "fabric-process"])
def test_hold_and_release(way, pair):
    """A held job waits while others pass; released, it runs."""
    host = way(pair, max_workers=1)
    gate = host.submit("gate()")
    host.until(gate, "running")
    held, other = host.submit(HELLO), host.submit(HELLO)
    assert host.ml.ok("hold", str(held)) == f"job {held} held\n"
    host.open(gate)
    host.ml.ok("wait", str(other))
    cells = row(host, held)
    assert (cells[5], cells[-1]) == ("held", "held")

    assert host.ml.ok("release", str(held)) == f"job {held} queued\n"
    host.ml.ok("wait", str(held))
    assert host.ml.ok("logs", str(held)) == "hello\n"
    host.ml.fails(1, "hold", str(held))


@pytest.mark.parametrize("pair", ["local-process"])
def test_pause_and_resume(way, pair):
    """What runs goes on, what comes waits and says why; resumed, it runs."""
    host = way(pair, max_workers=2)
    gate = host.submit("gate()")
    host.until(gate, "running")
    host.ml.ok("queue", "pause", "--reason", "new driver")
    job = host.submit(HELLO)
    assert row(host, job)[-1] == "the queue is paused by local: new driver"
    host.open(gate)
    host.ml.ok("wait", str(gate))
    assert host.state(job) == "queued"

    host.ml.ok("queue", "resume")
    host.ml.ok("wait", str(job))
    assert host.ml.ok("logs", str(job)) == "hello\n"


def test_migrate_and_go_on(way):
    """With the lines that it prints in the file, the next submit runs on the new queue, with the next number."""
    host = way("local-process", max_workers=2)
    first = host.submit(HELLO)
    host.ml.ok("wait", str(first))
    host.ml.ok("queue", "pause")
    waiting = host.submit(HELLO)
    assert "sqlite" in host.ml.ok("queue", "migrate", "--to", "sqlite")
    host.ml.fails(1, "submit", str(host.script(HELLO)))
    record = host.base / "run" / "worker.lock"
    poll_until(lambda: not _held(record), "the worker of the old queue has ended")
    host.configure(max_workers=2, queue={"type": "sqlite"})

    assert host.ml.json("queue", "stats")["paused"]["by"] == "local"
    host.ml.ok("queue", "resume")
    host.ml.ok("wait", str(waiting))
    last = host.submit(HELLO)
    assert last == waiting + 1
    host.ml.ok("wait", str(last))
    assert host.ml.ok("logs", str(first)) == "hello\n"
    assert host.ml.ok("queue", "check") == ""


def _held(lock):
    """Whether a worker holds its lock."""
    import fcntl

    with lock.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
