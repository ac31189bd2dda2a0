"""Redis goes away while a worker is at work: what it was about to record is recorded later, and nothing is tried again."""

from __future__ import annotations

import pytest

from fetchml_core.errors import HostError
from fetchml_core.jobs.job import Resources, Stop
from fetchml_core.jobs.states import State
from fetchml_core.service.capacity import capacity_of
from tests.core.service.support import WORKER_FILE, World
from tests.core.worker.support import Serving, sweep
from tests.support.wait import poll_until

LINE = "echo ran >>$FETCHML_CHECKPOINT_DIR/ran; {rest}"
FOREVER = "trap 'exit 3' TERM; while :; do sleep 0.05; done"


@pytest.fixture
def server(redis_server):
    """A Redis of the test's own."""
    return redis_server()


@pytest.fixture
def serving(tmp_path, server, mocker):
    """A worker whose host keeps the queue in Redis, and goes on without it."""
    mocker.patch("fetchml_core.worker.runner._RETRY_S", 0.05)
    extra = f"queue:\n  type: redis\n  fallback_to_filesystem: true\nredis_url: {server.url()}\n"
    world = World(tmp_path / "base", worker=WORKER_FILE + extra)
    made = Serving(world)
    yield made
    made.leave()
    sweep(world)


def ended(serving, job):
    """Let the worker work until the job has ended, and Redis knows; return it."""
    serving.until(lambda: can_be_asked(serving, job) and serving.host.queue.get(job.id).state.final)
    return serving.host.queue.get(job.id)


def can_be_asked(serving, job):
    """Whether Redis tells of the job."""
    try:
        return bool(serving.host.queue.get(job.id))
    except HostError:
        return False


def runs(serving, job):
    """How often the job's own program began."""
    return len((serving.world.host.data.checkpoint(job.id) / "ran").read_text().splitlines())


def test_a_start_that_cannot_be_recorded_now_can_be_later(serving, server, mocker):
    """Redis is killed between launch and record: the job waits for its go, and runs once when Redis is back."""
    launch = serving.launcher.launch

    def launch_and_kill(spec):
        launched = launch(spec)
        server.kill()
        return launched

    mocker.patch.object(serving.launcher, "launch", side_effect=launch_and_kill)
    late = mocker.spy(serving.host.clock, "sleep")
    job = serving.world.submit(argv=("sh", "-c", LINE.format(rest="exit 4")))
    serving.until(lambda: late.call_count >= 2)
    assert not (serving.host.data.checkpoint(job.id) / "ran").exists()
    server.start()
    job = ended(serving, job)

    assert (job.outcome.code, len(job.attempts), runs(serving, job)) == (4, 1, 1)


def test_a_time_limit_holds_while_redis_is_away(serving, server):
    """The job gets its signal in time, and is found timed out when Redis is back."""
    job = serving.world.submit(argv=("sh", "-c", LINE.format(rest=FOREVER)), time_limit=2.0)
    ran = serving.world.host.data.checkpoint(job.id) / "ran"
    serving.until(lambda: ran.exists() and serving.host.queue.get(job.id).state is State.RUNNING)
    launch = serving.host.queue.get(job.id).attempt.launch
    server.kill()
    poll_until(lambda: not serving.launcher.alive(launch), "it is ended")
    server.start()
    job = ended(serving, job)

    assert (job.state, job.outcome.code, len(job.attempts)) == (State.TIMED_OUT, 3, 1)


def test_what_only_redis_knows_goes_on_and_keeps_its_room(serving, server):
    """A clean-up while Redis is away leaves a running job alone, and nobody gets what that job has."""
    most = Resources(memory=capacity_of(serving.host).memory * 2 // 3)
    job = serving.world.submit(argv=("sh", "-c", LINE.format(rest=FOREVER)), resources=most)
    ran = serving.world.host.data.checkpoint(job.id) / "ran"
    serving.until(lambda: ran.exists() and serving.host.queue.get(job.id).state is State.RUNNING)
    launch = serving.host.queue.get(job.id).attempt.launch
    server.kill()
    with pytest.raises(HostError, match="queue-unreachable"):
        serving.worker._reaper.look()
    assert serving.launcher.alive(launch)
    other = serving.world.submit(argv=("sh", "-c", "true"), key="other", resources=most)
    for _ in range(5):
        serving.worker._turn()
    assert serving.host.queue.get(other.id).state is State.QUEUED
    server.start()
    serving.until(lambda: can_be_asked(serving, job))
    serving.host.queue.stop(job.id, Stop(by="anna", reason="by anna"))

    assert ended(serving, job).state is State.CANCELLED
    assert ended(serving, other).state is State.SUCCEEDED
