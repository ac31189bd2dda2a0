"""Everything that can die on a host dies at random, under load; afterwards each job must have its one true outcome.

The jobs tell about themselves: what a job is to do stands in its arguments, so that also one whose submit was cut in
half can be judged; a job that finds another attempt of itself alive (an flock in its checkpoint folder) ends with 99.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import random
import signal
import subprocess
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path

from fetchml_core.clock import Clock
from fetchml_core.jobs.job import Job
from fetchml_core.jobs.states import State
from fetchml_core.launcher import strays
from fetchml_core.launcher.podman import PodmanLauncher
from fetchml_core.launcher.spec import name_prefix
from fetchml_core.queue.native import NativeQueue
from tests.support.leftovers import Process, processes_with
from tests.support.ml import VARIABLE, Ml
from tests.support.power import PowerDisk
from tests.support.wait import poll_until

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
OPEN_JOBS = 8
JOB = """
import fcntl, os, signal, sys, time
kind, number, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
box, attempt = os.environ["FETCHML_CHECKPOINT_DIR"], os.environ["FETCHML_ATTEMPT"]
alone = os.open(box + "/alone", os.O_RDWR | os.O_CREAT)
try:
    fcntl.flock(alone, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    sys.exit(99)
with open(box + "/began", "a") as file:
    file.write(attempt + "\\n")
print("attempt", attempt, flush=True)
if os.fork() == 0:  # what outlives the job must not outlive the container
    os.setsid()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.closerange(alone, alone + 1)
    time.sleep(3600)
time.sleep(seconds)
with open(os.environ["FETCHML_RESULTS"] + "/made", "w") as file:
    file.write(attempt)
if kind == "signal":
    os.kill(os.getpid(), number)
sys.exit(number)
"""
KINDS = (("exit", 0), ("exit", 0), ("exit", 7), ("signal", signal.SIGSEGV), ("forever", 0))
WORKER = """launcher: podman
worker_id: box1
max_workers: 4
max_retries: 100
graceful_timeout: 1s
heartbeat_interval: 2s
podman_image: {image}
resources:
  podman_cpus: '0.5'
  podman_memory: 128m
"""


class Chaos:
    """One host whose base lies on a disk of its own, clients that keep it busy, and what goes wrong there."""

    def __init__(self, ml: Ml, disk: PowerDisk, env: dict[str, str], image: str, seed: int) -> None:
        self.ml, self.disk, self.env = ml, disk, env
        self.chance = random.Random(seed)
        self.base = disk.folder / "base"
        self.base.mkdir(mode=0o700)
        (self.base / "worker.yaml").write_text(WORKER.format(image=image))
        os.sync()
        ml.home.profile(f'[server]\nworker_base = "{self.base}"\n')
        (ml.cwd / "job.py").write_text(JOB)
        self.accepted: list[int] = []
        self.done: dict[str, int] = {}
        self._device = _device(self.base)
        self._prefix = name_prefix(self.base / "data" / "jobs")
        self._over = threading.Event()
        self._clients = [threading.Thread(target=self._submit_and_look, args=(n,)) for n in range(2)]
        self._boot_id = ml.cwd / "boot_id"
        self._new_boot_id()
        subprocess.run(["mount", "--bind", str(self._boot_id), str(BOOT_ID)], check=True)

    # --- the clients ---

    def _submit_and_look(self, number: int) -> None:
        chance = random.Random(number)
        while not self._over.is_set():
            with contextlib.suppress(subprocess.TimeoutExpired):
                for _ in range(self._open(), OPEN_JOBS, len(self._clients)):
                    self._submit(chance)
            self._over.wait(0.1)

    def _submit(self, chance: random.Random) -> None:
        kind, number = chance.choice(KINDS)
        seconds = 3600 if kind == "forever" else chance.choice((0, 0, 0.5, 3))
        words = ("job.py", "--only", "--", kind, str(int(number)), str(seconds))
        submitted = self.ml.run("submit", "-q", *words)
        if submitted.returncode == 0:
            self.accepted.append(int(submitted.stdout))
        if submitted.returncode == 0 and kind == "forever":
            poll_until(lambda: self._cancelled(submitted.stdout.strip()), "a cancel", timeout=300)

    def _cancelled(self, job: str) -> bool:
        return self.ml.run("cancel", job).returncode == 0

    def _open(self) -> int:
        """Return how many jobs have not ended; many where nobody can tell."""
        listed = self.ml.run("status", "-a", "--json")
        if listed.returncode != 0:
            return OPEN_JOBS
        return sum(not job["final"] for job in json.loads(listed.stdout)["jobs"])

    # --- what goes wrong ---

    def run(self, seconds: float) -> None:
        """Let things go wrong for so long, then let all jobs end."""
        for client in self._clients:
            client.start()
        faults = (
            *3 * (self.kill_worker, self.kill_agent, self.kill_conmon, self.kill_container, self.kill_run),
            self.end_worker,
            self.freeze_worker,
            self.lose_disk,
            self.reboot,
        )
        try:
            for fault in (self.lose_disk, self.reboot):  # never left out, and never while nothing runs
                poll_until(lambda: self._workers() and self._podmans("conmon"), "jobs run", timeout=120)
                self._do(fault)
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                time.sleep(self.chance.uniform(0, 1.5))
                self._do(self.chance.choice(faults))
        finally:
            self._over.set()
            for client in self._clients:
                client.join()

    def _do(self, fault) -> None:
        name = fault.__name__
        logging.getLogger().info("%s", name)
        if fault():
            self.done[name] = self.done.get(name, 0) + 1

    def kill_worker(self) -> bool:
        """As the kernel does for want of memory."""
        return kill(self._workers())

    def end_worker(self) -> bool:
        """As an upgrade does."""
        return kill(self._workers(), signal.SIGTERM)

    def freeze_worker(self) -> bool:
        """As a suspend does, or a disk that hangs."""
        frozen = self._workers()
        kill(frozen, signal.SIGSTOP)
        time.sleep(self.chance.uniform(0, 5))
        kill(frozen, signal.SIGCONT)
        return bool(frozen)

    def kill_agent(self) -> bool:
        """One of those that serve the clients just now."""
        return self._kill_one(self._agents)

    def kill_conmon(self) -> bool:
        """The monitor of one container."""
        return self._kill_one(lambda: self._podmans("conmon"))

    def kill_run(self) -> bool:
        """A launch."""
        return self._kill_one(lambda: self._podmans("run"))

    def kill_container(self) -> bool:
        """The first process of one container, and with it the whole."""
        return self._kill_one(lambda: children(self._podmans("conmon")))

    def lose_disk(self) -> bool:
        """The file system under the base is shut down, and mounted again; whoever holds it has to let go."""
        self.disk.shut_down()
        time.sleep(self.chance.uniform(0, 2))
        kill(self._agents())
        self._unmount()
        time.sleep(self.chance.uniform(0, 2))
        self._mount()
        return True

    def reboot(self) -> bool:
        """The power fails: no process is left, what was not synced is gone, and the kernel has another boot id."""
        self.disk.shut_down()
        kill([*self._workers(), *self._agents()])
        self._unmount()
        self._mount()
        self._new_boot_id()
        return True

    def _unmount(self) -> None:
        """End all containers of the base, as an admin does who wants to unmount, and wait for the worker to let go."""
        poll_until(self._empty, "the containers have ended", timeout=60)
        self.disk.unmount(timeout=120)

    def _mount(self) -> None:
        self.disk.mount()
        self._device = _device(self.base)

    def _empty(self) -> bool:
        """Kill what runs in containers, or is about to; say whether there was nothing."""
        pids = self._podmans("conmon", "run")
        return not kill([*children(pids), *pids, *self._inside()])

    def _kill_one(self, find: Callable[[], list[int]]) -> bool:
        """Wait a moment for such a process, and kill one; say whether there was one."""
        end = time.monotonic() + 3
        while not (found := find()) and time.monotonic() < end:
            time.sleep(0.02)
        return kill(self.chance.sample(found, 1) if found else [])

    def _inside(self) -> list[int]:
        """Return the processes that have the disk mounted in a namespace of their own."""
        found, own = [], os.readlink("/proc/self/ns/mnt")
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if os.readlink(entry / "ns/mnt") != own and self._device in (entry / "mountinfo").read_text():
                    found.append(int(entry.name))
        return found

    def _new_boot_id(self) -> None:
        self._boot_id.write_text(f"{uuid.uuid4()}\n")

    def _workers(self) -> list[int]:
        return [one.pid for one in self._ours() if "fetchml_core.worker.main" in one.command]

    def _agents(self) -> list[int]:
        return [one.pid for one in self._ours() if " -E -s -c " in one.command]

    def _ours(self) -> list[Process]:
        return processes_with(VARIABLE, self.ml.id)

    def _strays(self) -> list[strays.Stray]:
        return strays.find(lambda name: name.startswith(self._prefix))

    def _podmans(self, *kinds: str) -> list[int]:
        return [stray.pid for stray in self._strays() if stray.kind in kinds]

    # --- afterwards ---

    def settle(self, seconds: float) -> list[Job]:
        """Wait until all jobs have ended, as somebody who looks at them now and then; return them."""

        def over() -> bool:
            jobs = self._jobs()
            for job in jobs:
                if job.spec.argv[-3] == "forever" and not job.state.final:
                    self.ml.run("cancel", str(job.id))
            self.ml.run("status")
            return all(job.state.final for job in jobs)

        poll_until(over, "all jobs have ended", timeout=seconds)
        return self._jobs()

    def _jobs(self) -> list[Job]:
        return list(NativeQueue(self.base / "data" / "queue", Clock()).jobs())

    def worker_log(self) -> str:
        """Return what the workers printed; the end of it is what counts."""
        with contextlib.suppress(OSError):  # it may lie on a disk that was not found again
            return (self.base / "run" / "worker.log").read_text()[-20_000:]
        return ""

    def end(self) -> None:
        """End what runs."""
        self._over.set()
        kill([*self._workers(), *self._agents()])
        self._empty()
        subprocess.run(["umount", str(BOOT_ID)], check=True)

    def left(self) -> list[str]:
        """Return what is left of the jobs on the host."""
        launcher = PodmanLauncher(env=self.env, clock=Clock())
        found = [str(one) for one in launcher.leftovers(self.base / "data" / "jobs")]
        found += [f"process {pid} holds the disk" for pid in self._inside()]
        found += [str(stray) for stray in self._strays()]
        return found + [str(path) for path in (self.base / "data" / "jobs").glob("*/*/workspace")]

    def wrong(self, job: Job) -> str:
        """Return what is wrong with how a job ended; empty where nothing is."""
        kind, number, _ = job.spec.argv[-3:]
        folder = self.base / "data" / "jobs" / str(job.id)
        began = (
            (folder / "checkpoint" / "began").read_text().split()
            if (folder / "checkpoint" / "began").exists()
            else []
        )
        if len(began) != len(set(began)):
            return f"an attempt began twice: {began}"
        if kind == "forever":
            return "" if job.state is State.CANCELLED else f"{job.state}: {job.outcome}"
        code, number = (int(number), None) if kind == "exit" else (None, int(number))
        state = State.SUCCEEDED if code == 0 else State.FAILED
        if job.outcome is None or (job.state, job.outcome.code, job.outcome.signal) != (state, code, number):
            return f"{job.state}: {job.outcome}"
        if kind == "exit" and not (folder / str(len(job.attempts)) / "results" / "made").exists():
            return "its results are gone"
        return ""


def _device(folder: Path) -> str:
    """Return the words by which tables of mounts name the disk of a folder."""
    number = folder.stat().st_dev
    return f" {os.major(number)}:{os.minor(number)} /base/"


def kill(pids: list[int], number: int = signal.SIGKILL) -> bool:
    """Send a signal to processes that may have ended; say whether there were any."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
    return bool(pids)


def children(pids: list[int]) -> list[int]:
    """Return the children of processes."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            if parent in pids:
                found.append(int(entry.name))
    return found
