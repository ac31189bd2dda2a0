"""Accepting a job: once, and only one that this host would run."""

from __future__ import annotations

import pytest
from attrs import evolve

from fetchml_core.errors import FetchError
from fetchml_core.hardware.inventory import Inventory
from fetchml_core.jobs.job import JobSpec, Resources
from fetchml_core.jobs.states import State
from fetchml_core.permission.policy import Identity
from fetchml_core.queue.base import Stored
from fetchml_core.service.limits import JobLimits, job_limits
from fetchml_core.service.room import Capacity
from fetchml_core.service.submit import MAX_ARGUMENTS, check_spec
from fetchml_core.service.wanted import LEAST_MEMORY
from fetchml_core.wire.jobs import SubmitRequest
from tests.core.service.support import LEASE, World

HAS = Inventory(cpus=4, memory=8 << 30)
GOOD = JobSpec("train", ("python3", "-u", "train.py"), "a" * 64)
ANNA = Identity("anna", granted=frozenset({"jobs:create"}))


def submit(world, spec, key="key", identity=None):
    """Ask for a job."""
    return world.ask("submit", SubmitRequest(key, spec), identity=identity)


def test_a_job_is_queued_for_who_asked(world):
    """The reply holds the job as everybody sees it."""
    reply = submit(world, world.spec(), identity=ANNA)

    assert (reply.job.user, reply.job.state, reply.ahead) == ("anna", State.QUEUED, 0)
    assert world.host.queue.get(reply.job.id) == reply.job
    assert reply.worker.alive


def test_asking_again_is_the_same_job(world):
    """A lost answer is asked for again with the same key: one job, also after it was claimed."""
    spec = world.spec()
    first = submit(world, spec).job
    world.host.queue.claim(lambda jobs: jobs[0], LEASE)

    assert submit(world, spec).job.id == first.id
    assert len(world.host.queue.jobs()) == 1


def test_a_key_belongs_to_its_user_and_spec(world):
    """Somebody else's same key is another job; the same key for another job is refused."""
    spec = world.spec()
    first = submit(world, spec).job
    assert submit(world, spec, identity=ANNA).job.id != first.id
    with pytest.raises(FetchError, match="key-reused"):
        submit(world, evolve(spec, name="other"))


@pytest.mark.parametrize("key", ["", "k" * 201])
def test_a_key_is_wanted(world, key):
    """A job without a key could be made twice."""
    with pytest.raises(FetchError, match="bad-key"):
        submit(world, world.spec(), key)


def test_the_line_is_told(world):
    """Ahead are the queued jobs that go first: higher priority, then age."""
    for number, priority in enumerate((5, 9, 1)):
        world.submit(priority=priority, key=str(number))
    world.running(priority=10)

    assert submit(world, world.spec(priority=5)).ahead == 2
    assert submit(world, world.spec(priority=10), "other").ahead == 0


def test_a_long_line_is_not_counted(world, mocker):
    """Where too many are queued to look at each, nobody says which number the job has."""
    mocker.patch("fetchml_core.service.submit.MOST_IN_LINE", 3)
    for number in range(2):
        world.submit(key=str(number))

    assert submit(world, world.spec(), "third").ahead == 2
    assert submit(world, world.spec(), "fourth").ahead is None


