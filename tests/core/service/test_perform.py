"""The one way to a use case: nobody without rights reaches one, and the record stands before the change."""

from __future__ import annotations

import json

import attrs
import pytest

from fetchml_core.errors import DeniedError, FetchError, InputError
from fetchml_core.permission.policy import Identity
from fetchml_core.service.perform import USE_CASES
from fetchml_core.wire.verbs import VERBS
from tests.core.queue.contract import FakeClock
from tests.core.service.support import AUDIT, Talk, World
from tests.core.snapshot.trees import manifest_of

NOBODY = Identity("eve")
CHANGING = (
    "stage",
    "upload",
    "submit",
    "cancel",
    "hold",
    "release",
    "queue-pause",
    "queue-resume",
    "queue-check",
    "queue-migrate",
    "worker-start",
    "worker-stop",
    "worker-drain",
    "worker-resume",
)
# Design section 7, "Permissions of the verbs".
PERMISSIONS = {
    "stage": "jobs:create",
    "upload": "jobs:create",
    "submit": "jobs:create",
    "list": "jobs:read",
    "show": "jobs:read",
    "why": "jobs:read",
    "logs": "jobs:read",
    "wait": "jobs:read",
    "results": "jobs:read",
    "fetch": "jobs:read",
    "gpus": "jobs:read",
    "cancel": "jobs:update",
    "hold": "jobs:update",
    "release": "jobs:update",
    "queue-stats": "queue:admin",
    "queue-pause": "queue:admin",
    "queue-resume": "queue:admin",
    "queue-check": "queue:admin",
    "queue-migrate": "queue:admin",
    "worker-status": "jobs:read",
    "worker-start": "worker:admin",
    "worker-stop": "worker:admin",
    "worker-drain": "worker:admin",
    "worker-resume": "worker:admin",
}


@pytest.fixture
def audited(request, tmp_path):
    """A host with an audit trail whose worker lives; none does where it would be ended, which is this process."""
    made = World(tmp_path / "audited", server=AUDIT)
    if request.node.callspec.params.get("verb") == "worker-stop":
        yield made
        return
    with made.worker_lives():
        made.write_record()
        yield made


def records(world):
    """The audit trail."""
    path = world.host.base.folder / "audit.log"
    return [json.loads(line) for line in path.read_bytes().splitlines()] if path.exists() else []


def job_for(world, verb, user="anna"):
    """A job that *verb* can do something with."""
    if verb == "cancel":
        return world.running(user=user)
    return world.submit(user=user) if verb in {"hold", "release"} else job_of(world, user)


def job_of(world, user="anna"):
    """A job that has ended and left a result."""
    job = world.ended(user=user)
    (world.results(job) / "model").write_bytes(b"weights")
    return job


def talk_for(verb):
    """Somebody who uploads what the verb wants."""
    return Talk(manifest_of({"new.py": b"1"}).data) if verb == "stage" else Talk()


def test_every_verb_has_a_use_case_and_a_permission():
    """The protocol's table, the service's and the design's name the same verbs."""
    assert set(USE_CASES) == set(VERBS) == set(PERMISSIONS)
    assert {verb: case.action for verb, case in USE_CASES.items()} == PERMISSIONS


@pytest.mark.parametrize("verb", VERBS)
def test_nobody_without_rights_reaches_a_use_case(audited, verb):
    """An identity without rights is refused before its arguments are read, its upload taken or a file touched."""
    job = job_of(audited)
    before, told = audited.everything(), len(records(audited))
    talk = talk_for(verb)
    for args in (audited.requests(job)[verb], {"nonsense": object}):
        with pytest.raises(DeniedError, match="permission-denied"):
            audited.ask(verb, args, talk, identity=NOBODY)

    assert audited.everything() == before
    assert (talk.taken, talk.items, talk.received) == (0, [], b"")
    assert [(record["user"], record["action"], record["result"]) for record in records(audited)[told:]] == [
        ("eve", PERMISSIONS[verb], "denied")
    ] * 2


