"""How an attempt ended, from what is known about it, and whether its job is tried again. Pure.

    what has happened                                          class           tried again, at most
    it is lost: no exit record, its worker is gone             infrastructure  max_retries
    a GPU failed (an error whose code begins with gpu-)        as told         max_retries, on other GPUs
    it could not be started: its snapshot is damaged (DATA)    data            never
      for something that stays as it is (SETTLED)              infrastructure  never
      for anything else, such as a full disk                   infrastructure  max_retries
    out of memory                                              resource        never: it would happen again
    it failed: an exit status, a signal                        code            --retries
      killed, and nothing tells by whom; its record is spoilt  unknown         --retries
    it was to end: cancelled, its time limit                   none            never

What the job itself could have brought about is never tried again at the host's cost.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Sequence
from enum import Enum

from attrs import evolve

from fetchml_core.errors import FetchError
from fetchml_core.hardware.inventory import Gpu
from fetchml_core.jobs.job import Job, Outcome, Stop
from fetchml_core.jobs.states import State
from fetchml_core.launcher.record import ExitRecord
from fetchml_core.queue.base import Finished, Requeued
from fetchml_core.units import format_duration, format_size

_NO_MODULE = re.compile(rb"ModuleNotFoundError: No module named '([A-Za-z0-9_.]{1,100})'")

DATA = frozenset({"blob-damaged", "blob-missing", "blob-too-large", "manifest-refused", "snapshot-unknown"})
"""Codes of errors about what the job was given."""
SETTLED = frozenset(
    {
        "gpu-not-available",
        "limits-not-enforceable",
        "network-not-allowed",
        "no-command",
        "no-seccomp",
        "not-permitted",
        "sandbox-not-proven",
        "worker-bug",
    }
)
SETTLED_KINDS = ("bad-", "env-", "image-", "path-", "seccomp-profile-")
"""Codes, and beginnings of codes, of errors that the next try would meet again: somebody has to mend something first."""
SPOILT = frozenset({"damaged-file", "damaged-record", "not-a-plain-file"})
"""Codes of errors about a record that the job may have written itself."""
_GPU_FAULT = "gpu-"
_NOT_USABLE = "gpu-not-usable"
_GPU_HINT = "on the host: nvidia-smi; dmesg"

_WHO_KILLED = "on the host, dmesg tells whether the kernel did it for want of memory"
_MORE_MEMORY = "submit again with more --memory, or make the job smaller"


def judge(
    record: ExitRecord | None,
    stop: Stop | None,
    *,
    image: str = "",
    log_tail: bytes = b"",
    oom: bool = False,
    memory: int = 0,
) -> Outcome:
    """Return the outcome of an attempt that is over.

    Args:
        record: What its init wrote; None where it wrote nothing.
        stop: The wish to end it, if there was one.
        image: The image it ran in, empty without a container.
        log_tail: The last bytes it printed.
        oom: Whether the kernel killed something of it for want of memory, told by the host.
        memory: What it was given, in bytes; 0 where nothing limited it.
    """
    out_of = "out of memory" + (f": it was given {format_size(memory)}" if memory else "")
    if record is None and oom and stop is None:
        reason = f"{out_of}; the kernel killed the whole container"
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
        log_problem=record.log_problem,
        max_rss=record.max_rss or 0,
    )
    if record.oom and stop is None:
        largest = f" (its largest process had {format_size(facts.max_rss)})" if facts.max_rss else ""
        return evolve(
            facts, state=State.FAILED, failure="resource", reason=out_of + largest, hint=_MORE_MEMORY
        )
    return _with_verdict(facts, record, stop, image, log_tail)


def _with_verdict(
    facts: Outcome, record: ExitRecord, stop: Stop | None, image: str, log_tail: bytes
) -> Outcome:
    if stop is not None:
        return evolve(facts, state=_stopped(stop) or State.CANCELLED, reason=_why_stopped(stop))
    if record.signal is not None:
        reason = f"killed by {_signal_name(record.signal)}"
        if record.signal == signal.SIGKILL:  # no program ends itself like that
            return evolve(facts, state=State.FAILED, failure="unknown", reason=reason, hint=_WHO_KILLED)
        return evolve(facts, state=State.FAILED, failure="code", reason=reason)
    if record.code != 0:
        reason = record.error or f"exit {record.code}"
        return evolve(facts, state=State.FAILED, failure="code", reason=reason, hint=_hint(log_tail, image))
    return facts


def refused(error: FetchError, *, launched: bool = False) -> Outcome:
    """Return the outcome of an attempt that could not be started, or, once *launched*, not be watched to its end."""
    message, hint = error.message, error.hint
    if error.code == "disk-full":  # its words are for a command that was refused
        message, hint = (
            message.partition(";")[0],
            "free space on the host (df -h; df -i); once it has failed for good, submit it again",
        )
    reason = message + (f" ({' '.join(error.context.split())[:300]})" if error.context else "")
    return Outcome(
        State.FAILED, reason, failure=_class_of(error.code, launched=launched), hint=hint, error=error.code
    )


def _class_of(code: str, *, launched: bool) -> str:
    if code in DATA:
        return "data"
    spoilt = code in SPOILT or (launched and not code.startswith(_GPU_FAULT))
    return "unknown" if spoilt else "infrastructure"


def _stopped(stop: Stop | None) -> State | None:
    if stop is None:
        return None
    return State.TIMED_OUT if stop.timed_out else State.CANCELLED


def _why_stopped(stop: Stop) -> str:
    if stop.timed_out:
        return stop.reason
    return f"by {stop.by}" + (f": {stop.reason}" if stop.reason else "")


def blamed(outcome: Outcome, gpus: Sequence[str], bad: Sequence[Gpu]) -> Outcome:
    """Return *outcome* with the GPUs that failed.

    Args:
        outcome: Of an attempt that had GPUs.
        gpus: Theirs, by UUID: all of them where they could not be used and nobody knows which it was.
        bad: Those with which, by the driver's word, something is wrong after it. That no job can bring about, so a
            program that failed meanwhile is not to blame.
    """
    named = tuple(gpu.uuid for gpu in bad)
    if outcome.error == _NOT_USABLE:
        return evolve(outcome, gpus=named or tuple(gpus))
    if outcome.state is State.LOST:
        return evolve(outcome, gpus=named)
    if not bad or outcome.state is not State.FAILED or outcome.failure not in {"code", "unknown"}:
        return outcome
    words = "; ".join(f"GPU {gpu.index}: {gpu.problem}" for gpu in bad)
    return evolve(
        outcome,
        reason=f"{outcome.reason}, and its GPU has failed ({words})",
        failure="infrastructure",
        hint=_GPU_HINT,
        error="gpu-lost",
        gpus=named,
    )


class Payer(Enum):
    """Whose number of further tries a failure counts against."""

    HOST = "max_retries"
    JOB = "--retries"
    NOBODY = ""


def payer_of(outcome: Outcome) -> Payer:
    """Return whose retries pay for a further try after *outcome*."""
    if outcome.state is State.LOST:
        return Payer.HOST
    settled = outcome.error in SETTLED or outcome.error.startswith(SETTLED_KINDS)
    if outcome.state is not State.FAILED or settled:
        return Payer.NOBODY
    if outcome.error.startswith(_GPU_FAULT) or outcome.failure == "infrastructure":
        return Payer.HOST
    return Payer.JOB if outcome.failure in {"code", "unknown"} else Payer.NOBODY


def end_of(job: Job, outcome: Outcome, max_retries: int) -> Finished | Requeued:
    """Return what an attempt's *outcome* means for its job.

    Args:
        job: With the attempts before; those that somebody else pays for do not count.
        outcome: Of the newest attempt.
        max_retries: The worker file's.
    """
    payer = payer_of(outcome)
    most = {Payer.HOST: max_retries, Payer.JOB: job.spec.retries, Payer.NOBODY: 0}[payer]
    before = sum(1 for attempt in job.attempts if attempt.outcome and payer_of(attempt.outcome) is payer)
    return Requeued(outcome) if before < most else Finished(outcome)


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
