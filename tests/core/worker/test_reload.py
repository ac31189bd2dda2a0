"""SIGHUP: what may change while jobs run does, a bad file changes nothing, and what stays is named."""

from __future__ import annotations

import json
import os
import signal
import subprocess

import pytest
from attrs import evolve, fields, has

from fetchml_core.config.worker import WorkerConfig
from fetchml_core.jobs.states import State
from fetchml_core.places import own_command
from fetchml_core.wire.jobs import CancelRequest
from fetchml_core.wire.verbs import Nothing
from fetchml_core.worker.reload import CHANGES, reloaded
from tests.core.service.support import WORKER_FILE
from tests.support.wait import poll_until

MAY_CHANGE = {*CHANGES, "resources.max_workers", "sandbox.network", "logging.level"}
STUBBORN = "trap '' TERM; echo ready; while :; do sleep 0.05; done"


def options(record, before=()):
    """The path of every option below *record*."""
    for field in fields(type(record)):
        value = getattr(record, field.name)
        nested = has(type(value)) and fields(type(value))
        yield from options(value, (*before, field.name)) if nested else [(*before, field.name)]


def get(record, path):
    """The value at *path*."""
    for name in path:
        record = getattr(record, name)
    return record


def put(record, path, value):
    """*record* with *value* at *path*."""
    name, *rest = path
    return evolve(record, **{name: put(getattr(record, name), rest, value) if rest else value})


@pytest.mark.parametrize("path", list(options(WorkerConfig())), ids=".".join)
def test_each_option_changes_or_is_kept_and_named(path):
    """There is no third."""
    now = WorkerConfig()
    merged, kept = reloaded(now, put(now, path, "another"))

    if ".".join(path) in MAY_CHANGE:
        assert (get(merged, path), kept) == ("another", ())
    else:
        assert (merged, kept) == (now, (".".join(path),))


@pytest.fixture
def worker(world):
    """A worker process, its log, and how it is told to read its file again."""
    base = world.host.base.folder
    log = base / "worker.log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            own_command("fetchml_core.worker.main", "run", "--base", str(base)),
            env=dict(os.environ),
            stdout=file,
            stderr=file,
        )
    poll_until(lambda: world.ask("worker-status", Nothing()).worker.launcher, "it serves")

    def read_again(text: str, told: str) -> str:
        before = log.stat().st_size
        (base / "worker.yaml").write_text(text)
        process.send_signal(signal.SIGHUP)
        poll_until(lambda: told in log.read_bytes()[before:].decode(), f"its log says {told!r}")
        return log.read_bytes()[before:].decode()

    yield read_again
    process.terminate()
    process.wait(30)


def process_of(world):
    """What is told of the worker's process."""
    return world.ask("worker-status", Nothing()).process


def test_what_may_change_counts_at_once(world, worker):
    """One slot becomes three: the jobs that waited start; the record tells when the file was read."""
    before = process_of(world)
    jobs = [world.submit(argv=("sh", "-c", STUBBORN)) for _ in range(3)]
    queue = world.host.queue
    poll_until(lambda: queue.counts()[State.RUNNING] == 2, "two run")
    worker(WORKER_FILE.replace("max_workers: 2", "max_workers: 3"), "was read again")
    poll_until(lambda: queue.counts()[State.RUNNING] == 3, "the third runs")
    after = process_of(world)

    assert (before.slots, after.slots, after.pid) == (2, 3, before.pid)
    assert after.read_at > before.read_at
    assert after.started_at == before.started_at
    for job in jobs:
        world.ask("cancel", CancelRequest((str(job.id),), now=True))
    poll_until(lambda: queue.counts()[State.CANCELLED] == 3, "they have ended")


def test_a_running_job_is_ended_by_the_new_times(world, worker):
    """The grace that counts is that of the file as it is now, also for a job that runs already."""
    worker(WORKER_FILE.replace("graceful_timeout: 1s", "graceful_timeout: 1h"), "was read again")
    job = world.submit(argv=("sh", "-c", STUBBORN))
    log = world.host.data.attempt(1, 1).control / "log"
    poll_until(lambda: log.exists() and "ready" in log.read_text(), "the job has begun")
    worker(WORKER_FILE, "was read again")
    world.ask("cancel", CancelRequest((str(job.id),)))
    poll_until(lambda: world.host.queue.get(job.id).state.final, "it has ended")

    assert world.host.queue.get(job.id).outcome.signal == signal.SIGKILL


def test_a_bad_file_changes_nothing(world, worker):
    """Its place is in the log, and the worker goes on as before."""
    before = process_of(world)
    said = worker(WORKER_FILE.replace("max_workers: 2", "max_workers: many"), "stays as it was")
    after = process_of(world)

    place = f"{world.host.base.folder / 'worker.yaml'}:2:14"
    assert place in said
    assert (after.slots, after.read_at) == (before.slots, before.read_at)
    assert (before.refused, after.refused.startswith(place)) == ("", True)
    assert after.refused_at >= after.read_at
    worker(WORKER_FILE, "was read again")
    assert process_of(world).refused == ""


def test_a_file_that_is_gone_changes_nothing(world, worker):
    """Defaults that nobody wrote are not taken over."""
    path = world.host.base.folder / "worker.yaml"
    said = worker("max_retries: 1\n", "kept until the worker is started anew")
    path.rename(path.with_name("away.yaml"))
    os.kill(process_of_record(world), signal.SIGHUP)
    log = world.host.base.folder / "worker.log"
    poll_until(lambda: "stays as it was" in log.read_text(), "it says so")

    assert "launcher" in said
    assert log.read_text().count("was read again") == 1


def process_of_record(world):
    """The worker's pid, where no door can tell it: their files say something else."""
    return json.loads(world.host.base.worker_record.read_bytes())["pid"]


def test_what_cannot_change_is_named_and_kept(world, worker):
    """Where the queue lies and how jobs are started stays until the next start."""
    said = worker(
        f"{WORKER_FILE.replace('launcher: process', 'launcher: podman')}base_path: /elsewhere\nqueue:\n  type: sqlite\n",
        "kept until",
    )

    assert "kept until the worker is started anew: base_path, launcher, queue.type" in said
    record = json.loads(world.host.base.worker_record.read_bytes())
    assert record["kept"] == ["base_path", "launcher", "queue.type"]


def test_the_level_of_the_log_changes(world, worker):
    """From error on nothing is said about a job that runs well."""
    log = world.host.base.folder / "worker.log"
    (world.host.base.folder / "worker.yaml").write_text(f"{WORKER_FILE}logging:\n  level: error\n")
    before = process_of(world).read_at
    os.kill(process_of(world).pid, signal.SIGHUP)
    poll_until(lambda: process_of(world).read_at > before, "it was read again")
    length = log.stat().st_size
    job = world.submit(argv=("true",))
    poll_until(lambda: world.host.queue.get(job.id).state.final, "it has ended")

    assert log.read_bytes()[length:] == b""
