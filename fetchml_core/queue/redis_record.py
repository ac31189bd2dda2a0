"""A job's record in Redis, as the table in `redis` tells."""

from __future__ import annotations

import hashlib

from attrs import evolve, frozen

from .base import Stored
from .stored import decode


@frozen
class Row:
    """A record as it was read: its checksum, which tells it from every later one, and what it holds."""

    checksum: str
    stored: Stored


def read_record(job_id: str, value: str) -> Row:
    """Return what a record holds.

    Raises:
        ValueError, KeyError, TypeError, HostError: it is damaged.
    """
    checksum, rest = value.split(" ", 1)
    data = f"{job_id} {rest}".encode(errors="surrogateescape")
    if hashlib.sha1(data, usedforsecurity=False).hexdigest() != checksum:
        raise ValueError("checksum")
    revision, line, _, text = rest.split(" ", 3)
    stored = decode(text)
    job = evolve(stored.job, id=int(job_id), line=float(line), revision=int(revision))
    return Row(checksum, evolve(stored, job=job))
