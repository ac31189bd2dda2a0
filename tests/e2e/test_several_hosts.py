"""Several hosts share one Redis, each in a network of its own; one of them is cut off and comes back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections import Counter

import pytest

from tests.support.home import Home
from tests.support.leftovers import end_processes
from tests.support.ml import VARIABLE, client_environment
from tests.support.require import missing, need
from tests.support.small import SMALL
from tests.support.wait import poll_until

QUEUE = """
queue:
  type: redis
  fallback_to_filesystem: true
"""
SCRIPT = """
import os, time
fd = os.open(RUNS, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
os.write(fd, (os.environ["FETCHML_JOB_ID"] + "\\n").encode())
time.sleep(SECONDS)
"""


def ip(*words):
    """Set up networks."""
    return subprocess.run(["ip", *words], capture_output=True, text=True, check=False)


class Net:
    """A network namespace with one link to the machine: host *number* is 10.x.number.2, the machine 10.x.number.1."""

    def __init__(self, block, number):
        self.name = f"fetchml-{uuid.uuid4().hex[:6]}"
        self.link, inside = f"fm{self.name[-6:]}", f"fi{self.name[-6:]}"
        self.gateway = f"10.{block}.{number}.1"
        made = ip("netns", "add", self.name)
        if made.returncode != 0:
            missing("root", f"root may not make network namespaces here: {made.stderr.strip()}")
        for words in (
            ["link", "add", self.link, "type", "veth", "peer", "name", inside, "netns", self.name],
            ["addr", "add", f"{self.gateway}/24", "dev", self.link],
            ["link", "set", self.link, "up"],
            ["-n", self.name, "addr", "add", f"10.{block}.{number}.2/24", "dev", inside],
            ["-n", self.name, "link", "set", inside, "up"],
            ["-n", self.name, "link", "set", "lo", "up"],
        ):
            done = ip(*words)
            assert done.returncode == 0, done.stderr

    def cut(self):
        """Take the link away; nobody is told."""
        assert ip("link", "set", self.link, "down").returncode == 0

    def join(self):
        """Give it back."""
        assert ip("link", "set", self.link, "up").returncode == 0

    def remove(self):
        """Leave nothing behind; what runs in it has ended before."""
        ip("link", "delete", self.link)
        ip("netns", "delete", self.name)


class Box:
    """A host with its own network, base, worker and user."""

    def __init__(self, folder, net, url):
        self.net, self.folder, self.url = net, folder, url
        (folder / "home" / ".ml").mkdir(parents=True)
        self.base = folder / "base"
        self.base.mkdir(mode=0o700)
        more = f'redis_url: "{url}"\nworker_id: {folder.name}\nlauncher: process\nmax_workers: 2\n{SMALL}'
        (self.base / "worker.yaml").write_text(more + QUEUE)
        config = folder / "home" / ".ml" / "config.toml"
        config.write_text(f'[server]\nworker_base = "{self.base}"\n')
        config.chmod(0o600)
        self.runs = folder / "runs"
        self.env = client_environment(Home(folder / "home"), {VARIABLE: net.name})

    def ml(self, *words):
        """Run `ml` in this network; return what it printed."""
        argv = ["ip", "netns", "exec", self.net.name, sys.executable, "-m", "fetchml_cli", *words]
        done = subprocess.run(
            argv, cwd=self.folder, env=self.env, capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def submit(self, seconds=0.0):
        """Submit a job that says that it runs, and takes so long; return its id."""
        script = self.folder / "train.py"
        script.write_text(f"RUNS, SECONDS = {str(self.runs)!r}, {seconds}\n" + SCRIPT)
        return int(self.ml("submit", "-q", "--only", str(script)))

    def show(self, job):
        """What is known of a job here."""
        return json.loads(self.ml("show", str(job), "--json"))["job"]

    def started(self):
        """The ids of the jobs that ran here, once for each time."""
        return [int(line) for line in self.runs.read_text().split()] if self.runs.exists() else []


@pytest.fixture
def boxes(tmp_path, redis_server):
    """Three hosts, and the server that they share; what runs in them ends with the test."""
    need("root", "redis")
    server = redis_server("--protected-mode", "no", host="0.0.0.0")
    block = 64 + os.getpid() % 128
    made = []
    try:
        for number in range(1, 4):
            net = Net(block, number)
            made.append(Box(tmp_path / f"box{number}", net, f"redis://{net.gateway}:{server.port}/0"))
        yield made
    finally:
        for box in made:
            end_processes(VARIABLE, box.net.name)
            box.net.remove()


def test_a_host_is_cut_off_and_comes_back(boxes):
    """Each host runs its own jobs; the one that is cut off goes on alone; nothing is lost, doubled or renamed."""
    here, away, other = boxes
    first = {box: box.submit() for box in boxes}
    long = away.submit(seconds=6.0)
    poll_until(lambda: long in away.started(), "the long job runs")

    away.net.cut()
    alone = [away.submit(), away.submit()]
    together = [here.submit(), other.submit()]
    poll_until(lambda: set(alone) <= set(away.started()), "it works alone")
    said = away.ml("status", "-a")
    assert all(str(job) in said for job in alone)
    away.net.join()

    owners = {
        **{job: box for box, job in first.items()},
        **dict.fromkeys([long, *alone], away),
        together[0]: here,
        together[1]: other,
    }
    assert len(owners) == 8  # no id was given twice

    def all_ended():
        return all(here.show(job)["state"] == "succeeded" for job in sorted(owners))

    poll_until(lambda: str(alone[1]) in here.ml("status", "-a"), "it has come back")
    poll_until(all_ended, "all have ended")
    for job, box in owners.items():
        attempts = here.show(job)["attempts"]
        assert [attempt["worker"] for attempt in attempts] == [box.folder.name]
    ran = Counter(job for box in boxes for job in box.started())
    assert ran == Counter(list(owners))
    for box in boxes:
        assert {job for job, owner in owners.items() if owner is box} == set(box.started())
