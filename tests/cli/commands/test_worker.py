"""``ml worker``, over the local transport to a real agent."""

from __future__ import annotations

import json
import re

import pytest
from attrs import evolve

from fetchml_cli.boundary import Detached
from fetchml_cli.commands.worker import drain, start, status
from fetchml_cli.commands.worker.draining import jobs_in_words
from fetchml_core.errors import HostError
from fetchml_core.service.drain import Drain, read_drain, write_drain
from fetchml_core.service.workers import stop_worker
from fetchml_core.wire.worker import (
    DrainInfo,
    PodmanInfo,
    WorkerDrainReply,
    WorkerInfo,
    WorkerJob,
    WorkerProcess,
    WorkerStartReply,
    WorkerStatusReply,
)
from tests.cli.support import fake_cli, text_of
from tests.core.service.support import World

NOW = 1_000_000.0
PROCESS = WorkerProcess(
    4242,
    version="1.2.3",
    protocol=1,
    build="/srv/ml/agent/0123abcd",
    config="/srv/ml/worker.yaml",
    service=True,
    slots=2,
    started_at=NOW - 7200,
    read_at=NOW - 60,
    beat_at=NOW - 10,
    memory=31 << 20,
    cpu_s=72.0,
    podman=PodmanInfo("5.4.2", True, "v2", ("memory", "pids"), True, "pasta"),
)
INFO = WorkerInfo(True, "box1", "podman", ("jobs have no CPU limit",), ("not active yet: data_dir",))
REPLY = WorkerStatusReply(
    INFO,
    now=NOW,
    base="/srv/ml",
    queue="/srv/ml/data/queue",
    data="/srv/ml/data",
    process=PROCESS,
    jobs=(WorkerJob(7, "sweep", "anna", "running"),),
    queued=3,
)
DRAINED = DrainInfo("anna", "new GPU", NOW - 120)


class Answering:
    """A connection that gives one answer, after its items, or fails."""

    def __init__(self, reply, items=()):
        self._reply, self._items = reply, items

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def call(self, *_, on_item=None):
        """Answer."""
        for item in self._items:
            on_item(item)
        if isinstance(self._reply, BaseException):
            raise self._reply
        return self._reply


def shown(tmp_path, mocker, reply, **settings):
    """What ``ml worker status`` prints of *reply*."""
    mocker.patch.object(status, "connect", return_value=Answering(reply))
    cli = evolve(fake_cli(tmp_path), **settings)
    status.run(cli)
    return text_of(cli.out)


def test_status_of_a_worker_that_runs(tmp_path, mocker):
    """Name and value on a line."""
    assert (
        shown(tmp_path, mocker, REPLY)
        == """\
worker     box1
state      running, until it is stopped, started 2h00m ago
jobs       1 of 2 slots taken, 3 queued
  7        running: sweep (anna)
last beat  10s ago
process    4242
memory     31.0 MiB
cpu        72.0s, 1.0 % of a core since it started
version    1.2.3, protocol 1
build      /srv/ml/agent/0123abcd
file       /srv/ml/worker.yaml, read 1m00s ago
launcher   podman
podman     5.4.2 rootless, cgroup v2; limits memory, pids; NVIDIA GPUs by CDI; network by pasta
base       /srv/ml
queue      /srv/ml/data/queue
data       /srv/ml/data
note       jobs have no CPU limit
note       not active yet: data_dir
"""
    )


def test_status_names_gpus_that_no_job_gets(tmp_path, mocker):
    """With the reason, on a line each below the jobs."""
    reply = evolve(REPLY, gpus_out=("GPU 0 is given to no job: lost", "GPU 3 is given to no job: held"))
    lines = shown(tmp_path, mocker, reply).splitlines()

    assert lines[4:6] == [
        "gpus       GPU 0 is given to no job: lost",
        "gpus       GPU 3 is given to no job: held",
    ]
    assert json.loads(shown(tmp_path, mocker, reply, json=True))["gpus_out"] == list(reply.gpus_out)


