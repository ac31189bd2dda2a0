"""How jobs end in real containers, as a worker tells it: whatever Podman has lost, and for want of memory."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from fetchml_core.clock import Clock
from fetchml_core.jobs.job import Job, Resources
from fetchml_core.jobs.states import State
from fetchml_core.launcher import evidence, strays
from fetchml_core.launcher.podman import PodmanLauncher
from fetchml_core.launcher.spec import name_prefix
from fetchml_core.places import own_command
from tests.core.service.support import World
from tests.support.wait import poll_until

MIB = 1 << 20
WORKER = (
    "launcher: podman\nmax_workers: 4\nworker_id: box1\nmax_retries: 3\npodman_image: {image}\n"
    "resources: {{podman_cpus: '0.25', podman_memory: 64m}}\n"
)
GATE = "while [ ! -e $FETCHML_CHECKPOINT_DIR/gate ]; do sleep 0.05; done; "
ENDS = {
    "exit 0": (State.SUCCEEDED, 0, None, ""),
    "exit 7": (State.FAILED, 7, None, "code"),
    "kill -SEGV $$": (State.FAILED, None, signal.SIGSEGV, "code"),
}
"""What a job does, and what is to be told of it: state, exit code, signal, class."""
EATS = {
    "main": "exec tail /dev/zero",
    "child": "sh -c 'tail /dev/zero'; exit 3",
    "files": "head -c 64m /dev/zero >/tmp/x; head -c 64m /dev/zero >/dev/shm/x; exec tail /dev/zero",
    "first": "echo 1000 >/proc/1/oom_score_adj; head -c 64m /dev/zero >/tmp/x; head -c 64m /dev/zero >/dev/shm/x",
}
"""Ways over the limit: the job's first process, a child that it outlives, files in memory; and PID 1 of the container."""


class Box:
    """A base with a worker that is a program of its own."""

    def __init__(self, base: Path, image: str, env: dict[str, str]) -> None:
        self.world = World(base, worker=WORKER.format(image=image))
        self.queue = self.world.host.queue
        self.prefix = name_prefix(self.world.host.data.folder / "jobs")
        self._env = env
        self.start()

    def start(self) -> None:
        """Start its worker."""
        argv = own_command("fetchml_core.worker.main", "run", "--base", str(self.world.host.base.folder))
        self.worker = subprocess.Popen(argv, env=self._env, stderr=subprocess.DEVNULL)

    def kill(self) -> None:
        """Kill its worker."""
        self.worker.kill()
        self.worker.wait()

    def started(self, job: Job) -> Job:
        """Wait until the job has begun; return it."""
        note = self.world.host.data.attempt(job.id, 1).control / "started"
        poll_until(note.exists, f"job {job.id} has begun")
        return self.queue.get(job.id)

    def ended(self, job: Job) -> Job:
        """Wait for its end; return it."""
        poll_until(lambda: self.queue.get(job.id).state.final, f"job {job.id} has ended", timeout=60)
        return self.queue.get(job.id)

    def strays(self) -> list[strays.Stray]:
        """What Podman runs for its containers."""
        return strays.find(lambda name: name.startswith(self.prefix))


@pytest.fixture
def box(podman_root, image_python, tmp_path):
    """A worker with real Podman."""
    made = Box(tmp_path / "base", image_python, podman_root.env)
    yield made
    made.worker.terminate()
    made.worker.wait(30)


@pytest.mark.parametrize("worker", ["stays", "dies too"])
def test_conmon_dies(box, podman_root, worker):
    """#12: where conmon is killed, and the worker with it, the job's true end is told all the same, and nothing is left."""
    jobs = {end: box.world.submit(argv=("sh", "-c", GATE + end)) for end in ENDS}
    launched = [box.started(job).attempts[0].launch for job in jobs.values()]
    conmons = [stray for stray in box.strays() if stray.kind == "conmon"]
    assert len(conmons) == len(jobs)
    for conmon in conmons:
        os.kill(conmon.pid, signal.SIGKILL)
    poll_until(lambda: not box.strays(), "no conmon lives")
    if worker == "dies too":
        box.kill()
    for job in jobs.values():
        (box.world.host.data.checkpoint(job.id) / "gate").touch()
    if worker == "dies too":
        assert all(evidence.wait_end(launch, 30) for launch in launched)
        box.start()

    told = {}
    for end, job in jobs.items():
        (attempt,) = box.ended(job).attempts
        outcome = attempt.outcome
        told[end] = (outcome.state, outcome.code, outcome.signal, outcome.failure)
    assert told == ENDS
    launcher = PodmanLauncher(env=podman_root.env, clock=Clock())
    assert launcher.leftovers(box.world.host.data.folder / "jobs") == []


def test_out_of_memory(box, image_busybox):
    """#13: whoever went over the limit, PID 1 too, it is told with the limit and a way out, and not tried again."""
    asks = {"resources": Resources(memory=64 * MIB), "retries": 2}
    jobs = {what: box.world.submit(argv=("sh", "-c", line), **asks) for what, line in EATS.items()}
    jobs["by a shell"] = box.world.submit(argv=("sh", "-c", EATS["main"]), image=image_busybox, **asks)

    for what, job in jobs.items():
        (attempt,) = box.ended(job).attempts
        outcome = attempt.outcome
        assert (what, outcome.state, outcome.failure, outcome.oom) == (what, State.FAILED, "resource", True)
        assert outcome.reason.startswith("out of memory: it was given 64.0 MiB"), what
        assert "--memory" in outcome.hint
    assert box.queue.get(jobs["child"].id).outcome.code == 3
    assert "the whole container" in box.queue.get(jobs["first"].id).outcome.reason
