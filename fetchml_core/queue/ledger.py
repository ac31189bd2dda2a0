"""What events make of jobs: a pure fold, shared by writing and reading.

An event is a dict with ``e`` (its kind) and ``id``; `decide_*` make one from a wish or refuse it, `Ledger.apply`
takes it in. Engines only have to keep the events in order.

    e        further fields
    submit   user key spec at
    claim    lease at
    beat     attempt lease
    start    attempt launch lease at
    finish   attempt outcome at
    requeue  attempt outcome at
    stop     stop at
"""

from __future__ import annotations

from typing import Any

from attrs import evolve

from fetchml_core.convert import from_data, to_data
from fetchml_core.errors import HostError, InputError, NotFoundError
from fetchml_core.jobs.job import Attempt, Job, JobSpec, Launched, Lease, Outcome, Stop
from fetchml_core.jobs.states import State, Step, follow

from .base import Beat, Change, Finished, Started

Event = dict[str, Any]


class Ledger:
    """All jobs, as the events so far have made them."""

    def __init__(self) -> None:
        self.jobs: dict[int, Job] = {}
        self._keys: dict[tuple[str, str], int] = {}

    def get(self, job_id: int) -> Job:
        """Return a job, or raise ``job-unknown``."""
        try:
            return self.jobs[job_id]
        except KeyError:
            raise NotFoundError(
                "job-unknown", "no such job", context=str(job_id), hint="ml status -a"
            ) from None

    def find_key(self, user: str, key: str, spec: JobSpec) -> Job | None:
        """Return the job that *user* submitted under *key*, or None; another *spec* is refused."""
        job_id = self._keys.get((user, key))
        if job_id is None:
            return None
        job = self.jobs[job_id]
        if job.spec != spec:
            raise InputError(
                "key-reused",
                f"job {job.id} was submitted under this key with other content",
                context=key,
                hint="submit again without --key, or with a new one",
            )
        return job

    # --- wishes: what event would do it ---

    def decide_submit(self, spec: JobSpec, user: str, key: str, at: float) -> Event:
        """Return the event that accepts a job."""
        job_id = next(reversed(self.jobs), 0) + 1
        return {"e": "submit", "id": job_id, "user": user, "key": key, "spec": to_data(spec), "at": at}

    def decide_claim(self, job: Job, lease: Lease, at: float) -> Event:
        """Return the event that gives *job* to a worker."""
        follow(job.state, Step.CLAIM)
        return {"e": "claim", "id": job.id, "lease": to_data(lease), "at": at}

    def decide_advance(self, job_id: int, attempt: int, change: Change, at: float) -> Event:
        """Return the event for a worker's word, or refuse a stale or illegal one."""
        job = self.get(job_id)
        newest = job.attempt
        if newest is None or newest.number != attempt or not job.state.active:
            raise HostError(
                "stale-attempt",
                f"attempt {attempt} of job {job_id} no longer counts: the job is {job.state.value}"
                + (f" in attempt {newest.number}" if newest else ""),
                context=f"{job_id}.{attempt}",
            )
        event: Event = {"id": job_id, "attempt": attempt}
        if isinstance(change, Beat):
            return {**event, "e": "beat", "lease": to_data(change.lease)}
        if isinstance(change, Started):
            # a wish to stop may have come in between: the job then stays stopping
            if job.state is not State.STOPPING:
                follow(job.state, Step.START)
            launch, lease = to_data(change.launch), to_data(change.lease)
            return {**event, "e": "start", "launch": launch, "lease": lease, "at": at}
        if isinstance(change, Finished):
            follow(job.state, Step.FINISH, change.outcome.state)
            return {**event, "e": "finish", "outcome": to_data(change.outcome), "at": at}
        follow(job.state, Step.REQUEUE)
        return {**event, "e": "requeue", "outcome": to_data(change.outcome), "at": at}

    def decide_stop(self, job_id: int, stop: Stop, at: float) -> Event | None:
        """Return the event that asks for an end, None where it changes nothing."""
        job = self.get(job_id)
        follow(job.state, Step.STOP)
        if job.state.final or (job.stop is not None and (job.stop.now or not stop.now)):
            return None
        return {"e": "stop", "id": job_id, "stop": to_data(evolve(stop, at=at)), "at": at}

    # --- facts ---

    def apply(self, event: Event) -> Job:
        """Take an event in and return the job it changed. An event of a newer version's kind changes nothing."""
        if event["e"] == "submit":
            spec = from_data(event["spec"], JobSpec)
            job = Job(event["id"], event["user"], spec, event["at"])
            self._keys[event["user"], event["key"]] = job.id
        else:
            handler = _HANDLERS.get(event["e"])
            job = self.get(event["id"])
            job = handler(job, event) if handler else job
        self.jobs[job.id] = job
        return job


def _claim(job: Job, event: Event) -> Job:
    lease = from_data(event["lease"], Lease)
    attempt = Attempt(len(job.attempts) + 1, lease.worker, event["at"])
    return evolve(job, state=State.STARTING, lease=lease, attempts=(*job.attempts, attempt))


def _beat(job: Job, event: Event) -> Job:
    return evolve(job, lease=from_data(event["lease"], Lease))


def _start(job: Job, event: Event) -> Job:
    launch = from_data(event["launch"], Launched)
    attempts = _newest(job, launch=launch, started_at=event["at"])
    state = job.state if job.state is State.STOPPING else State.RUNNING
    return evolve(job, state=state, lease=from_data(event["lease"], Lease), attempts=attempts)


def _finish(job: Job, event: Event) -> Job:
    outcome = from_data(event["outcome"], Outcome)
    attempts = _newest(job, outcome=outcome, ended_at=event["at"])
    return evolve(job, state=outcome.state, lease=None, attempts=attempts, ended_at=event["at"])


def _requeue(job: Job, event: Event) -> Job:
    attempts = _newest(job, outcome=from_data(event["outcome"], Outcome), ended_at=event["at"])
    return evolve(job, state=State.QUEUED, lease=None, attempts=attempts, stop=None)


def _stop(job: Job, event: Event) -> Job:
    stop = from_data(event["stop"], Stop)
    state = follow(job.state, Step.STOP)
    return evolve(job, state=state, stop=stop, ended_at=event["at"] if state.final else None)


def _newest(job: Job, **changes: Any) -> tuple[Attempt, ...]:
    return (*job.attempts[:-1], evolve(job.attempts[-1], **changes))


_HANDLERS = {
    "claim": _claim,
    "beat": _beat,
    "start": _start,
    "finish": _finish,
    "requeue": _requeue,
    "stop": _stop,
}