def test_status_of_a_drained_worker_that_ends_with_its_jobs(tmp_path, mocker):
    """Who drained it, when and why stands below its state; what the host does not tell is left out."""
    process = evolve(PROCESS, service=False, memory=None, cpu_s=None, config="")
    reply = evolve(REPLY, worker=evolve(INFO, drained=DRAINED), process=process)
    lines = shown(tmp_path, mocker, reply).splitlines()

    assert lines[1:3] == [
        "state      running, while there is work, started 2h00m ago",
        "drained    by anna 2m00s ago: new GPU",
    ]
    assert "file       none, read 1m00s ago" in lines
    assert not {line.split()[0] for line in lines} & {"memory", "cpu"}


def test_a_podman_that_can_little(tmp_path, mocker):
    """What does not follow from its version is said, too; jobs without Podman have no such line."""
    old = evolve(PROCESS, podman=PodmanInfo("3.4.4", False, "v1", network="bridge"))
    told = shown(tmp_path, mocker, evolve(REPLY, process=old))
    without = shown(tmp_path, mocker, evolve(REPLY, process=evolve(PROCESS, podman=None)))

    assert (
        "podman     3.4.4 as root, cgroup v1; limits nothing; NVIDIA GPUs by device files; network by bridge"
        in told
    )
    assert "podman   " not in without.replace("launcher   podman", "")


@pytest.mark.parametrize(("alive", "state"), [(True, "starting"), (False, "no worker runs")])
def test_status_where_no_process_is_known(tmp_path, mocker, alive, state):
    """Jobs that were left are named all the same."""
    told = shown(tmp_path, mocker, evolve(REPLY, worker=WorkerInfo(alive), process=None)).splitlines()

    assert told[0] == f"state  {state}"
    assert [line for line in told if line.startswith(("jobs", "  "))] == [
        "jobs   1 running, 3 queued",
        "  7    running: sweep (anna)",
    ]


@pytest.mark.parametrize(
    ("reply", "hint"),
    [
        (evolve(REPLY, worker=WorkerInfo(False)), "ml status starts one for these jobs"),
        (evolve(REPLY, worker=WorkerInfo(False), jobs=(), queued=0), "ml submit starts one for its job"),
        (evolve(REPLY, worker=WorkerInfo(False, drained=DRAINED)), "ml worker resume"),
        (evolve(REPLY, worker=WorkerInfo(True)), ""),
    ],
)
def test_status_where_none_runs_tells_how_to_start_one(tmp_path, mocker, reply, hint):
    """The next command, also for whoever may not start one."""
    lines = shown(tmp_path, mocker, evolve(reply, process=None)).splitlines()

    assert [line.split(maxsplit=1)[1].split(";")[0] for line in lines if line.startswith("hint")] == [
        *([hint] if hint else [])
    ]


def test_status_of_a_file_that_was_refused(tmp_path, mocker):
    """When, what is wrong with it, and which options of the one that was read wait for a start."""
    process = evolve(
        PROCESS,
        refused_at=NOW - 30,
        refused="/srv/ml/worker.yaml:2:14: no number",
        kept=("launcher", "queue.type"),
    )
    reply = evolve(REPLY, process=process)
    rows = shown(tmp_path, mocker, reply)
    told = json.loads(shown(tmp_path, mocker, reply, json=True))["process"]

    assert re.search(r"refused\s+30s ago, all stays as it was: /srv/ml/worker.yaml:2:14: no number\n", rows)
    assert re.search(r"kept\s+as it was, until the worker is started anew: launcher, queue.type\n", rows)
    assert told["refused"] == "/srv/ml/worker.yaml:2:14: no number"
    assert (told["refused_at"], told["kept"]) == ("1970-01-12T13:46:10Z", ["launcher", "queue.type"])


