"""Why a job waits: every blocker, with numbers and holders; what it holds once it runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from fetchml_core.jobs.job import Job
from fetchml_core.jobs.states import State
from fetchml_core.wire.why import Blocker, WhyReply, WhyRequest
from fetchml_core.wire.worker import WorkerInfo

from .blockers import Situation, Standing, on_one_line, standings
from .capacity import capacity_of
from .context import Context
from .front import front
from .heal import heal
from .host import Host
from .select import select_one

_UNKNOWN = Standing(blockers=(Blocker("worker", "not known while the worker file has errors"),))
"""What a job may have here, and so what it waits for, stands in that file."""


def run(context: Context, request: WhyRequest) -> WhyReply:
    """See the module."""
    host = context.host
    job = select_one(context, request.select, anywhere=True)
    jobs = front(host.queue)
    worker = heal(host, jobs)
    found = _standings(host, jobs, worker, [job]).get(job.id, Standing())
    return WhyReply(
        job,
        host.clock.now(),
        worker,
        ahead=found.ahead,
        blockers=found.blockers,
        keeps=found.keeps,
        holds=found.holds,
        notes=host.queue_notes(),
    )


def why(host: Host, jobs: Sequence[Job], worker: WorkerInfo, wanted: Iterable[Job]) -> dict[int, str]:
    """Return for a table why jobs wait, and on which GPUs those run that have some.

    Args:
        host: The host.
        jobs: The `front` of its queue.
        worker: What is known of the host's worker.
        wanted: The jobs to tell of; those that have ended are left out.
    """
    found = _standings(host, jobs, worker, wanted)
    return {job_id: text for job_id, standing in found.items() if (text := on_one_line(standing))}


def _standings(
    host: Host, jobs: Sequence[Job], worker: WorkerInfo, wanted: Iterable[Job]
) -> dict[int, Standing]:
    told = {job.id: job for job in wanted if not job.state.final}
    if not told:
        return {}  # no need to look at the hardware
    if host.broken is not None:
        return {job.id: _UNKNOWN for job in told.values() if job.state is State.QUEUED}
    known = told | {job.id: job for job in jobs}
    pause = host.queue.paused()
    here = Situation(capacity_of(host), worker, host.clock.now(), pause, host.queue.home)
    return standings(list(known.values()), told.keys(), here)
