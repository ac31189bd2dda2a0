"""Ask that jobs end. All of them may be ended by this identity, or none is touched."""

from __future__ import annotations

from fetchml_core.jobs.job import Stop
from fetchml_core.queue.moves import refuse_if_moved
from fetchml_core.wire.jobs import CancelReply, CancelRequest

from .context import Context
from .heal import heal
from .select import select_jobs
from .workers import wake_worker

MAX_REASON = 500


def run(context: Context, request: CancelRequest) -> CancelReply:
    """See the module."""
    jobs = select_jobs(context, request.select)
    for job in jobs:
        context.allow("jobs:update", owner=job.user, about=f"cancel job {job.id}")
    refuse_if_moved(context.host.queue.paused())
    ended = tuple(job.id for job in jobs if job.state.final)
    stopped = []
    for job in jobs:
        if job.state.final:
            stopped.append(job)
            continue
        context.change("jobs:update", owner=job.user, about=f"cancel job {job.id}")
        stop = Stop(context.identity.user, request.reason[:MAX_REASON], now=request.now)
        stopped.append(context.host.queue.stop(job.id, stop))
    heal(context.host, stopped)
    wake_worker(context.host)
    return CancelReply(tuple(stopped), ended)
