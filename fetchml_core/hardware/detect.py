"""Find out what this host has for jobs: the one entry for worker and doors.

Layer 2. The environment beats the worker file, the file beats what is found.
"""

from __future__ import annotations

from pathlib import Path

from attrs import evolve

from fetchml_core.config.environment import Overrides
from fetchml_core.config.worker import WorkerConfig

from .amd import probe_amd
from .apple import probe_apple
from .cpu import count_cpus
from .files import PROC, SYS
from .inventory import Gpu, Inventory
from .memory import total_memory
from .nvidia import probe_nvidia
from .probe import Probe
from .select import select_gpus

_PROBES = {
    "": ("nvidia", "amd", "apple"),
    "nvidia": ("nvidia",),
    "amd": ("nvidia", "amd"),
    "apple": ("apple",),
    "none": (),
}
"""Whose GPUs are looked for, in turn, until some are found. By the configuration reference, amd means the detector of
NVIDIA's; ours for AMD's cards stands beside it."""


def detect(worker: WorkerConfig, overrides: Overrides, *, proc: Path = PROC, sys: Path = SYS) -> Inventory:
    """Look at this host.

    Args:
        worker: The worker file.
        overrides: What the environment says.
        proc: The folder /proc.
        sys: The folder /sys.

    Returns: what jobs may be given. A vendor that is configured and not found is 0 GPUs and one warning.
    """
    cpus, cpus_how = count_cpus(proc, sys)
    if overrides.total_cpu is not None:
        cpus_how = f"FETCH_ML_TOTAL_CPU; found {cpus:g}: {cpus_how}"
        cpus = float(overrides.total_cpu)
    memory, memory_how = total_memory(proc, sys)
    configured = overrides.gpu_type or worker.gpu_vendor
    probe = _look(configured, worker, memory, proc, sys)
    vendor = probe.gpus[0].vendor if probe.gpus else configured or "none"
    gpus, said = select_gpus(
        probe.gpus, worker, vendor=vendor, count=overrides.gpu_count, slots=overrides.gpu_slots_per_gpu
    )
    warnings = probe.warnings
    if configured not in {"", "none"} and not probe.gpus:
        key = "FETCH_ML_GPU_TYPE" if overrides.gpu_type else "gpu_vendor"
        warnings = (f"{key} is {configured}, and no such GPU was found: {probe.how}",)
    if configured == "none":
        probe = evolve(probe, how="not looked for: the vendor is set to none")
    return Inventory(
        cpus=cpus,
        memory=memory,
        gpus=gpus,
        how={"cpus": cpus_how, "memory": memory_how, "gpus": probe.how},
        vendor=gpus[0].vendor if gpus else "none",
        configured_vendor=configured,
        overrides=_active(overrides),
        warnings=(*warnings, *said),
    )


def lasting(inventory: Inventory) -> Inventory:
    """Return *inventory* without what may be different a moment later, for a record.

    A problem is left only with a GPU of which nothing else is known: no later look finds that one again.
    """
    still = [
        evolve(
            gpu,
            memory_used=None,
            busy=None,
            temperature=None,
            power=None,
            processes=(),
            problem="" if gpu.type else gpu.problem,
        )
        for gpu in inventory.gpus
    ]
    return evolve(inventory, gpus=tuple(still))


def refresh(inventory: Inventory, *, proc: Path = PROC, sys: Path = SYS) -> Inventory:
    """Return *inventory* with the figures of this moment; its GPUs stay, and one that is gone gets that as its problem."""
    if inventory.vendor == "nvidia":
        probe = probe_nvidia(proc)
    elif inventory.vendor == "amd":
        probe = probe_amd(proc, sys)
    else:
        return inventory
    seen = {gpu.uuid: gpu for gpu in probe.gpus}
    gone = (
        "it is gone since the worker has started" if probe.gpus else f"no GPU is found any more: {probe.how}"
    )
    return evolve(inventory, gpus=tuple(_renewed(gpu, seen.get(gpu.uuid), gone) for gpu in inventory.gpus))


def _renewed(gpu: Gpu, now: Gpu | None, gone: str) -> Gpu:
    if now is not None:
        return evolve(now, slots=gpu.slots)
    if gpu.problem or not gpu.type:  # it was not there before
        return gpu
    return evolve(gpu, problem=gone)


def _look(vendor: str, worker: WorkerConfig, memory: int, proc: Path, sys: Path) -> Probe:
    """Return the first probe that finds something; else one that tells how all of them looked."""
    nothing = Probe()
    for name in _PROBES[vendor]:
        if name == "nvidia":
            probe = probe_nvidia(proc)
        elif name == "amd":
            probe = probe_amd(proc, sys)
        else:
            probe = probe_apple(worker.apple_gpu, memory)
        if probe.gpus:
            return evolve(probe, warnings=(*nothing.warnings, *probe.warnings))
        how = "; ".join(filter(None, (nothing.how, probe.how)))
        nothing = Probe(how=how, warnings=(*nothing.warnings, *probe.warnings))
    return nothing


def _active(overrides: Overrides) -> tuple[str, ...]:
    """Return the variables that change something, as they are set."""
    values = {
        "FETCH_ML_GPU_TYPE": overrides.gpu_type,
        "FETCH_ML_GPU_COUNT": overrides.gpu_count,
        "FETCH_ML_TOTAL_CPU": overrides.total_cpu,
        "FETCH_ML_GPU_SLOTS_PER_GPU": overrides.gpu_slots_per_gpu
        if overrides.gpu_slots_per_gpu > 1
        else None,
    }
    return tuple(f"{name}={value}" for name, value in values.items() if value is not None)
