"""Moving all jobs to a queue of another type: whole or not at all, repeatable, and back."""

from __future__ import annotations

import contextlib

import pytest
from attrs import evolve

from fetchml_core.errors import FetchError, InputError
from fetchml_core.jobs.job import Job, JobSpec, Outcome, Stop
from fetchml_core.jobs.states import State
from fetchml_core.queue.base import Pause, Requeued, Stored
from fetchml_core.service import migrate as module
from fetchml_core.service.migrate import difference
from fetchml_core.wire.jobs import ListRequest, SubmitRequest
from fetchml_core.wire.queue import QueueMigrateNews, QueueMigrateRequest
from fetchml_core.wire.verbs import Nothing
from tests.core.service.support import LEASE, WORKER_FILE, Talk, World
from tests.support.wait import poll_until

PAIRS = [
    ("native", "sqlite"),
    ("sqlite", "native"),
    ("sqlite", "filesystem"),
    ("filesystem", "native"),
    ("native", "filesystem"),
]


def world_of(base, kind):
    """The host of *base*, its files naming *kind*."""
    return World(base, worker=f"{WORKER_FILE}queue:\n  type: {kind}\n")


@pytest.fixture
def base(tmp_path):
    """The base of a host whose worker lives, so that nobody starts one."""
    with world_of(tmp_path / "base", "native").worker_lives():
        yield tmp_path / "base"


def fill(world):
    """Jobs in every state that may be moved, with stories behind them."""
    world.ended(user="anna")
    world.ended(
        Outcome(State.FAILED, "exit 3", failure="code", code=3), user="bob", key="a key\twith ünicode"
    )
    world.running()
    world.host.queue.advance(3, 1, Requeued(Outcome(State.LOST)))
    world.host.queue.hold(world.submit(user="anna", priority=9).id)
    world.host.queue.stop(world.submit().id, Stop("anna", "typo"))
    world.submit(env={"A": "1"}, time_limit=2.5)


def migrated(world):
    """Move its jobs to the native queue; None where Redis is not asked again so soon."""
    try:
        return migrate(world, "native")
    except FetchError:
        return None


def contents(world):
    """All that the queue holds, but for what is its own."""
    return [evolve(one, job=evolve(one.job, revision=0)) for one in world.host.queue.export()]


def migrate(world, to, talk=None, **options):
    """Ask for it."""
    return world.ask("queue-migrate", QueueMigrateRequest(to, **options), talk)


def claim(world):
    """Claim the first in line."""
    return world.host.queue.claim(lambda jobs: jobs[0] if jobs else None, LEASE)


@pytest.mark.parametrize(("here", "there"), PAIRS)
def test_everything_moves(base, here, there, mocker):
    """Ids, keys, states and stories; the old queue then takes and gives out nothing, the new one goes on."""
    mocker.patch.object(module, "BATCH", 4)
    old, talk = world_of(base, here), Talk()
    fill(old)
    before = contents(old)
    reply = migrate(old, there, talk)
    new = world_of(base, there)

    assert contents(new) == before
    assert (reply.jobs, reply.source, reply.target) == (6, str(old.host.queue_path), str(new.host.queue_path))
    assert talk.items == [QueueMigrateNews(4, 6), QueueMigrateNews(6, 6)]
    assert contents(old) == before
    assert claim(old) is None
    with pytest.raises(FetchError, match="queue-moved"):
        old.ask("submit", SubmitRequest("key", old.spec()))
    assert set(old.ask("list", ListRequest(everyone=True)).why.values()) >= {
        f"the queue was moved to {there} by local"
    }
    assert new.host.queue.paused() is None
    assert claim(new).id == 3
    assert new.submit(key="new").id == 7
    assert new.host.queue.submit(before[0].job.spec, user="anna", key=before[0].key).id == 1


def test_a_dry_run_changes_nothing(base):
    """It tells how many jobs would go where, and makes nothing there."""
    world = world_of(base, "native")
    fill(world)
    before = world.everything()
    reply = migrate(world, "sqlite", dry_run=True)

    assert (reply.jobs, world.everything()) == (6, before)


@pytest.mark.parametrize(
    ("worker", "server", "named"),
    [
        ("", None, ["worker.yaml"]),
        ("queue: {type: native}\n", None, ["worker.yaml"]),
        ("", "queue: {type: native}\n", ["server.yaml"]),
        ("queue: {type: native}\n", "queue: {type: native}\n", ["server.yaml", "worker.yaml"]),
    ],
)
def test_the_files_to_change_are_those_that_say_it(base, worker, server, named):
    """Where none says it, the worker file is where it belongs."""
    world = World(base, worker=WORKER_FILE + worker, server=server or "")
    world.submit()

    assert migrate(world, "sqlite").files == tuple(str(base / name) for name in named)


