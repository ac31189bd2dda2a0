"""Wait until jobs have ended, telling of every change."""

from __future__ import annotations

from fetchml_core.jobs.states import State
from fetchml_core.wire.jobs import JobNews, WaitReply, WaitRequest

from .context import Context
from .heal import heal
from .news import Every, QueueNews
from .select import select_jobs

POLL_S = 0.05
HEALING_S = 10.0
"""How often a worker that has died, or could not be started, is started again."""


def run(context: Context, request: WaitRequest) -> WaitReply:
    """See the module."""
    queue = context.host.queue
    jobs = {job.id: job for job in select_jobs(context, request.select)}
    told: dict[int, State] = {}
    healing = Every(context, HEALING_S)
    with QueueNews(context, POLL_S) as news:
        while True:
            if news.come():
                jobs |= {job.id: queue.get(job.id) for job in jobs.values() if not job.state.final}
                for job in jobs.values():
                    if told.get(job.id) is not job.state:
                        told[job.id] = job.state
                        context.talk.item(JobNews(job))
                if all(job.state.final for job in jobs.values()):
                    return WaitReply(tuple(jobs.values()))
            if healing.due():
                heal(context.host, jobs.values())
            if news.gone():
                return WaitReply(())