def test_status_json(tmp_path, mocker):
    """Every key is always there; times are RFC 3339, sizes bytes."""
    told = json.loads(shown(tmp_path, mocker, evolve(REPLY, worker=evolve(INFO, drained=DRAINED)), json=True))

    assert told == {
        "schema": 1,
        "worker": {
            "alive": True,
            "id": "box1",
            "launcher": "podman",
            "drained": {"by": "anna", "reason": "new GPU", "at": "1970-01-12T13:44:40Z"},
            "notes": ["jobs have no CPU limit", "not active yet: data_dir"],
            "problem": "",
            "hint": "",
        },
        "base": "/srv/ml",
        "queue": "/srv/ml/data/queue",
        "data": "/srv/ml/data",
        "process": {
            "pid": 4242,
            "version": "1.2.3",
            "protocol": 1,
            "build": "/srv/ml/agent/0123abcd",
            "config": "/srv/ml/worker.yaml",
            "service": True,
            "slots": 2,
            "started": "1970-01-12T11:46:40Z",
            "read": "1970-01-12T13:45:40Z",
            "beat": "1970-01-12T13:46:30Z",
            "memory": 31 << 20,
            "cpu_s": 72.0,
            "podman": {
                "version": "5.4.2",
                "rootless": True,
                "cgroups": "v2",
                "limits": ["memory", "pids"],
                "cdi": True,
                "network": "pasta",
            },
            "refused": None,
            "refused_at": None,
            "kept": [],
        },
        "jobs": [{"id": 7, "name": "sweep", "user": "anna", "state": "running"}],
        "queued": 3,
        "gpus_out": [],
    }
    bare = json.loads(
        shown(tmp_path, mocker, WorkerStatusReply(WorkerInfo(False), NOW, "b", "q", "d"), json=True)
    )
    assert bare.keys() == told.keys()
    assert (bare["process"], bare["worker"]["drained"]) == (None, None)


def test_what_cannot_be_started_is_an_error(tmp_path, mocker):
    """Status 1, what is wrong, and the line to type on the host."""
    reply = WorkerStartReply(
        WorkerInfo(False, problem="podman-missing: no Podman", hint="on the host: apt"), True
    )
    mocker.patch.object(start, "connect", return_value=Answering(reply))
    with pytest.raises(HostError, match="worker-not-started") as caught:
        start.run(fake_cli(tmp_path))

    assert (caught.value.status, caught.value.context, caught.value.hint) == (
        1,
        "podman-missing: no Podman",
        "on the host: apt",
    )


@pytest.mark.parametrize(
    ("ids", "words"),
    [((), "no job"), ((3,), "job 3"), ((3, 4), "jobs 3 and 4"), ((1, 2, 3), "jobs 1, 2 and 3")],
)
def test_jobs_in_words(ids, words):
    """As people say it."""
    assert jobs_in_words(ids) == words


@pytest.fixture
def host(tmp_path):
    """The embedded default's base in a home folder of the test, no worker alive."""
    (tmp_path / ".ml").mkdir(mode=0o700)
    made = World(tmp_path / ".ml" / "local")
    yield made
    stop_worker(made.host)


def test_start_and_stop(host, run_verb):
    """Each says what it did, and what was so before."""
    assert run_verb("worker", "start").out == "box1 runs until it is stopped\n"
    assert run_verb("worker", "start").out == "box1 runs already\n"
    assert json.loads(run_verb("worker", "start", "--json").out)["started"] is False
    assert "running, until it is stopped" in run_verb("worker", "status").out
    assert run_verb("worker", "stop").out == "the worker has ended\n"
    assert run_verb("worker", "stop").out == "no worker ran\n"
    assert json.loads(run_verb("worker", "stop", "--cancel", "--json").out) == {
        "schema": 1,
        "stopped": False,
        "running": [],
        "cancelled": [],
        "queued": 0,
    }


def test_stop_names_the_jobs_that_go_on(host, run_verb):
    """What becomes of them is said, too."""
    host.running()

    assert run_verb("worker", "stop").out.splitlines() == [
        "no worker ran",
        "job 1: going on; the next worker takes over",
    ]


