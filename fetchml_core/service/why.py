"""Why a queued job waits. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

from fetchml_core.jobs.job import Job
from fetchml_core.jobs.retries import waits_until
from fetchml_core.jobs.states import State
from fetchml_core.queue.base import Pause, claim_order
from fetchml_core.units import format_duration
from fetchml_core.wire.messages import WorkerInfo

from .drain import why_drained


def why_queued(
    jobs: Sequence[Job],
    worker: WorkerInfo,
    slots: int,
    *,
    pause: Pause | None = None,
    home: str = "",
    now: float = 0.0,
) -> dict[int, str]:
    """Return the first blocker of every queued or held job, by id.

    Args:
        jobs: All jobs that have not ended.
        worker: What is known of this host's worker.
        slots: How many jobs it runs at once.
        pause: What keeps the queue from giving out jobs.
        home: This host's name in a queue that several share.
        now: The time, for what is tried again after a pause; 0 leaves that out.
    """
    queued = sorted((job for job in jobs if job.state is State.QUEUED), key=claim_order)
    reasons = {job.id: "held" for job in jobs if job.state is State.HELD}
    reasons |= {job.id: f"waits for a worker of {job.home}" for job in queued if job.home != home}
    if pause is not None:
        return {job.id: why_paused(pause) for job in queued} | reasons
    ours = [job for job in queued if job.home == home]
    busy = [job for job in jobs if job.state.active and job.home == home]
    found = reasons | {job.id: _blocker(place, busy, worker, slots) for place, job in enumerate(ours)}
    return found | (_pausing(ours, now) if worker.alive and worker.drained is None else {})


def _pausing(queued: Sequence[Job], now: float) -> dict[int, str]:
    """Return what is said of jobs that are not tried again at once, and why the last try failed."""
    reasons = {}
    for job in queued:
        until = waits_until(job, now)
        if until:
            last = job.outcome.reason if job.outcome else ""
            reasons[job.id] = f"tried again in {format_duration(math.ceil(until - now))}" + (
                f" ({last})" if last else ""
            )
    return reasons


def why_paused(pause: Pause) -> str:
    """Return on one line who paused the queue, and why."""
    if pause.moved_to:
        return f"the queue was moved to {pause.moved_to} by {pause.by}"
    return f"the queue is paused by {pause.by}" + (f": {pause.reason}" if pause.reason else "")


def _blocker(place: int, busy: Sequence[Job], worker: WorkerInfo, slots: int) -> str:
    if worker.drained is not None:
        return why_drained(worker.drained)
    line = f"{place} before it" if place else ""
    if not worker.alive:
        return f"no worker: {worker.problem}" if worker.problem else "no worker runs"
    if len(busy) >= slots:
        holders = ", ".join(f"{other.id} ({other.user})" for other in busy[:3])
        return f"{len(busy)} of {slots} slots taken: job {holders}" + (f"; {line}" if line else "")
    return line or "starts next"
