"""AMD's GPUs, from a /sys as the driver amdgpu fills it."""

from __future__ import annotations

import pytest

from fetchml_core.config.environment import Overrides
from fetchml_core.config.worker import WorkerConfig
from fetchml_core.hardware.amd import probe_amd
from fetchml_core.hardware.detect import detect, lasting, refresh
from fetchml_core.hardware.inventory import Gpu, GpuProcess

from .trees import plant, proc, sys

pytestmark = pytest.mark.usefixtures("no_driver")

GIB = 1 << 30


def card(number: int, render: int, **files: object) -> dict[str, object]:
    """The files of one card."""
    device = f"class/drm/card{number}/device"
    values: dict[str, object] = {
        "vendor": "0x1002",
        "device": "0x744c",
        "mem_info_vram_total": 24 * GIB,
        "mem_info_vram_used": GIB,
        f"drm/renderD{render}/dev": "226:128",
        **files,
    }
    return {f"{device}/{name}": value for name, value in values.items()}


FULL = {
    "product_name": "AMD Instinct MI210",
    "unique_id": "b1a2c3d4e5f60718",
    "gpu_busy_percent": 85,
    "hwmon/hwmon3/temp1_input": 54321,
    "hwmon/hwmon3/power1_average": 123_000_000,
}
KFD = {
    "class/kfd/kfd/topology/nodes/0/properties": "cpu_cores_count 16\ndrm_render_minor 0",
    "class/kfd/kfd/topology/nodes/0/gpu_id": 0,
    "class/kfd/kfd/topology/nodes/1/properties": "cpu_cores_count 0\ndrm_render_minor 129",
    "class/kfd/kfd/topology/nodes/1/gpu_id": 4242,
    "class/kfd/kfd/proc/77/vram_4242": 3 * GIB,
    "class/kfd/kfd/proc/88/vram_4242": 0,
    "class/kfd/kfd/proc/99/vram_1": GIB,
}


def test_cards(tmp_path):
    """A full card and a plain one; other vendors, connectors and cards without memory are left out."""
    tree = sys(
        tmp_path,
        {
            **card(2, 129, **FULL),
            **card(10, 130),
            **card(0, 128, vendor="0x8086"),
            **card(1, 131, mem_info_vram_total=0),
            "class/drm/card2-DP-1/status": "connected",
            "class/drm/version": "drm 1.1.0",
            **KFD,
        },
    )
    full, plain = probe_amd(proc(tmp_path, **{"77/status": "Name:\ttrain\nUid:\t0\t0\t0\t0"}), tree).gpus

    assert full == Gpu(
        "GPU-b1a2c3d4e5f60718",
        "amd",
        0,
        "AMD Instinct MI210",
        24 * GIB,
        memory_used=GIB,
        busy=0.85,
        temperature=54,
        power=123.0,
        processes=(GpuProcess(77, "train", 3 * GIB, "root"),),
        device="/dev/dri/renderD129",
    )
    assert plain == Gpu(
        "amd-1", "amd", 1, "AMD GPU 0x744c", 24 * GIB, memory_used=GIB, device="/dev/dri/renderD130"
    )


def test_no_card(tmp_path):
    """It says how it looked."""
    found = probe_amd(proc(tmp_path), sys(tmp_path))

    assert (found.gpus, found.how) == ((), "no card of amdgpu in /sys")


def test_amd_beside_the_nvidia_detector(tmp_path):
    """Where NVML finds nothing, the cards are found all the same; left unset, too."""
    tree, root = sys(tmp_path, card(0, 128)), proc(tmp_path)
    for vendor in ("amd", ""):
        found = detect(WorkerConfig(gpu_vendor=vendor), Overrides(), proc=root, sys=tree)

        assert (found.vendor, found.configured_vendor, found.warnings) == ("amd", vendor, ())
        assert (len(found.gpus), found.how["gpus"]) == (1, "amdgpu in /sys")


def test_figures_of_this_moment(tmp_path):
    """A record keeps what lasts; asked anew, the figures are there again, and a card that has gone has a problem."""
    tree, root = sys(tmp_path, {**card(0, 128, **FULL), **card(1, 129), **KFD}), proc(tmp_path)
    found = detect(WorkerConfig(), Overrides(gpu_slots_per_gpu=2), proc=root, sys=tree)
    kept = lasting(found)
    assert [(gpu.memory, gpu.memory_used, gpu.busy, gpu.processes) for gpu in kept.gpus] == [
        (24 * GIB, None, None, ())
    ] * 2

    plant(tree, {"class/drm/card0/device/gpu_busy_percent": 10, "class/drm/card1/device/vendor": "gone"})
    first, second = refresh(kept, proc=root, sys=tree).gpus
    assert (first.busy, first.memory_used, first.slots) == (0.1, GIB, 2)
    assert (second.problem, second.slots) == ("it is gone since the worker has started", 2)
