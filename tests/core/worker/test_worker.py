"""The worker with a real process launcher: jobs run, stop, are taken up in every phase, and never run twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from attrs import evolve

from fetchml_core.clock import Clock
from fetchml_core.convert import to_data
from fetchml_core.errors import HostError, explain_os_error
from fetchml_core.fsio import replace_file, try_lock
from fetchml_core.jobs.job import Launched, Lease, Stop
from fetchml_core.jobs.retries import FIRST_S
from fetchml_core.jobs.states import State
from fetchml_core.launcher.evidence import read_stat
from fetchml_core.launcher.process import ProcessLauncher
from fetchml_core.places import own_command
from fetchml_core.queue.base import Pause, Started, Stored
from fetchml_core.service.drain import Drain, remove_drain, write_drain
from fetchml_core.service.limits import JobLimits
from fetchml_core.service.show import last_metrics
from fetchml_core.service.worker_info import WorkerRecord, worker_alive
from fetchml_core.worker import preparation
from fetchml_core.worker import worker as module
from fetchml_core.worker.main import main
from tests.core.service.support import WORKER_FILE, World
from tests.core.worker.support import Serving, ShiftedClock, sweep
from tests.support.wait import poll_until

RAN = "echo ran >>$FETCHML_CHECKPOINT_DIR/ran"
SLEEPER = f"{RAN}; echo ready; while :; do sleep 0.1; done"
POLITE = "trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.05; done"
STUBBORN = "trap '' TERM; echo ready; while :; do sleep 0.05; done"


def script(line):
    """The command for a shell line."""
    return ("sh", "-c", line)


def runs(world, job):
    """How often a job began."""
    path = world.host.data.checkpoint(job.id) / "ran"
    return len(path.read_text().splitlines()) if path.exists() else 0


def log_of(world, job, attempt=1):
    """What an attempt printed."""
    return (world.host.data.attempt(job.id, attempt).control / "log").read_text()


# --- one job ---


def test_a_job_runs_to_its_end(world, serve):
    """Its code runs in its own copy, its results and metrics stay, the copy does not."""
    line = "cat ../train.py; pwd; echo 1 >$FETCHML_RESULTS/model; echo FETCHML_METRIC loss=0.5 step=2"
    job = serve().ended(world.submit(argv=script(line), cwd="data"))
    places = world.host.data.attempt(1, 1)

    assert (job.state, job.outcome.code, job.attempt.worker) == (State.SUCCEEDED, 0, "box1")
    assert log_of(world, job).splitlines()[-2:] == [
        str(places.workspace / "data"),
        "FETCHML_METRIC loss=0.5 step=2",
    ]
    assert (places.results / "model").read_text() == "1\n"
    assert [(metric.key, metric.value, metric.step) for metric in last_metrics(places.metrics)] == [
        ("loss", 0.5, 2)
    ]
    assert not places.workspace.exists()
    assert job.attempt.launch.not_enforced
    assert not serve_alive(job)


def serve_alive(job):
    """Whether the init of a job lives."""
    return ProcessLauncher(env={}, clock=Clock()).alive(job.attempt.launch)


@pytest.mark.parametrize(
    ("line", "state", "code", "signal_number"),
    [
        ("exit 3", State.FAILED, 3, None),
        ("kill -SEGV $$", State.FAILED, None, 11),
        ("true", State.SUCCEEDED, 0, None),
    ],
)
def test_the_true_end_is_recorded(world, serve, line, state, code, signal_number):
    """Exit code and signal are the job's."""
    job = serve().ended(world.submit(argv=script(line)))

    assert (job.state, job.outcome.code, job.outcome.signal) == (state, code, signal_number)
    assert len(job.attempts) == 1


def test_what_a_job_leaves_lies_in_folders_that_last(world, serve, mocker):
    """A power cut after the outcome was recorded takes none of their names; the job did not wait for that."""
    running = threading.Event()
    synced = []

    def sync(folder):
        assert running.wait(10)
        assert not world.host.queue.get(1).state.final
        synced.append(folder)

    mocker.patch("fetchml_core.worker.preparation.sync_folder", sync)
    job = world.submit(argv=script("echo ready; sleep 0.2"))
    serving = serve()
    serving.printed(job, "ready")
    running.set()
    serving.ended(job)

    places = world.host.data.attempt(1, 1)
    assert synced == [world.host.data.jobs, world.host.data.job(1), places.folder]


