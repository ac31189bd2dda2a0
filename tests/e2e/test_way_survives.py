"""Whatever is cut or killed on the way, the job goes on, ends once, and is told about truthfully."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from pathlib import Path

import pytest
from attrs import evolve

from fetchml_core.clock import Clock
from tests.cli.support import fake_cli, run_in
from tests.support.leftovers import processes_with
from tests.support.sshd import VARIABLE as SSHD_VARIABLE
from tests.support.wait import poll_until

COUNTING = """
    print("ready", flush=True)
    number = 0
    while not os.path.exists(os.path.join(os.environ["FETCHML_CHECKPOINT_DIR"], "gate")):
        number += 1
        print("line %d" % number, flush=True)
        time.sleep(0.01)
    print("last %d" % number)
"""
ONCE = """
    with open(os.path.join(os.environ["FETCHML_CHECKPOINT_DIR"], "starts"), "a") as file:
        file.write("started\\n")
    print("ready", flush=True)
    gate()
    sys.exit(5)
"""
LAUNCHERS = ["local-process", "local-rootful", "local-rootless"]


def _check_lines(text):
    """No gap and no double line: ``ready``, ``line 1`` … ``line N``, ``last N``."""
    lines = text.splitlines()
    count = len(lines) - 2
    assert count > 0
    assert lines == ["ready", *(f"line {number}" for number in range(1, count + 1)), f"last {count}"]


@pytest.mark.parametrize("pair", ["local-process", "fabric-rootful"])
@pytest.mark.parametrize("verb", ["submit -f tree/train.py", "logs -f 1"])
def test_ctrl_c_detaches(way, tmux, pair, verb):
    """Ctrl-C in a terminal ends the command with 130 and says how to come back; the job goes on to its end."""
    host = way(pair)
    host.script(COUNTING)
    if verb.startswith("logs"):
        host.ml.ok("submit", "-q", "tree/train.py")
        host.until(1, "running")
    tmux.env = dict(host.ml.env)
    tmux.start()
    tmux.type('ml() { python -m fetchml_cli "$@"; echo "status $?"; }; clear')
    tmux.type(f"ml {verb}")
    tmux.wait_for("line 3")

    tmux.send_keys("C-c")
    screen = tmux.wait_for("status 130")

    assert "detached: job 1 goes on" in screen
    assert re.search(r"ml logs -f 1 +comes back", screen)
    assert re.search(r"ml cancel 1 +stops it", screen)
    assert "Traceback" not in screen
    assert host.state(1) == "running"
    host.open(1)
    host.ml.ok("wait", "1")
    _check_lines(host.ml.ok("logs", "1"))


def _heard(pipe):
    """The lines of a pipe, in a list that grows while they come."""
    lines: list[str] = []
    threading.Thread(target=lines.extend, args=(pipe,), daemon=True).start()
    return lines


def _has_asked(proxy, passed):
    """Whether a new client has greeted and asked, and nothing has passed for half a second."""
    before = proxy.up, proxy.down
    time.sleep(0.5)
    return before[1] > passed + 2000 and (proxy.up, proxy.down) == before


@pytest.mark.parametrize("cutter", ["network", "server"])
@pytest.mark.parametrize("verb", ["logs", "submit"])
def test_cut_while_following(way, cutter, verb):
    """A broken link is dialled again, and the log goes on at the byte where it stopped."""
    host = way("fabric-process", network=True)
    cut = host.proxy.cut if cutter == "network" else host.server.cut
    script = host.script(COUNTING)
    if verb == "logs":
        host.ml.ok("submit", "-q", str(script))
    following = host.ml.start(*(["logs", "-f", "1"] if verb == "logs" else ["submit", "-f", str(script)]))
    out, said = _heard(following.stdout), _heard(following.stderr)
    for times in (1, 2):
        seen = len(out)
        poll_until(lambda seen=seen: len(out) > seen + 20, "the log flows")
        cut()
        poll_until(lambda times=times: "".join(said).count("connecting again") >= times, "it has noticed")
    seen = len(out)
    poll_until(lambda: len(out) > seen + 20, "the log flows again")
    host.open(1)
    assert following.wait(60) == 0, said
    poll_until(lambda: any(line.startswith("last ") for line in out), "all is read")

    _check_lines("".join(out[1:] if verb == "submit" else out))
    assert "".join(said).count("the job goes on") == 2


def test_cut_while_waiting(way):
    """``wait`` dials again after a broken link and still tells how the job ended."""
    host = way("fabric-process", network=True)
    job = host.submit(ONCE)
    host.until_prints(job, "ready")
    passed = host.proxy.down
    waiting = host.ml.start("wait", "last")
    said = _heard(waiting.stderr)
    poll_until(lambda: _has_asked(host.proxy, passed), "it waits")
    host.proxy.cut()
    poll_until(lambda: "connecting again" in "".join(said), "it has noticed")
    host.open(job)
    assert waiting.wait(60) == 1


@pytest.mark.parametrize("verb", ["wait", "logs -f"])
def test_host_away_for_a_while(way, verb):
    """A host that refuses connections for some seconds is dialled until it is back."""
    host = way("fabric-process")
    job = host.submit(ONCE)
    host.until_prints(job, "ready")
    watching = host.ml.start(*verb.split(), str(job))
    said = _heard(watching.stderr)
    poll_until(lambda: host.server.connections() == 1, "it is connected")
    time.sleep(1)  # let it ask
    host.server.refuse()
    host.server.cut()
    poll_until(lambda: "connecting again in 2 s" in "".join(said), "it has tried in vain")
    host.server.restart()
    host.open(job)

    assert watching.wait(60) == 1, said


def test_wait_runs_out_while_the_host_is_away(way):
    """``--timeout`` counts while a lost link is dialled again."""
    host = way("fabric-process")
    job = host.submit(ONCE)
    host.until_prints(job, "ready")
    waiting = host.ml.start("wait", str(job), "--timeout", "3s")
    said = _heard(waiting.stderr)
    poll_until(lambda: host.server.connections() == 1, "it is connected")
    time.sleep(1)
    host.server.refuse()
    host.server.cut()
    poll_until(lambda: "connecting again in 2 s" in "".join(said), "it has tried in vain")
    host.server.restart()

    assert waiting.wait(30) == 9, said


@pytest.mark.parametrize("pair", LAUNCHERS)
def test_killed_worker_is_replaced(way, pair):
    """A worker that is killed while a job runs: the next ``ml status`` starts one that takes the job up."""
    host = way(pair)
    job = host.submit(ONCE)
    host.until_prints(job, "ready")
    killed = host.end_worker(signal.SIGKILL)

    assert host.ml.json("status")["worker"]["alive"]
    assert host.worker_pid() != killed
    host.open(job)
    host.ml.fails(1, "wait", str(job))

    _ended_once(host, job)


@pytest.mark.parametrize("pair", LAUNCHERS)
def test_ended_without_a_worker(way, pair):
    """A job that ends while no worker lives is recorded with its true exit code by the next one."""
    host = way(pair)
    job = host.submit(ONCE)
    host.until_prints(job, "ready")
    host.end_worker(signal.SIGKILL)
    host.open(job)
    poll_until((host.attempt(job) / "control" / "exit.json").exists, "the job has ended")

    host.ml.fails(1, "wait", str(job), "--timeout", "30s")

    _ended_once(host, job)


def _ended_once(host, job):
    told = host.show(job)["job"]
    (attempt,) = told["attempts"]
    assert (told["state"], attempt["outcome"]["code"]) == ("failed", 5)
    assert (host.data / "jobs" / str(job) / "checkpoint" / "starts").read_text("ascii") == "started\n"


@pytest.mark.parametrize("pair", ["local-process", "local-rootful"])
def test_worker_told_to_end(way, pair):
    """SIGTERM ends a worker at once and leaves its jobs running; the next one goes on with them."""
    host = way(pair)
    job = host.submit(COUNTING)
    host.until_prints(job, "ready")
    host.end_worker(signal.SIGTERM)
    log = host.attempt(job) / "control" / "log"
    size = log.stat().st_size
    poll_until(lambda: log.stat().st_size > size, "the job goes on printing")

    following = host.ml.start("logs", "-f", str(job))
    host.open(job)
    out, err = following.communicate(timeout=60)

    assert following.returncode == 0, err
    _check_lines(out)


@pytest.mark.parametrize("pair", ["local-process", "fabric-process"])
def test_killed_agent(way, pair):
    """A follower whose agent is killed connects again and misses nothing."""
    host = way(pair)
    job = host.submit(COUNTING)
    host.until_prints(job, "ready")
    following = host.ml.start("logs", "-f", str(job))
    out, said = _heard(following.stdout), _heard(following.stderr)
    poll_until(lambda: len(out) > 5, "the log flows")

    agents = _agents(host, following.pid)
    for pid in agents:
        os.kill(pid, signal.SIGKILL)
    poll_until(lambda: "connecting again" in "".join(said), "it has noticed")
    host.open(job)

    assert agents
    assert following.wait(60) == 0, said
    poll_until(lambda: out[-1].startswith("last "), "all is read")
    _check_lines("".join(out))


def _agents(host, client):
    """The pids of the agents: children of the client, or what the private sshd started, workers left out."""
    if host.transport == "local":
        children = Path(f"/proc/{client}/task/{client}/children")
        return [int(word) for word in children.read_text("ascii").split()]
    found = processes_with(SSHD_VARIABLE, host.server.id)
    return [each.pid for each in found if "-c import sys;sys.version_info" in each.command]


class HastyClock(Clock):
    """A clock that only notes how long it should have slept."""

    def __init__(self) -> None:
        super().__init__()
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        """Return at once."""
        self.slept.append(seconds)


def test_lost_link_for_good(way):
    """Where the host stays away, the command ends with 6 and says that the job goes on and how to come back."""
    host = way("fabric-process", network=True)
    job = host.submit("gate()\n")
    host.until(job, "running")
    clock, passed = HastyClock(), host.proxy.down
    cli = evolve(fake_cli(host.ml.home.path, **host.ml.env), clock=clock)

    def leave():
        poll_until(lambda: _has_asked(host.proxy, passed), "it follows")
        host.proxy.close()

    leaving = threading.Thread(target=leave)
    leaving.start()
    done = run_in(cli, "logs", "-f", str(job))
    leaving.join()

    assert done.status == 6, done.err
    assert clock.slept == [1, 2, 4, 8, 16]
    assert f"the job goes on: ml logs -f {job}" in done.err.splitlines()[-1]
    host.ml.home.connect(host.server, str(host.base))  # past the dead proxy
    host.open(job)
    assert host.ml.run("wait", str(job)).returncode == 0
