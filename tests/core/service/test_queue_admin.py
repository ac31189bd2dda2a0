"""The queue as a whole: how it stands, paused and resumed, checked."""

from __future__ import annotations

import pytest
from attrs import evolve

from fetchml_core.errors import FetchError
from fetchml_core.jobs.states import State
from fetchml_core.permission.policy import Identity
from fetchml_core.queue.base import Damage, Pause
from fetchml_core.service import queue_admin
from fetchml_core.wire.jobs import ListRequest, SubmitRequest
from fetchml_core.wire.output import LogsRequest
from fetchml_core.wire.queue import DamageInfo, QueueCheckRequest, QueuePauseRequest
from fetchml_core.wire.verbs import Nothing
from tests.core.service.support import LEASE, WORKER_FILE, Talk, World

ENGINES = ("native", "sqlite", "filesystem")


@pytest.fixture(params=ENGINES)
def any_world(request, tmp_path):
    """A host with each type of queue, its worker alive."""
    made = World(tmp_path / "base", worker=f"{WORKER_FILE}queue:\n  type: {request.param}\n")
    with made.worker_lives():
        yield made


def test_stats(any_world):
    """Type, place, counts of all states, the age of the first in line, what it takes on the disk."""
    world = any_world
    world.ended()
    oldest = world.submit()
    world.host.queue.hold(world.submit().id)
    told = world.ask("queue-stats", Nothing())

    assert (told.type, told.place) == (world.host.queue.properties.name, str(world.host.queue_path))
    assert {word: count for word, count in told.counts.items() if count} == {
        "succeeded": 1,
        "queued": 1,
        "held": 1,
    }
    assert set(told.counts) == {state.value for state in State}
    assert (told.oldest, told.pause, told.revision) == (
        oldest.submitted_at,
        None,
        world.host.queue.revision(),
    )
    assert told.bytes > 0


def test_stats_of_a_queue_that_nobody_used(any_world):
    """Nothing is made by looking."""
    before = any_world.everything()
    told = any_world.ask("queue-stats", Nothing())

    assert (sum(told.counts.values()), told.oldest, told.bytes) == (0, None, 0)
    assert any_world.everything() == before


def test_too_many_files_are_not_counted(world, mocker):
    """A folder of a million files is not walked for a number that is only nice to have."""
    world.submit()
    mocker.patch.object(queue_admin, "MAX_FILES", 0)

    assert world.ask("queue-stats", Nothing()).bytes is None


def test_a_paused_queue_takes_jobs_and_gives_none_out(any_world):
    """Everybody who waits reads who paused it, and why; resumed, it goes on."""
    world = any_world
    anna = Identity("anna", admin=True)
    paused = world.ask("queue-pause", QueuePauseRequest("new GPU"), identity=anna).pause
    assert (paused.by, paused.reason) == ("anna", "new GPU")
    reply = world.ask("submit", SubmitRequest("key", world.spec()))
    talk = Talk()
    world.ask("logs", LogsRequest("1"), talk)

    assert reply.notes[0] == "the queue is paused by anna: new GPU; the job waits until ml queue resume"
    assert world.ask("list", ListRequest()).why == {"1": "the queue is paused by anna: new GPU"}
    assert talk.items[-1].why == "the queue is paused by anna: new GPU"
    assert world.host.queue.claim(lambda jobs: jobs[0], LEASE) is None

    assert world.ask("queue-resume", Nothing()).pause == paused
    assert world.ask("queue-resume", Nothing()).pause is None
    assert world.ask("list", ListRequest()).why == {"1": "starts next"}
    assert world.host.queue.claim(lambda jobs: jobs[0], LEASE).id == 1


def test_a_reason_is_cut(world):
    """A reason is a line for people, not a store."""
    told = world.ask("queue-pause", QueuePauseRequest("x" * 10_000))

    assert len(told.pause.reason) == queue_admin.MAX_REASON


def test_a_moved_queue_is_not_paused_again(world):
    """A new pause would forget where the jobs are."""
    world.host.queue.pause(Pause("anna", moved_to="sqlite"))
    with pytest.raises(FetchError, match="queue-moved"):
        world.ask("queue-pause", QueuePauseRequest())

    assert world.host.queue.paused().moved_to == "sqlite"
    assert world.ask("list", ListRequest()).notes == (
        "the queue was moved to sqlite by anna and takes no more jobs",
    )


def test_a_check_of_a_good_queue_finds_and_changes_nothing(any_world):
    """Nor does it leave a record in the trail."""
    any_world.ended()
    any_world.submit()
    before = any_world.everything()

    assert any_world.ask("queue-check", QueueCheckRequest()).damages == ()
    assert any_world.everything() == before


def test_damage_is_told_as_the_queue_tells_it(world):
    """Place, problem, repair and the jobs that are lost with it."""

    class Damaged:
        home = ""

        def check(self, *, repair):
            return [Damage("queue/1", "a checksum is wrong", f"repair is {repair}", (3, 4))]

    world.host = evolve(world.host, queue=Damaged())

    assert world.ask("queue-check", QueueCheckRequest(repair=True)).damages == (
        DamageInfo("queue/1", "a checksum is wrong", "repair is True", (3, 4)),
    )
