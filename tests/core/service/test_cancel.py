"""Cancelling: all or none, one's own or as admin, as often as one likes."""

from __future__ import annotations

import pytest

from fetchml_core.errors import DeniedError, NotFoundError
from fetchml_core.jobs.states import State
from fetchml_core.permission.policy import Identity
from fetchml_core.service.cancel import MAX_REASON
from fetchml_core.wire.jobs import CancelRequest

RESEARCHER = Identity("anna", granted=frozenset({"jobs:update"}))


def cancel(world, *words, identity=None, **options):
    """Ask that jobs end."""
    return world.ask("cancel", CancelRequest(words, **options), identity=identity)


def test_queued_running_and_ended(world):
    """A queued job ends at once, a running one is stopping, an ended one is named as such."""
    done, run, wait = world.ended(), world.running(), world.submit()
    reply = cancel(world, "1-3", reason="enough")

    assert [job.state for job in reply.jobs] == [State.SUCCEEDED, State.STOPPING, State.CANCELLED]
    assert reply.ended_before == (done.id,)
    assert {world.host.queue.get(job.id).stop.reason for job in (run, wait)} == {"enough"}
    assert cancel(world, "1-3").ended_before == (done.id, wait.id)


def test_other_peoples_jobs_need_an_admin_and_then_none_is_touched(world):
    """One foreign job among one's own refuses the whole request before any of it is done."""
    world.submit(user="anna")
    world.submit(user="bob")
    before = world.everything()
    with pytest.raises(DeniedError, match="permission-denied"):
        cancel(world, "1-2", identity=RESEARCHER)
    assert world.everything() == before

    assert cancel(world, "1", identity=RESEARCHER).jobs[0].state is State.CANCELLED
    assert cancel(world, "2").jobs[0].state is State.CANCELLED


def test_an_unknown_job_stops_nothing(world):
    """One word that names no job refuses the whole request."""
    world.submit()
    with pytest.raises(NotFoundError, match="job-unknown"):
        cancel(world, "1", "7")

    assert world.host.queue.get(1).state is State.QUEUED


def test_a_reason_is_cut(world):
    """A reason is a line for people, not a store."""
    world.submit()

    assert len(cancel(world, "1", reason="x" * 10_000).jobs[0].stop.reason) == MAX_REASON


def test_now_sharpens(world):
    """A second wish may be sharper; who wished it first stays in the record of the audit trail only."""
    world.running()
    cancel(world, "1")

    assert cancel(world, "1", now=True).jobs[0].stop.now
