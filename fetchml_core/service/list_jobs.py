"""List jobs: one's own unfinished ones and the last finished, everyone's, or those that are named."""

from __future__ import annotations

from fetchml_core.jobs.job import Job
from fetchml_core.wire.messages import MAX_JOBS, ListReply, ListRequest

from .context import Context
from .select import select_jobs
from .why import why_queued
from .workers import heal_worker


def run(context: Context, request: ListRequest) -> ListReply:
    """See the module."""
    host = context.host
    jobs = list(host.queue.jobs())
    worker = heal_worker(host, jobs)
    if request.select:
        chosen, hidden = select_jobs(context, request.select), 0
    else:
        chosen = jobs if request.everyone else _own(jobs, context.identity.user)
        limit = max(1, min(request.limit, MAX_JOBS))
        hidden = max(0, len(chosen) - limit)
        chosen = chosen[-limit:]
    why = why_queued(jobs, worker, host.worker.slots)
    return ListReply(
        tuple(chosen),
        worker,
        host.clock.now(),
        {str(job.id): why[job.id] for job in chosen if job.id in why},
        hidden,
    )


def _own(jobs: list[Job], user: str) -> list[Job]:
    """Return *user*'s unfinished jobs and the one that ended last."""
    mine = [job for job in jobs if job.user == user]
    ended = [job for job in mine if job.state.final]
    newest = max(ended, key=lambda job: job.ended_at or 0, default=None)
    return [job for job in mine if not job.state.final or job is newest]
