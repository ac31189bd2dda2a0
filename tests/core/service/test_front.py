"""Looking costs the same however long the line is, and what is not counted is not told as if it were."""

from __future__ import annotations

import pytest
from attrs import evolve

from fetchml_core.permission.policy import Identity
from fetchml_core.queue.base import Pause
from fetchml_core.service.list_jobs import COUNTED
from fetchml_core.service.schedule import LOOKED_AT
from fetchml_core.wire.jobs import ListRequest, ShowRequest
from fetchml_core.wire.why import WhyRequest
from tests.core.service.support import World
from tests.support.effort import calls_of

ANNA = Identity("anna", granted=frozenset({"jobs:read"}))
LONG = 6 * LOOKED_AT
ENGINES = ("native", "sqlite")


def worker_file(engine):
    """One that runs a job at a time, with this queue."""
    return f"launcher: process\nworker_id: box1\nmax_workers: 1\nqueue: {{type: {engine}}}\n"


@pytest.fixture(scope="module", params=ENGINES)
def lines(request, tmp_path_factory):
    """Two hosts on which anna has three jobs among those of bob: in a short line, and in one six times as long."""
    found = []
    for count in (LOOKED_AT, LONG):
        world = World(tmp_path_factory.mktemp("base"), worker=worker_file(request.param))
        spec, queue = world.spec(), world.host.queue
        for part in range(3):
            queue.submit_array([spec] * (count // 3), user="bob", key=f"bob-{part}")
            queue.submit(spec, user="anna", key=f"anna-{part}")
        found.append(world)
    return found


def effort(world, verb, request):
    """What an answer costs one who has taken the journal in, as every agent does."""
    fresh = World(world.host.base.folder, worker=worker_file(world.host.queue.properties.name))
    with fresh.worker_lives():
        fresh.host.queue.revision()
        return calls_of(lambda: fresh.ask(verb, request, identity=ANNA))


@pytest.mark.parametrize(
    ("verb", "request_"),
    [
        ("list", ListRequest()),
        ("list", ListRequest(everyone=True)),
        ("show", ShowRequest("last")),
        ("why", WhyRequest("last")),
    ],
    ids=["own", "all", "show", "why"],
)
def test_a_long_line_costs_hardly_more(lines, verb, request_):
    """Jobs that nobody asked for are not read; a look at each of them would cost six times as much."""
    effort(lines[0], verb, request_)  # what is read once in a process
    short, long = (effort(world, verb, request_) for world in lines)

    assert long < short * 2


def test_everything_of_ones_own_is_there(lines):
    """Wherever in the line it stands; of what is far back only that is told."""
    with lines[1].worker_lives():
        reply = lines[1].ask("list", ListRequest(), identity=ANNA)
        mine = [job.id for job in reply.jobs]
        told = lines[1].ask("why", WhyRequest("last"), identity=ANNA)

    third = LONG // 3 + 1
    assert mine == [third, 2 * third, 3 * third]
    assert reply.why[str(3 * third)] == f"{LOOKED_AT} or more before it"
    assert (told.ahead, [blocker.kind for blocker in told.blockers]) == (None, ["line"])


def test_more_than_is_counted(tmp_path):
    """Of somebody's own jobs so many are counted; that there are more is said."""
    world = World(tmp_path / "base", worker=worker_file("native"))
    spec = world.spec()
    with world.worker_lives():
        world.host.queue.submit_array([spec] * (COUNTED - 1), user="anna", key="a")
        exact = world.ask("list", ListRequest(), identity=ANNA)
        world.host.queue.submit_array([spec] * 5, user="anna", key="b")
        least = world.ask("list", ListRequest(), identity=ANNA)

    assert [(len(reply.jobs), reply.hidden, reply.more) for reply in (exact, least)] == [
        (50, COUNTED - 51, False),
        (50, COUNTED - 50, True),
    ]


def test_a_held_job_and_a_paused_queue(tmp_path):
    """What stands in no line is told of, too, and a pause hides no place."""
    world = World(tmp_path / "base", worker=worker_file("native"))
    spec = evolve(world.spec(), priority=9)
    with world.worker_lives():
        world.host.queue.submit_array([spec] * 3, user="anna", key="a")
        world.host.queue.hold(1)
        world.host.queue.pause(Pause("bob"))
        reply = world.ask("list", ListRequest(), identity=ANNA)
        ahead = world.ask("why", WhyRequest("3"), identity=ANNA).ahead

    assert reply.why == {"1": "held", "2": "the queue is paused by bob", "3": "the queue is paused by bob"}
    assert ahead == 1