def test_drain_and_resume(host, run_verb):
    """Said at once, seen by everybody, and over when it is over."""
    assert (
        run_verb("worker", "drain", "--reason", "new GPU").out
        == "the worker is drained: no job starts\nno worker runs\n"
    )
    host.submit()
    listed = run_verb("status")
    assert listed.out.rstrip("\n").split("\t")[-1] == "the worker is drained by local: new GPU"
    assert re.search(r"warning: the worker on \S+ was drained by local .*: new GPU\n", listed.err)
    assert "no worker runs" not in listed.err
    assert json.loads(run_verb("status", "--json").out)["worker"]["drained"]["by"] == "local"
    refused = run_verb("worker", "start")
    assert (refused.status, refused.out) == (1, "")
    assert refused.err == (
        "error: worker-drained: the worker is drained by local: new GPU\n  hint     ml worker resume\n"
    )
    host.host.queue.hold(1)

    assert json.loads(run_verb("worker", "resume", "--json").out)["was_drained"]["reason"] == "new GPU"
    assert run_verb("worker", "resume").out == "the worker was not drained\n"
    write_drain(host.host.base, Drain("anna"))
    assert run_verb("worker", "resume").out == "the worker takes jobs again\n"
    assert read_drain(host.host.base) is None


def test_draining_again_takes_no_reason_away(host, run_verb):
    """As when an admin types it again, to wait; another reason replaces it."""
    for words, reason in (
        (("--reason", "new GPU"), "new GPU"),
        (("--wait",), "new GPU"),
        (("--reason", "sold"), "sold"),
    ):
        assert json.loads(run_verb("worker", "drain", "--json", *words).out)["drained"]["reason"] == reason


@pytest.mark.parametrize(
    ("cancel", "alive", "told"),
    [
        (False, (True,), "jobs 3 and 4: going on; the worker then ends\n"),
        (True, (True,), "jobs 3 and 4: being cancelled; the worker then ends\n"),
        (False, (False,), "no worker runs\n"),
        (False, (False, False), "no worker runs\n"),
        (False, (True, False), "jobs 3 and 4: going on; the worker then ends\nthe worker has ended\n"),
        (
            True,
            (True, False),
            "jobs 3 and 4: being cancelled; the worker then ends\nthe worker has ended\njobs 3 and 4: cancelled\n",
        ),
    ],
)
def test_drain_tells_what_becomes_of_jobs_and_worker(tmp_path, mocker, cancel, alive, told):
    """Whoever waits reads at once what has begun, and at the end that it has come."""
    *items, reply = (WorkerDrainReply(DRAINED, (3, 4), lives) for lives in alive)
    mocker.patch.object(drain, "connect", return_value=Answering(reply, items))
    cli = fake_cli(tmp_path)
    drain.run(cli, "new GPU", cancel=cancel, wait=bool(items))

    assert text_of(cli.out) == "the worker is drained: no job starts\n" + told


def test_ctrl_c_ends_the_waiting_and_not_the_drain(tmp_path, mocker):
    """Which is said, with what ends it; before the host has answered nothing is known."""
    begun = [WorkerDrainReply(DRAINED, (3,), True)]
    mocker.patch.object(drain, "connect", return_value=Answering(KeyboardInterrupt(), begun))
    with pytest.raises(Detached, match="the worker stays drained\n  ml worker resume "):
        drain.run(fake_cli(tmp_path), "", wait=True)

    mocker.patch.object(drain, "connect", return_value=Answering(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        drain.run(fake_cli(tmp_path), "", wait=True)


def test_drain_json(host, run_verb):
    """Who, what runs on, and whether the worker still lives for it."""
    told = json.loads(run_verb("worker", "drain", "--json", "--wait").out)

    assert (told["drained"]["by"], told["running"], told["alive"]) == ("local", [], False)


def test_submit_to_a_drained_host_says_so(host, run_verb, tmp_path):
    """The job is taken; who submitted it knows why it waits."""
    (tmp_path / "train.py").write_text("print(1)\n")
    run_verb("worker", "drain", "--reason", "new GPU")
    ran = run_verb("submit", "--only", "--allow-large", "train.py")

    assert ran.status == 0, ran.err
    assert ran.err == (
        "warning: the worker is drained by local: new GPU; the job waits until ml worker resume\n"
    )
