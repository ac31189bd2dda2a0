"""The protocol that every queue engine keeps. This text is the contract; tests/core/queue/contract.py checks it."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from attrs import field, frozen

from fetchml_core.clock import Clock
from fetchml_core.jobs.job import Job, JobSpec, Launched, Lease, Outcome, Stop
from fetchml_core.jobs.states import FINAL, State

Choose = Callable[[Sequence[Job]], "Job | None"]

AGEING_S = 3600.0
"""A job that has waited this long is equal to a new one whose priority is one higher: nothing starves."""


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


@frozen
class Returned:
    """The worker gives the job back: nothing of it has run, so the attempt counts as no try."""


Change = Beat | Started | Finished | Requeued | Returned


@frozen
class Filter:
    """Which jobs are wanted; a field that is empty asks for nothing.

    Args:
        states: In one of these states.
        user: Submitted by this user.
        name: The name fits this shell-style pattern.
    """

    states: frozenset[State] = frozenset()
    user: str = ""
    name: str = ""

    def fits(self, job: Job) -> bool:
        """Whether *job* is wanted."""
        return (
            (not self.states or job.state in self.states)
            and (not self.user or job.user == self.user)
            and (not self.name or fnmatch.fnmatchcase(job.spec.name, self.name))
        )


ALL = Filter()
UNFINISHED = Filter(states=frozenset(State) - FINAL)
QUEUED = Filter(states=frozenset({State.QUEUED}))


@frozen
class Pause:
    """Somebody has stopped the queue from giving out jobs.

    Args:
        by: Who.
        reason: Why, for people.
        at: When, in seconds since the epoch.
        moved_to: The ``queue.type`` that serves its jobs now; this one then refuses new ones too.
    """

    by: str
    reason: str = ""
    at: float = 0.0
    moved_to: str = ""


@frozen
class Stored:
    """A job with the idempotency key it came under: all that a queue knows of it.

    Args:
        key: The key.
        job: The job.
        record: The job as it was read, where fields of a newer version may be in it.
    """

    key: str
    job: Job
    record: dict[str, Any] | None = field(default=None, eq=False, repr=False)


@frozen
class Damage:
    """Something in a queue that cannot be trusted.

    Args:
        place: Where: a file, and a byte in it where that is known.
        problem: What is wrong.
        repair: What a repair does, or has done, about it.
        jobs: Ids of the jobs that are lost with it, where they are known.
    """

    place: str
    problem: str
    repair: str = ""
    jobs: tuple[int, ...] = ()


@frozen
class Properties:
    """What differs between engines, as data.

    Args:
        name: Value of ``queue.type``.
        survives_power_cut: An acknowledged write is there after one.
        claim_survives_power_cut: Likewise a claim. Where not, a cut may give the job back to the line; by then the
            machine has started anew and nobody works on it.
        several_hosts: Workers of several hosts may share it.
    """

    name: str
    survives_power_cut: bool
    claim_survives_power_cut: bool = True
    several_hosts: bool = False


class Watch(Protocol):
    """Says when a queue may have changed, without anybody asking again and again."""

    def fileno(self) -> int:
        """Return a descriptor for `select.poll`, readable once there may be news; -1 where the system has none left."""
        ...

    def clear(self) -> None:
        """Forget the news so far. To be called before looking at the queue: later news make it readable again."""
        ...

    def close(self) -> None:
        """Give the descriptor back."""
        ...


class Queue(Protocol):
    """A durable queue of jobs, shared by any number of processes that may be killed at any instant.

    Every method that returns has made its change durable; one that raises has changed nothing. Jobs that come
    back are snapshots. Ids are positive, rising and never given twice. A heartbeat is the one change that is no news:
    it raises no revision, and a power cut may forget it.
    """

    @property
    def properties(self) -> Properties:
        """What this engine can do."""
        ...

    @property
    def home(self) -> str:
        """The host this view belongs to, where several share the queue; empty where one has it for itself.

        A job's `Job.home` is that of the view it was submitted through, and only views of that home claim it.
        """
        ...

    # --- for those who submit ---

    def submit(self, spec: JobSpec, *, user: str, key: str) -> Job:
        """Accept a job; it is queued.

        Asking again with the same *user* and *key* returns the first job and changes nothing.

        Raises:
            InputError: ``key-reused``: the same key came with another *spec*.
            HostError: ``queue-moved``: a pause names the queue that serves its jobs now, also of a known *key*.
        """
        ...

    def submit_array(self, specs: Sequence[JobSpec], *, user: str, key: str) -> list[Job]:
        """Accept many jobs at once; the one at place *n* has the key ``<key>/<n>``.

        Asking again with the same *user* and *key* completes what a crash has cut, and doubles nothing.

        Raises what `submit` does.
        """
        ...

    def stop(self, job_id: int, stop: Stop) -> Job:
        """Ask that a job ends.

        Queued or held: it is cancelled at once. Held by a worker: it is stopping, and the worker ends it. Ended:
        nothing changes. A later wish may only sharpen (``now``) an earlier one.

        Raises:
            NotFoundError: ``job-unknown``.
        """
        ...

    def hold(self, job_id: int) -> Job:
        """Keep a queued job from being claimed; one that is held stays so.

        Raises:
            NotFoundError: ``job-unknown``.
            HostError: ``illegal-step``: it is not queued.
        """
        ...

    def release(self, job_id: int) -> Job:
        """Let a held job be claimed again; one that is queued stays so. Raises what `hold` does."""
        ...

    # --- for workers ---

    def claim(self, choose: Choose, lease: Lease) -> Job | None:
        """Give one queued job to the worker that *lease* names, as a new attempt; None while the queue is paused.

        *choose* gets the queued jobs in the order of `claim_order` and returns one of them or None. It must be
        quick and must not call the queue; it may be asked again. No two claims ever get the same attempt.
        """
        ...

    def advance(self, job_id: int, attempt: int, change: Change) -> Job:
        """Record what a worker says about its attempt; *attempt* is the fencing token.

        Raises:
            NotFoundError: ``job-unknown``.
            HostError: ``stale-attempt``: the attempt is not the job's newest or has ended; ``illegal-step``.
        """
        ...

    def lease(self, worker: str, seconds: float) -> Lease:
        """Return a lease of *seconds* from now, on the clock that `lease_ended` reads; never the wall clock."""
        ...

    def lease_ended(self, lease: Lease) -> bool:
        """Whether *lease* has run out, or was given in another boot of the machine that keeps the clock."""
        ...

    # --- for those who look ---

    def get(self, job_id: int) -> Job:
        """Return one job.

        Raises:
            NotFoundError: ``job-unknown``.
        """
        ...

    def jobs(
        self, wanted: Filter = ALL, *, newest: bool = False, after: int = 0, limit: int | None = None
    ) -> Sequence[Job]:
        """Return the jobs that *wanted* fits, by id.

        Args:
            wanted: Which.
            newest: Highest id first, else lowest first.
            after: Only those behind this id in that order; 0 begins at the start.
            limit: So many at most.
        """
        ...

    def line(self, limit: int) -> Sequence[Job]:
        """Return the queued jobs that only views of this home claim, in the order of `claim_order`: the first *limit*.

        Also while the queue is paused.
        """
        ...

    def counts(self) -> dict[State, int]:
        """Return how many jobs are in each state; every state is there."""
        ...

    def revision(self) -> int:
        """Return a number that is higher after every change anybody made; it is cheap to ask."""
        ...

    def changes(self, after: int, *, limit: int = 1000) -> Sequence[Job]:
        """Return the jobs whose `Job.revision` is higher than *after*, lowest first, each as it is now.

        Whoever remembers the last revision he got, and asks again with it, misses no job and no state a job ended in.
        """
        ...

    def watch(self) -> Watch:
        """Return what tells of changes."""
        ...

    # --- for admins ---

    def pause(self, pause: Pause) -> None:
        """Give out no more jobs, until `resume`; submitting, running and finishing go on. A pause may be replaced."""
        ...

    def resume(self) -> None:
        """Give out jobs again."""
        ...

    def paused(self) -> Pause | None:
        """Return the pause, None where there is none."""
        ...

    def export(self) -> Iterator[Stored]:
        """Yield everything, by id; for `adopt` of another queue."""
        ...

    def adopt(self, stored: Sequence[Stored]) -> None:
        """Take jobs in as they are, with their ids; later ids are higher. Those that are here already stay as they are.

        A job is here if its id, user, key, spec and time of submission are.

        Raises:
            InputError: ``id-taken``: an id or a key stands for another job here.
        """
        ...

    def check(self, *, repair: bool = False) -> Sequence[Damage]:
        """Verify all that is stored, by its checksums; return what is damaged.

        With *repair* the damaged parts are moved aside, never deleted, and the rest is served again.

        Raises:
            HostError: ``queue-busy``: to repair it the engine needs its files for itself.
        """
        ...


def claim_order(job: Job) -> tuple[float, int]:
    """Return the sort key of queued jobs: priority, then age, where `AGEING_S` of waiting are worth one priority.

    It never changes, as all jobs age alike.
    """
    return place_in_line(job.line or job.submitted_at, job.spec.priority, job.id)


def place_in_line(line: float, priority: int, job_id: int) -> tuple[float, int]:
    """Return `claim_order` of a job of which only this is known."""
    return line - priority * AGEING_S, job_id


def next_in_line(line: float, at: float, now: float) -> float:
    """Return `Job.line` of a job that comes now: what goes by between two jobs counts, and no jump of the clock back.

    Args:
        line: That of the job before it; 0 for the first.
        at: When that one came, by the wall clock.
        now: By the wall clock, too.
    """
    return max(line, now) if line == at else line + max(0.0, now - at)


def boot_lease(clock: Clock, worker: str, seconds: float) -> Lease:
    """Return a lease on the boot clock of this machine: `Queue.lease` of the engines of one host."""
    boot = clock.boot()
    return Lease(worker, boot.boot_id, boot.seconds + seconds)


def boot_lease_ended(clock: Clock, lease: Lease) -> bool:
    """Whether a lease of `boot_lease` has run out, or is of another boot: `Queue.lease_ended` of those engines."""
    boot = clock.boot()
    return lease.boot_id != boot.boot_id or lease.until < boot.seconds


def select(
    jobs: Sequence[Job], wanted: Filter, *, newest: bool, after: int, limit: int | None
) -> Sequence[Job]:
    """Do what `Queue.jobs` asks for where all *jobs* are at hand, lowest id first."""
    found: list[Job] = []
    for job in reversed(jobs) if newest else jobs:
        if limit is not None and len(found) >= limit:
            break
        behind = not after or (job.id < after if newest else job.id > after)
        if behind and wanted.fits(job):
            found.append(job)
    return found
