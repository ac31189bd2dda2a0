"""The protocol that every queue engine keeps. This text is the contract; tests/core/queue/contract.py checks it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from attrs import frozen

from fetchml_core.jobs.job import Job, JobSpec, Launched, Lease, Outcome, Stop

Choose = Callable[[Sequence[Job]], "Job | None"]


@frozen
class Beat:
    """The worker is alive and goes on holding the attempt."""

    lease: Lease


@frozen
class Started:
    """The job's own program runs."""

    launch: Launched
    lease: Lease


@frozen
class Finished:
    """The attempt has ended, and with it the job."""

    outcome: Outcome


@frozen
class Requeued:
    """The attempt has ended, the job shall be tried again."""

    outcome: Outcome


Change = Beat | Started | Finished | Requeued


@frozen
class Properties:
    """What differs between engines, as data.

    Args:
        name: Value of ``queue.type``.
        survives_power_cut: An acknowledged write is there after one.
        several_hosts: Workers of several hosts may share it.
    """

    name: str
    survives_power_cut: bool
    several_hosts: bool


class Queue(Protocol):
    """A durable queue of jobs, shared by any number of processes that may be killed at any instant.

    Every method that returns has made its change durable; one that raises has changed nothing. Jobs that come
    back are snapshots. Ids are 1, 2, 3 ...: never reused.
    """

    @property
    def properties(self) -> Properties:
        """What this engine can do."""
        ...

    def submit(self, spec: JobSpec, *, user: str, key: str) -> Job:
        """Accept a job; it is queued.

        Asking again with the same *user* and *key* returns the first job and changes nothing.

        Raises:
            InputError: ``key-reused``: the same key came with another *spec*.
        """
        ...

    def claim(self, choose: Choose, lease: Lease) -> Job | None:
        """Give one queued job to the worker that *lease* names, as a new attempt.

        *choose* gets the queued jobs in the order of `claim_order` and returns one of them or None. It must be
        quick and must not call the queue. No two claims ever get the same attempt.
        """
        ...

    def advance(self, job_id: int, attempt: int, change: Change) -> Job:
        """Record what a worker says about its attempt; *attempt* is the fencing token.

        Raises:
            NotFoundError: ``job-unknown``.
            HostError: ``stale-attempt``: the attempt is not the job's newest or has ended; ``illegal-step``.
        """
        ...

    def stop(self, job_id: int, stop: Stop) -> Job:
        """Ask that a job ends.

        Queued: it is cancelled at once. Held by a worker: it is stopping, and the worker ends it. Ended: nothing changes. A later wish may only sharpen (``now``) an earlier one.

        Raises:
            NotFoundError: ``job-unknown``.
        """
        ...

    def get(self, job_id: int) -> Job:
        """Return one job.

        Raises:
            NotFoundError: ``job-unknown``.
        """
        ...

    def jobs(self) -> Sequence[Job]:
        """Return all jobs, oldest first."""
        ...

    def revision(self) -> int:
        """Return a number that is higher after every change anybody made; it is cheap to ask."""
        ...


def claim_order(job: Job) -> tuple[int, int]:
    """Return the sort key of queued jobs: priority first, then age."""
    return -job.spec.priority, job.id


def lease_ended(lease: Lease, boot_id: str, now: float) -> bool:
    """Whether *lease* has run out at *now* seconds of boot *boot_id*."""
    return lease.boot_id != boot_id or lease.until < now