def test_folders_that_cannot_be_kept_end_the_job(world, serve, mocker):
    """Hours of work whose results the disk will not keep are not begun."""
    mocker.patch("fetchml_core.worker.preparation.sync_folder", side_effect=OSError(5, os.strerror(5)))
    job = serve().ended(world.submit(argv=script(STUBBORN)))

    assert (job.state, job.outcome.failure) == (State.FAILED, "unknown")
    assert "Input/output error" in job.outcome.reason
    assert not serve_alive(job)


def test_folders_that_cannot_be_kept_end_no_job_that_runs_already(world, serve, mocker, caplog):
    """What a worker before this one began goes on, and the log tells."""
    job = world.submit(argv=script("sleep 0.5"))
    launch_by_hand(world, job)
    mocker.patch("fetchml_core.worker.preparation.sync_folder", side_effect=OSError(5, os.strerror(5)))
    job = serve().ended(job)

    assert (job.state, len(job.attempts)) == (State.SUCCEEDED, 1)
    assert "could not keep the job's folders: Input/output error" in caplog.text


def test_the_workers_own_changes_are_no_news(world, serve, mocker):
    """What a runner records wakes the worker and costs no look at the jobs; what somebody else changes before it does."""
    serving, queue = serve(), world.host.queue
    job = world.submit(argv=script("echo ready; sleep 60"))
    serving.printed(job, "ready")
    worker = serving.worker
    worker._turn()
    look = mocker.spy(worker, "_held")

    worker._advance(queue.get(job.id), Stop("its runner"))
    worker._sleep()
    worker._turn()
    assert look.call_count == 0

    queue.stop(job.id, Stop("anna", now=True))
    worker._note_own(queue.hold(world.submit(argv=script("true"), key="2").id))
    worker._sleep()
    worker._turn()
    assert look.call_count > 0
    assert serving.ended(job).state is State.CANCELLED


def test_a_queue_that_cannot_be_asked_is_not_asked_without_a_pause(world, serve, mocker):
    """Although the time at which a job may be tried again has come: it is asked again when the worker has slept."""
    worker = serve().worker
    worker._next_try = 0.0
    mocker.patch.object(world.host.queue, "revision", side_effect=HostError("queue-unreachable", "away"))
    worker._turn()
    poll = mocker.patch("select.poll")
    poll.return_value.poll.return_value = []
    worker._sleep()

    assert poll.return_value.poll.call_args.args[0] > 0


def test_a_failing_script_names_what_it_lacks(world, serve):
    """The hint comes from the end of its log."""
    line = "echo \"ModuleNotFoundError: No module named 'torch'\" >&2; exit 1"
    job = serve().ended(world.submit(argv=script(line)))

    assert "has no torch" in job.outcome.hint


def test_files_written_elsewhere_are_named(world, serve):
    """What is left in the workspace is gone, and said so."""
    job = serve().ended(world.submit(argv=script("echo 1 >lost.txt")))

    assert job.outcome.written_outside == ("lost.txt",)


def test_no_more_jobs_than_slots(world, serve):
    """Two slots: the third waits, and starts when one ends; higher priority goes first."""
    serving = serve()
    line = "echo ready; while ! [ -e $FETCHML_CHECKPOINT_DIR/stop ]; do sleep 0.05; done"
    jobs = [world.submit(argv=script(line), priority=priority) for priority in (5, 5, 1, 9)]
    queue = world.host.queue
    serving.until(lambda: sum(job.state is State.RUNNING for job in queue.jobs()) == 2)
    serving.worker._turn()

    assert [queue.get(job.id).state for job in jobs] == [
        State.RUNNING,
        State.QUEUED,
        State.QUEUED,
        State.RUNNING,
    ]
    (world.host.data.checkpoint(4) / "stop").touch()
    serving.until(lambda: queue.get(2).state is State.RUNNING)
    assert queue.get(3).state is State.QUEUED


def test_what_cannot_be_started_is_told_on_the_job(world, serve):
    """A snapshot whose blob was damaged on the disk: its data failed, and no further try would find it mended."""
    job = world.submit()
    for blob in world.host.data.blobs.glob("??/*"):
        blob.chmod(0o600)
        blob.write_bytes(b"x" * blob.stat().st_size)
    job = serve().ended(job)

    assert (job.state, job.outcome.failure) == (State.FAILED, "data")
    assert job.outcome.error in {"blob-damaged", "snapshot-unknown"}
    assert len(job.attempts) == 1


def test_an_image_needs_podman(world, serve):
    """Without a container an image is refused, not ignored."""
    job = serve().ended(world.submit(image="python:3"))

    assert job.outcome.error == "image-needs-podman"


# --- stopping ---


