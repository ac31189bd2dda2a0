"""NVIDIA's GPUs through pynvml and a library that answers as the driver does, in a process that loads it for real."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fetchml_core.convert import from_data
from fetchml_core.hardware.inventory import Gpu, GpuProcess, Inventory
from fetchml_core.hardware.nvidia import probe_nvidia

LOOK = """
import json, sys
from fetchml_core.config.environment import check_overrides
from fetchml_core.config.worker import WorkerConfig
from fetchml_core.convert import to_data
from fetchml_core.hardware.detect import detect
overrides, _ = check_overrides(json.loads(sys.argv[2]))
print(json.dumps(to_data(detect(WorkerConfig(**json.loads(sys.argv[1])), overrides))))
"""
GIB = 1 << 30


def asking(driver) -> list[int]:
    """The processes that have the driver's scenario in their environment."""
    marker = os.fsencode(driver.environ["FAKE_NVML"])
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if marker in (folder / "environ").read_bytes():
                found.append(int(folder.name))
    return found


def look(driver, *, overrides=None, before="", **worker) -> Inventory:
    """What a process finds with the driver, after the line *before*."""
    environ = os.environ | driver.environ
    argv = [sys.executable, "-c", f"{before}\n{LOOK}", json.dumps(worker), json.dumps(overrides or {})]
    ran = subprocess.run(argv, env=environ, capture_output=True, text=True, check=True, timeout=60)
    assert ran.stderr == ""
    return from_data(json.loads(ran.stdout), Inventory)


def test_mixed_cards(fake_driver):
    """Eight cards of four kinds: each has its own type, memory and figures."""
    found = look(fake_driver("mixed"))

    assert [(gpu.type, gpu.memory) for gpu in found.gpus[::2]] == [
        ("NVIDIA H100 80GB HBM3", 80 * GIB),
        ("NVIDIA A100-SXM4-40GB", 40 * GIB),
        ("NVIDIA GeForce RTX 4090", 24 * GIB),
        ("Tesla T4", 16 * GIB),
    ]
    assert found.gpus[7] == Gpu(
        uuid="GPU-00000000-0000-0000-0000-000000000007",
        vendor="nvidia",
        index=7,
        type="Tesla T4",
        memory=16 * GIB,
        memory_used=7 * GIB,
        busy=0.37,
        temperature=41,
        power=71.5,
        device="/dev/nvidia7",
    )
    assert (found.vendor, found.how["gpus"], found.warnings) == ("nvidia", "NVML, driver 999.01", ())


def test_an_old_driver(fake_driver):
    """What it has no function for is unknown; the card is there all the same."""
    (gpu,) = look(fake_driver("one", "-DBARE")).gpus

    assert gpu == Gpu(
        "GPU-00000000-0000-0000-0000-000000000000",
        "nvidia",
        0,
        "NVIDIA H100 80GB HBM3",
        80 * GIB,
        memory_used=0,
    )


def test_a_driver_that_cannot_count(fake_driver):
    """Nothing is known then, and people hear of it."""
    found = look(fake_driver("one", "-DNOCOUNT"))

    assert (found.gpus, found.warnings) == ((), ("NVML does not count its GPUs: Function Not Found",))


def test_a_driver_that_is_not_loaded(fake_driver):
    """A library without a driver is a machine without a GPU: told, but nothing to warn of."""
    found = look(fake_driver("init"))

    assert (found.gpus, found.vendor, found.warnings) == ((), "none", ())
    assert found.how["gpus"].startswith("NVML does not start: Driver Not Loaded; no card of amdgpu")


def test_a_driver_that_does_not_fit_its_library(fake_driver):
    """After an update without a reboot there are cards that nobody can use: people must hear of it."""
    found = look(fake_driver("mismatch"))

    assert found.gpus == ()
    assert found.warnings == ("NVML does not start: RM has detected an NVML/RM version mismatch.",)


def test_a_driver_that_hangs(fake_driver):
    """Whoever asks goes on without GPUs, and people hear of it; the process that hangs is ended."""
    driver = fake_driver("hangs")
    patience = "from fetchml_core.hardware import nvidia; nvidia.ANSWER_S = 0.5"
    found = look(driver, before=patience)

    assert (found.gpus, found.warnings) == ((), ("NVML gives no answer within 0.5 s",))
    assert not asking(driver)


def test_a_driver_that_brings_its_process_down(fake_driver):
    """The process that asked is another one."""
    found = look(fake_driver("crashes"))

    assert found.gpus == ()
    assert found.warnings == (f"NVML cannot be asked: the process that did so ended with -{signal.SIGABRT}",)


def test_no_card(fake_driver):
    """A driver without a card is no error."""
    found = look(fake_driver("none"))

    assert (found.gpus, found.warnings) == ((), ())
    assert found.how["gpus"].startswith("NVML, driver 999.01: no GPU; ")


