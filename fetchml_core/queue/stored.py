"""A job as text, for engines that store jobs rather than events.

field  meaning
key    the idempotency key it was submitted under
job    the job, as `fetchml_core.convert` writes it
"""

from __future__ import annotations

import json

from fetchml_core.convert import from_data, to_data
from fetchml_core.jobs.job import Job

from .base import Stored


def encode(stored: Stored) -> str:
    """Return *stored* as JSON, in ASCII and on one line."""
    return json.dumps({"key": stored.key, "job": to_data(stored.job)}, separators=(",", ":"))


def decode(text: str | bytes) -> Stored:
    """Return what `encode` was given; fields of newer versions are ignored.

    Raises:
        ValueError: it is no JSON.
        HostError: it is not a job.
    """
    data = json.loads(text)
    return Stored(data["key"], from_data(data["job"], Job))