@pytest.mark.parametrize(
    ("line", "now", "state", "code", "signal_number"),
    [
        (POLITE, False, State.CANCELLED, 0, None),
        (STUBBORN, False, State.CANCELLED, None, signal.SIGKILL),
        (STUBBORN, True, State.CANCELLED, None, signal.SIGKILL),
    ],
)
def test_cancel(world, serve, line, now, state, code, signal_number):
    """Signal, grace, kill; at once with now. The true end is recorded beside the verdict."""
    serving = serve()
    job = world.submit(argv=script(line))
    serving.printed(job, "ready")
    begin = time.monotonic()
    world.ask("cancel", {"select": ["1"], "reason": "typo", "now": now})
    job = serving.ended(job)

    assert (job.state, job.outcome.code, job.outcome.signal) == (state, code, signal_number)
    assert job.outcome.reason == "by local: typo"
    if line == STUBBORN and not now:
        assert time.monotonic() - begin >= world.host.worker.graceful_timeout.seconds


def test_the_reason_reaches_the_job(world, serve):
    """STOP_FILE holds it before the signal comes."""
    serving = serve()
    line = "trap 'cat $FETCHML_STOP_FILE; exit 0' TERM; echo ready; while :; do sleep 0.05; done"
    job = world.submit(argv=script(line))
    serving.printed(job, "ready")
    world.ask("cancel", {"select": ["1"], "reason": "typo"})
    serving.ended(job)

    assert log_of(world, job).endswith("typo\n")


def test_a_sharper_wish_is_passed_on(world, serve):
    """--now after a cancel does not wait for the grace."""
    serving = serve()
    serving.host = evolve(
        serving.host, worker=evolve(serving.host.worker, graceful_timeout=evolve_seconds(600))
    )
    serving.worker._host = serving.host
    job = world.submit(argv=script(STUBBORN))
    serving.printed(job, "ready")
    world.ask("cancel", {"select": ["1"]})
    serving.until(lambda: (world.host.data.attempt(1, 1).control / "stop").exists())
    world.ask("cancel", {"select": ["1"], "now": True})

    assert serving.ended(job).outcome.signal == signal.SIGKILL


def evolve_seconds(seconds):
    """A duration of the configuration."""
    from fetchml_core.config.option import Duration

    return Duration(f"{seconds}s")


def test_the_time_limit_ends_a_job(world, serve):
    """By the same way as a cancel, and with a state of its own."""
    job = serve().ended(world.submit(argv=script(POLITE), time_limit=0.3))

    assert (job.state, job.outcome.code) == (State.TIMED_OUT, 0)
    assert job.stop.by == "worker"
    assert "time limit" in job.outcome.reason


@pytest.mark.parametrize("phase", ["claimed", "started"])
def test_a_stop_before_the_go_runs_nothing(world, serve, phase):
    """A wish that comes while the job starts is kept: nothing of the job runs."""
    job = world.submit(argv=script(SLEEPER))
    serving = serve()
    if phase == "claimed":
        world.host.queue.claim(lambda jobs: jobs[0], lease_of("box1"))
        world.host.queue.stop(1, Stop("anna"))
    else:
        real = serving.launcher.launch

        def launch(spec):
            launched = real(spec)
            world.host.queue.stop(1, Stop("anna"))
            return launched

        serving.launcher.launch = launch
    job = serving.ended(job)

    assert job.state is State.CANCELLED
    assert runs(world, job) == 0


# --- a worker that dies, in every phase ---


def lease_of(worker_id, until=1e12):
    """A lease in this boot."""
    return Lease(worker_id, Clock().boot().boot_id, until)


def launch_by_hand(world, job, *, record=True, go=True):
    """Bring a claimed job as far as a worker does that is killed then."""
    job = world.host.queue.claim(lambda jobs: jobs[0], lease_of("box1"))
    launcher = ProcessLauncher(env=dict(os.environ), clock=Clock())
    places = world.host.data.attempt(job.id, 1)
    preparation.prepare(world.host, job, places)
    spec = preparation.launch_spec(
        world.host, job, places, attempt=1, image="localhost/none", gpus=(), limits=JobLimits(1.0, 64 << 20)
    )
    launched = launcher.launch(spec)
    if record:
        world.host.queue.advance(job.id, 1, Started(launched, lease_of("box1")))
    if go:
        launcher.go(launched, places.folder)
    return launcher, launched


def test_killed_after_the_claim(world, serve):
    """Nothing was launched: the same attempt is begun."""
    job = world.submit(argv=script(f"{RAN}; exit 4"))
    world.host.queue.claim(lambda jobs: jobs[0], lease_of("box1"))
    job = serve().ended(job)

    assert (job.outcome.code, len(job.attempts), runs(world, job)) == (4, 1, 1)


