"""What a host has, as a worker has recorded it or as a door finds it, and who holds its GPUs."""

from __future__ import annotations

import os
import subprocess

import pytest
from attrs import evolve

from fetchml_core.hardware.inventory import Gpu, GpuProcess, Inventory
from fetchml_core.jobs.job import Attempt, Job, JobSpec, Launched
from fetchml_core.launcher.evidence import read_stat
from fetchml_core.service.gpus import gpu_infos, inventory_of
from fetchml_core.wire.gpus import GpuHolder, GpuUser
from tests.core.service.support import WORKER_FILE, World
from tests.support.wait import poll_until

CARD = Gpu("apple-0", "apple", 0, "Apple GPU", 8 << 30, slots=2)
RECORDED = Inventory(3.5, 8 << 30, (CARD,), how={"gpus": "a look"}, vendor="apple")


@pytest.fixture
def plain(tmp_path):
    """A host without GPUs, whatever this machine has."""
    return World(tmp_path / "base", worker=WORKER_FILE + "gpu_vendor: none\n")


@pytest.fixture
def process():
    """A process with a child, and that child's number: ``sh`` and ``sleep``."""
    with subprocess.Popen(
        ["sh", "-c", "sleep 600 & echo $!; wait"], stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        yield parent.pid, child
        os.killpg(parent.pid, 9)


def job(number, *gpus, pid=0, user="anna"):
    """A job that runs with these GPUs."""
    stat = read_stat(pid)
    launch = Launched("podman", pid, stat.start_ticks if stat else 1, gpus=gpus)
    return Job(
        number, user, JobSpec("x", ("true",), ""), 0.0, attempts=(Attempt(1, "box1", 0.0, launch=launch),)
    )


def test_a_living_worker_has_recorded_it(plain):
    """What it found counts, also where this process would find something else."""
    plain.write_record(inventory=RECORDED)

    assert inventory_of(plain.host) == inventory_of(plain.host, fresh=True) == RECORDED


def test_a_dead_workers_record_tells_nothing(plain):
    """The door looks itself, and its own environment counts."""
    with subprocess.Popen(["true"]) as ended:
        ended.wait()
    plain.write_record(pid=ended.pid, start_ticks=1, inventory=RECORDED)
    host = evolve(plain.host, environ={**plain.host.environ, "FETCH_ML_TOTAL_CPU": "7"})

    assert inventory_of(plain.host).gpus == ()
    assert inventory_of(plain.host).cpus <= (os.cpu_count() or 1)
    assert inventory_of(host).cpus == 7


def test_an_older_workers_record(plain):
    """It holds no such thing: the door looks itself."""
    plain.write_record()

    assert inventory_of(plain.host).how["gpus"] == "not looked for: the vendor is set to none"


def test_who_holds_a_gpu():
    """Each job that was given it, in their order; a job without GPUs or that is not launched holds none."""
    other = evolve(CARD, uuid="apple-1", index=1, slots=1)
    not_launched = evolve(job(4), attempts=(Attempt(1, "box1", 0.0),))
    shared, free = gpu_infos(
        (CARD, other), [job(1, "apple-0"), job(2, "apple-0", "gone", user="bob"), job(3), not_launched]
    )

    assert shared.holders == (GpuHolder(1, "anna"), GpuHolder(2, "bob"))
    assert (shared.slots, shared.memory, free.holders) == (2, 8 << 30, ())


def test_whose_the_processes_are(process):
    """A job's init and all that descends from it are the job's; the others are strangers, dead ones too, and those that got an init's number."""
    init, child = process
    poll_until(lambda: read_stat(child) is not None)
    users = (
        GpuProcess(init, "sh", 1),
        GpuProcess(child, "sleep"),
        GpuProcess(os.getpid()),
        GpuProcess(999999999),
    )
    (gpu,) = gpu_infos((evolve(CARD, processes=users),), [job(5, "apple-0", pid=init)])

    assert [(one.pid, one.job) for one in gpu.processes] == [
        (init, 5),
        (child, 5),
        (os.getpid(), None),
        (999999999, None),
    ]
    assert gpu.processes[0] == GpuUser(init, "sh", "", 1, 5)
    again = evolve(job(5, "apple-0"), attempts=(Attempt(1, "box1", 0.0, launch=Launched("podman", init, 1)),))
    (gpu,) = gpu_infos((evolve(CARD, processes=users),), [again])
    assert {one.job for one in gpu.processes} == {None}
