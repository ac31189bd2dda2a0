"""What file and environment make of what is found; with an NVIDIA driver it is in test_nvidia.py."""

from __future__ import annotations

import pytest

from fetchml_core.config.environment import VARIABLES, Overrides
from fetchml_core.config.worker import AppleGpu, WorkerConfig
from fetchml_core.hardware.detect import detect, lasting, refresh
from fetchml_core.hardware.inventory import Gpu
from fetchml_core.hardware.select import select_gpus

from .trees import NO_LIBRARY, proc, sys

pytestmark = pytest.mark.usefixtures("no_driver")

FOUND = tuple(Gpu(f"GPU-{i}a", "nvidia", i, "T4", device=f"/dev/nvidia{i}") for i in range(4))
DIVIDED = (
    Gpu("MIG-1", "nvidia", 0, "A100 MIG", instance_of="GPU-0a", device="/dev/nvidia0"),
    Gpu("MIG-2", "nvidia", 0, "A100 MIG", instance_of="GPU-0a", device="/dev/nvidia0"),
    Gpu("GPU-1a", "nvidia", 1, "A100", device="/dev/nvidia1"),
)


def select(found=FOUND, *, count=None, slots=1, vendor="nvidia", **worker):
    """The UUIDs that are left, and what is said."""
    gpus, said = select_gpus(found, WorkerConfig(**worker), vendor=vendor, count=count, slots=slots)
    assert {gpu.slots for gpu in gpus} <= {slots}
    return [gpu.uuid for gpu in gpus], said


@pytest.fixture
def here(tmp_path):
    """Look at a machine without a GPU."""

    def look(overrides=None, **worker):
        return detect(
            WorkerConfig(**worker), overrides or Overrides(), proc=proc(tmp_path), sys=sys(tmp_path)
        )

    return look


@pytest.mark.parametrize(
    ("names", "uuids"),
    [
        ({}, ["GPU-0a", "GPU-1a", "GPU-2a", "GPU-3a"]),
        ({"gpu_visible_devices": ("2", "0")}, ["GPU-2a", "GPU-0a"]),
        ({"gpu_visible_devices": ("gpu-1A", "1")}, ["GPU-1a"]),
        ({"gpu_devices": ("/dev/nvidia3", "/dev/nvidia1")}, ["GPU-3a", "GPU-1a"]),
        (
            {"gpu_devices": ("/dev/nvidia3", "/dev/nvidia1"), "gpu_visible_devices": ("1", "3")},
            ["GPU-1a", "GPU-3a"],
        ),
        ({"gpu_visible_devices": ("",)}, ["GPU-0a", "GPU-1a", "GPU-2a", "GPU-3a"]),
    ],
)
def test_the_file_chooses(names, uuids):
    """By index, UUID or device file, in the order in which they are written; empty is all."""
    assert select(**names) == (uuids, ())


def test_names_that_mean_nothing():
    """Each is said; what is meant by the others is used."""
    uuids, said = select(gpu_devices=("/dev/nvidia9", "/dev/nvidia0"), gpu_visible_devices=("0", "7"))

    assert uuids == ["GPU-0a"]
    assert said == (
        "gpu_devices names /dev/nvidia9, and no such GPU was found",
        "gpu_visible_devices names 7, and no such GPU was found",
    )


@pytest.mark.parametrize(
    ("name", "uuids"),
    [("0", ["MIG-1", "MIG-2"]), ("GPU-0a", ["MIG-1", "MIG-2"]), ("MIG-2", ["MIG-2"]), ("1", ["GPU-1a"])],
)
def test_a_divided_card_is_its_instances(name, uuids):
    """Whoever names the card means all of it."""
    assert select(DIVIDED, gpu_visible_devices=(name,)) == (uuids, ())


def test_a_smaller_count():
    """FETCH_ML_GPU_COUNT leaves the first ones, of those that the file names."""
    assert select(count=1) == (["GPU-0a"], ())
    assert select(count=1, gpu_visible_devices=("3", "2")) == (["GPU-3a"], ())
    assert select(count=0) == ([], ())


