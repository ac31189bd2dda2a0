"""A host whose worker file has errors: jobs are looked at and ended, nothing is started, and no place is guessed."""

from __future__ import annotations

import os

import pytest

from fetchml_core.clock import Clock
from fetchml_core.config.findings import InvalidConfigError
from fetchml_core.errors import FetchError
from fetchml_core.jobs.states import State
from fetchml_core.service.host import open_host
from fetchml_core.service.perform import USE_CASES
from fetchml_core.service.reading import broken_note, open_to_read
from tests.core.service.support import WORKER_FILE, World

ELSEWHERE = f"{WORKER_FILE}base_path: elsewhere\nqueue:\n  type: sqlite\n"
BAD_VALUE = "poll_interval_seconds: often\n"
HIDING = {
    "a form that cannot be read": "a: [\n",
    "an unknown key, which may be a misspelt one": "base_pth: elsewhere\n",
    "the place itself": "base_path: [1]\n",
    "the queue itself": "queue:\n  type: 7\n",
    "the password of Redis": "redis_password: ${NO_SUCH_VARIABLE}\n",
}


def broken(world: World, text: str):
    """Write a worker file with errors and open the host as a door does."""
    base = world.host.base.folder
    (base / "worker.yaml").write_text(text)
    with pytest.raises(InvalidConfigError) as caught:
        open_host(base, world.host.environ, Clock())
    world.host = open_to_read(base, world.host.environ, Clock(), caught.value)
    return world


@pytest.fixture
def elsewhere(tmp_path):
    """A host with a queue and data in places of its own, and two jobs."""
    made = World(tmp_path / "base", worker=ELSEWHERE)
    made.ended()
    made.submit()
    return made


def test_what_can_be_done(elsewhere):
    """Each verb works or is refused with the file's error, and no worker is started for what waits."""
    requests = elsewhere.requests(elsewhere.host.queue.get(1))
    world = broken(elsewhere, ELSEWHERE + BAD_VALUE)
    refused = set()
    for verb in sorted(USE_CASES, key="cancel".__eq__):
        try:
            world.ask(verb, requests[verb])
        except FetchError as error:
            if error is world.host.broken:
                refused.add(verb)
            else:
                assert verb == "fetch"  # there is no such file
                assert error.code != "config-invalid"

    assert USE_CASES.keys() - refused == {
        *("list", "show", "why", "logs", "wait", "results", "fetch", "cancel", "worker-status")
    }
    assert world.ask("worker-status", requests["worker-status"]).worker.alive is False
    assert not world.host.base.worker_log.exists()


def test_what_is_told(elsewhere):
    """The place of the error, at once and as what keeps the next worker away; no limit is made up."""
    world = broken(elsewhere, ELSEWHERE + BAD_VALUE)
    listed = world.ask("list", {"everyone": True})
    place = f"{world.host.base.folder / 'worker.yaml'}:{ELSEWHERE.count(chr(10)) + 1}:24"

    assert place in broken_note(world.host)[0]
    assert [job.id for job in listed.jobs] == [1, 2]
    assert listed.why == {"2": "not known while the worker file has errors"}
    assert (listed.worker.alive, place in listed.worker.problem) == (False, True)
    assert world.ask("cancel", {"select": ["2"]}).jobs[0].state is State.CANCELLED


@pytest.mark.parametrize("wrong", HIDING.values(), ids=HIDING)
def test_a_place_is_never_guessed(elsewhere, wrong):
    """Where the error is about the place, or may hide one, nobody is shown an empty queue: the error stands."""
    with pytest.raises(InvalidConfigError):
        broken(elsewhere, WORKER_FILE + wrong)

    assert not (elsewhere.host.base.folder / "data").exists()


@pytest.mark.parametrize("wrong", HIDING.values(), ids=HIDING)
def test_a_living_worker_knows_the_place(elsewhere, wrong):
    """Its record tells which queue and data it serves, whatever the file says now."""
    elsewhere.write_record(queue_type="sqlite")
    with elsewhere.worker_lives():
        world = broken(elsewhere, wrong)
        listed = world.ask("list", {"everyone": True})

    assert [job.id for job in listed.jobs] == [1, 2]
    assert listed.worker.alive


@pytest.mark.parametrize(
    "fields", [{"queue_type": "redis"}, {}, {"queue_type": "sqlite", "pid": 2**22, "start_ticks": 1}]
)
def test_a_record_that_does_not_tell_enough(elsewhere, fields):
    """One of Redis, which has no password in it, of an older worker, or of one that is gone."""
    elsewhere.write_record(**fields)

    with pytest.raises(InvalidConfigError):
        broken(elsewhere, "a: [\n")


def test_the_api_file_is_another_matter(elsewhere):
    """With errors in it nobody gets in: it says who may."""
    path = elsewhere.host.base.folder / "server.yaml"
    path.write_text("auth: maybe\n")
    os.chmod(path, 0o600)

    with pytest.raises(InvalidConfigError, match=r"server\.yaml"):
        broken(elsewhere, ELSEWHERE + BAD_VALUE)