def test_the_embedded_default_stays_one(tmp_path):
    """A worker file would end it, so the api file is named."""
    world = World(tmp_path / "base")
    world.host = evolve(world.host, worker_file=None, embedded=True)
    world.submit()

    assert migrate(world, "sqlite").files == (str(tmp_path / "base" / "server.yaml"),)


@pytest.mark.parametrize(("to", "code"), [("native", "queue-type-same"), ("mysql", "queue-type-unknown")])
def test_a_type_that_is_none_or_the_same(base, to, code):
    """Is refused before anything is looked at."""
    with pytest.raises(InputError, match=code):
        migrate(world_of(base, "native"), to)


def test_a_job_that_runs_is_waited_for(base):
    """Nothing is moved, the queue goes on."""
    world = world_of(base, "native")
    world.running()
    with pytest.raises(FetchError, match="jobs-active") as caught:
        migrate(world, "sqlite")

    assert (caught.value.context, world.host.queue.paused()) == ("job 1", None)


def test_a_job_claimed_just_before_the_pause_is_seen(base, mocker):
    """The second look is behind the pause; the queue goes on as before, with the pause it had."""
    world = world_of(base, "native")
    world.submit()
    looks = []

    def claimed_meanwhile(source):
        looks.append(source)
        if len(looks) == 2:
            raise FetchError("jobs-active", "as if")

    mocker.patch.object(module, "_refuse_active", claimed_meanwhile)
    with pytest.raises(FetchError, match="jobs-active"):
        migrate(world, "sqlite")
    assert world.host.queue.paused() is None

    looks.clear()
    paused = Pause("anna", "upgrade", 1.0)
    world.host.queue.pause(paused)
    with pytest.raises(FetchError, match="jobs-active"):
        migrate(world, "sqlite")
    assert world.host.queue.paused() == paused


def test_a_pause_moves_along(base):
    """Who paused the queue to move it in peace finds the new one paused."""
    world = world_of(base, "native")
    world.submit()
    world.host.queue.pause(Pause("anna", "upgrade", 1.0))
    migrate(world, "sqlite")

    assert world_of(base, "sqlite").host.queue.paused() == Pause("anna", "upgrade", 1.0)


def test_a_target_that_holds_other_jobs_is_refused(base):
    """They would be mixed; the one in use goes on."""
    other = world_of(base, "sqlite")
    other.submit(key="another")
    world = world_of(base, "native")
    world.submit(key="one")
    before = contents(other)
    with pytest.raises(FetchError, match="target-in-use") as caught:
        migrate(world, "sqlite")

    assert caught.value.context == str(other.host.queue_path)
    assert (contents(other), world.host.queue.paused()) == (before, None)


def test_a_change_during_the_copy_is_seen(base):
    """Somebody cancels in the wrong moment: the copy is void, and the wish is not lost."""
    world = world_of(base, "native")
    world.submit()

    class Cancels(Talk):
        def item(self, item):
            world.host.queue.stop(1, Stop("anna"))

    with pytest.raises(FetchError, match="migration-failed"):
        migrate(world, "sqlite", Cancels())

    assert world.host.queue.paused() is None
    assert world.host.queue.get(1).state is State.CANCELLED
    assert claim(world_of(base, "sqlite")) is None


def test_a_client_that_leaves_stops_it(base):
    """The old queue goes on; typed again, the rest is moved."""
    world = world_of(base, "native")
    fill(world)

    class Leaves(Talk):
        def item(self, item):
            raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        migrate(world, "sqlite", Leaves())
    assert world.host.queue.paused() is None

    assert migrate(world, "sqlite").jobs == 6


@pytest.mark.parametrize("step", range(8))
@pytest.mark.parametrize("then", ["again", "back"])
def test_killed_between_any_two_steps(base, mocker, step, then):
    """Neither queue runs anything then; typed again it ends well, and ml queue resume takes the old one back."""
    mocker.patch.object(module, "BATCH", 2)
    # a killed process restores nothing
    mocker.patch.object(module, "_restored", return_value=contextlib.nullcontext())
    world = world_of(base, "native")
    fill(world)
    before = contents(world)
    steps = [0]

    class KilledError(BaseException):
        pass

    def count(real):
        def counted(*arguments, **options):
            if steps[0] == step:
                raise KilledError
            steps[0] += 1
            return real(*arguments, **options)

        return counted

    real_open = module.open_chosen

    def opened(*arguments, **options):
        target = real_open(*arguments, **options)
        for name in ("pause", "adopt", "resume"):
            setattr(target, name, count(getattr(target, name)))
        return target

    queue = world.host.queue
    mocker.patch.object(queue, "pause", count(queue.pause))
    mocker.patch.object(module, "difference", count(difference))
    mocker.patch.object(module, "open_chosen", opened)
    with pytest.raises(KilledError) if step < 7 else contextlib.nullcontext():
        migrate(world, "sqlite")
    mocker.stopall()

    world = world_of(base, "native")
    assert contents(world) == before
    if 0 < step < 7:
        assert claim(world) is None
        assert claim(world_of(base, "sqlite")) is None
    if then == "again":
        assert migrate(world, "sqlite").jobs == 6
        assert contents(world_of(base, "sqlite")) == before
        assert claim(world) is None
        assert claim(world_of(base, "sqlite")).id == 3
    else:
        world.ask("queue-resume", Nothing())
        assert claim(world_of(base, "sqlite")) is None
        assert claim(world).id == 3


