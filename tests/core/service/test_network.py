"""A job has a network where it asks for one and the worker file allows it; elsewhere it is refused with the key."""

from __future__ import annotations

import pytest
from attrs import evolve

from fetchml_core.config.worker import SandboxConfig
from fetchml_core.errors import InputError
from fetchml_core.jobs.job import JobSpec
from fetchml_core.service.network import network_allowed
from fetchml_core.wire.jobs import SubmitRequest
from fetchml_core.wire.snapshot import StageRequest
from tests.core.service.support import Talk
from tests.core.snapshot.trees import manifest_of


def configured(host, *, launcher="podman", network="none", embedded=False):
    """*host* with other settings."""
    sandbox = SandboxConfig(network=network)
    return evolve(host, worker=evolve(host.worker, launcher=launcher, sandbox=sandbox), embedded=embedded)


@pytest.mark.parametrize(
    ("settings", "allowed"),
    [
        ({}, False),
        ({"network": "full"}, True),
        ({"launcher": "process"}, True),  # it has the account's anyway
        ({"embedded": True}, True),  # who asks owns the machine
    ],
)
def test_who_may_have_one(world, settings, allowed):
    """The worker's key allows; where nothing isolates, and on one's own machine, nothing is refused."""
    assert network_allowed(configured(world.host, **settings)) is allowed


def test_refused_before_the_tree_travels_and_at_submit(world):
    """Both say the key, the file and who can change it; nothing is kept and nothing queued."""
    spec = world.spec(network=True)
    world.host = configured(world.host)
    other = manifest_of({"other.py": b"print()"})
    talk = Talk(other.data)
    asked = (
        ("stage", StageRequest(other.digest, len(other.data), network=True), talk),
        ("submit", SubmitRequest("key", spec), None),
    )
    for verb, request, said in asked:
        with pytest.raises(InputError, match="network-not-allowed") as caught:
            world.ask(verb, request, said)
        assert "sandbox.network: none" in caught.value.message
        assert caught.value.context == f"--network; {world.host.worker_file}"
        assert "sandbox: {network: full}" in caught.value.hint

    assert talk.taken == 0
    assert len(world.host.queue.jobs()) == 0


def test_where_the_file_would_be(world):
    """A host without a worker file is told which one to write."""
    world.host = evolve(configured(world.host), worker_file=None)

    with pytest.raises(InputError, match=r"worker\.yaml"):
        world.ask("stage", StageRequest("0" * 64, 10, network=True))


def test_allowed(world):
    """The wish is in the queue; a job that does not ask has none."""
    spec, plain = world.spec(network=True), world.spec()
    world.host = configured(world.host, network="full")

    assert world.ask("submit", SubmitRequest("key", spec)).job.spec.network
    assert not world.ask("submit", SubmitRequest("other", plain)).job.spec.network
    assert not JobSpec("old", ("true",), "a" * 64).network