def test_a_larger_count():
    """It changes the count, never the proof: the others are assumed, and it is said what that means."""
    uuids, said = select(FOUND[:1], count=3, slots=2)
    assert uuids == ["GPU-0a", "nvidia-1", "nvidia-2"]
    assert said == (
        "FETCH_ML_GPU_COUNT=3, but 1 found: the others are assumed; a job on one that is not there fails",
    )
    assert select((), count=4, gpu_visible_devices=("1",))[0] == ["nvidia-1"]


def test_a_count_of_nothing():
    """Without a vendor nobody knows what would be counted."""
    assert select((), count=2, vendor="none") == (
        [],
        ("FETCH_ML_GPU_COUNT=2 counts nothing: no vendor of GPUs was found or set",),
    )


def test_no_gpu(here):
    """Nothing configured, nothing there: no warning, but how it looked."""
    found = here()

    assert (found.gpus, found.vendor, found.configured_vendor, found.warnings) == ((), "none", "", ())
    assert found.how == {
        "cpus": "8 online",
        "memory": f"MemTotal of {found.how['memory'].removeprefix('MemTotal of ')}",
        "gpus": f"no {NO_LIBRARY}; no card of amdgpu in /sys; no /dev/metal",
    }


@pytest.mark.parametrize(
    ("vendor", "how"),
    [
        ("nvidia", f"no {NO_LIBRARY}"),
        ("amd", f"no {NO_LIBRARY}; no card of amdgpu in /sys"),
        ("apple", "no /dev/metal"),
    ],
)
def test_a_vendor_that_is_not_there(here, vendor, how):
    """0 GPUs and one warning, which names what says so."""
    by_file, by_environment = here(gpu_vendor=vendor), here(Overrides(gpu_type=vendor), gpu_vendor="none")

    assert by_file.gpus == by_environment.gpus == ()
    assert by_file.warnings == (f"gpu_vendor is {vendor}, and no such GPU was found: {how}",)
    assert by_environment.warnings == (f"FETCH_ML_GPU_TYPE is {vendor}, and no such GPU was found: {how}",)
    assert by_file.configured_vendor == by_environment.configured_vendor == vendor


def test_gpus_that_are_said_to_be_there(here):
    """A vendor and a count make GPUs that nobody has seen; a look for their figures leaves them as they are."""
    found = here(Overrides(gpu_type="amd", gpu_count=2))

    assert [gpu.uuid for gpu in found.gpus] == ["amd-0", "amd-1"]
    assert (found.vendor, len(found.warnings)) == ("amd", 2)
    assert refresh(lasting(found)).gpus == found.gpus


def test_cpus_by_the_environment(here):
    """FETCH_ML_TOTAL_CPU counts, and what was found is still told."""
    found = here(Overrides(total_cpu=96))

    assert (found.cpus, found.overrides) == (96, ("FETCH_ML_TOTAL_CPU=96",))
    assert found.how["cpus"] == "FETCH_ML_TOTAL_CPU; found 8: 8 online"


def test_apple(here, tmp_path):
    """Both device files make the GPU, which has the machine's memory; without one of them there is none."""
    metal, mps = tmp_path / "metal", tmp_path / "mps"
    metal.touch()
    settings = AppleGpu(metal_device=str(metal), mps_runtime=str(mps))
    assert here(gpu_vendor="apple", apple_gpu=settings).warnings == (
        f"gpu_vendor is apple, and no such GPU was found: no {mps}",
    )
    mps.touch()
    for vendor in ("apple", ""):
        found = here(gpu_vendor=vendor, apple_gpu=settings)
        assert found.gpus == (Gpu("apple-0", "apple", 0, "Apple GPU", 16 << 30, device=str(metal)),)
        assert (found.vendor, found.how["gpus"], found.warnings) == ("apple", f"{metal} and {mps}", ())

    off = AppleGpu(enabled=False, metal_device=str(metal), mps_runtime=str(mps))
    assert here(gpu_vendor="apple", apple_gpu=off).how["gpus"] == "apple_gpu.enabled is false"


def test_every_variable_is_read():
    """None of the overrides is 'not active yet'."""
    assert [one.name for one in VARIABLES if not one.read_by] == []
