"""The worker of a host for its admins: told, started, stopped, drained and resumed, with real worker processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest

from fetchml_core.errors import DeniedError, FetchError
from fetchml_core.jobs.states import State
from fetchml_core.permission.policy import Identity
from fetchml_core.service import worker_admin
from fetchml_core.service.drain import Drain, read_drain, remove_drain, write_drain
from fetchml_core.service.worker_info import worker_alive
from fetchml_core.service.workers import ensure_worker, stop_worker
from fetchml_core.wire.jobs import ListRequest, ShowRequest, SubmitRequest
from fetchml_core.wire.verbs import Nothing
from fetchml_core.wire.worker import WorkerDrainRequest, WorkerInfo, WorkerStopRequest
from tests.core.service.support import AUDIT, Talk, World
from tests.core.worker.support import sweep
from tests.support.wait import poll_until

GATE = "echo ready; while ! [ -e $FETCHML_CHECKPOINT_DIR/gate ]; do sleep 0.05; done; exit 4"
STUBBORN = "trap 'cat $FETCHML_STOP_FILE' TERM; echo ready; while :; do sleep 0.05; done"
ANNA = Identity("anna", admin=True)


@pytest.fixture
def host(tmp_path):
    """A host on which nothing runs; what the test starts ends with it."""
    made = World(tmp_path / "base", server=AUDIT)
    yield made
    stop_worker(made.host)
    sweep(made)


def submit(world, line=GATE, **fields):
    """Submit as a client does."""
    spec = world.spec(argv=("sh", "-c", line), **fields)
    number = sum(world.host.queue.counts().values())
    return world.ask("submit", SubmitRequest(f"key-{number}", spec))


def until_ready(world, job_id=1):
    """Wait until the job has begun."""
    log = world.host.data.attempt(job_id, 1).control / "log"
    poll_until(lambda: log.exists() and "ready" in log.read_text(), f"job {job_id} has begun")


def open_gate(world, job_id=1):
    """Let the job end."""
    (world.host.data.checkpoint(job_id) / "gate").touch()


def ended(world, job_id=1):
    """Wait until the job has ended; return it."""
    queue = world.host.queue
    poll_until(lambda: queue.get(job_id).state.final, f"job {job_id} has ended")
    return queue.get(job_id)


def process_of(world):
    """What is told of the worker's process."""
    return world.ask("worker-status", Nothing()).process


# --- status ---


def test_status_without_a_worker_starts_none(host):
    """Where things lie, and that nothing runs, also with a job that waits."""
    host.submit()
    before = host.everything()
    told = host.ask("worker-status", Nothing())

    assert (told.worker, told.process, told.jobs, told.queued) == (WorkerInfo(False), None, (), 1)
    assert (told.base, told.queue, told.data) == (
        str(host.host.base.folder),
        str(host.host.queue_path),
        str(host.host.data.folder),
    )
    assert host.everything() == before


def test_status_of_a_living_worker(host):
    """Its process, what it has read, what it holds and what it uses."""
    host.ask("worker-start", Nothing())
    submit(host)
    until_ready(host)
    told = host.ask("worker-status", Nothing())
    process = told.process

    assert (told.worker.id, told.worker.launcher, told.worker.drained) == ("box1", "process", None)
    assert [(job.id, job.state, job.user) for job in told.jobs] == [(1, "running", "local")]
    assert (process.service, process.slots, process.protocol) == (True, 2, 1)
    assert Path(process.build, "fetchml_core").is_dir()
    assert process.config == str(host.host.base.folder / "worker.yaml")
    assert 0 < process.started_at - 1 < process.beat_at < told.now + 1  # a file system has a clock of its own
    assert process.memory > 1 << 20
    assert process.cpu_s > 0
    assert Path(f"/proc/{process.pid}").exists()


def test_the_use_of_a_process_that_is_gone_is_not_known(tmp_path):
    """Nor is that of one whose figures cannot be read: None, no error."""
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "stat").write_text("7 (a) b) S 1 2")

    assert worker_admin._usage(8, tmp_path) == (None, None)
    assert worker_admin._usage(7, tmp_path) == (None, None)


# --- start and stop ---


