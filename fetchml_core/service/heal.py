"""Which jobs want the worker of this host to live, and see that it does."""

from __future__ import annotations

from collections.abc import Iterable

from fetchml_core.jobs.job import Job
from fetchml_core.jobs.states import State
from fetchml_core.wire.worker import WorkerInfo

from .drain import read_drain
from .host import Host
from .workers import heal_worker, without_start


def wants_worker(job: Job, home: str, *, claims: bool) -> bool:
    """Whether the worker of *home* has something to do for *job*: watch it, or, where it *claims* jobs, run it."""
    return job.home == home and (job.state.active or (job.state is State.QUEUED and claims))


def may_claim(host: Host) -> bool:
    """Whether a worker may take jobs here: nobody has paused the queue or drained the host."""
    return host.queue.paused() is None and read_drain(host.base) is None


def heal(host: Host, jobs: Iterable[Job]) -> WorkerInfo:
    """Return what is known of the worker; where one of *jobs* wants it and it has died, start it again."""
    if host.broken is not None:
        return without_start(host, host.broken)
    claims = may_claim(host)
    return heal_worker(host, [job for job in jobs if wants_worker(job, host.queue.home, claims=claims)])
