"""The verb `why`: what a door answers of a job in every state."""

from __future__ import annotations

import pytest

from fetchml_core.errors import InputError
from fetchml_core.jobs.job import Resources
from fetchml_core.wire.jobs import HoldRequest, ListRequest, ShowRequest
from fetchml_core.wire.queue import QueuePauseRequest
from fetchml_core.wire.why import WhyRequest


def why(world, word="last"):
    """Ask why a job waits."""
    return world.ask("why", WhyRequest(word))


def test_who_has_what_it_needs(world):
    """The job that runs holds what it asked for; the other waits for that, and so say `list` and `show`."""
    memory = world.host.worker.resources.podman_memory.bytes
    first = world.running(user="bob", resources=Resources(cpus=0.5))
    world.running(user="eve", resources=Resources(cpus=0.25))
    waits = world.submit()
    reply = why(world)

    assert (reply.job, reply.ahead, reply.holds) == (waits, 0, None)
    assert [(blocker.kind, blocker.needed, blocker.free) for blocker in reply.blockers] == [("slots", 1, 0)]
    assert [holder.job for holder in reply.blockers[0].holders] == [1, 2]
    text = "2 of 2 slots taken: job 1 (bob), 2 (eve)"
    assert world.ask("list", ListRequest()).why == {"3": text}
    assert world.ask("show", ShowRequest("3")).why == text

    held = why(world, str(first.id)).holds
    assert (held.cpus, held.memory, held.gpus) == (0.5, memory, ())


def test_a_job_that_has_ended(world):
    """Nothing blocks it, and it holds nothing."""
    world.ended()
    reply = why(world)

    assert (reply.blockers, reply.holds, reply.ahead, reply.keeps) == ((), None, None, False)


def test_held_and_paused(world):
    """A held job stands in no line; a pause comes before everything else."""
    world.submit()
    world.submit()
    world.ask("hold", HoldRequest(("1",)))
    world.ask("queue-pause", QueuePauseRequest("new driver"))

    assert [blocker.kind for blocker in why(world, "1").blockers] == ["held"]
    assert why(world, "1").ahead is None
    assert [blocker.kind for blocker in why(world, "2").blockers] == ["paused"]
    assert why(world, "2").ahead == 0


def test_one_job_at_a_time(world):
    """A word that names several is answered with one to name."""
    world.submit()
    world.submit()
    with pytest.raises(InputError, match="several-jobs"):
        why(world, "1-2")
