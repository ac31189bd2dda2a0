"""A pid is used again: what a record names is our worker or our job only if nothing else could be."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from pathlib import Path

import pytest

from fetchml_core.clock import Clock
from fetchml_core.jobs.job import Launched, Lease
from fetchml_core.jobs.states import State
from fetchml_core.launcher import evidence
from fetchml_core.launcher.process import ProcessLauncher
from fetchml_core.queue.base import Started
from fetchml_core.service.worker_info import worker_alive, worker_info
from fetchml_core.worker.main import main
from tests.core.service.support import WORKER_FILE, World
from tests.core.worker.support import Serving, sweep

ENGINES = ("native", "sqlite", "filesystem")
RECORDS = 1_000


@pytest.fixture
def stranger():
    """A process that has nothing to do with us; it must outlive the test."""
    process = subprocess.Popen(["sleep", "600"])
    yield process
    lived = process.poll() is None
    process.kill()
    process.wait()
    assert lived, "a process that is not ours was ended"


@pytest.fixture(params=ENGINES)
def world(request, tmp_path):
    """A host with a queue of each engine."""
    made = World(tmp_path / "base", worker=f"{WORKER_FILE}queue:\n  type: {request.param}\n")
    yield made
    sweep(made)


def launched(process, ticks=1):
    """A launch whose pid *process* has got by now; it began so many ticks later."""
    stat = evidence.read_stat(process.pid)
    return Launched("process", pid=process.pid, start_ticks=stat.start_ticks - ticks)


def write_record(world, pid, *, ticks=1, boot_id=""):
    """Leave the record of a worker that had *pid*, and began so many ticks before who has it now."""
    began = evidence.read_stat(pid).start_ticks
    world.write_record(pid=pid, start_ticks=began - ticks, boot_id=boot_id or Clock().boot().boot_id)


def test_a_foreign_process_is_never_our_job(stranger, tmp_path):
    """#9: an attempt whose pid somebody else has got by now does not live; it gets no signal and is not waited for."""
    launcher = ProcessLauncher(env={}, clock=Clock())
    for ticks in (*range(1, RECORDS // 2), *range(-RECORDS // 2, 0)):
        old = launched(stranger, ticks)
        assert not launcher.alive(old)
        assert launcher.open_pidfd(old) is None
        assert not launcher.signal(old, signal.SIGKILL)
        assert launcher.kill(old)
    launcher.clean(old, tmp_path / "attempt", tmp_path / "checkpoint")

    assert launcher.alive(launched(stranger, 0))


def test_a_record_is_no_sign_of_a_worker(world, stranger):
    """#9: a record that names a living process says nothing while nobody holds the lock."""
    for pid in (stranger.pid, os.getpid(), 1):
        write_record(world, pid)
        assert not worker_alive(world.host)
        assert not worker_info(world.host).alive


def test_stop_leaves_a_foreign_process_alone(world, stranger, capsys):
    """#9: nothing is ended by the pid in a record that a dead worker has left."""
    write_record(world, stranger.pid)

    assert main(["stop", "--base", str(world.host.base.folder)]) == 0
    assert "no worker runs" in capsys.readouterr().err


@pytest.mark.parametrize(
    "old", [{"ticks": 1}, {"ticks": 0, "boot_id": "the-boot-before"}], ids=["pid", "boot"]
)
def test_stop_waits_for_the_record_of_the_worker_that_lives(tmp_path, old):
    """#9: a worker that has just begun holds the lock, and the record still names the pid of the one before it."""
    world = World(tmp_path / "base")
    foreign = subprocess.Popen(["sleep", "600"])
    write_record(world, foreign.pid, **old)
    options = ["stop", "--base", str(world.host.base.folder)]
    try:
        with world.worker_lives():
            stop = threading.Thread(target=main, args=(options,), daemon=True)
            stop.start()
            stop.join(0.5)
        stop.join(10)
        assert foreign.poll() is None
    finally:
        foreign.kill()
        foreign.wait()


def test_stop_ends_the_worker_that_writes_its_record_late(tmp_path):
    """#9: the record of the one before is passed over; the one that lives writes its own, and is ended by it."""
    world = World(tmp_path / "base")
    before, now = (subprocess.Popen(["sleep", "600"]) for _ in range(2))
    write_record(world, before.pid)
    options = ["stop", "--base", str(world.host.base.folder)]
    try:
        with world.worker_lives():
            stop = threading.Thread(target=main, args=(options,), daemon=True)
            stop.start()
            stop.join(0.2)
            write_record(world, now.pid, ticks=0)
            assert now.wait(10) == -signal.SIGTERM
        stop.join(10)
        assert before.poll() is None
    finally:
        for process in (before, now):
            process.kill()
            process.wait()


@pytest.mark.parametrize("worker", ["box1", "box2"])
def test_an_attempt_whose_pid_was_used_again_is_lost(world, stranger, worker):
    """#9: a job that a worker left is tried again when its pid has become somebody else's, and runs once."""
    line = "echo ran >>$FETCHML_CHECKPOINT_DIR/ran"
    job = world.submit(argv=("sh", "-c", line))
    over = Lease(worker, Clock().boot().boot_id, 0.0)
    world.host.queue.claim(lambda jobs: jobs[0], over)
    world.host.queue.advance(job.id, 1, Started(launched(stranger), over))
    serving = Serving(world)
    try:
        job = serving.ended(job)
    finally:
        serving.leave()

    assert [attempt.outcome.state for attempt in job.attempts] == [State.LOST, State.SUCCEEDED]
    assert Path(world.host.data.checkpoint(job.id), "ran").read_text() == "ran\n"
