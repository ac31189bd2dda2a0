"""How an attempt ended, from what is known about it. Pure."""

from __future__ import annotations

import re
import signal

from fetchml_core.errors import FetchError
from fetchml_core.jobs.job import Job, Outcome, Stop
from fetchml_core.jobs.states import State
from fetchml_core.launcher.record import ExitRecord
from fetchml_core.queue.base import Finished, Requeued
from fetchml_core.units import format_duration, format_size

_NO_MODULE = re.compile(rb"ModuleNotFoundError: No module named '([A-Za-z0-9_.]{1,100})'")
_NO_COMMAND = 127


_MORE_MEMORY = "submit again with more --memory, or make the job smaller"


def judge(
    record: ExitRecord | None, stop: Stop | None, *, image: str = "", log_tail: bytes = b"", oom: bool = False
) -> Outcome:
    """Return the outcome of an attempt that is over.

    Args:
        record: What its init wrote; None where it wrote nothing.
        stop: The wish to end it, if there was one.
        image: The image it ran in, empty without a container.
        log_tail: The last bytes it printed.
        oom: Whether the kernel killed something of it for want of memory, told by the host.
    """
    if record is None and oom and stop is None:
        reason = "out of memory: the kernel killed the whole container"
        return Outcome(State.FAILED, reason, failure="resource", oom=True, hint=_MORE_MEMORY)
    if record is None:
        state = _stopped(stop) or State.LOST
        reason = _why_stopped(stop) if stop else "it vanished without an exit record"
        return Outcome(state, reason, failure="" if stop else "infrastructure")
    facts = Outcome(
        State.SUCCEEDED,
        code=record.code,
        signal=record.signal,
        oom=bool(record.oom),
        log_bytes=record.log_bytes,
        log_dropped=record.log_dropped,
        max_rss=record.max_rss or 0,
    )
    return _with_verdict(facts, record, stop, image, log_tail)


def _with_verdict(
    facts: Outcome, record: ExitRecord, stop: Stop | None, image: str, log_tail: bytes
) -> Outcome:
    from attrs import evolve

    if stop is not None:
        return evolve(facts, state=_stopped(stop) or State.CANCELLED, reason=_why_stopped(stop))
    if record.oom:
        return evolve(
            facts,
            state=State.FAILED,
            failure="resource",
            reason=f"out of memory (its largest process had {format_size(facts.max_rss)})",
            hint=_MORE_MEMORY,
        )
    if record.signal is not None:
        return evolve(
            facts, state=State.FAILED, failure="code", reason=f"killed by {_signal_name(record.signal)}"
        )
    if record.code != 0:
        reason = record.error or f"exit {record.code}"
        return evolve(facts, state=State.FAILED, failure="code", reason=reason, hint=_hint(log_tail, image))
    return facts


def refused(error: FetchError) -> Outcome:
    """Return the outcome of an attempt that could not be started."""
    message, hint = error.message, error.hint
    if error.code == "disk-full":  # its words are for a command that was refused
        message, hint = (
            message.partition(";")[0],
            "free space on the host (df -h; df -i), then submit it again",
        )
    reason = message + (f" ({' '.join(error.context.split())[:300]})" if error.context else "")
    return Outcome(State.FAILED, reason, failure="infrastructure", hint=hint, error=error.code)


def _stopped(stop: Stop | None) -> State | None:
    if stop is None:
        return None
    return State.TIMED_OUT if stop.timed_out else State.CANCELLED


def _why_stopped(stop: Stop) -> str:
    if stop.timed_out:
        return stop.reason
    return f"by {stop.by}" + (f": {stop.reason}" if stop.reason else "")


def end_of(job: Job, outcome: Outcome, max_retries: int) -> Finished | Requeued:
    """Return what an attempt's *outcome* means for its job: one that was lost is tried again, *max_retries* times."""
    lost = sum(1 for attempt in job.attempts if attempt.outcome and attempt.outcome.state is State.LOST)
    again = outcome.state is State.LOST and lost < max_retries
    return Requeued(outcome) if again else Finished(outcome)


def time_limit_stop(seconds: float) -> Stop:
    """Return the wish that the worker itself makes when ``--time`` has run out."""
    return Stop("worker", f"its time limit of {format_duration(seconds)} ran out", timed_out=True)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _hint(log_tail: bytes, image: str) -> str:
    """Return the way out of the commonest failure: a library that the image lacks."""
    found = _NO_MODULE.findall(log_tail)
    if not found:
        return ""
    name = found[-1].decode("ascii").partition(".")[0]
    if image:
        return f"the image {image} has no {name}: name one that has it (--image), or put {name} into the tree"
    return f"the host's python3 has no {name}: install it there, or put {name} into the tree"
