"""What may happen to a job, and what it becomes: pure decisions that every engine shares.

An event is a dict with ``e`` (its kind) and ``id``. `*_event` makes one from a wish, or refuses it; `apply` makes the
job that follows. An engine reads a job, asks here, and stores either the event or the job, in one step that nobody
else can come between.

    e        further fields
    submit   user key spec at line [home]
    claim    lease at
    beat     attempt lease
    start    attempt launch lease at
    finish   attempt outcome at
    requeue  attempt outcome at
    return   attempt at
    stop     stop at
    hold     at
    release  at

The engine adds ``n``, the queue's revision with this event; a beat has none.
"""

from __future__ import annotations

from typing import Any

from attrs import evolve

from fetchml_core.convert import from_data, to_data
from fetchml_core.errors import HostError, InputError, NotFoundError
from fetchml_core.jobs.job import Attempt, Job, JobSpec, Launched, Lease, Outcome, Stop
from fetchml_core.jobs.states import State, Step, follow

from .base import Beat, Change, Finished, Pause, Requeued, Started

Event = dict[str, Any]


def unknown_job(job_id: int) -> NotFoundError:
    """Return the error for an id that was never given."""
    return NotFoundError("job-unknown", "no such job", context=str(job_id), hint="ml status -a")


def same_or_refuse(job: Job, key: str, spec: JobSpec) -> Job:
    """Return *job*, which came under *key* before, unless it came with another *spec*.

    Raises:
        InputError: ``key-reused``.
    """
    if job.spec != spec:
        raise InputError(
            "key-reused",
            f"job {job.id} was submitted under this key with other content",
            context=key,
            hint="submit again without --key, or with a new one",
        )
    return job


def refuse_if_moved(pause: Pause | None) -> None:
    """Refuse a new job where the queue has moved.

    Raises:
        HostError: ``queue-moved``.
    """
    if pause is not None and pause.moved_to:
        raise HostError(
            "queue-moved",
            f"this queue was moved to {pause.moved_to} and takes no more jobs",
            hint=f"write queue.type: {pause.moved_to} into the host's files, or take it back: ml queue resume",
        )


# --- wishes: what event would do it ---


def submit_event(job_id: int, spec: JobSpec, user: str, key: str, at: float, line: float) -> Event:
    """Return the event that accepts a job.

    Args:
        job_id: Its id.
        spec: What was asked for.
        user: By whom.
        key: Under which idempotency key.
        at: The time, in seconds since the epoch.
        line: `Job.line` of the job before it.
    """
    event = {"e": "submit", "id": job_id, "user": user, "key": key, "spec": to_data(spec), "at": at}
    return {**event, "line": max(at, line)}


def claim_event(job: Job, lease: Lease, at: float) -> Event:
    """Return the event that gives *job* to a worker."""
    follow(job.state, Step.CLAIM)
    return {"e": "claim", "id": job.id, "lease": to_data(lease), "at": at}


def advance_event(job: Job, attempt: int, change: Change, at: float) -> Event:
    """Return the event for a worker's word, or refuse a stale or illegal one.

    Raises:
        HostError: ``stale-attempt``, ``illegal-step``.
    """
    newest = job.attempt
    if newest is None or newest.number != attempt or not job.state.active:
        raise HostError(
            "stale-attempt",
            f"attempt {attempt} of job {job.id} no longer counts: the job is {job.state.value}"
            + (f" in attempt {newest.number}" if newest else ""),
            context=f"{job.id}.{attempt}",
        )
    event: Event = {"id": job.id, "attempt": attempt}
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
    if isinstance(change, Requeued):
        follow(job.state, Step.REQUEUE)
        return {**event, "e": "requeue", "outcome": to_data(change.outcome), "at": at}
    follow(job.state, Step.RETURN)
    return {**event, "e": "return", "at": at}


def hold_event(job: Job, at: float) -> Event | None:
    """Return the event that keeps a job from being claimed, None where it is held already."""
    return None if follow(job.state, Step.HOLD) is job.state else {"e": "hold", "id": job.id, "at": at}


def release_event(job: Job, at: float) -> Event | None:
    """Return the event that lets a job be claimed again, None where it may be already."""
    return None if follow(job.state, Step.RELEASE) is job.state else {"e": "release", "id": job.id, "at": at}


def stop_event(job: Job, stop: Stop, at: float) -> Event | None:
    """Return the event that asks for an end, None where it changes nothing."""
    follow(job.state, Step.STOP)
    if job.state.final or (job.stop is not None and (job.stop.now or not stop.now)):
        return None
    return {"e": "stop", "id": job.id, "stop": to_data(evolve(stop, at=at)), "at": at}


# --- facts: what follows ---


def submitted(event: Event) -> Job:
    """Return the job that a ``submit`` event accepts."""
    at: float = event["at"]
    return Job(
        event["id"],
        event["user"],
        from_data(event["spec"], JobSpec),
        at,
        line=event.get("line", at),
        revision=event.get("n", 0),
        home=event.get("home", ""),
    )


def apply(job: Job, event: Event) -> Job:
    """Return what *job* becomes by any other event; one of a newer version's kind changes nothing."""
    handler = _HANDLERS.get(event["e"])
    return evolve(handler(job, event), revision=event.get("n", job.revision)) if handler else job


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


def _return(job: Job, event: Event) -> Job:
    attempts = _newest(job, ended_at=event["at"])
    return evolve(job, state=State.QUEUED, lease=None, attempts=attempts)


def _hold(job: Job, _: Event) -> Job:
    return evolve(job, state=State.HELD)


def _release(job: Job, _: Event) -> Job:
    return evolve(job, state=State.QUEUED)


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
    "return": _return,
    "stop": _stop,
    "hold": _hold,
    "release": _release,
}