# --- the way back ---


def test_a_moved_queue_is_taken_back_while_the_other_has_done_nothing(base):
    """The other one then refuses: never do two queues run one job."""
    world = world_of(base, "native")
    fill(world)
    migrate(world, "sqlite")
    assert world.ask("queue-resume", Nothing()).pause.moved_to == "sqlite"

    assert claim(world).id == 3
    with pytest.raises(FetchError, match="queue-moved"):
        world_of(base, "sqlite").submit(key="new")


@pytest.mark.parametrize("went_on", [claim, lambda world: world.submit(key="new")])
def test_a_queue_whose_jobs_went_on_elsewhere_is_not_taken_back(base, went_on):
    """They would run twice, or be lost; the other queue goes on."""
    world = world_of(base, "native")
    fill(world)
    migrate(world, "sqlite")
    other = world_of(base, "sqlite")
    went_on(other)
    with pytest.raises(FetchError, match="queue-went-on"):
        world.ask("queue-resume", Nothing())

    assert world.host.queue.paused().moved_to == "sqlite"
    assert other.host.queue.paused() is None


@pytest.mark.parametrize("to", ["filesystem", "native"])
def test_a_queue_moved_elsewhere_must_come_back_first(base, to):
    """One pause names one place."""
    world = world_of(base, "native")
    world.submit()
    migrate(world, "sqlite")
    with pytest.raises(FetchError, match="queue-moved") as caught:
        migrate(world, to)

    assert "ml queue resume" in caught.value.hint


def test_jobs_that_wait_for_redis_move_too(base, redis_server):
    """While Redis is away nothing is moved; then what the host took on its own goes with the rest, under its number."""
    server = redis_server()
    keys = f"{WORKER_FILE}redis_url: {server.url()}\nqueue:\n  type: redis\n  fallback_to_filesystem: true\n"
    world = World(base, worker=keys)
    first = world.submit()
    server.kill()
    second = world.submit(key="alone")
    with pytest.raises(FetchError, match="queue-unreachable"):
        migrate(world, "native")
    assert [job.id for job in world.host.queue.jobs()] == [second.id]
    server.start()
    moved = poll_until(lambda: migrated(world), "Redis is asked again")

    assert moved.jobs == 2
    assert {job.id for job in world_of(base, "native").host.queue.jobs()} == {first.id, second.id}


def test_to_a_queue_that_several_hosts_share_and_back(base, redis_url):
    """There the jobs belong to this host, which goes on with them; a job of another host cannot come back with them."""
    keys = f"{WORKER_FILE}redis_url: {redis_url}\n"
    old = World(base, worker=keys)
    fill(old)
    migrate(old, "redis")
    new = World(base, worker=f"{keys}queue:\n  type: redis\n")
    assert new.host.queue.home
    assert {job.home for job in new.host.queue.jobs()} == {new.host.queue.home}
    assert claim(old) is None

    old.host.data.folder.joinpath("queue").rename(base / "aside")
    new.host.queue.stop(3, Stop("anna"))
    far = evolve(new.host.queue.get(6), id=9, home="box2")
    new.host.queue.adopt([Stored("far", far)])
    with pytest.raises(FetchError, match="jobs-elsewhere"):
        migrate(new, "sqlite")
    assert new.host.queue.paused() is None
    assert claim(new).id == 6


# --- comparing ---


def row(number, **fields):
    """A job with its key."""
    job = Job(number, "anna", JobSpec("x", ("true",), ""), 0.0)
    return Stored(fields.pop("key", str(number)), evolve(job, **fields))


@pytest.mark.parametrize(
    ("target", "whole", "part"),
    [
        ([row(1), row(2), row(3)], None, None),
        ([row(1), row(2, revision=9, home="box1"), row(3)], None, None),
        ([row(1), row(2)], 3, None),
        ([row(2), row(3)], 1, None),
        ([row(1), row(3)], 2, None),
        ([], 1, None),
        ([row(1), row(2), row(3), row(4)], 4, 4),
        ([row(1), row(2, key="other"), row(3)], 2, 2),
        ([row(1), row(2), row(3, state=State.HELD)], 3, 3),
    ],
)
def test_difference(target, whole, part):
    """The first job that differs, is missing or is too many."""
    source = [row(1), row(2), row(3)]

    assert difference(iter(source), iter(target)) == whole
    assert difference(iter(source), iter(target), part=True) == part
