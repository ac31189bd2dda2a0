"""Keep jobs from being claimed, and let them be claimed again. All may be changed by this identity, or none is."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from fetchml_core.errors import HostError
from fetchml_core.jobs.job import Job
from fetchml_core.queue.moves import refuse_if_moved
from fetchml_core.wire.jobs import HoldReply, HoldRequest, ReleaseRequest

from .context import Context
from .heal import heal
from .select import select_jobs
from .workers import wake_worker


def hold(context: Context, request: HoldRequest) -> HoldReply:
    """Hold the jobs that wait; name the others."""
    return _change(context, request.select, "hold", context.host.queue.hold)


def release(context: Context, request: ReleaseRequest) -> HoldReply:
    """Release the jobs that are held; name those that neither are nor wait."""
    reply = _change(context, request.select, "release", context.host.queue.release)
    heal(context.host, reply.jobs)
    wake_worker(context.host)
    return reply


def _change(context: Context, words: Sequence[str], verb: str, change: Callable[[int], Job]) -> HoldReply:
    jobs = select_jobs(context, words)
    for job in jobs:
        context.allow("jobs:update", owner=job.user, about=f"{verb} job {job.id}")
    refuse_if_moved(context.host.queue.paused())
    now, unfit = [], []
    for job in jobs:
        done = _try(context, job, verb, change)
        now.append(done or context.host.queue.get(job.id))
        if done is None:
            unfit.append(job.id)
    return HoldReply(tuple(now), tuple(unfit))


def _try(context: Context, job: Job, verb: str, change: Callable[[int], Job]) -> Job | None:
    """Return the job, changed; None where a worker has it, or had it before we came, or it has ended."""
    if job.state.final or job.state.active:
        return None
    context.change("jobs:update", owner=job.user, about=f"{verb} job {job.id}")
    try:
        return change(job.id)
    except HostError as error:
        if error.code != "illegal-step":
            raise
        return None