def test_a_card_that_cannot_be_reached(fake_driver):
    """It stays in the list with its problem; the other one is used."""
    lost, good = look(fake_driver("lost")).gpus

    assert lost == Gpu("nvidia-0", "nvidia", 0, problem="the driver does not reach it: GPU is lost")
    assert (good.index, good.problem, good.memory) == (1, "", 80 * GIB)


def test_a_card_that_is_lost_while_its_name_is_known(fake_driver):
    """A card that fell off the bus still has its UUID, so that a job's record leads to it."""
    good, dead = look(fake_driver("dead")).gpus

    assert (good.problem, good.busy) == ("", 0.37)
    assert dead == Gpu(
        "GPU-00000000-0000-0000-0000-000000000001",
        "nvidia",
        1,
        "NVIDIA H100 80GB HBM3",
        problem="the driver says: GPU is lost",
        device="/dev/nvidia1",
    )


def test_a_card_without_memory_of_its_own(fake_driver):
    """It shares the machine's, and the driver tells none: that is no fault."""
    (gpu,) = look(fake_driver("shared")).gpus

    assert (gpu.memory, gpu.busy, gpu.problem) == (None, 0.37, "")


def test_divided_cards(fake_driver):
    """Instances stand in place of their card, with gaps in their numbers; a card divided into nothing has a problem."""
    first, second, undivided, whole = look(fake_driver("mig")).gpus

    assert (first.uuid, second.uuid) == (
        "MIG-00000000-0000-0000-0001-000000000000",
        "MIG-00000000-0000-0000-0003-000000000000",
    )
    assert first.instance_of == second.instance_of == "GPU-00000000-0000-0000-0000-000000000000"
    assert (first.type, first.memory, first.busy) == ("NVIDIA A100-SXM4-40GB MIG 1g.5gb", 5 * GIB, None)
    assert (first.index, first.device) == (0, "/dev/nvidia0")
    assert undivided.problem == "it is in MIG mode and has no instances"
    assert (whole.index, whole.problem, whole.memory) == (2, "", 40 * GIB)


def test_processes_have_names(fake_driver):
    """Each once, with program and user from /proc, be it computing or drawing; one that is gone has neither."""
    driver = fake_driver("busy", pid=os.getpid())
    (gpu,) = look(driver).gpus
    with open("/proc/self/comm") as file:
        name = file.read().strip()

    assert gpu.processes == (
        GpuProcess(os.getpid(), name, 11 * GIB, pwd.getpwuid(os.getuid()).pw_name),
        GpuProcess(999999998, memory=3 << 20),
        GpuProcess(999999999),
    )


def test_amd_means_the_nvidia_detector(fake_driver):
    """As the reference says: what is found is told, and what was configured beside it."""
    found = look(fake_driver("mixed"), gpu_vendor="amd")

    assert (found.vendor, found.configured_vendor, len(found.gpus)) == ("nvidia", "amd", 8)


def test_the_environment_beats_the_file(fake_driver):
    """FETCH_ML_GPU_TYPE, whatever the file says and whatever is there."""
    driver = fake_driver("mixed")
    none = look(driver, overrides={"FETCH_ML_GPU_TYPE": "none"}, gpu_vendor="nvidia")
    two = look(
        driver,
        overrides={
            "FETCH_ML_GPU_TYPE": "nvidia",
            "FETCH_ML_GPU_COUNT": "2",
            "FETCH_ML_GPU_SLOTS_PER_GPU": "3",
        },
        gpu_vendor="none",
    )

    assert (none.gpus, none.vendor, none.configured_vendor, none.warnings) == ((), "none", "none", ())
    assert none.how["gpus"] == "not looked for: the vendor is set to none"
    assert [(gpu.index, gpu.slots) for gpu in two.gpus] == [(0, 3), (1, 3)]
    assert two.overrides == (
        "FETCH_ML_GPU_TYPE=nvidia",
        "FETCH_ML_GPU_COUNT=2",
        "FETCH_ML_GPU_SLOTS_PER_GPU=3",
    )


def test_a_real_card():
    """Where there is one, the driver's own tool tells the same."""
    if shutil.which("nvidia-smi") is None:
        pytest.skip("this machine has no NVIDIA GPU: no nvidia-smi")
    query = ["nvidia-smi", "--query-gpu=index,uuid,name,memory.total", "--format=csv,noheader,nounits"]
    ran = subprocess.run(query, capture_output=True, text=True, check=False, timeout=60)
    if ran.returncode != 0:
        pytest.skip(f"nvidia-smi finds no GPU: {ran.stdout.strip()}")
    told = [line.split(", ") for line in ran.stdout.splitlines()]
    cards = {gpu.instance_of or gpu.uuid: gpu for gpu in probe_nvidia().gpus}

    assert [uuid for _, uuid, _, _ in told] == list(cards)
    for index, uuid, name, mebibytes in told:
        if not cards[uuid].instance_of:
            assert (str(cards[uuid].index), cards[uuid].type) == (index, name)
            assert (cards[uuid].memory or 0) >> 20 == pytest.approx(int(mebibytes), rel=0.01)
