"""A job as text, for engines that store jobs rather than events.

field  meaning
key    the idempotency key it was submitted under
job    the job, as `fetchml_core.convert` writes it
"""

from __future__ import annotations

import json

from fetchml_core.convert import from_data, to_data
from fetchml_core.errors import InputError
from fetchml_core.jobs.job import Job

from .base import Stored
from .journal_format import to_json


def encode(stored: Stored) -> str:
    """Return *stored* as JSON, in ASCII and on one line."""
    job = stored.record or to_data(stored.job)
    return to_json({"key": stored.key, "job": job})


def decode(text: str | bytes) -> Stored:
    """Return what `encode` was given; fields of newer versions are ignored.

    Raises:
        ValueError: it is no JSON.
        HostError: it is not a job.
    """
    data = json.loads(text)
    return Stored(data["key"], from_data(data["job"], Job))


def is_new(stored: Stored, same_id: Stored | None, same_key: Stored | None) -> bool:
    """Whether `Queue.adopt` has to take a job in.

    Args:
        stored: The job that comes.
        same_id: What the queue has under its id.
        same_key: What the queue has under its user and key.

    Raises:
        InputError: ``id-taken``: either is another job.
    """
    known = same_id or same_key
    if known is None:
        return True
    if _origin(known) != _origin(stored):
        raise InputError(
            "id-taken",
            f"job {stored.job.id} cannot be taken in: its id or its key stands for another job here",
            context=f"{stored.job.id} of {stored.job.user}",
            hint="move into a queue that has no jobs of its own",
        )
    return False


def _origin(stored: Stored) -> tuple[object, ...]:
    """What never changes about a job."""
    job = stored.job
    return job.id, job.user, stored.key, job.spec, job.submitted_at