def test_start_is_for_good(host):
    """A worker that runs as a service is left alone by a second start."""
    first = host.ask("worker-start", Nothing())
    pid = process_of(host).pid
    second = host.ask("worker-start", Nothing())

    assert (first.started, second.started) == (True, False)
    assert first.worker.alive
    assert process_of(host).pid == pid


def test_start_replaces_one_on_demand_and_its_job_goes_on(host):
    """One attempt, one run, and the worker stays now."""
    submit(host)
    until_ready(host)
    before = process_of(host)
    host.ask("worker-start", Nothing())
    after = process_of(host)
    open_gate(host)
    job = ended(host)

    assert (before.service, after.service) == (False, True)
    assert before.pid != after.pid
    assert (job.outcome.code, len(job.attempts)) == (4, 1)


def test_stop_leaves_the_jobs_to_the_next_worker(host):
    """They are named; the worker that is started next takes them up."""
    submit(host)
    until_ready(host)
    reply = host.ask("worker-stop", WorkerStopRequest())

    assert (reply.stopped, reply.running, reply.cancelled) == (True, (1,), ())
    assert not worker_alive(host.host)
    assert host.host.queue.get(1).state is State.RUNNING
    host.ask("worker-start", Nothing())
    open_gate(host)
    assert (ended(host).outcome.code, len(host.host.queue.get(1).attempts)) == (4, 1)


def test_stop_where_none_runs(host):
    """It is done already."""
    assert host.ask("worker-stop", WorkerStopRequest()).stopped is False


def test_stop_with_cancel_ends_the_jobs_first(host):
    """Signal, grace, kill; the job reads why; the host is not drained afterwards."""
    submit(host, STUBBORN)
    until_ready(host)
    reply = host.ask("worker-stop", WorkerStopRequest(cancel=True, reason="new disk"), identity=ANNA)
    job = host.host.queue.get(1)

    assert (reply.stopped, reply.running, reply.cancelled) == (True, (), (1,))
    assert (job.state, job.outcome.signal) == (State.CANCELLED, signal.SIGKILL)
    assert job.outcome.reason == "by anna: the worker was stopped: new disk"
    log = host.host.data.attempt(1, 1).control / "log"
    assert "the worker was stopped: new disk" in log.read_text()
    assert read_drain(host.host.base) is None
    assert not worker_alive(host.host)


@pytest.mark.parametrize("cancel", [False, True])
def test_stop_tells_what_stays_queued(host, cancel):
    """Jobs that wait have no worker afterwards; where the host is drained they wait for the end of that."""
    submit(host)
    submit(host)
    until_ready(host, 2)
    submit(host)
    first = host.ask("worker-stop", WorkerStopRequest(cancel))
    host.ask("worker-drain", WorkerDrainRequest())
    second = host.ask("worker-stop", WorkerStopRequest(cancel))

    assert [(reply.queued, reply.drained) for reply in (first, second)] == [(1, False), (1, True)]


def test_a_job_submitted_while_the_others_are_cancelled_gets_a_worker(host):
    """Stopping takes its time; who submits meanwhile need not look again."""
    submit(host, STUBBORN)
    until_ready(host)
    stopping = threading.Thread(
        target=host.ask, args=("worker-stop", WorkerStopRequest(cancel=True)), daemon=True
    )
    stopping.start()
    poll_until(lambda: read_drain(host.host.base), "the stop has begun")
    submit(host, "exit 5")
    stopping.join(30)

    assert ended(host, 2).outcome.code == 5


def test_stop_with_cancel_leaves_a_drain_as_it_was(host):
    """A host that was drained before is drained afterwards, by whom it was."""
    write_drain(host.host.base, Drain("bob", "broken fan", 7.0))
    host.ask("worker-stop", WorkerStopRequest(cancel=True))

    assert read_drain(host.host.base) == Drain("bob", "broken fan", 7.0)


