"""Starting, draining and resuming a host's worker, retries, and a full disk, as people meet them."""

from __future__ import annotations

import os
import re
import signal

import pytest

from tests.support.wait import poll_until


def why(host, job):
    """The last cell of a job's line in the list."""
    lines = [line.split("\t") for line in host.ml.ok("status", str(job)).splitlines()]
    return next(cells[-1] for cells in lines if cells[0] == str(job))


def alive(host):
    """Whether a worker runs on the host; looking starts none."""
    return host.ml.json("worker", "status")["worker"]["alive"]


@pytest.mark.parametrize("pair", ["local-process", "local-rootful", "fabric-process"])
def test_drain_while_a_job_runs(way, pair):
    """It ends with its true outcome, the worker with it; the queued one stays, says why, and runs after the drain."""
    host = way(pair, max_workers=1)
    assert "until it is stopped" in host.ml.ok("worker", "start")
    running = host.submit("print('began', flush=True)\ngate()\nsys.exit(3)")
    host.until_prints(running, "began")
    waiting = host.submit("print('at last', flush=True)")
    host.ml.ok("worker", "drain", "--reason", "new GPU")
    assert why(host, waiting) == "the worker is drained by local: new GPU"
    host.open(running)
    poll_until(lambda: not alive(host), "the worker has ended")

    shown = host.show(running)["job"]
    assert (shown["state"], shown["attempts"][-1]["outcome"]["code"]) == ("failed", 3)
    assert len(shown["attempts"]) == 1
    assert (host.state(waiting), why(host, waiting)) == ("queued", "the worker is drained by local: new GPU")
    assert not alive(host)

    host.ml.ok("worker", "resume")
    host.ml.ok("wait", str(waiting))
    assert host.ml.ok("logs", str(waiting)) == "at last\n"
    assert host.ml.json("worker", "status")["process"]["service"] is True


@pytest.mark.parametrize("pair", ["local-process", "local-rootful"])
def test_killed_and_started_again(way, pair):
    """The next worker adopts the job of one that was killed: one attempt, one run, its own outcome."""
    host = way(pair)
    host.ml.ok("worker", "start")
    job = host.submit("print('began', flush=True)\ngate()\nsys.exit(3)")
    host.until_prints(job, "began")
    killed = host.end_worker(signal.SIGKILL)
    host.ml.ok("worker", "start")
    assert host.worker_pid() != killed
    told = host.ml.json("worker", "status")
    host.open(job)
    host.ml.fails(1, "wait", str(job))

    assert ([held["id"] for held in told["jobs"]], told["process"]["service"]) == ([job], True)
    shown = host.show(job)["job"]
    assert [attempt["outcome"]["code"] for attempt in shown["attempts"]] == [3]
    assert host.ml.ok("logs", str(job)).splitlines() == ["began"]


def test_retries_of_a_failing_script(way):
    """--retries 1: it is tried twice, `show` lists both with their class, `status` counts them."""
    host = way("local-process")
    script = host.script("print('try', os.environ['FETCHML_ATTEMPT'], flush=True)\nsys.exit(3)")
    job = int(host.ml.ok("submit", "-q", "--retries", "1", str(script)).strip())
    host.ml.fails(1, "wait", str(job))

    cells = host.ml.ok("status", str(job)).split("\t")
    assert (cells[5], cells[8], cells[9]) == ("failed", "2", "exit 3\n")
    assert len(re.findall(r"ended +failed \(code\), exit 3\n", host.ml.ok("show", str(job)))) == 2
    assert host.ml.ok("logs", str(job)) == "try 2\n"
    host.ml.fails(2, "submit", "--retries", "101", str(script))


@pytest.mark.parametrize("pair", ["local-process"])
def test_killed_while_it_drains(way, pair):
    """A drain outlives its worker: whoever looks has the running job seen to its end, and nothing else is run."""
    host = way(pair)
    running = host.submit("print('began', flush=True)\ngate()")
    host.until_prints(running, "began")
    host.ml.ok("worker", "drain")
    waiting = host.submit("print('never')")
    os.kill(host.worker_pid(), signal.SIGKILL)
    host.open(running)
    host.ml.ok("wait", str(running))
    poll_until(lambda: not alive(host), "the worker has ended")

    assert host.state(waiting) == "queued"
    host.ml.ok("worker", "resume")
    host.ml.ok("wait", str(waiting))
