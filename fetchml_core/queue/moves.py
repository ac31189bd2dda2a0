"""What may happen to a job, and what it becomes: pure decisions that every engine shares.

An event is a dict with ``e`` (its kind) and ``id``. `*_event` makes one from a wish, or refuses it; `fold` makes the
record of the job that follows, `apply` the job. An engine reads a job, asks here, and stores either the event or the
job, in one step that nobody else can come between.

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
Record = dict[str, Any]


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
    return from_data(fold(None, event), Job, what="job")


def apply(job: Job, event: Event) -> Job:
    """Return what *job* becomes by any other event: the job of the record that `fold` makes, without the record."""
    handler = _APPLIERS.get(event["e"])
    return evolve(handler(job, event), revision=event.get("n", job.revision)) if handler else job


def fold(record: Record | None, event: Event) -> Record:
    """Return the record that *event* leaves of a job: what `to_data` makes of it, and fields of newer versions.

    Args:
        record: The job so far, which may be changed in place; None before its ``submit``.
        event: What has happened; one of a newer version's kind changes the state at most.
    """
    if record is None:
        return _accept(event)
    handler = _HANDLERS.get(event["e"])
    if handler:
        state = state_after(state_of(record), event)
        handler(record, event)
        record["state"] = state.value
        if "n" in event:
            record["revision"] = event["n"]
    elif "state" in event:
        record["state"] = event["state"]
    return record


def state_after(state: State, event: Event) -> State:
    """Return the state of a job after *event*, which is one of `moves` and no ``submit``."""
    kind = event["e"]
    if kind == "beat" or (kind == "start" and state is State.STOPPING):
        return state
    return follow(state, Step(kind), State(event["outcome"]["state"]) if kind == "finish" else None)


def _accept(event: Event) -> Record:
    record: Record = {field: event[field] for field in ("id", "user", "spec", "home") if field in event}
    record["submitted_at"] = event["at"]
    record["line"] = event.get("line", event["at"])
    record["revision"] = event.get("n", 0)
    return record


def _claim(record: Record, event: Event) -> None:
    attempts = record["attempts"] = list(record.get("attempts", ()))
    attempts.append(
        {"number": len(attempts) + 1, "worker": event["lease"]["worker"], "claimed_at": event["at"]}
    )
    record["lease"] = event["lease"]


def _beat(record: Record, event: Event) -> None:
    record["lease"] = event["lease"]


def _start(record: Record, event: Event) -> None:
    record["attempts"][-1].update(launch=event["launch"], started_at=event["at"])
    record["lease"] = event["lease"]


def _finish(record: Record, event: Event) -> None:
    _end_attempt(record, event)
    record["ended_at"] = event["at"]


def _requeue(record: Record, event: Event) -> None:
    _end_attempt(record, event)
    record.pop("stop", None)


def _return(record: Record, event: Event) -> None:
    record["attempts"][-1]["ended_at"] = event["at"]
    record.pop("lease", None)


def _end_attempt(record: Record, event: Event) -> None:
    record["attempts"][-1].update(outcome=event["outcome"], ended_at=event["at"])
    record.pop("lease", None)


def _stop(record: Record, event: Event) -> None:
    record["stop"] = event["stop"]
    if not state_of(record).active:
        record["ended_at"] = event["at"]


def _nothing(_record: Record, _event: Event) -> None:
    """The state says it all."""


def state_of(record: Record) -> State:
    """Return the state in a job's record."""
    return State(record.get("state", State.QUEUED.value))


_HANDLERS = {
    "claim": _claim,
    "beat": _beat,
    "start": _start,
    "finish": _finish,
    "requeue": _requeue,
    "return": _return,
    "stop": _stop,
    "hold": _nothing,
    "release": _nothing,
}


# --- the same for jobs that are at hand, which need not be made anew of their records ---


def _job_claimed(job: Job, event: Event) -> Job:
    lease = from_data(event["lease"], Lease)
    attempt = Attempt(len(job.attempts) + 1, lease.worker, event["at"])
    return evolve(job, state=State.STARTING, lease=lease, attempts=(*job.attempts, attempt))


def _job_beaten(job: Job, event: Event) -> Job:
    return evolve(job, lease=from_data(event["lease"], Lease))


def _job_started(job: Job, event: Event) -> Job:
    attempts = _newest(job, launch=from_data(event["launch"], Launched), started_at=event["at"])
    lease = from_data(event["lease"], Lease)
    return evolve(job, state=state_after(job.state, event), lease=lease, attempts=attempts)


def _job_finished(job: Job, event: Event) -> Job:
    outcome = from_data(event["outcome"], Outcome)
    attempts = _newest(job, outcome=outcome, ended_at=event["at"])
    return evolve(job, state=outcome.state, lease=None, attempts=attempts, ended_at=event["at"])


def _job_requeued(job: Job, event: Event) -> Job:
    attempts = _newest(job, outcome=from_data(event["outcome"], Outcome), ended_at=event["at"])
    return evolve(job, state=State.QUEUED, lease=None, attempts=attempts, stop=None)


def _job_returned(job: Job, event: Event) -> Job:
    return evolve(job, state=State.QUEUED, lease=None, attempts=_newest(job, ended_at=event["at"]))


def _job_stopped(job: Job, event: Event) -> Job:
    ended_at = job.ended_at if job.state.active else event["at"]
    state = state_after(job.state, event)
    return evolve(job, state=state, stop=from_data(event["stop"], Stop), ended_at=ended_at)


def _job_elsewhere(job: Job, event: Event) -> Job:
    return evolve(job, state=state_after(job.state, event))


def _newest(job: Job, **changes: Any) -> tuple[Attempt, ...]:
    return (*job.attempts[:-1], evolve(job.attempts[-1], **changes))


_APPLIERS = {
    "claim": _job_claimed,
    "beat": _job_beaten,
    "start": _job_started,
    "finish": _job_finished,
    "requeue": _job_requeued,
    "return": _job_returned,
    "stop": _job_stopped,
    "hold": _job_elsewhere,
    "release": _job_elsewhere,
}
