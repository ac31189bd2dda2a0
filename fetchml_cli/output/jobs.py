"""Jobs for people and for scripts: table rows, one-line ends, JSON with all keys always there.

Layer 6, pure.
"""

from __future__ import annotations

from typing import Any

from fetchml_cli.output.table import Cell, Column, Row, span, state
from fetchml_cli.output.times import ago, rfc3339
from fetchml_core.jobs.job import Attempt, Job, Launched, Outcome, Resources, Stop
from fetchml_core.jobs.states import State
from fetchml_core.units import format_cpus, format_size
from fetchml_core.wire.worker import DrainInfo, WorkerInfo

COLUMNS = (
    Column("JOB", fixed=True, right=True),
    Column("NAME", fixed=True, cut=True, least=12),
    Column("USER"),
    Column("WORKER", cut=True, least=12, spare=True),
    Column("GPU", right=True),
    Column("STATE", fixed=True),
    Column("WAIT", fixed=True, right=True),
    Column("RUN", fixed=True, right=True),
    Column("TRY", right=True),
    Column("WHERE/WHY", cut=True, least=30),
)


def job_row(job: Job, why: str, now: float, *, user: bool) -> Row:
    """Return the cells of one job, in the order of COLUMNS."""
    attempt = job.attempt
    gpus, tried = job.spec.resources.gpus, tries(job)
    return [
        str(job.id),
        job.spec.name,
        job.user if user else "",
        attempt.worker if attempt else "",
        str(gpus) if gpus else "",
        state(job.state.value),
        span(waited(job, now)),
        span(ran(job, now)),
        Cell(str(tried) if tried > 1 else "", str(tried or "")),  # that it was tried once goes without saying
        Cell(where_or_why(job, why)),
    ]


def tries(job: Job) -> int:
    """Return how often *job* was tried; an attempt that ended without an outcome was given back, and is none."""
    return sum(1 for attempt in job.attempts if attempt.outcome is not None or attempt.ended_at is None)


def waited(job: Job, now: float) -> float:
    """Return the seconds that the newest try was waited for: from submission, or the end of the try before, to its start.

    Of a job that waits, also for a further try, those until now.
    """
    waits, attempt = job.state in {State.QUEUED, State.HELD}, job.attempt
    before = job.attempts if waits else job.attempts[:-1]
    since = (before[-1].ended_at if before else None) or job.submitted_at
    until = now if waits else (attempt.started_at if attempt else None) or job.ended_at or now
    return max(0.0, until - since)


def ran(job: Job, now: float) -> float | None:
    """Return the seconds that the newest attempt has run."""
    if job.attempt is None or job.attempt.started_at is None:
        return None
    return max(0.0, (job.attempt.ended_at or now) - job.attempt.started_at)


def where_or_why(job: Job, why: str) -> str:
    """Return what the last column says: the first blocker, the GPUs and what does not hold, or why it ended."""
    if job.state.final:
        return ending(job)
    if job.state.active:
        launch = job.attempt.launch if job.attempt else None
        if job.stop is not None:
            return wish(job.stop)
        return "; ".join(word for word in (why, weakness(launch) if launch else "") if word)
    return why


def gpus_asked(wanted: Resources) -> str:
    """Return in a few words which GPUs a job asked for, empty for none."""
    if not wanted.gpus:
        return ""
    memory = f" with {format_size(wanted.gpu_memory)} each" if wanted.gpu_memory else ""
    return f"{wanted.gpus} {'GPU' if wanted.gpus == 1 else 'GPUs'}{memory}"


def asked_for(wanted: Resources) -> list[str]:
    """Return what a job asked for, each in a few words; what it left to the host is left out."""
    words = (
        format_cpus(wanted.cpus) if wanted.cpus else "",
        f"{format_size(wanted.memory)} of memory" if wanted.memory else "",
        gpus_asked(wanted),
    )
    return [word for word in words if word]


def weakness(launch: Launched) -> str:
    """Return in a few words what protects less than it should, empty where all holds."""
    if "sandbox" in launch.not_enforced:
        return "not sandboxed"
    return f"not enforced: {', '.join(launch.not_enforced)}" if launch.not_enforced else ""


def ending(job: Job) -> str:
    """Return on one line how *job* ended, empty for success; its failure class where the reason alone does not tell."""
    outcome = job.outcome
    if outcome is None or outcome.state is not job.state:
        return wish(job.stop) if job.stop else ""
    return f"{outcome.failure}: {outcome.reason}" if outcome.failure not in {"", "code"} else outcome.reason


