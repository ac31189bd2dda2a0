"""Why a queued job waits. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from fetchml_core.jobs.job import Job
from fetchml_core.jobs.states import State
from fetchml_core.queue.base import claim_order
from fetchml_core.wire.messages import WorkerInfo


def why_queued(jobs: Sequence[Job], worker: WorkerInfo, slots: int) -> dict[int, str]:
    """Return the first blocker of every queued or held job, by id.

    Args:
        jobs: All jobs.
        worker: What is known of the worker.
        slots: How many jobs it runs at once.
    """
    queued = sorted((job for job in jobs if job.state is State.QUEUED), key=claim_order)
    busy = [job for job in jobs if job.state.active]
    reasons = {job.id: "held" for job in jobs if job.state is State.HELD}
    for place, job in enumerate(queued):
        if not worker.alive:
            reasons[job.id] = f"no worker: {worker.problem}" if worker.problem else "no worker runs"
        elif len(busy) >= slots:
            holders = ", ".join(f"{other.id} ({other.user})" for other in busy[:3])
            reasons[job.id] = f"{len(busy)} of {slots} slots taken: job {holders}" + _line(place)
        else:
            reasons[job.id] = "starts next" if place == 0 else f"{place} before it"
    return reasons


def _line(place: int) -> str:
    return f"; {place} before it" if place else ""
