"""What people ask: which jobs, why they wait, everything about one, how it ends."""

from __future__ import annotations

import json

import pytest
from attrs import evolve

from fetchml_core.errors import FetchError, InputError, NotFoundError
from fetchml_core.jobs.job import Attempt, Job, JobSpec, Outcome, Stop
from fetchml_core.jobs.states import State
from fetchml_core.permission.policy import Identity
from fetchml_core.queue.base import Finished
from fetchml_core.service import list_jobs
from fetchml_core.service.list_jobs import LAST_CHANGES, LAST_ENDED
from fetchml_core.service.show import last_metrics
from fetchml_core.wire.jobs import ListRequest, MetricLine, ShowRequest, WaitRequest
from fetchml_core.wire.worker import WorkerInfo
from tests.core.service.support import LAUNCH, LEASE, Talk

ANNA = Identity("anna", granted=frozenset({"jobs:read"}))
ALIVE = WorkerInfo(True, "box1")


def listed(world, identity=ANNA, **request):
    """Ids that a list shows."""
    return [job.id for job in world.ask("list", ListRequest(**request), identity=identity).jobs]


# --- list ---


def test_mine_are_the_unfinished_and_the_last_that_ended(world):
    """Without a word: one's own, as the design says."""
    world.ended(user="anna")
    last = world.ended(user="anna")
    world.ended(user="bob")
    run = world.running(user="anna")
    wait = world.submit(user="anna")

    assert listed(world) == [last.id, run.id, wait.id]


def test_a_job_that_starts_meanwhile_waits_for_nothing(world, mocker):
    """Jobs and reasons are of different moments; a reason of before is not told of what runs now."""
    world.submit(user="anna")

    def heals(host, _jobs):
        host.queue.claim(lambda jobs: jobs[0], LEASE)
        return ALIVE

    mocker.patch.object(list_jobs, "heal", side_effect=heals)
    reply = world.ask("list", ListRequest(everyone=True), identity=ANNA)

    assert ([job.state for job in reply.jobs], reply.why) == ([State.STARTING], {})


