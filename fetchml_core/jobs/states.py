"""The states of a job, and what may follow what.

    state      submit  claim     start    stop       finish  requeue  return  hold    release
    (none)     queued
    queued             starting           cancelled                           held    (same)
    held                                  cancelled                           (same)  queued
    starting                     running  stopping   *       queued   queued
    running                               stopping   *       queued
    stopping                              stopping   *       queued
    final                                 (same)

``*`` is the final state that the outcome names. A wish that is fulfilled already is no error, so that ``ml cancel``,
``hold`` and ``release`` can be repeated; everything else is refused with both states named.
"""

from __future__ import annotations

from enum import Enum

from fetchml_core.errors import HostError


class _Member(Enum):
    """An Enum whose members are told apart as what they are, one object each: to hash their names takes ten times as long."""

    __hash__ = object.__hash__


class State(_Member):
    """Where a job stands; the value is the word people read."""

    QUEUED = "queued"
    HELD = "held"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TIMED_OUT = "timed-out"
    LOST = "lost"

    @property
    def final(self) -> bool:
        """Whether nothing more will happen to the job."""
        return self in FINAL

    @property
    def active(self) -> bool:
        """Whether a worker holds the job."""
        return self in ACTIVE


ACTIVE = frozenset({State.STARTING, State.RUNNING, State.STOPPING})
FINAL = frozenset({State.SUCCEEDED, State.FAILED, State.CANCELLED, State.TIMED_OUT, State.LOST})


class Step(_Member):
    """What can happen to a job."""

    CLAIM = "claim"
    START = "start"
    STOP = "stop"
    FINISH = "finish"
    REQUEUE = "requeue"
    RETURN = "return"
    HOLD = "hold"
    RELEASE = "release"


_NEXT: dict[State, dict[Step, State | frozenset[State]]] = {
    State.QUEUED: {
        Step.CLAIM: State.STARTING,
        Step.STOP: State.CANCELLED,
        Step.HOLD: State.HELD,
        Step.RELEASE: State.QUEUED,
    },
    State.HELD: {Step.STOP: State.CANCELLED, Step.HOLD: State.HELD, Step.RELEASE: State.QUEUED},
    State.STARTING: {
        Step.START: State.RUNNING,
        Step.STOP: State.STOPPING,
        Step.FINISH: FINAL,
        Step.REQUEUE: State.QUEUED,
        Step.RETURN: State.QUEUED,
    },
    State.RUNNING: {Step.STOP: State.STOPPING, Step.FINISH: FINAL, Step.REQUEUE: State.QUEUED},
    State.STOPPING: {Step.STOP: State.STOPPING, Step.FINISH: FINAL, Step.REQUEUE: State.QUEUED},
    **{state: {Step.STOP: state} for state in FINAL},
}


def follow(state: State, step: Step, outcome: State | None = None) -> State:
    """Return the state after *step*.

    Args:
        state: Where the job stands.
        step: What is to happen.
        outcome: The final state, for `Step.FINISH` only.

    Raises:
        HostError: ``illegal-step``, naming both, when the table has no such row.
    """
    target = _NEXT[state].get(step)
    if isinstance(target, frozenset):
        target = outcome if outcome in target else None
    if target is None:
        wanted = f" to {outcome.value}" if outcome else ""
        raise HostError(
            "illegal-step", f"a job that is {state.value} cannot {step.value}{wanted}", context=state.value
        )
    return target
