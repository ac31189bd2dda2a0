"""Which jobs a word names, and that the others are not read for it."""

from __future__ import annotations

import pytest
from attrs import evolve

from fetchml_core.errors import InputError, NotFoundError
from fetchml_core.permission.policy import LOCAL, Identity
from fetchml_core.queue.base import Stored
from fetchml_core.service import select
from fetchml_core.service.context import Context
from fetchml_core.service.select import select_jobs, select_one
from fetchml_core.wire.jobs import ShowRequest
from fetchml_core.wire.output import LogsRequest, ResultsRequest
from tests.core.service.support import Talk

WHO = [("anna", "train"), ("bob", "train"), ("anna", "eval-a"), ("bob", "eval-b"), ("anna", "train")]


@pytest.fixture
def ask(world):
    """Return the ids of the jobs that words name, of five that there are."""
    spec = world.spec()
    for number, (user, name) in enumerate(WHO):
        world.host.queue.submit(evolve(spec, name=name), user=user, key=str(number))

    def ids(*words, user="anna"):
        context = Context(world.host, Identity(user), Talk())
        return [job.id for job in select_jobs(context, words)]

    return ids


@pytest.mark.parametrize(
    ("words", "ids"),
    [
        (["3"], [3]),
        (["03"], [3]),
        (["2-4"], [2, 3, 4]),
        (["0-2"], [1, 2]),
        (["4-900"], [4, 5]),
        (["last"], [5]),
        (["@"], [5]),
        (["@~0"], [5]),
        (["@~1"], [3]),
        (["@~2"], [1]),
        (["name:eval-*"], [3, 4]),
        (["name:TRAIN", "1"], None),
        (["name:train"], [1, 2, 5]),
        (["5", "1-2", "1"], [5, 1, 2]),
        ([], []),
        (["0"], None),
        (["9"], None),
        (["999999999999999"], None),
        (["6-9"], None),
        (["@~3"], None),
        (["1", "9"], None),
    ],
)
def test_words(ask, words, ids):
    """Each word finds its jobs, each job once, in the order asked; one that finds none is an error."""
    if ids is None:
        with pytest.raises(NotFoundError, match="job-unknown") as caught:
            ask(*words)
        assert caught.value.context in words
    else:
        assert ask(*words) == ids


def test_last_counts_ones_own_jobs_only(ask):
    """Somebody else's newer job is not my last one; ids and names reach everybody's."""
    assert ask("last", user="bob") == [4]
    assert ask("1", user="bob") == [1]
    with pytest.raises(NotFoundError):
        ask("last", user="eve")


def test_more_jobs_than_an_answer_holds_are_refused(ask, mocker):
    """Nothing is left out in silence."""
    mocker.patch.object(select, "MAX_JOBS", 2)
    assert ask("1-2") == [1, 2]
    for words in (["name:train"], ["1-3"], ["1-2", "3"]):
        with pytest.raises(InputError, match="too-many-jobs"):
            ask(*words)


# --- a queue that several hosts share ---


@pytest.fixture
def foreign(world):
    """A job of another host, which has run there."""
    job = world.ended()
    stored = Stored("key", evolve(job, id=7, home="box2-1234"))
    world.host.queue.adopt([stored])
    return stored.job


@pytest.mark.parametrize(("verb", "request_of"), [("logs", LogsRequest), ("results", ResultsRequest)])
def test_files_of_another_host_are_not_here(world, foreign, verb, request_of):
    """The error names the host, instead of showing an empty log or somebody else's."""
    with pytest.raises(Exception, match="elsewhere") as caught:
        world.ask(verb, request_of("7"))

    assert caught.value.context == "box2-1234"


def test_a_job_of_another_host_is_shown_without_its_files(world, foreign):
    """What the queue knows of it is told."""
    shown = world.ask("show", ShowRequest("7"))

    assert shown.job.home == "box2-1234"
    assert (shown.results, shown.checkpoint, shown.metrics) == ("", "", ())
    assert select_one(Context(world.host, LOCAL, Talk()), "7", anywhere=True).id == 7
