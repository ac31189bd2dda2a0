"""Refuse what a host can never give to a job, with what it has. Pure."""

from __future__ import annotations

from fetchml_core.errors import InputError
from fetchml_core.jobs.checks import check_gpus
from fetchml_core.jobs.job import Resources
from fetchml_core.units import format_cpus, format_size

from .room import Capacity

LEAST_MEMORY = 16 << 20
"""With less a container does not start, or its init, which takes some 9 MiB, is killed before the job begins."""
_ELSEWHERE = "use a host that has them: --profile NAME"


def check_wanted(wanted: Resources, capacity: Capacity) -> None:
    """Raise InputError where *wanted* makes no sense or is more than the host has in all."""
    check_gpus(wanted.gpus, wanted.gpu_memory)
    _check_cpus(wanted.cpus, capacity)
    _check_memory(wanted.memory, capacity)
    if wanted.gpus:
        _check_gpus(wanted.gpus, wanted.gpu_memory or 0, capacity)


def _check_cpus(wanted: float | None, capacity: Capacity) -> None:
    if wanted is None:
        return
    if not wanted > 0:
        raise InputError(
            "bad-cpus",
            "a job needs more than 0 CPUs",
            context=f"--cpus {wanted:g}",
            hint="leave --cpus out for the host's default",
        )
    ceiling, had = capacity.limits.cpus, capacity.inventory.cpus
    if wanted > min(ceiling, had):
        message = (
            f"this host has {format_cpus(had)} in all"
            if had <= ceiling
            else f"a job on this host gets at most {format_cpus(ceiling)} (podman_cpus)"
        )
        raise InputError(
            "too-many-cpus", message, context=f"--cpus {wanted:g}", hint=f"--cpus {min(ceiling, had):g}"
        )


def _check_memory(wanted: int | None, capacity: Capacity) -> None:
    if wanted is None:
        return
    if wanted < LEAST_MEMORY:
        raise InputError(
            "bad-memory",
            f"a job needs {format_size(LEAST_MEMORY)} of memory at least",
            context=f"--memory {format_size(wanted) if wanted > 0 else wanted}",
            hint="leave --memory out for the host's default",
        )
    ceiling, had = capacity.limits.memory, capacity.memory
    if wanted > min(ceiling, had):
        message = (
            f"this host has {format_size(had)} of memory in all"
            if had <= ceiling
            else f"a job on this host gets at most {format_size(ceiling)} of memory (podman_memory)"
        )
        raise InputError(
            "too-much-memory",
            message,
            context=f"--memory {format_size(wanted)}",
            hint=f"--memory {min(ceiling, had) // 2**20}m",
        )


def _check_gpus(wanted: int, memory: int, capacity: Capacity) -> None:
    """A GPU with a problem counts: problems pass."""
    cards = capacity.gpus
    if len(cards) < wanted:
        raise InputError(
            "too-many-gpus",
            f"this host has {len(cards) or 'no'} {'GPU' if len(cards) == 1 else 'GPUs'}",
            context=f"--gpus {wanted}",
            hint=f"--gpus {len(cards)}, or {_ELSEWHERE}"
            if cards
            else f"submit without --gpus, or {_ELSEWHERE}",
        )
    sizes = sorted((gpu.memory or 0 for gpu in cards), reverse=True)
    enough = sum(size >= memory for size in sizes)
    if enough < wanted:
        raise InputError(
            "too-much-gpu-memory",
            f"of this host's {len(cards)} GPUs {enough or 'none'} {'has' if enough < 2 else 'have'} so much memory",
            context=f"--gpus {wanted} --gpu-memory {format_size(memory)}",
            hint=f"--gpu-memory {sizes[wanted - 1] // 2**20}m, or {_ELSEWHERE}"
            if sizes[wanted - 1]
            else f"submit without --gpu-memory, or {_ELSEWHERE}",
        )
