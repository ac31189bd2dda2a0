"""Workers and ``podman run`` killed in the middle of launches, with real Podman."""

from __future__ import annotations

import logging
import os
import random
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from fetchml_core.clock import Clock
from fetchml_core.jobs.states import State
from fetchml_core.launcher import strays
from fetchml_core.launcher.podman import PodmanLauncher
from fetchml_core.launcher.spec import name_prefix
from fetchml_core.places import own_command
from tests.core.service.support import World
from tests.support.wait import poll_until

KILLS = int(os.environ.get("FETCHML_LAUNCH_KILLS", "10"))
SLOTS = 2
WORKER = "launcher: podman\nmax_workers: {slots}\nworker_id: box1\nmax_retries: 3\npodman_image: {image}\n"
RUN = ("sh", "-c", "echo $FETCHML_ATTEMPT >>$FETCHML_CHECKPOINT_DIR/ran")


class Serving:
    """A worker process on a base, which is killed and started again."""

    def __init__(self, world: World, env: dict[str, str]) -> None:
        self.world = world
        self.env = env
        self.jobs = world.host.data.folder / "jobs"
        self.prefix = name_prefix(self.jobs)
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        argv = own_command("fetchml_core.worker.main", "run", "--base", str(self.world.host.base.folder))
        return subprocess.Popen(argv, env=self.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def strays(self) -> list[strays.Stray]:
        """What Podman runs for containers of this base."""
        return strays.find(lambda name: name.startswith(self.prefix))

    def launching(self) -> list[int]:
        """Wait for a launch; return the pids of the ``podman run`` that do it."""
        return poll_until(
            lambda: [stray.pid for stray in self.strays() if stray.kind == "run"], "a launch", timeout=60
        )

    def kill(self) -> None:
        """Kill the worker, and start another one."""
        self.process.kill()
        self.process.wait()
        self.process = self._start()

    def end(self) -> None:
        """End it as an admin does."""
        self.process.terminate()
        self.process.wait(30)


@pytest.fixture
def serving(podman_root, image_python, tmp_path):
    """A worker with real Podman."""
    world = World(tmp_path / "base", worker=WORKER.format(slots=SLOTS, image=image_python))
    made = Serving(world, podman_root.env)
    yield made
    made.end()


@pytest.mark.each_podman
def test_kills_during_launches(serving, podman_root):
    """#11: whatever is killed, afterwards no conmon, no runc init and no name is left, and nothing ran twice."""
    seed = int(time.time())
    logging.getLogger().info("seed %d", seed)
    chance = random.Random(seed)
    queue = serving.world.host.queue
    for number in range(KILLS):
        while sum(not job.state.final for job in queue.jobs()) < SLOTS + 1:
            serving.world.submit(argv=RUN, key=f"{number}-{len(queue.jobs())}")
        victims = serving.launching()
        time.sleep(chance.uniform(0, 0.3))
        if chance.random() < 0.5:
            for pid in victims:
                kill(pid)
        else:
            serving.kill()
    poll_until(lambda: all(job.state.final for job in queue.jobs()), "every job has ended", timeout=120)
    poll_until(lambda: left(serving, podman_root) == [], "nothing is left", timeout=60)

    jobs = queue.jobs()
    assert {job.state for job in jobs} <= {State.SUCCEEDED, State.FAILED}
    assert {job.outcome.error for job in jobs if job.state is State.FAILED} <= {
        "podman-failed",
        "init-failed",
    }
    assert any(job.state is State.SUCCEEDED for job in jobs)
    for job in jobs:
        assert len(runs(serving, job)) == (job.state is State.SUCCEEDED), (seed, job)


def kill(pid: int) -> None:
    """Kill a process that may have ended."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def runs(serving, job) -> list[str]:
    """The attempts of a job that began."""
    path = serving.world.host.data.checkpoint(job.id) / "ran"
    return path.read_text().split() if path.exists() else []


def left(serving, podman_root) -> list[str]:
    """What of the base's containers is there, in Podman's books, by name, or by the folders that it has mounted."""
    launcher = PodmanLauncher(env=podman_root.env, clock=Clock())
    found = [str(left) for left in launcher.leftovers(serving.jobs)]
    found += [str(stray) for stray in serving.strays()]
    place = re.compile(re.escape("/".join(serving.jobs.parts[-5:])) + "/")
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if place.search((entry / "mountinfo").read_text()):
                found.append(f"{entry.name} {(entry / 'cmdline').read_text()}")
        except OSError:
            continue
    return found
