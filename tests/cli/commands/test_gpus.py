"""``ml gpus``, over the local transport to a real agent, which asks a driver that was made for the test."""

from __future__ import annotations

import json
import os
import pwd
import subprocess

import pytest
from attrs import evolve

from fetchml_core.hardware.inventory import Gpu, Inventory
from fetchml_core.launcher.evidence import read_stat
from fetchml_core.queue.base import Started
from tests.cli.support import fake_cli, plain_environ, run_in
from tests.core.service.support import LAUNCH, LEASE, WORKER_FILE

GIB = 1 << 30
FIRST = "GPU-00000000-0000-0000-0000-000000000000"
ME = pwd.getpwuid(os.getuid()).pw_name


@pytest.fixture
def stranger():
    """A process that belongs to nobody's job."""
    with subprocess.Popen(["sleep", "600"]) as process:
        yield process.pid
        process.kill()


@pytest.fixture
def gpus(world, tmp_path):
    """Run ``ml gpus`` with a driver, for a person or for a program."""

    def run(*words, driver=None, tty=False, width=110, worker="", **environ):
        (world.host.base.folder / "worker.yaml").write_text(WORKER_FILE + worker)
        environ |= driver.environ if driver else {}
        cli = fake_cli(tmp_path, tty=tty, width=width, **plain_environ(tmp_path, **environ))
        return run_in(cli, "gpus", *words)

    return run


def runs(world, *uuids, pid=LAUNCH.pid, user="local"):
    """Let a job run with these GPUs."""
    job = world.submit(user=user)
    stat = read_stat(pid)
    launch = evolve(LAUNCH, pid=pid, start_ticks=stat.start_ticks if stat else 1, gpus=uuids)
    world.host.queue.claim(lambda jobs: next(other for other in jobs if other.id == job.id), LEASE)
    world.host.queue.advance(job.id, 1, Started(launch, LEASE))


def test_the_table(world, gpus, fake_driver, stranger):
    """What a person sees: figures, the jobs with their users, and who else is there."""
    runs(world, FIRST, user="anna")
    ran = gpus(driver=fake_driver("busy", pid=stranger), tty=True, width=140, FETCH_ML_GPU_SLOTS_PER_GPU="2")

    assert ran.status == 0, ran.err
    assert ran.out.splitlines() == [
        "GPU  TYPE                       USED    MEMORY  BUSY  SLOTS  JOBS      OTHERS",
        (
            "  0  NVIDIA H100 80GB HBM3  12.0 GiB  80.0 GiB   37%    1/2  1 (anna)  "
            f"sleep {stranger} ({ME}), 999999998, 999999999"
        ),
    ]
    assert ran.err == (
        "found with NVML, driver 999.01\nset in the environment: FETCH_ML_GPU_SLOTS_PER_GPU=2\n"
    )


def test_lines_for_programs(world, gpus, fake_driver):
    """Bytes and shares, every column."""
    runs(world, FIRST, "GPU-00000000-0000-0000-0000-000000000001")
    runs(world, "GPU-00000000-0000-0000-0000-000000000001", user="bob")
    ran = gpus(driver=fake_driver("dead"), FETCH_ML_GPU_SLOTS_PER_GPU="4")

    assert [line.split("\t") for line in ran.out.splitlines()] == [
        ["0", "NVIDIA H100 80GB HBM3", "0", str(80 * GIB), "0.37", "1/4", "1 (local)", "", ""],
        [
            "1",
            "NVIDIA H100 80GB HBM3",
            "",
            "",
            "",
            "2/4",
            "1 (local), 2 (bob)",
            "",
            "the driver says: GPU is lost",
        ],
    ]


def test_a_jobs_own_process_is_no_stranger(world, gpus, fake_driver, stranger):
    """It is the job's in JSON, and not among the others in the table."""
    runs(world, FIRST, pid=stranger)
    driver = fake_driver("busy", pid=stranger)
    (gpu,) = json.loads(gpus("--json", driver=driver).out)["gpus"]

    assert gpu["processes"][0] == {"pid": stranger, "name": "sleep", "user": ME, "memory": 11 * GIB, "job": 1}
    assert gpus(driver=driver).out.split("\t")[7] == "999999998, 999999999"


def test_json(world, gpus, fake_driver):
    """Every key is always there; what is not known is null."""
    runs(world, FIRST)
    shown = json.loads(gpus("--json", driver=fake_driver("one", "-DBARE"), worker="gpu_vendor: amd\n").out)
    host = shown.pop("host")

    assert host
    assert shown == {
        "schema": 1,
        "vendor": "nvidia",
        "configured_vendor": "amd",
        "how": "NVML",
        "worker": None,
        "overrides": [],
        "warnings": [],
        "gpus": [
            {
                "uuid": FIRST,
                "vendor": "nvidia",
                "index": 0,
                "type": "NVIDIA H100 80GB HBM3",
                "instance_of": None,
                "device": None,
                "memory": 80 * GIB,
                "memory_used": 0,
                "utilisation": None,
                "temperature": None,
                "power": None,
                "slots": 1,
                "slots_taken": 1,
                "jobs": [{"id": 1, "user": "local"}],
                "processes": [],
                "problem": None,
            }
        ],
    }


def test_no_gpu(gpus):
    """Said plainly, with how it looked; a program reads no line, or an empty list."""
    ran = gpus(worker="gpu_vendor: none\n", tty=True)
    shown = json.loads(gpus("--json", worker="gpu_vendor: none\n").out)

    assert (ran.status, ran.out) == (0, "")
    assert ran.err.startswith("no GPUs on ")
    assert ran.err.endswith(" (not looked for: the vendor is set to none)\n")
    assert (shown["gpus"], shown["vendor"], shown["configured_vendor"]) == ([], "none", "none")


def test_a_vendor_that_is_not_there(gpus):
    """The warning of the worker's start is seen here, too."""
    ran = gpus(worker="gpu_vendor: apple\n")

    assert ran.status == 0
    assert "warning: gpu_vendor is apple, and no such GPU was found: no /dev/metal\n" in ran.err


def test_what_the_worker_found_with_figures_of_now(world, gpus, fake_driver):
    """The worker's GPUs, in its order, with its slots; the driver tells how they are now, and which one has gone."""
    gone = Gpu("GPU-gone", "nvidia", 9, "T4", 16 * GIB, slots=2)
    first = Gpu(FIRST, "nvidia", 0, "NVIDIA H100 80GB HBM3", 80 * GIB, slots=2)
    found = Inventory(4, 8 * GIB, (gone, first), how={"gpus": "NVML"}, vendor="nvidia")
    world.write_record(inventory=found)
    shown = json.loads(gpus("--json", driver=fake_driver("busy")).out)

    assert shown["worker"] == "box1"
    assert [(gpu["uuid"], gpu["memory_used"], gpu["slots"], gpu["problem"]) for gpu in shown["gpus"]] == [
        ("GPU-gone", None, 2, "it is gone since the worker has started"),
        (FIRST, 12 * GIB, 2, None),
    ]