def test_a_submit_during_a_stop_starts_the_next_worker(host):
    """The worker that is told to end holds its lock until it has: who submits then waits for that, and starts one."""
    host.ask("worker-start", Nothing())
    pid = process_of(host).pid
    os.kill(pid, signal.SIGSTOP)  # it cannot end yet
    stopping = threading.Thread(target=stop_worker, args=(host.host,), daemon=True)
    stopping.start()
    poll_until(lambda: _is_locked(host.host.base.start_lock), "the stop has begun")
    submitting = threading.Thread(target=submit, args=(host, "exit 5"), daemon=True)
    submitting.start()
    poll_until(lambda: host.host.queue.counts()[State.QUEUED], "the job is queued")
    os.kill(pid, signal.SIGCONT)
    stopping.join(30)
    submitting.join(30)

    assert worker_alive(host.host)
    assert ended(host).outcome.code == 5


def _is_locked(path):
    import fcntl

    with path.open("r+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


# --- drain and resume ---


def test_a_drain_lets_jobs_end_and_starts_none(host):
    """The running one ends with its true outcome, the worker with it; the queued one says why it waits."""
    submit(host)
    until_ready(host)
    reply = host.ask("worker-drain", WorkerDrainRequest("new GPU"), identity=ANNA)
    taken = submit(host, "exit 5")
    open_gate(host)

    assert (reply.drained.by, reply.drained.reason, reply.running, reply.alive) == (
        "anna",
        "new GPU",
        (1,),
        True,
    )
    assert ended(host).outcome.code == 4
    poll_until(lambda: not worker_alive(host.host), "the worker has ended")
    listed = host.ask("list", ListRequest())
    why = "the worker is drained by anna: new GPU"
    assert taken.notes == (f"{why}; the job waits until ml worker resume",)
    assert listed.why == {"2": why}
    assert host.ask("show", ShowRequest("2")).why == why
    assert (listed.worker.alive, listed.worker.drained.by) == (False, "anna")
    assert host.host.queue.get(2).state is State.QUEUED

    assert host.ask("worker-resume", Nothing()).drained.reason == "new GPU"
    assert ended(host, 2).outcome.code == 5


class Staying(Talk):
    """A client that waits as long as it takes."""

    def gone(self, seconds, also=-1):
        """Let a while go by."""
        time.sleep(0.05)
        return False


def test_a_drain_waits_where_asked(host):
    """It answers when the worker has ended."""
    submit(host)
    until_ready(host)
    open_gate(host)
    talk = Staying()
    reply = host.ask("worker-drain", WorkerDrainRequest(wait=True), talk)

    assert reply.alive is False
    assert [(item.drained, item.running) for item in talk.items] == [(reply.drained, reply.running)]
    assert host.host.queue.get(1).outcome.code == 4


def test_a_client_that_leaves_does_not_end_the_drain(host):
    """It only hears no more of it."""
    submit(host)
    until_ready(host)
    reply = host.ask("worker-drain", WorkerDrainRequest(wait=True), Talk())

    assert reply.alive is True
    assert read_drain(host.host.base) is not None


def test_a_worker_that_died_while_it_drained_is_started_for_its_jobs(host):
    """What runs is seen to its end; what waits goes on waiting."""
    submit(host)
    until_ready(host)
    pid = process_of(host).pid
    host.ask("worker-drain", WorkerDrainRequest())
    submit(host, "exit 5")
    os.kill(pid, signal.SIGKILL)
    poll_until(lambda: not worker_alive(host.host), "it is dead")
    host.ask("list", ListRequest())
    open_gate(host)

    assert ended(host).outcome.code == 4
    poll_until(lambda: not worker_alive(host.host), "the worker has ended")
    assert host.host.queue.get(2).state is State.QUEUED


def test_a_drained_worker_is_not_started(host):
    """Neither by hand nor for a job; the hint is the line to type. Who drains again replaces the reason."""
    host.ask("worker-drain", WorkerDrainRequest("one"))
    host.ask("worker-drain", WorkerDrainRequest("two"))
    with pytest.raises(FetchError, match="worker-drained") as caught:
        host.ask("worker-start", Nothing())
    submit(host)

    assert caught.value.hint == "ml worker resume"
    assert "two" in caught.value.message
    assert not worker_alive(host.host)


def test_resume_starts_the_service_again(host):
    """One that ran until it was stopped does so after a drain, however often it was drained."""
    host.ask("worker-start", Nothing())
    host.ask("worker-drain", WorkerDrainRequest("one"))
    poll_until(lambda: not worker_alive(host.host), "the worker has ended")
    host.ask("worker-drain", WorkerDrainRequest("two"))
    host.ask("worker-resume", Nothing())

    assert process_of(host).service


def test_resume_before_the_worker_has_ended(host):
    """It claims again, and stays what it was."""
    host.ask("worker-start", Nothing())
    submit(host)
    until_ready(host)
    host.ask("worker-drain", WorkerDrainRequest())
    pid = process_of(host).pid
    host.ask("worker-resume", Nothing())
    submit(host, "exit 5")

    assert ended(host, 2).outcome.code == 5
    assert (process_of(host).pid, process_of(host).service) == (pid, True)


def test_resume_of_what_was_not_drained(host):
    """Nothing to do, and no worker where no job wants one."""
    reply = host.ask("worker-resume", Nothing())

    assert reply.drained is None
    assert not worker_alive(host.host)


def test_a_drain_that_cannot_be_read_is_one(host):
    """Better idle than against somebody's wish; resume mends it."""
    host.host.base.drain.write_text("{")
    told = host.ask("worker-status", Nothing()).worker.drained
    host.ask("worker-resume", Nothing())

    assert (told.by, "no JSON" in told.reason) == ("somebody", True)
    assert read_drain(host.host.base) is None


def test_a_drain_is_synced(tmp_path, mocker):
    """The file and its folder, when it begins and when it ends: a power cut forgets neither."""
    base = World(tmp_path / "base").host.base
    synced = []
    real = os.fsync
    mocker.patch(
        "os.fsync", side_effect=lambda fd: (synced.append(os.readlink(f"/proc/self/fd/{fd}")), real(fd))
    )
    write_drain(base, Drain("anna"))
    assert [Path(path).name.split(".")[1:2] or "run" for path in synced] == [["drain"], "run"]
    synced.clear()
    remove_drain(base)

    assert [Path(path).name for path in synced] == ["run"]


# --- who may ---


def test_cancelling_needs_the_right_to_cancel(host):
    """Whoever may drain but not end others' jobs drains nothing with --cancel."""
    submit(host)
    until_ready(host)
    operator = Identity("olga", granted=frozenset({"worker:admin", "jobs:update"}))
    with pytest.raises(DeniedError):
        host.ask("worker-drain", WorkerDrainRequest(cancel=True), identity=operator)

    assert read_drain(host.host.base) is None
    assert host.host.queue.get(1).state is State.RUNNING
    open_gate(host)


def test_the_trail_names_the_drain_and_each_job(host):
    """Who, what and why, before it is done."""
    submit(host, STUBBORN)
    until_ready(host)
    host.ask("worker-drain", WorkerDrainRequest("new GPU", cancel=True), identity=ANNA)
    lines = (host.host.base.folder / "audit.log").read_bytes().splitlines()
    told = [(one["user"], one["action"], one["object"]) for one in map(json.loads, lines)]

    assert told[-2:] == [
        ("anna", "worker:admin", "drain the worker: new GPU"),
        ("anna", "jobs:update", "cancel job 1"),
    ]
    ended(host)


def test_a_worker_that_does_not_end_is_named(host, mocker):
    """With the line that ends it for sure; whoever asks is not kept waiting for ever."""
    mocker.patch("fetchml_core.service.workers.END_WAIT_S", 0.2)
    ensure_worker(host.host)
    pid = process_of(host).pid
    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(FetchError, match="worker-stays") as caught:
            host.ask("worker-stop", WorkerStopRequest())
    finally:
        os.kill(pid, signal.SIGCONT)

    assert f"kill -9 {pid}" in caught.value.hint
    mocker.stopall()


def test_the_program_shares_the_way(host):
    """``fetchml-worker stop`` ends one that `ml worker start` began, and says where none runs."""
    import sys

    host.ask("worker-start", Nothing())
    argv = [sys.executable, "-m", "fetchml_core.worker.main", "stop", "--base", str(host.host.base.folder)]
    first = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=30)
    second = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=30)

    assert (first.returncode, first.stderr) == (0, "")
    assert (second.returncode, second.stderr) == (0, "no worker runs\n")
