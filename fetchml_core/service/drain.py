"""The drain of a base's worker: it takes no new jobs, ends with those that run, and nobody starts one for queued jobs.

It is a file, ``run/drain.json``, so that it outlives worker, agent and machine; a worker looks for it before it claims.
"""

from __future__ import annotations

import json

from attrs import frozen

from fetchml_core.convert import from_data, to_data
from fetchml_core.errors import FetchError
from fetchml_core.fsio import read_json, sync_folder, write_durably
from fetchml_core.places import Base
from fetchml_core.wire.worker import DrainInfo


@frozen
class Drain:
    """Who drained the worker, why and when.

    Args:
        by: Who.
        reason: Why, for people.
        at: When, in seconds since the epoch.
        service: The worker ran as a service, and shall again after the drain.
    """

    by: str
    reason: str = ""
    at: float = 0.0
    service: bool = False


def read_drain(base: Base) -> Drain | None:
    """Return the drain, None where there is none. One that cannot be read is one: better idle than against a wish."""
    try:
        data = read_json(base.drain)
        return None if data is None else from_data(data, Drain)
    except (FetchError, OSError) as error:
        return Drain("somebody", f"its record cannot be read: {error}".splitlines()[0])


def write_drain(base: Base, drain: Drain) -> None:
    """Drain the worker, durably; a drain may be replaced."""
    write_durably(base.drain, json.dumps(to_data(drain)).encode())


def remove_drain(base: Base) -> None:
    """End the drain, durably; where there is none nothing is done."""
    base.drain.unlink(missing_ok=True)
    sync_folder(base.run)


def drain_info(drain: Drain | None) -> DrainInfo | None:
    """Return what is told of a drain."""
    return None if drain is None else DrainInfo(drain.by, drain.reason, drain.at)


def why_drained(drain: DrainInfo) -> str:
    """Return on one line who drained the worker, and why."""
    return f"the worker is drained by {drain.by}" + (f": {drain.reason}" if drain.reason else "")
