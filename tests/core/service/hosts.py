"""Hosts and jobs that exist only as records, for the pure parts of the schedule."""

from __future__ import annotations

from typing import Any

from attrs import evolve

from fetchml_core.hardware.inventory import Gpu, Inventory
from fetchml_core.jobs.job import Attempt, Job, JobSpec, Launched, Outcome, Resources
from fetchml_core.jobs.states import State
from fetchml_core.service.limits import JobLimits
from fetchml_core.service.room import Capacity

GIB = 1 << 30
NOW = 1_000_000.0


def gpu(index: int, gib: int | None = 24, *, slots: int = 1, **fields: Any) -> Gpu:
    """A card named ``g<index>``."""
    return Gpu(f"g{index}", "nvidia", index, memory=None if gib is None else gib * GIB, slots=slots, **fields)


def host(cpus: float = 8, gib: float = 32, *gpus: Gpu, slots: int = 100) -> Capacity:
    """A host where a job that asks for nothing gets 1 CPU and 1 GiB, if there is so much."""
    limits = JobLimits(min(1.0, cpus), min(GIB, int(gib * GIB) or GIB))
    return Capacity(Inventory(cpus, int(gib * GIB), gpus), limits, slots)


def job(number: int, user: str = "anna", *, age: float = 0.0, priority: int = 5, **wanted: Any) -> Job:
    """A queued job that has waited *age* seconds; *wanted* are fields of `Resources`."""
    spec = JobSpec(f"job{number}", ("true",), "", resources=Resources(**wanted), priority=priority)
    return Job(number, user, spec, NOW - age, line=NOW - age)


def running(number: int, user: str = "anna", *gpus: str, **wanted: Any) -> Job:
    """A job that runs, with the resources it asked for and these GPUs."""
    launch = Launched(
        "podman", 1, 1, cpus=wanted.get("cpus", 1.0), memory=wanted.get("memory", GIB), gpus=gpus
    )
    attempt = Attempt(1, "box1", NOW, started_at=NOW, launch=launch)
    return evolve(job(number, user, **wanted), state=State.RUNNING, attempts=(attempt,))


def failed_on(queued: Job, *gpus: str) -> Job:
    """The job, whose first try met a fault on these GPUs."""
    fault = Outcome(State.FAILED, "no device", failure="infrastructure", error="gpu-not-usable", gpus=gpus)
    return evolve(queued, attempts=(Attempt(1, "box1", NOW, outcome=fault, ended_at=NOW),))


def starting(number: int, user: str = "anna", **wanted: Any) -> Job:
    """A job that was claimed, of which nothing is launched."""
    return evolve(job(number, user, **wanted), state=State.STARTING, attempts=(Attempt(1, "box1", NOW),))
