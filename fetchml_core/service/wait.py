"""Wait until jobs have ended, telling of every change."""

from __future__ import annotations

from fetchml_core.jobs.states import State
from fetchml_core.wire.messages import JobNews, WaitReply, WaitRequest

from .context import Context
from .select import select_jobs
from .workers import heal_worker

POLL_S = 0.05
LOOKS_PER_HEALING = 200
"""Every so many looks a worker that has died, or could not be started, is started again."""


def run(context: Context, request: WaitRequest) -> WaitReply:
    """See the module."""
    queue = context.host.queue
    ids = [job.id for job in select_jobs(context, request.select)]
    told: dict[int, State] = {}
    revision, looks = -1, 0
    while True:
        if looks % LOOKS_PER_HEALING == 0:
            heal_worker(context.host, [queue.get(job_id) for job_id in ids])
        looks += 1
        if queue.revision() != revision:
            revision = queue.revision()
            jobs = [queue.get(job_id) for job_id in ids]
            for job in jobs:
                if told.get(job.id) is not job.state:
                    told[job.id] = job.state
                    context.talk.item(JobNews(job))
            if all(job.state.final for job in jobs):
                return WaitReply(tuple(jobs))
        if context.talk.gone(POLL_S):
            return WaitReply(())
