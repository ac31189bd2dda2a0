"""Which of the GPUs that were found jobs may use, and how many jobs share one: files and environment decide.

Layer 2, pure. A count that the environment says is made true first, then `gpu_devices` and `gpu_visible_devices` choose
among those, and never more than that count are left.
"""

from __future__ import annotations

from collections.abc import Sequence

from attrs import evolve

from fetchml_core.config.worker import WorkerConfig

from .inventory import Gpu


def select_gpus(
    found: Sequence[Gpu], worker: WorkerConfig, *, vendor: str, count: int | None, slots: int
) -> tuple[tuple[Gpu, ...], tuple[str, ...]]:
    """Return the GPUs that jobs may use, in the order in which they are given out, and what is to be said about it.

    Args:
        found: All GPUs, in the vendor's order.
        worker: The worker file.
        vendor: Of GPUs that are only said to be there; ``none`` where nobody says whose they would be.
        count: FETCH_ML_GPU_COUNT; more than were found are assumed, and proven when a job gets one.
        slots: FETCH_ML_GPU_SLOTS_PER_GPU.
    """
    gpus, warnings = list(found), []
    if count is not None and count > len(gpus):
        if vendor == "none":
            warnings.append(f"FETCH_ML_GPU_COUNT={count} counts nothing: no vendor of GPUs was found or set")
        else:
            warnings.append(
                f"FETCH_ML_GPU_COUNT={count}, but {len(gpus)} found: the others are assumed; a job on one that is not there fails"
            )
            gpus += [assumed(vendor, index) for index in range(len(gpus), count)]
    for key, names in (
        ("gpu_devices", worker.gpu_devices),
        ("gpu_visible_devices", worker.gpu_visible_devices),
    ):
        wanted = [name for name in names if name]
        if wanted and gpus:
            warnings += [
                f"{key} names {name}, and no such GPU was found" for name in wanted if not _named(name, gpus)
            ]
            gpus = list(dict.fromkeys(gpu for name in wanted for gpu in _named(name, gpus)))
    return tuple(evolve(gpu, slots=slots) for gpu in gpus[:count]), tuple(warnings)


def assumed(vendor: str, index: int) -> Gpu:
    """Return a GPU that nobody has seen."""
    return Gpu(f"{vendor}-{index}", vendor, index, device=f"/dev/nvidia{index}" if vendor == "nvidia" else "")


def _named(name: str, gpus: Sequence[Gpu]) -> list[Gpu]:
    """Return what *name* means: an index, a UUID, a device file; of a card that is divided all its instances."""
    wanted = name.lower()
    return [
        gpu
        for gpu in gpus
        if wanted in {str(gpu.index), gpu.uuid.lower(), gpu.instance_of.lower(), gpu.device.lower()}
    ]
