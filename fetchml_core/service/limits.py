"""What a job gets when it asks for nothing, and at most: the host's settings, within what the host has."""

from __future__ import annotations

from attrs import frozen

from fetchml_core.config.worker import WorkerConfig
from fetchml_core.hardware.inventory import Inventory


@frozen
class JobLimits:
    """CPUs, and memory in bytes."""

    cpus: float
    memory: int


def job_limits(worker: WorkerConfig, inventory: Inventory) -> JobLimits:
    """Return the default and ceiling of a job: ``podman_cpus`` and ``podman_memory``, or what there is of them."""
    resources = worker.resources
    memory = resources.podman_memory.bytes
    return JobLimits(
        cpus=min(resources.podman_cpus.number, inventory.cpus),
        memory=min(memory, inventory.memory or memory),  # 0: the system does not tell
    )
