"""Jobs: submitted, listed, shown, held, cancelled, waited for."""

from __future__ import annotations

from attrs import field, frozen

from fetchml_core.jobs.job import Job, JobSpec

from .worker import WorkerInfo

MAX_JOBS = 10_000
"""Most jobs in one answer."""


@frozen
class SubmitRequest:
    """Ask for a job. The same *key* with the same *spec* is the same job, however often it is asked for."""

    key: str
    spec: JobSpec


@frozen
class SubmitReply:
    """The job, how many stand before it (None: too many to count), and the worker that will take it."""

    job: Job
    ahead: int | None
    worker: WorkerInfo
    notes: tuple[str, ...] = ()


@frozen
class ListRequest:
    """Ask for jobs.

    Args:
        select: Words of `fetchml_core.jobs.selectors`; empty: *everyone* and *limit* decide.
        everyone: All users and final jobs too; else one's own unfinished ones and the last finished.
        limit: At most so many, the newest.
    """

    select: tuple[str, ...] = ()
    everyone: bool = False
    limit: int = 50


@frozen
class ListReply:
    """Jobs, oldest first, why the queued ones wait, and the host's time (seconds since the epoch).

    Args:
        hidden: How many are left out.
        notes: What people should know of the queue's server.
        more: More than *hidden* are left out: nobody has counted them all.
    """

    jobs: tuple[Job, ...]
    worker: WorkerInfo
    now: float
    why: dict[str, str] = field(factory=dict)
    hidden: int = 0
    notes: tuple[str, ...] = ()
    more: bool = False


@frozen
class ShowRequest:
    """Ask for everything about one job."""

    select: str


@frozen
class MetricLine:
    """The newest value of one metric."""

    key: str
    value: float
    step: int | None = None


@frozen
class ShowReply:
    """Everything about one job; *notes* are what people should know of the queue's server."""

    job: Job
    now: float
    worker: WorkerInfo
    why: str = ""
    metrics: tuple[MetricLine, ...] = ()
    results: str = ""
    checkpoint: str = ""
    notes: tuple[str, ...] = ()


@frozen
class JobNews:
    """An item of a followed answer: where the job stands now, and why it waits.

    Args:
        job: As it is now.
        why: Its first blocker, while it is queued.
        dropped: Bytes of its log that were not kept just here.
        log_at: Where in its log the next bytes stand; None where that has not changed.
    """

    job: Job
    why: str = ""
    dropped: int = 0
    log_at: int | None = None


@frozen
class CancelRequest:
    """Ask that jobs end."""

    select: tuple[str, ...]
    reason: str = ""
    now: bool = False


@frozen
class CancelReply:
    """The jobs as they stand now, and those that had ended before."""

    jobs: tuple[Job, ...]
    ended_before: tuple[int, ...] = ()


@frozen
class HoldRequest:
    """Ask that queued jobs wait until they are released."""

    select: tuple[str, ...]


@frozen
class ReleaseRequest:
    """Ask that held jobs may be claimed again."""

    select: tuple[str, ...]


@frozen
class HoldReply:
    """The jobs as they stand now, and those that neither wait nor are held, so that nothing was done."""

    jobs: tuple[Job, ...]
    unfit: tuple[int, ...] = ()


@frozen
class WaitRequest:
    """Wait until jobs have ended; an Item (JobNews) tells of each change."""

    select: tuple[str, ...]


@frozen
class WaitReply:
    """The jobs, ended."""

    jobs: tuple[Job, ...]
