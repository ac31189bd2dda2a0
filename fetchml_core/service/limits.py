"""What a job gets when it asks for nothing, and at most: the host's settings, within what the machine has."""

from __future__ import annotations

import os

from attrs import frozen

from fetchml_core.config.worker import WorkerConfig


@frozen
class JobLimits:
    """CPUs, and memory in bytes."""

    cpus: float
    memory: int


def job_limits(worker: WorkerConfig) -> JobLimits:
    """Return the default and ceiling of a job: ``podman_cpus`` and ``podman_memory``."""
    cpus = float(os.cpu_count() or 1)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    resources = worker.resources
    return JobLimits(min(resources.podman_cpus.number, cpus), min(resources.podman_memory.bytes, memory))