def test_the_last_that_ended_need_not_be_the_newest(world):
    """A long job that ends after many shorter and newer ones is the last; where it is long ago, the newest few count."""
    long = world.running(user="anna")
    for _ in range(LAST_ENDED + 1):
        newest = world.ended(user="anna")
    world.host.queue.advance(long.id, 1, Finished(Outcome(State.SUCCEEDED)))
    assert listed(world) == [long.id]

    other = world.submit(user="bob")
    for _ in range(LAST_CHANGES // 2):
        world.host.queue.hold(other.id)
        world.host.queue.release(other.id)
    assert listed(world) == [newest.id]


def test_everyone_is_everyone(world):
    """With -a other people's and finished jobs too."""
    for user in ("anna", "bob", "anna"):
        world.ended(user=user)

    assert listed(world, everyone=True) == [1, 2, 3]
    assert listed(world, identity=Identity("eve", granted=ANNA.granted)) == []


@pytest.mark.parametrize(
    ("limit", "ids", "hidden"),
    [(2, [4, 5], 3), (5, [1, 2, 3, 4, 5], 0), (0, [5], 4), (-9, [5], 4), (2**70, [1, 2, 3, 4, 5], 0)],
)
def test_the_newest_are_shown_and_the_others_counted(world, limit, ids, hidden):
    """A limit keeps the newest, at least one."""
    for _ in range(5):
        world.submit()
    reply = world.ask("list", ListRequest(everyone=True, limit=limit))

    assert ([job.id for job in reply.jobs], reply.hidden) == (ids, hidden)


def test_named_jobs_are_shown_whoever_owns_them(world):
    """A word is not cut by limit or owner; one that names nothing is an error."""
    world.submit(user="bob")
    world.submit(user="anna")

    assert listed(world, select=("1", "last"), limit=1) == [1, 2]
    with pytest.raises(NotFoundError, match="job-unknown"):
        listed(world, select=("7",))


def test_the_reply_says_why_and_when(world):
    """Blockers of the shown jobs, by id, and the host's time."""
    world.submit()
    world.submit()
    reply = world.ask("list", ListRequest(select=("2",)))

    assert reply.why == {"2": "starts next"}
    assert reply.now == pytest.approx(world.host.clock.now(), abs=60)
    assert reply.worker.alive


# --- show ---


def test_show_tells_where_things_lie(world):
    """A job that ran has a results folder; one that waits has a blocker instead."""
    done, wait = world.ended(), world.submit()
    (world.host.data.attempt(done.id, 1).folder).mkdir(parents=True)
    world.host.data.attempt(done.id, 1).metrics.write_text('{"step": 1, "values": {"loss": 0.5}}\n')
    shown = world.ask("show", ShowRequest("1"))
    waiting = world.ask("show", ShowRequest(str(wait.id)))

    assert shown.job == done
    assert shown.results == str(world.host.data.attempt(1, 1).results)
    assert shown.metrics == (MetricLine("loss", 0.5, 1),)
    assert shown.why == ""
    assert (waiting.results, waiting.metrics, waiting.why) == ("", (), "starts next")


def test_show_wants_one_job(world):
    """A word that names several is answered with one to name."""
    world.submit()
    world.submit()
    with pytest.raises(InputError, match="several-jobs") as caught:
        world.ask("show", ShowRequest("name:*"))

    assert caught.value.hint == "name one: 2"


def test_the_newest_value_of_each_metric_counts(tmp_path):
    """In the order in which they first came."""
    path = tmp_path / "metrics.jsonl"
    rows = [({"loss": 1.0}, 1), ({"acc": 0.1}, None), ({"loss": 0.5, "lr": 1e-3}, 2)]
    path.write_text("".join(json.dumps({"step": step, "values": values}) + "\n" for values, step in rows))

    assert last_metrics(path) == [
        MetricLine("loss", 0.5, 2),
        MetricLine("acc", 0.1),
        MetricLine("lr", 1e-3, 2),
    ]
    assert last_metrics(tmp_path / "none") == []


def test_a_torn_metric_line_costs_only_itself(tmp_path):
    """A line cut by a full disk in the middle of the file, and a half-written last one, are passed over."""
    path = tmp_path / "metrics.jsonl"
    path.write_text(
        '{"step": 1, "values": {"a": 1}}\n{"step": 2, "val{"step": 3, "values": {"b": 3}}\n{"step": 4, "values": {"c": 4}}\n{"st'
    )

    assert last_metrics(path) == [MetricLine("a", 1.0, 1), MetricLine("c", 4.0, 4)]


# --- wait ---


def test_wait_tells_each_change_and_ends_with_the_last_job(world):
    """Jobs that have ended are told once each."""
    world.ended()
    world.ended(Outcome(State.FAILED, code=1))
    talk = Talk()
    reply = world.ask("wait", WaitRequest(("1-2",)), talk)

    assert [done.state for done in reply.jobs] == [State.SUCCEEDED, State.FAILED]
    assert [item.job.id for item in talk.items] == [1, 2]


def test_wait_ends_when_the_client_leaves(world):
    """A client that goes costs nothing and changes nothing."""
    world.running()
    before = world.everything()
    talk = Talk(leaves_after=2)
    reply = world.ask("wait", WaitRequest(("1",)), talk)

    assert reply.jobs == ()
    assert [item.job.state for item in talk.items] == [State.RUNNING]
    assert world.everything() == before


def test_wait_hears_of_a_change(world):
    """A job that ends while somebody waits ends the wait."""
    world.running()

    class EndsIt(Talk):
        def gone(self, seconds, also=-1):
            world.host.queue.stop(1, Stop("bob"))
            world.host.queue.advance(1, 1, Finished(Outcome(State.CANCELLED)))
            return False

    talk = EndsIt()
    reply = world.ask("wait", WaitRequest(("1",)), talk)

    assert [item.job.state for item in talk.items] == [State.RUNNING, State.CANCELLED]
    assert reply.jobs[0].state is State.CANCELLED


@pytest.mark.parametrize("verb", ["show", "logs", "results", "wait", "cancel"])
def test_a_job_that_never_was(world, verb):
    """Each verb names the word that it could not find."""
    fields = {"select": "99"} if verb in {"show", "logs", "results"} else {"select": ["99"]}
    with pytest.raises(FetchError, match="job-unknown") as caught:
        world.ask(verb, fields)

    assert caught.value.context == "99"


def test_the_outcome_of_a_job_is_that_of_its_newest_attempt():
    """A job that ended before any attempt has none."""
    first = Attempt(1, "box1", 0.0, launch=LAUNCH, outcome=Outcome(State.LOST))
    tried = evolve(Job(1, "bob", JobSpec("x", ("true",), ""), 0.0), attempts=(first, Attempt(2, "box1", 1.0)))

    assert tried.outcome is None
    assert tried.attempt.number == 2
    assert Job(1, "bob", JobSpec("x", ("true",), ""), 0.0).outcome is None