def test_killed_after_the_launch_before_its_record(world, serve):
    """The init that nobody wrote down is ended before a new one runs the job, once."""
    job = world.submit(argv=script(SLEEPER))
    launcher, launched = launch_by_hand(world, job, record=False, go=False)
    serving = serve()
    serving.printed(job, "ready")

    assert not launcher.alive(launched)
    assert world.host.queue.get(1).attempt.launch.pid != launched.pid
    assert (len(world.host.queue.get(1).attempts), runs(world, job)) == (1, 1)


def test_killed_between_record_and_go(world, serve):
    """The init waits: the next worker gives the go to this very one."""
    job = world.submit(argv=script(f"{RAN}; exit 4"))
    _, launched = launch_by_hand(world, job, go=False)
    job = serve().ended(job)

    assert (job.outcome.code, len(job.attempts), runs(world, job)) == (4, 1, 1)
    assert job.attempt.launch == launched


def test_killed_while_the_job_runs(world, serve):
    """The job goes on without a worker, and the next one takes it up: one attempt, one run."""
    line = f"{RAN}; echo ready; while ! [ -e $FETCHML_CHECKPOINT_DIR/stop ]; do sleep 0.05; done; exit 4"
    job = world.submit(argv=script(line))
    first = serve()
    first.printed(job, "ready")
    first.forget()
    assert world.host.queue.get(1).state is State.RUNNING
    second = serve()
    second.until(lambda: second.worker._runners)
    (world.host.data.checkpoint(1) / "stop").touch()
    job = second.ended(job)

    assert (job.outcome.code, len(job.attempts), runs(world, job)) == (4, 1, 1)


def test_killed_after_the_job_ended(world, serve):
    """The exit record is on disk: the next worker reads it."""
    job = world.submit(argv=script(f"{RAN}; echo FETCHML_METRIC a=1; exit 4"))
    launch_by_hand(world, job)
    poll_until(lambda: (world.host.data.attempt(1, 1).control / "exit.json").exists(), what="the exit record")
    job = serve().ended(job)

    assert (job.outcome.code, len(job.attempts), runs(world, job)) == (4, 1, 1)
    assert last_metrics(world.host.data.attempt(1, 1).metrics)


def test_a_record_without_a_recorded_start_counts(world, serve):
    """A worker that died between the go and its own record of it: the job ran, and does not run again."""
    job = world.submit(argv=script(f"{RAN}; exit 4"))
    launch_by_hand(world, job, record=False)
    poll_until(lambda: (world.host.data.attempt(1, 1).control / "exit.json").exists(), what="the exit record")
    job = serve().ended(job)

    assert (job.outcome.code, runs(world, job)) == (4, 1)


def test_a_wish_to_stop_survives_the_worker(world, serve):
    """Asked while nobody served: the next worker ends the job."""
    job = world.submit(argv=script(POLITE))
    first = serve()
    first.printed(job, "ready")
    first.forget()
    world.host.queue.stop(1, Stop("anna"))
    job = serve().ended(job)

    assert (job.state, job.outcome.code) == (State.CANCELLED, 0)


