"""List jobs: one's own unfinished ones and the last that ended, everyone's newest, or those that are named."""

from __future__ import annotations

from collections.abc import Sequence

from fetchml_core.jobs.job import Job
from fetchml_core.jobs.states import FINAL
from fetchml_core.queue.base import UNFINISHED, Filter, Queue
from fetchml_core.wire.jobs import MAX_JOBS, ListReply, ListRequest

from .blockers import why_paused
from .context import Context
from .front import front
from .heal import heal
from .select import select_jobs
from .why import why

COUNTED = 500
"""So many unfinished jobs of a user are counted; where he has more, nobody says how many are not shown."""
LAST_CHANGES = 100
LAST_ENDED = 20
"""The job that ended last is looked for among so many changes of the queue, and so many newest ended jobs of the user."""


def run(context: Context, request: ListRequest) -> ListReply:
    """See the module."""
    host, queue = context.host, context.host.queue
    jobs = front(queue)
    worker = heal(host, jobs)
    limit, hidden, more = max(1, min(request.limit, MAX_JOBS)), 0, False
    chosen: Sequence[Job]
    if request.select:
        chosen = select_jobs(context, request.select)
    elif request.everyone:
        chosen = queue.jobs(newest=True, limit=limit)[::-1]
        hidden = max(0, sum(queue.counts().values()) - len(chosen))
    else:
        most, user = max(limit + 1, COUNTED), context.identity.user
        unfinished = queue.jobs(Filter(states=UNFINISHED.states, user=user), newest=True, limit=most)
        own = _with_last_ended(queue, unfinished, user)
        chosen, hidden, more = own[-limit:], max(0, len(own) - limit), len(unfinished) == most
    pause = queue.paused()
    reasons = why(host, jobs, worker, chosen)
    stood = {
        job.id: job.state for job in (*chosen, *jobs)
    }  # it may have started, or ended, between two looks
    moved = (f"{why_paused(pause)} and takes no more jobs",) if pause is not None and pause.moved_to else ()
    return ListReply(
        tuple(chosen),
        worker,
        host.clock.now(),
        {str(job.id): reasons[job.id] for job in chosen if job.id in reasons and stood[job.id] is job.state},
        hidden,
        (*moved, *host.queue_notes()),
        more,
    )


def _with_last_ended(queue: Queue, unfinished: Sequence[Job], user: str) -> list[Job]:
    """Return *unfinished* jobs of *user* and his that ended last, by id."""
    mine = {job.id: job for job in unfinished}
    changed = queue.changes(max(0, queue.revision() - LAST_CHANGES), limit=LAST_CHANGES)
    ended = [job for job in changed if job.user == user and job.state.final]
    ended += queue.jobs(Filter(states=FINAL, user=user), newest=True, limit=LAST_ENDED)
    if ended:
        last = max(ended, key=lambda job: job.ended_at or 0)
        mine[last.id] = last  # it may have ended since the unfinished ones were read
    return [mine[number] for number in sorted(mine)]