@pytest.mark.parametrize("verb", VERBS)
def test_the_permission_is_enough(audited, verb):
    """With just the permission of the verb its owner gets what he asks."""
    job = job_for(audited, verb, "eve")
    identity = Identity("eve", granted=frozenset({PERMISSIONS[verb]}))

    assert audited.ask(verb, audited.requests(job)[verb], talk_for(verb), identity=identity) is not None


@pytest.mark.parametrize("verb", VERBS)
def test_every_other_permission_is_not_enough(audited, verb):
    """All permissions but the verb's open nothing."""
    others = {"jobs:read", "jobs:create", "jobs:update", "jobs:delete"} - {PERMISSIONS[verb]}
    with pytest.raises(DeniedError):
        audited.ask(
            verb, audited.requests(job_of(audited))[verb], identity=Identity("eve", granted=frozenset(others))
        )


@pytest.mark.parametrize("verb", CHANGING)
def test_a_change_is_recorded_before_it_is_made(audited, verb):
    """Where the trail cannot be written the change is refused, and nothing at all has changed."""
    job = job_for(audited, verb)
    before = audited.everything()
    trail = audited.host.base.folder / "audit.log"
    trail.unlink()
    trail.mkdir()
    with pytest.raises((FetchError, OSError)):
        audited.ask(verb, audited.requests(job)[verb], talk_for(verb))

    assert audited.everything() == before


@pytest.mark.parametrize("verb", CHANGING)
def test_a_change_leaves_one_record(audited, verb):
    """Who, what and about which job."""
    job = job_for(audited, verb)
    told = len(records(audited))
    audited.ask(verb, audited.requests(job)[verb], talk_for(verb))
    (record,) = records(audited)[told:]

    assert (record["user"], record["action"], record["result"]) == ("local", PERMISSIONS[verb], "allowed")
    assert record["object"]


@pytest.mark.parametrize("verb", sorted(set(VERBS) - set(CHANGING)))
def test_reading_changes_nothing(audited, verb):
    """Verbs that read leave every file as it was, and no record."""
    job = job_of(audited)
    before, told = audited.everything(), len(records(audited))
    audited.ask(verb, audited.requests(job)[verb])

    assert audited.everything() == before
    assert len(records(audited)) == told


@pytest.mark.parametrize("verb", ["cancel"])
def test_a_full_disk_under_the_trail_refuses_the_change(audited, mocker, verb):
    """Disk full while recording: an error that says so, and the job runs on."""
    job = audited.running(user="anna")
    before = audited.everything()
    mocker.patch("os.fsync", side_effect=OSError(28, "No space left on device"))
    with pytest.raises(FetchError, match="disk-full"):
        audited.ask(verb, audited.requests(job)[verb])

    assert audited.everything() == before


def test_without_audit_logging_there_is_no_trail(world):
    """Off means off."""
    job = world.running()
    world.ask("cancel", world.requests(job)["cancel"])

    assert not (world.host.base.folder / "audit.log").exists()


@pytest.mark.parametrize("verb", ["", "nobody", "Submit", "submit ", "\x1b[2J" * 100, "__init__"])
def test_unknown_verbs_are_refused(world, verb):
    """A verb that is in no table is the newer peer's; its name is shown short."""
    with pytest.raises(InputError, match="verb-unknown") as caught:
        world.ask(verb, {})

    assert len(caught.value.context) <= 60


@pytest.mark.parametrize(
    "verb",
    [verb for verb in VERBS if any(one.default is attrs.NOTHING for one in attrs.fields(VERBS[verb].args))],
)
def test_arguments_that_are_none_are_refused(world, verb):
    """Missing arguments are one error that names the request."""
    with pytest.raises(FetchError, match="damaged-record: this request"):
        world.ask(verb, {})


def test_the_clock_of_the_trail_is_the_hosts(tmp_path):
    """Records carry the host's time."""
    from attrs import evolve

    made = World(tmp_path / "clocked", server=AUDIT)
    made.host = evolve(made.host, clock=FakeClock())
    with pytest.raises(DeniedError):
        made.ask("list", {}, identity=NOBODY)

    assert records(made)[0]["ts"].startswith("1970-01-01T00:16:40")