def wish(stop: Stop) -> str:
    """Return who wanted a job to end, and why."""
    return f"by {stop.by}" + (f": {stop.reason}" if stop.reason else "")


def job_fields(job: Job, why: str = "") -> dict[str, Any]:
    """Return *job* for ``--json``: every key is always there, times in RFC 3339, None for what is not."""
    spec = job.spec
    return {
        "id": job.id,
        "name": spec.name,
        "user": job.user,
        "state": job.state.value,
        "final": job.state.final,
        "why": where_or_why(job, why),
        "priority": spec.priority,
        "command": list(spec.argv),
        "cwd": spec.cwd,
        "image": spec.image,
        "env": sorted(spec.env),
        "resources": {
            "cpus": spec.resources.cpus,
            "memory": spec.resources.memory,
            "gpus": spec.resources.gpus,
            "gpu_memory": spec.resources.gpu_memory,
        },
        "time_limit": spec.time_limit,
        "retries": spec.retries,
        "network": spec.network,
        "snapshot": {
            "id": spec.snapshot,
            "files": spec.files,
            "bytes": spec.size,
            "git": None
            if spec.git is None
            else {"commit": spec.git.commit, "branch": spec.git.branch, "dirty": spec.git.dirty},
        },
        "submitted": rfc3339(job.submitted_at),
        "ended": None if job.ended_at is None else rfc3339(job.ended_at),
        "attempts": [attempt_fields(attempt) for attempt in job.attempts],
        "stop": None
        if job.stop is None
        else {"by": job.stop.by, "reason": job.stop.reason, "timed_out": job.stop.timed_out},
    }


def attempt_fields(attempt: Attempt) -> dict[str, Any]:
    """Return one attempt for ``--json``."""
    launch = attempt.launch
    return {
        "number": attempt.number,
        "worker": attempt.worker,
        "claimed": rfc3339(attempt.claimed_at),
        "started": None if attempt.started_at is None else rfc3339(attempt.started_at),
        "ended": None if attempt.ended_at is None else rfc3339(attempt.ended_at),
        "launcher": launch.launcher if launch else None,
        "container": launch.name if launch else None,
        "image_digest": launch.image_digest if launch else None,
        "seccomp_sha256": launch.profile_sha256 or None if launch else None,
        "cpus": launch.cpus or None if launch else None,
        "memory": launch.memory or None if launch else None,
        "gpus": list(launch.gpus) if launch else [],
        "enforced": list(launch.enforced) if launch else [],
        "not_enforced": list(launch.not_enforced) if launch else [],
        "outcome": None if attempt.outcome is None else outcome_fields(attempt.outcome),
    }


def outcome_fields(outcome: Outcome) -> dict[str, Any]:
    """Return how an attempt ended for ``--json``."""
    return {
        "state": outcome.state.value,
        "reason": outcome.reason,
        "failure": outcome.failure or None,
        "code": outcome.code,
        "signal": outcome.signal,
        "out_of_memory": outcome.oom,
        "log_bytes": outcome.log_bytes,
        "log_dropped": outcome.log_dropped,
        "log_problem": outcome.log_problem or None,
        "max_rss": outcome.max_rss,
        "written_outside": list(outcome.written_outside),
        "hint": outcome.hint,
        "error": outcome.error or None,
        "failed_gpus": list(outcome.gpus),
    }


def worker_fields(worker: WorkerInfo) -> dict[str, Any]:
    """Return the worker for ``--json``."""
    drained = drain_fields(worker.drained)
    return {
        "alive": worker.alive,
        "id": worker.id,
        "launcher": worker.launcher,
        "drained": drained,
        **_notes(worker),
    }


def drain_fields(drained: DrainInfo | None) -> dict[str, Any] | None:
    """Return a drain for ``--json``."""
    if drained is None:
        return None
    return {"by": drained.by, "reason": drained.reason, "at": rfc3339(drained.at)}


def drain_words(drained: DrainInfo, now: float) -> str:
    """Return who drained a worker, when and why."""
    return f"by {drained.by} {ago(drained.at, now)}" + (f": {drained.reason}" if drained.reason else "")


def _notes(worker: WorkerInfo) -> dict[str, Any]:
    return {"notes": [*worker.notes, *worker.idle], "problem": worker.problem, "hint": worker.hint}