def test_everything_a_specification_may_hold_arrives(world):
    """All that was asked for is in the queue as it was asked for."""
    spec = world.spec(
        cwd="data",
        env={"A": "ü\n", "EMPTY": ""},
        image="docker.io/library/python:3.12-slim@sha256:" + "0" * 64,
        resources=Resources(0.5, 64 << 20),
        priority=10,
        time_limit=0.5,
    )

    assert submit(world, spec).job.spec == spec


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"name": ""}, "bad-name"),
        ({"name": "-x"}, "bad-name"),
        ({"name": "a/b"}, "bad-name"),
        ({"name": "a" * 64}, "bad-name"),
        ({"name": "a\n"}, "bad-name"),
        ({"name": "ä"}, "bad-name"),
        ({"argv": ()}, "bad-command"),
        ({"argv": ("",)}, "bad-command"),
        ({"argv": ("a\0",)}, "bad-argument"),
        ({"argv": ("a", "\ud800")}, "bad-argument"),
        ({"argv": ("a" * (MAX_ARGUMENTS + 1),)}, "bad-command"),
        ({"priority": 0}, "bad-priority"),
        ({"priority": 11}, "bad-priority"),
        ({"time_limit": 0.0}, "bad-time"),
        ({"time_limit": -1.0}, "bad-time"),
        ({"time_limit": 1e9}, "bad-time"),
        ({"time_limit": float("nan")}, "bad-time"),
        ({"time_limit": float("inf")}, "bad-time"),
        ({"image": "--privileged"}, "bad-image"),
        ({"image": "-v"}, "bad-image"),
        ({"image": "dir:/etc"}, "bad-image"),
        ({"image": "docker-archive:/x"}, "bad-image"),
        ({"image": "/etc"}, "bad-image"),
        ({"image": "a b"}, "bad-image"),
        ({"image": "python\n"}, "bad-image"),
        ({"cwd": "/etc"}, "bad-folder"),
        ({"cwd": ".."}, "bad-folder"),
        ({"cwd": "a/../../b"}, "bad-folder"),
        ({"cwd": "."}, "bad-folder"),
        ({"cwd": "a\0"}, "bad-argument"),
        ({"cwd": "\ud800"}, "bad-argument"),
        ({"env": {"LD_PRELOAD": "x"}}, "env-refused"),
        ({"env": {"ld_preload": "x"}}, "env-refused"),
        ({"env": {"NVIDIA_VISIBLE_DEVICES": "all"}}, "env-refused"),
        ({"env": {"FETCHML_JOB_ID": "1"}}, "env-refused"),
        ({"env": {"A B": "1"}}, "env-refused"),
        ({"env": {"": "1"}}, "env-refused"),
        ({"env": {"A": "\0"}}, "env-refused"),
        ({"env": {"A": "\ud800"}}, "env-refused"),
        ({"resources": Resources(gpus=1)}, "too-many-gpus"),
        ({"resources": Resources(gpus=-1)}, "bad-gpus"),
        ({"resources": Resources(gpus=1, gpu_memory=0)}, "bad-gpu-memory"),
        ({"resources": Resources(gpu_memory=1)}, "gpu-memory-without-gpus"),
        ({"resources": Resources(cpus=0.0)}, "bad-cpus"),
        ({"resources": Resources(cpus=1e6)}, "too-many-cpus"),
        ({"resources": Resources(cpus=float("nan"))}, "bad-cpus"),
        ({"resources": Resources(memory=0)}, "bad-memory"),
        ({"resources": Resources(memory=-1)}, "bad-memory"),
        ({"resources": Resources(memory=LEAST_MEMORY - 1)}, "bad-memory"),
        ({"resources": Resources(memory=2**60)}, "too-much-memory"),
    ],
)
def test_what_this_host_would_never_run_is_refused(world, fields, code):
    """Each is refused by name at submit, not at launch, and nothing is queued."""
    with pytest.raises(FetchError) as caught:
        check_spec(evolve(GOOD, **fields), Capacity(HAS, job_limits(world.host.worker, HAS), 2))

    assert caught.value.code == code
    assert caught.value.status == 2


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"name": "a" * 63},
        {"name": "9.b_c-d"},
        {"argv": ("--help",)},
        {"argv": ("a", "", "--", "é\n")},
        {"cwd": "a/..b/c d"},
        {"image": "localhost:5000/team/torch:2.1"},
        {"image": "busybox"},
        {"priority": 1},
        {"time_limit": 0.001},
        {"env": {"LDFLAGS": "x", "_": "1"}},
    ],
)
def test_what_is_allowed(world, fields):
    """The other side of each limit."""
    check_spec(evolve(GOOD, **fields), Capacity(HAS, job_limits(world.host.worker, HAS), 2))


def test_a_values_never_stand_in_the_error(world):
    """A refused variable is named without its value, which may be a secret."""
    with pytest.raises(FetchError) as caught:
        check_spec(
            evolve(GOOD, env={"LD_X": "hunter2"}), Capacity(HAS, job_limits(world.host.worker, HAS), 2)
        )

    assert "hunter2" not in str(caught.value)


def test_the_ceiling_is_the_workers_file_within_the_machine(tmp_path):
    """podman_cpus and podman_memory are default and ceiling; more than the machine has is the machine."""
    small = World(tmp_path / "small", worker="resources:\n  podman_cpus: '0.5'\n  podman_memory: 64m\n")
    large = World(tmp_path / "large", worker="resources:\n  podman_cpus: '512'\n  podman_memory: 512t\n")

    assert job_limits(small.host.worker, HAS) == JobLimits(0.5, 64 << 20)
    assert job_limits(large.host.worker, HAS) == JobLimits(4, 8 << 30)
    assert job_limits(large.host.worker, Inventory(4, 0)).memory == 512 << 40
    with pytest.raises(FetchError, match=r"--cpus 0\.5"):
        check_spec(
            evolve(GOOD, resources=Resources(cpus=0.6)), Capacity(HAS, job_limits(small.host.worker, HAS), 2)
        )
    with pytest.raises(FetchError, match="--memory 64m"):
        check_spec(
            evolve(GOOD, resources=Resources(memory=65 << 20)),
            Capacity(HAS, job_limits(small.host.worker, HAS), 2),
        )


def test_jobs_of_other_hosts_are_not_before_it(world):
    """Where several hosts share the queue each has its own line."""
    first = world.submit()
    world.host.queue.adopt([Stored("far", evolve(first, id=7, home="box2"))])

    assert submit(world, world.spec(), key="near").ahead == 1
