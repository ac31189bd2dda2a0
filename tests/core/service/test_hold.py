"""Holding and releasing: one's own or as admin, as often as one likes."""

from __future__ import annotations

import pytest

from fetchml_core.errors import DeniedError, FetchError, NotFoundError
from fetchml_core.jobs.states import State
from fetchml_core.permission.policy import Identity
from fetchml_core.queue.base import Pause
from fetchml_core.service import hold as module
from fetchml_core.wire.jobs import HoldRequest, ListRequest, ReleaseRequest
from tests.core.service.support import LEASE

RESEARCHER = Identity("anna", granted=frozenset({"jobs:update"}))


def hold(world, *words, identity=None):
    """Ask that jobs are held."""
    return world.ask("hold", HoldRequest(words), identity=identity)


def release(world, *words, identity=None):
    """Ask that jobs are released."""
    return world.ask("release", ReleaseRequest(words), identity=identity)


def test_a_held_job_is_not_claimed_until_it_is_released(world):
    """It says so in the list; both wishes can be repeated."""
    job = world.submit()
    assert [held.state for _ in range(2) for held in hold(world, "1").jobs] == [State.HELD] * 2
    assert world.ask("list", ListRequest()).why == {"1": "held"}
    assert world.host.queue.claim(lambda jobs: jobs[0] if jobs else None, LEASE) is None

    assert [freed.state for _ in range(2) for freed in release(world, "1").jobs] == [State.QUEUED] * 2
    assert world.host.queue.claim(lambda jobs: jobs[0], LEASE).id == job.id


@pytest.mark.parametrize("wish", [hold, release])
def test_what_runs_or_has_ended_is_named_and_left_alone(world, wish):
    """Of several the others are changed all the same."""
    done, run, wait = world.ended(), world.running(), world.submit()
    reply = wish(world, "1-3")

    assert reply.unfit == (done.id, run.id)
    assert [job.state for job in reply.jobs[:2]] == [State.SUCCEEDED, State.RUNNING]
    assert world.host.queue.get(wait.id).state is (State.HELD if wish is hold else State.QUEUED)


def test_a_job_that_is_claimed_in_this_instant_is_unfit(world, mocker):
    """It was queued when it was looked up, and starts when it is to be held: no error, and no half of one."""
    world.submit()

    def late(queue_pause):
        world.host.queue.claim(lambda jobs: jobs[0], LEASE)

    mocker.patch.object(module, "refuse_if_moved", late)
    reply = hold(world, "1")

    assert (reply.unfit, reply.jobs[0].state) == ((1,), State.STARTING)


@pytest.mark.parametrize("wish", [hold, release])
def test_other_peoples_jobs_need_an_admin_and_then_none_is_touched(world, wish):
    """One foreign job among one's own refuses the whole request before any of it is done."""
    world.submit(user="anna")
    world.submit(user="bob")
    if wish is release:
        hold(world, "1-2")
    before = world.everything()
    with pytest.raises(DeniedError, match="permission-denied"):
        wish(world, "1-2", identity=RESEARCHER)
    assert world.everything() == before

    assert wish(world, "1", identity=RESEARCHER).unfit == ()
    assert wish(world, "2").unfit == ()


@pytest.mark.parametrize("wish", [hold, release])
def test_an_unknown_job_changes_nothing(world, wish):
    """One word that names no job refuses the whole request."""
    world.submit()
    before = world.everything()
    with pytest.raises(NotFoundError, match="job-unknown"):
        wish(world, "1", "7")

    assert world.everything() == before


@pytest.mark.parametrize("verb", ["hold", "release", "cancel"])
def test_nothing_changes_in_a_queue_that_was_moved(world, verb):
    """The other one would not know of it."""
    job = world.submit()
    world.host.queue.pause(Pause("anna", moved_to="sqlite"))
    with pytest.raises(FetchError, match="queue-moved"):
        world.ask(verb, {"select": ["1"]})

    assert world.host.queue.get(1) == job
