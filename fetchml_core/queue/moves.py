"""What may happen to a job, and what it becomes: pure decisions that every engine shares.

A wish is refused or becomes a `Move`: an event, which is a dict with ``e`` (its kind) and ``id``, and what changes of the
job. `fold` makes the record of the job that follows of the event, `apply` the job. An engine reads a job, asks here, and
stores either the event or the job, in one step that nobody else can come between.

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

from typing import Any, NamedTuple

from attrs import evolve

from fetchml_core.convert import from_data, to_data
from fetchml_core.errors import HostError, InputError, NotFoundError
from fetchml_core.jobs.job import Attempt, Job, JobSpec, Lease, Stop
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


# --- wishes ---


def submit_event(job_id: int, spec: JobSpec, user: str, key: str, at: float, line: float) -> Event:
    """Return the event that accepts a job.

    Args:
        job_id: Its id.
        spec: What was asked for.
        user: By whom.
        key: Under which idempotency key.
        at: The time, in seconds since the epoch.
        line: Its `Job.line`.
    """
    event = {"e": "submit", "id": job_id, "user": user, "key": key, "spec": to_data(spec), "at": at}
    return {**event, "line": line}


class Move(NamedTuple):
    """A change of a job that was decided.

    Args:
        event: What is recorded of it.
        changes: The fields of the job that are other ones then.
    """

    event: Event
    changes: dict[str, Any]


def apply(job: Job, move: Move, **more: Any) -> Job:
    """Return what *job* becomes: the job of the record that `fold` makes of the event, without the record."""
    return evolve(job, **move.changes, **more)


def claim_move(job: Job, lease: Lease, at: float) -> Move:
    """Give *job* to a worker."""
    state = follow(job.state, Step.CLAIM)
    attempts = (*job.attempts, Attempt(len(job.attempts) + 1, lease.worker, at))
    event = {"e": "claim", "id": job.id, "lease": to_data(lease), "at": at}
    return Move(event, {"state": state, "lease": lease, "attempts": attempts})


def advance_move(job: Job, attempt: int, change: Change, at: float) -> Move:
    """Take a worker's word, or refuse a stale or illegal one.

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
        return Move({**event, "e": "beat", "lease": to_data(change.lease)}, {"lease": change.lease})
    event["at"] = at
    if isinstance(change, Started):
        return _start_move(job, change, event)
    if isinstance(change, Finished | Requeued):
        return _end_move(job, change, event)
    state = follow(job.state, Step.RETURN)
    changes = {"state": state, "lease": None, "attempts": _newest(job, ended_at=at)}
    return Move({**event, "e": "return"}, changes)


def _start_move(job: Job, change: Started, event: Event) -> Move:
    # a wish to stop may have come in between: the job then stays stopping
    state = job.state if job.state is State.STOPPING else follow(job.state, Step.START)
    attempts = _newest(job, launch=change.launch, started_at=event["at"])
    event = {**event, "e": "start", "launch": to_data(change.launch), "lease": to_data(change.lease)}
    return Move(event, {"state": state, "lease": change.lease, "attempts": attempts})


def _end_move(job: Job, change: Finished | Requeued, event: Event) -> Move:
    outcome, at = change.outcome, event["at"]
    attempts = _newest(job, outcome=outcome, ended_at=at)
    event = {**event, "outcome": to_data(outcome)}
    if isinstance(change, Finished):
        state = follow(job.state, Step.FINISH, outcome.state)
        changes = {"state": state, "lease": None, "attempts": attempts, "ended_at": at}
        return Move({**event, "e": "finish"}, changes)
    state = follow(job.state, Step.REQUEUE)
    return Move(
        {**event, "e": "requeue"}, {"state": state, "lease": None, "attempts": attempts, "stop": None}
    )


def hold_move(job: Job, at: float) -> Move | None:
    """Keep a job from being claimed; None where it is held already."""
    state = follow(job.state, Step.HOLD)
    return None if state is job.state else Move({"e": "hold", "id": job.id, "at": at}, {"state": state})


def release_move(job: Job, at: float) -> Move | None:
    """Let a job be claimed again; None where it may be already."""
    state = follow(job.state, Step.RELEASE)
    return None if state is job.state else Move({"e": "release", "id": job.id, "at": at}, {"state": state})


def stop_move(job: Job, stop: Stop, at: float) -> Move | None:
    """Ask for an end; None where that changes nothing."""
    state = follow(job.state, Step.STOP)
    if job.state.final or (job.stop is not None and (job.stop.now or not stop.now)):
        return None
    stop = evolve(stop, at=at)
    changes = {"state": state, "stop": stop, "ended_at": job.ended_at if job.state.active else at}
    return Move({"e": "stop", "id": job.id, "stop": to_data(stop), "at": at}, changes)


def _newest(job: Job, **changes: Any) -> tuple[Attempt, ...]:
    return (*job.attempts[:-1], evolve(job.attempts[-1], **changes))


# --- facts: what follows ---


def submitted(event: Event) -> Job:
    """Return the job that a ``submit`` event accepts."""
    return from_data(fold(None, event), Job, what="job")


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
