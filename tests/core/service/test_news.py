"""Waiting: woken by the queue, not by the clock, and no worker is started for what none can do."""

from __future__ import annotations

import select
import threading

import pytest
from attrs import evolve

from fetchml_core.jobs.job import Outcome, Stop
from fetchml_core.jobs.states import State
from fetchml_core.queue.base import Finished, Pause
from fetchml_core.service import news
from fetchml_core.service.context import Context
from fetchml_core.service.drain import Drain, write_drain
from fetchml_core.service.heal import wants_worker
from fetchml_core.service.news import Every, QueueNews
from fetchml_core.service.worker_info import worker_alive
from fetchml_core.wire.jobs import ListRequest, WaitRequest
from fetchml_core.wire.output import LogsRequest
from tests.core.queue.contract import FakeClock
from tests.core.service.support import LEASE, WORKER_FILE, Talk, World
from tests.support.wait import poll_until

ENGINES = ("native", "sqlite", "filesystem")


class Patient(Talk):
    """A client that stays, and counts how often the use case waits for it."""

    waits = 0

    def gone(self, seconds: float, also: int = -1) -> bool:
        """Wait as a door does; without news there is no end to it."""
        self.waits += 1
        poll = select.poll()
        if also >= 0:
            poll.register(also, select.POLLIN)
        poll.poll(min(seconds, 20) * 1000)
        return False


@pytest.fixture(params=ENGINES)
def any_world(request, tmp_path):
    """A host with each type of queue, its worker alive."""
    made = World(tmp_path / "base", worker=f"{WORKER_FILE}queue:\n  type: {request.param}\n")
    with made.worker_lives():
        yield made


@pytest.mark.parametrize("verb", ["wait", "logs"])
def test_the_end_of_a_job_is_heard_of_not_asked_for(any_world, mocker, verb):
    """Another process writes, and the wait ends, although it would look again in an hour only."""
    world, talk = any_world, Patient()
    mocker.patch.object(news, "LONGEST_S", 3600.0)
    mocker.patch("fetchml_core.service.logs.NEWS_S", 3600.0)
    job = world.submit()
    other = World(world.host.base.folder, worker=(world.host.base.folder / "worker.yaml").read_text())
    args = WaitRequest((str(job.id),)) if verb == "wait" else LogsRequest(str(job.id), follow=True)
    waiting = threading.Thread(target=world.ask, args=(verb, args, talk), daemon=True)
    waiting.start()
    poll_until(lambda: talk.waits > 0)
    other.host.queue.claim(lambda jobs: jobs[0], LEASE)
    poll_until(lambda: talk.items[-1].job.state is State.STARTING)
    other.host.queue.advance(1, 1, Finished(Outcome(State.SUCCEEDED)))
    waiting.join(10)

    assert not waiting.is_alive()
    assert [item.job.state for item in talk.items][-1] is State.SUCCEEDED


def test_nothing_is_looked_at_without_news(any_world, mocker):
    """A quiet queue costs a look each LONGEST_S; a change made in between is seen at once, each once."""
    world = any_world
    world.submit()
    mocker.patch.object(news, "LONGEST_S", 3600.0)
    revision = mocker.spy(world.host.queue, "revision")
    with QueueNews(Context(world.host, world.identity, Talk()), 0.05) as heard:
        assert heard.come()
        assert [heard.come() for _ in range(5)] == [False] * 5
        assert revision.call_count == 1
        world.host.queue.stop(1, Stop("anna"))
        assert heard.come()
        assert not heard.come()


def test_where_the_system_tells_nothing_the_queue_is_asked(world, mocker):
    """Without a descriptor the wait is as short as the use case wants."""

    class Blind:
        def fileno(self):
            return -1

        def clear(self):
            pass

        def close(self):
            pass

    class Notes(Talk):
        def gone(self, seconds, also=-1):
            asked.append((seconds, also))
            return True

    asked = []
    mocker.patch.object(world.host.queue, "watch", Blind)
    with QueueNews(Context(world.host, world.identity, Notes()), 0.05) as heard:
        assert heard.come()
        heard.gone()
        world.submit()
        assert heard.come()

    assert asked == [(0.05, -1)]


def test_every(world):
    """Due at once, then each time so many seconds have passed."""
    clock = FakeClock()
    every = Every(Context(evolve(world.host, clock=clock), world.identity, Talk()), 10.0)
    told = []
    for ahead in (0.0, 9.9, 0.2, 0.0, 30.0, 1.0):
        clock.uptime += ahead
        told.append(every.due())

    assert told == [True, False, True, False, True, False]


# --- which jobs want a worker ---


@pytest.mark.parametrize("state", State)
def test_who_wants_a_worker(world, state):
    """What runs does, what is queued while it may start; a held or ended job, and another host's, never."""
    job = evolve(world.submit(), state=state)

    assert wants_worker(job, "", claims=True) == (state.active or state is State.QUEUED)
    assert wants_worker(job, "", claims=False) == state.active
    assert not wants_worker(job, "box2", claims=True)


@pytest.mark.parametrize("way", ["held", "paused", "moved", "drained"])
def test_no_worker_is_started_for_what_none_can_do(tmp_path, way):
    """A list heals a worker that has died, but only where it would have something to do."""
    world = World(tmp_path / "base")
    world.submit()
    if way == "held":
        world.host.queue.hold(1)
    elif way == "drained":
        write_drain(world.host.base, Drain("anna"))
    else:
        world.host.queue.pause(Pause("anna", moved_to="sqlite" if way == "moved" else ""))
    world.ask("list", ListRequest())

    assert not worker_alive(world.host)
    assert not world.host.base.worker_log.exists()