def test_a_real_worker_is_killed_and_its_job_taken_up(world, serve):
    """SIGKILL to a worker process: its lock is free at once, the job runs on and ends under the next worker."""
    line = f"{RAN}; echo ready; while ! [ -e $FETCHML_CHECKPOINT_DIR/stop ]; do sleep 0.05; done; exit 4"
    job = world.submit(argv=script(line))
    argv = own_command("fetchml_core.worker.main", "run", "--base", str(world.host.base.folder))
    process = subprocess.Popen(
        argv, env=dict(os.environ), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    log = world.host.data.attempt(1, 1).control / "log"
    poll_until(lambda: log.exists() and "ready" in log.read_text(), "the job has begun")
    process.kill()
    process.wait(10)
    assert not worker_alive(world.host)
    serving = serve()
    (world.host.data.checkpoint(1) / "stop").touch()
    job = serving.ended(job)

    assert (job.outcome.code, len(job.attempts), runs(world, job)) == (4, 1, 1)


# --- lost attempts ---


def test_a_failing_script_is_tried_again_so_often(world, serve):
    """--retries 2: three tries, each with its class, and the last one's end is the job's."""
    job = serve().ended(world.submit(argv=script(f"{RAN}; exit 3"), retries=2))

    assert (job.state, runs(world, job)) == (State.FAILED, 3)
    assert [(one.outcome.failure, one.outcome.code) for one in job.attempts] == [("code", 3)] * 3


class LaterClock(Clock):
    """The machine's clocks, the wall clock so many seconds ahead."""

    ahead = 0.0

    def now(self) -> float:
        """Seconds since the epoch."""
        return super().now() + self.ahead


def test_a_job_that_failed_twice_waits_and_lets_others_pass(world, serve):
    """The worker sleeps until the pause is over, and no longer: its own next look would be an hour away."""
    clock = LaterClock()
    serving = serve(clock=clock, poll_s=3600)
    job = world.submit(argv=script(f"{RAN}; exit 3"), retries=2)
    serving.until(lambda: sum(one.outcome is not None for one in world.host.queue.get(job.id).attempts) == 2)
    serving.ended(world.submit(argv=script("true"), priority=1))
    assert world.host.queue.get(job.id).state is State.QUEUED
    clock.ahead = FIRST_S - 0.2

    assert len(serving.ended(job).attempts) == 3


def test_a_try_that_succeeds_is_the_end(world, serve):
    """The checkpoint folder tells a try that another was before it."""
    line = f"{RAN}; [ $FETCHML_ATTEMPT = 2 ]"
    job = serve().ended(world.submit(argv=script(line), retries=5))

    assert (job.state, runs(world, job)) == (State.SUCCEEDED, 2)


def test_a_spoilt_record_is_no_free_retry(world, serve):
    """A job that writes nonsense in place of its exit record gets no try at the host's cost."""
    line = f"{RAN}; rm -rf $FETCHML_STOP_FILE; c=$(dirname $FETCHML_STOP_FILE); mkdir $c/exit.json"
    job = serve().ended(world.submit(argv=script(line)))

    assert (job.state, job.outcome.failure) == (State.FAILED, "unknown")
    assert runs(world, job) == 1


def test_a_workspace_that_finds_no_space_is_tried_again(world, serve, mocker):
    """The disk is full when the job starts, and not any more when it is tried again: it runs."""
    real, calls = preparation.materialise, []

    def full_at_first(*args, **options):
        calls.append(1)
        if len(calls) == 1:
            raise explain_os_error(OSError(28, "No space left on device"), "lay out the workspace")
        real(*args, **options)

    mocker.patch.object(preparation, "materialise", full_at_first)
    job = serve().ended(world.submit(argv=script(RAN)))

    assert (job.state, runs(world, job), len(job.attempts)) == (State.SUCCEEDED, 1, 2)
    first = job.attempts[0].outcome
    assert (first.state, first.failure, first.error) == (State.FAILED, "infrastructure", "disk-full")


@pytest.mark.parametrize("max_retries", [0, 2])
def test_a_lost_job_is_tried_again_so_often(tmp_path, max_retries):
    """An init that is killed leaves no record: queued again max_retries times, then lost."""
    from tests.core.service.support import WORKER_FILE
    from tests.core.worker.support import Serving, sweep

    world = World(tmp_path / "base", worker=f"{WORKER_FILE}max_retries: {max_retries}\n")
    serving = Serving(world)
    job = world.submit(argv=script(SLEEPER))
    for number in range(1, max_retries + 2):
        serving.until(lambda number=number: runs(world, job) == number)
        launch = world.host.queue.get(1).attempt.launch
        os.kill(launch.pid, signal.SIGKILL)
    job = serving.ended(job)
    serving.leave()
    sweep(world)

    assert job.state is State.LOST
    assert [attempt.outcome.state for attempt in job.attempts] == [State.LOST] * (max_retries + 1)
    assert job.outcome.failure == "infrastructure"


def test_another_workers_job_is_left_alone_while_its_lease_runs(world, serve):
    """A lease that has not ended belongs to its worker."""
    job = world.submit(argv=script(RAN))
    world.host.queue.claim(lambda jobs: jobs[0], lease_of("other"))
    serving = serve()
    for _ in range(3):
        serving.worker._next_beat = 0.0
        serving.worker._turn()

    assert world.host.queue.get(1).attempt.worker == "other"
    assert runs(world, job) == 0


@pytest.mark.parametrize("lease", [lease_of("other", until=0.0), Lease("other", "an-earlier-boot", 1e12)])
def test_another_workers_job_is_taken_when_its_lease_has_ended(world, serve, lease):
    """By time or by a boot: the attempt is lost, a new one fences the old worker out."""
    job = world.submit(argv=script(RAN))
    world.host.queue.claim(lambda jobs: jobs[0], lease)
    job = serve().ended(job)

    assert [attempt.worker for attempt in job.attempts] == ["other", "box1"]
    assert job.attempts[0].outcome.state is State.LOST
    assert runs(world, job) == 1


def test_a_job_that_runs_is_never_started_again(world, serve):
    """The lease has ended, and the job's own init lives on this host: nobody starts a second one."""
    world.submit(argv=script(SLEEPER))
    queue = world.host.queue
    queue.claim(lambda jobs: jobs[0], lease_of("other", until=0.0))
    with subprocess.Popen(["sleep", "60"]) as init:
        stat = read_stat(init.pid)
        launched = Launched("process", init.pid, stat.start_ticks)
        queue.advance(1, 1, Started(launched, lease_of("other", until=0.0)))
        serve().worker._turn()
        init.kill()

    assert len(queue.get(1).attempts) == 1
    assert queue.get(1).state is State.RUNNING


def test_leases_are_renewed_in_time(world, serve):
    """A beat moves the end of the lease while the job runs."""
    serving = serve()
    job = world.submit(argv=script(SLEEPER))
    serving.printed(job, "ready")
    before = world.host.queue.get(1).lease.until
    serving.worker._next_beat = 0.0
    serving.worker._turn()

    assert world.host.queue.get(1).lease.until > before


# --- our own mistakes ---


def test_a_bug_in_the_worker_ends_the_job_once(world, serve):
    """It is said so, it is not tried again and again, and the worker goes on."""
    serving = serve()
    real = serving.launcher.launch
    serving.launcher.launch = lambda spec: spec.nonsense
    job = serving.ended(world.submit(argv=script(RAN)))
    serving.launcher.launch = real
    after = serving.ended(world.submit(argv=script("true")))

    assert (job.state, job.outcome.error, job.outcome.failure) == (
        State.FAILED,
        "worker-bug",
        "infrastructure",
    )
    assert "AttributeError" in job.outcome.reason
    assert len(job.attempts) == 1
    assert after.state is State.SUCCEEDED


def test_a_queue_that_cannot_be_written_now_can_be_later(world, serve, mocker):
    """Disk full while the end is recorded: the worker tries again, and the true end is kept."""
    mocker.patch("fetchml_core.worker.runner._RETRY_S", 0.05)
    serving = serve()
    job = world.submit(
        argv=script("echo ready; while ! [ -e $FETCHML_CHECKPOINT_DIR/stop ]; do sleep 0.05; done; exit 4")
    )
    serving.printed(job, "ready")
    full = mocker.patch(
        "fetchml_core.queue.journal.write_all_at", side_effect=OSError(28, "No space left on device")
    )
    (world.host.data.checkpoint(1) / "stop").touch()
    poll_until(lambda: full.call_count >= 2, what="two tries")
    assert world.host.queue.get(1).state is State.RUNNING
    mocker.stopall()

    assert serving.ended(job).outcome.code == 4


# --- the end of a worker ---


def test_leaving_lets_the_job_go_on(world, serve):
    """SIGTERM's way: the thread ends, the job does not."""
    serving = serve()
    job = world.submit(argv=script(SLEEPER))
    serving.printed(job, "ready")
    serving.leave()
    job = world.host.queue.get(1)

    assert job.state is State.RUNNING
    assert serve_alive(job)


@pytest.fixture
def idle(world, serve):
    """A worker started on demand whose clock can be moved."""
    clock = ShiftedClock()
    serving = serve(on_demand=True, clock=clock)
    serving.worker._turn()
    assert not serving.worker._idle_too_long()
    clock.ahead += module.IDLE_S + 1
    return serving


def test_an_idle_worker_on_demand_ends(world, idle):
    """After IDLE_S without work it gives up the lock and goes."""
    assert idle.worker._idle_too_long()
    assert idle.worker._leave()
    assert not worker_alive(world.host)
    idle.worker._detach()


def test_a_worker_as_a_service_stays(world, serve):
    """However long nothing comes."""
    clock = ShiftedClock()
    serving = serve(clock=clock)
    clock.ahead += 10 * module.IDLE_S

    assert not serving.worker._idle_too_long()


def test_a_job_keeps_the_worker(world, serve):
    """A worker with a running job is not idle."""
    clock = ShiftedClock()
    serving = serve(on_demand=True, clock=clock)
    serving.printed(world.submit(argv=script(SLEEPER)), "ready")
    clock.ahead += 10 * module.IDLE_S

    assert not serving.worker._idle_too_long()


def test_race_a_door_that_queued_first_is_seen(world, idle):
    """The job was queued while the worker still held the lock: it looks once more, and stays."""
    job = world.submit(argv=script(RAN))

    assert not idle.worker._leave()
    assert worker_alive(world.host)
    idle.lock = idle.worker._lock
    assert idle.ended(job).state is State.SUCCEEDED


def test_race_a_door_that_queued_after_the_look_starts_another(world, idle):
    """The worker has looked and gone: the door, which looks at the lock after it queued, finds it free."""
    assert idle.worker._leave()
    world.submit(argv=script(RAN))

    assert not worker_alive(world.host)
    idle.worker._detach()


def test_race_a_door_that_looks_in_this_instant_does_not_send_the_worker_away(world, idle, mocker):
    """Looking takes the lock for an instant; the worker that wants it back tries again."""
    job = world.submit(argv=script(RAN))
    real, looking = module.try_lock, []

    def first_a_door_looks(path, **options):
        if not looking:
            looking.append(real(path, shared=True))
            return real(path, **options)
        if looking[0] is not None:
            os.close(looking[0])
            looking[0] = None
        return real(path, **options)

    mocker.patch.object(module, "try_lock", first_a_door_looks)

    assert not idle.worker._leave()
    idle.lock = idle.worker._lock
    assert idle.ended(job).state is State.SUCCEEDED


def test_race_another_worker_that_took_over_is_left_alone(world, idle, mocker):
    """Two workers never serve one base."""
    world.submit(argv=script(RAN))
    held = []
    real = os.close

    def close_and_lose(fd):
        real(fd)
        if fd == idle.lock and not held:
            held.append(try_lock(world.host.base.worker_lock))

    mocker.patch.object(module.os, "close", close_and_lose)
    mocker.patch.object(module, "_LOCK_TRIES", 2)
    left = idle.worker._leave()
    mocker.stopall()

    assert left
    assert held[0] is not None
    os.close(held[0])
    idle.worker._detach()


@pytest.mark.parametrize("on_demand", [False, True])
def test_race_a_drain_that_ends_while_the_worker_leaves(world, serve, mocker, on_demand):
    """Who resumes finds the lock held and starts none: the worker, which gives it up first, looks once more."""
    serving = serve(on_demand=on_demand)
    write_drain(world.host.base, Drain("anna"))
    if on_demand:  # a service needs no job to stay
        world.submit(argv=script(RAN))
    real, resumed = os.close, []

    def resume_meanwhile(fd):
        real(fd)
        if fd == serving.lock and not resumed:
            resumed.append(fd)
            remove_drain(world.host.base)

    assert serving.worker._drained()
    mocker.patch.object(module.os, "close", resume_meanwhile)
    left = serving.worker._leave()
    mocker.stopall()
    serving.lock = serving.worker._lock

    assert not left
    assert worker_alive(world.host)
    serving.ended(world.submit(argv=script("true")))


def test_a_drained_worker_stays_for_its_jobs(world, serve):
    """It leaves when the last has ended, not before; what waits does not keep it."""
    serving = serve()
    job = world.submit(argv=script(POLITE))
    serving.printed(job, "ready")
    write_drain(world.host.base, Drain("anna"))
    world.submit(argv=script(RAN))
    serving.worker._turn()
    assert not serving.worker._drained()
    world.host.queue.stop(job.id, Stop("anna"))
    serving.ended(job)
    serving.until(lambda: not serving.worker._runners)

    assert serving.worker._drained()
    assert serving.worker._leave()
    serving.lock = serving.worker._lock = try_lock(world.host.base.worker_lock)


def test_race_a_door_waits_for_a_worker_that_ends(world, serve, mocker):
    """From the moment it takes no job any more nobody finds it alive: it holds the lock of those who would wake it."""
    serving = serve()
    held = []
    real = module.try_lock
    mocker.patch.object(module, "try_lock", lambda path: held.append(real(path)))
    detach = mocker.patch.object(
        serving.worker, "_detach", side_effect=lambda: held.append(real(world.host.base.start_lock))
    )
    serving.worker._ending = True
    serving.worker.run()
    mocker.stopall()

    assert detach.called
    assert held[0] is not None
    assert held[1] is None
    os.close(held[0])


# --- news of the queue ---


@pytest.fixture(params=["native", "sqlite", "filesystem"])
def quiet(request, tmp_path):
    """A base with each type of queue, and a worker that looks on its own only after an hour."""
    keys = f"{WORKER_FILE}heartbeat_interval: 1h\ntask_lease_duration: 4h\npoll_interval_seconds: 3600\n"
    world = World(tmp_path / "quiet", worker=f"{keys}queue:\n  type: {request.param}\n")
    serving = Serving(world, poll_s=3600)
    yield serving
    serving.leave()
    sweep(world)


def asleep(serving):
    """Turn until there is nothing more to do, and return a thread in which the worker sleeps until it is woken."""
    for _ in range(3):  # what it wrote itself is news, once
        serving.worker._turn()
    serving.worker._changes.clear()
    sleeping = threading.Thread(target=serving.worker._sleep, daemon=True)
    sleeping.start()
    return sleeping


def test_a_job_that_another_process_submits_wakes_the_worker(quiet):
    """Nobody pokes it, and its own next look is an hour away."""
    world = quiet.world
    sleeping = asleep(quiet)
    sleeping.join(0.2)
    assert sleeping.is_alive()
    job = World(world.host.base.folder, worker=(world.host.base.folder / "worker.yaml").read_text()).submit()
    sleeping.join(10)

    assert not sleeping.is_alive()
    quiet.worker._turn()
    assert quiet.host.queue.get(job.id).state is not State.QUEUED


def test_looking_is_no_news(quiet):
    """A worker that finds nothing sleeps again: it does not wake itself, round and round."""
    quiet.world.host.queue.hold(quiet.world.submit().id)
    sleeping = asleep(quiet)
    sleeping.join(0.5)
    still = sleeping.is_alive()
    quiet.worker._poke()
    sleeping.join(10)

    assert still
    assert not sleeping.is_alive()


# --- a queue that several hosts share, is paused, or was moved ---


def test_jobs_of_another_home_are_left_alone(world, serve):
    """Its worker may live, wherever it is: a lease that has run out there is not ours to judge."""
    job = world.running()
    gone = evolve(job, id=7, home="box2", lease=Lease("other", "another-boot", 1.0))
    world.host.queue.adopt([Stored("key", gone)])
    serving = serve(worker_id="box1")
    world.host.queue.stop(1, Stop("anna"))
    serving.until(lambda: world.host.queue.get(1).state.final)

    assert world.host.queue.get(7).state is State.RUNNING
    assert serving.worker._ending is False


def test_a_paused_queue_lets_the_worker_go(world, serve):
    """What is queued waits without a worker; resumed, it is run."""
    serving = serve(on_demand=True)
    world.host.queue.pause(Pause("anna"))
    job = world.submit(argv=script(RAN))
    serving.worker._turn()

    assert world.host.queue.get(job.id).state is State.QUEUED
    assert serving.worker._leave()
    serving.lock = serving.worker._lock = try_lock(world.host.base.worker_lock)
    world.host.queue.resume()
    assert serving.ended(job).state is State.SUCCEEDED


def test_the_worker_of_a_moved_queue_ends_when_nothing_runs_any_more(world, serve):
    """The next one is started from what the files say then."""
    serving = serve()
    job = world.submit(argv=script(POLITE))
    serving.printed(job, "ready")
    world.host.queue.pause(Pause("anna", moved_to="sqlite"))
    assert not serving.worker._moved_away()
    world.host.queue.stop(job.id, Stop("anna"))
    serving.ended(job)
    serving.until(lambda: not serving.worker._runners)

    assert serving.worker._moved_away()


def test_two_workers_on_one_base_are_refused(world, serve, capsys, mocker):
    """The second is told so, with the line that ends the first; the first's record stays."""
    mocker.patch("fetchml_core.worker.main._LOCK_TRIES", 2)
    record = WorkerRecord(1, "first", "q", "d", ready=True)
    import json

    replace_file(world.host.base.worker_record, json.dumps(to_data(record)).encode())
    before = world.host.base.worker_record.read_bytes()
    serve()
    status = main(["run", "--base", str(world.host.base.folder)])

    assert status == 1
    assert "worker-runs-already" in capsys.readouterr().err
    assert world.host.base.worker_record.read_bytes() == before


def test_a_whole_worker_process_ends_on_sigterm(world):
    """It serves, says so in its record, and ends well when told to."""
    argv = own_command("fetchml_core.worker.main", "run", "--base", str(world.host.base.folder))
    process = subprocess.Popen(argv, env=dict(os.environ), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    poll_until(
        lambda: (
            world.host.base.worker_record.exists()
            and b'"ready":true' in world.host.base.worker_record.read_bytes().replace(b" ", b"")
        ),
    )
    done = subprocess.run(
        [sys.executable, "-m", "fetchml_core.worker.main", "stop", "--base", str(world.host.base.folder)],
        capture_output=True,
        check=False,
        timeout=30,
    )
    _, errors = process.communicate(timeout=20)

    assert (done.returncode, process.returncode) == (0, 0), errors
    assert b"Traceback" not in errors
    assert not worker_alive(world.host)
