"""When a job that is tried again may be claimed, and where: the pause between tries grows, a GPU that failed is avoided.

The first further try comes at once: most failures are accidents. What fails twice fails for a reason that takes time
to go away, such as a full disk; without a pause every try would be spent within seconds.
"""

from __future__ import annotations

from .job import Job
from .states import State

FIRST_S = 10.0
"""Pause before the second further try; each one after it is `GROWTH` times as long, up to `LONGEST_S`."""
GROWTH = 3
LONGEST_S = 600.0


def waits_until(job: Job, now: float) -> float:
    """Return when a queued job may be claimed, in seconds since the epoch; 0 where it may be now.

    Args:
        job: The job; an attempt that was given back is no try.
        now: The time. Before the end of the last attempt, the clock was set: then nothing waits.
    """
    if len(job.attempts) < 2:  # most jobs, and this is asked of all
        return 0.0
    ended = [attempt.ended_at or 0.0 for attempt in job.attempts if attempt.outcome is not None]
    if job.state is not State.QUEUED or len(ended) < 2:
        return 0.0
    until = ended[-1] + min(FIRST_S * GROWTH ** min(len(ended) - 2, 10), LONGEST_S)
    return until if ended[-1] <= now < until else 0.0


def failed_gpus(job: Job) -> frozenset[str]:
    """Return the UUIDs of the GPUs on which an attempt of *job* met a fault."""
    if not job.attempts:
        return frozenset()
    return frozenset(uuid for attempt in job.attempts if attempt.outcome for uuid in attempt.outcome.gpus)
