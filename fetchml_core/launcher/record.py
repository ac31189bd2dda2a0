"""The exit record of an attempt, read as a file that the job may have written itself.

Layer 2. The format is described in `init.py`. A record is checked in every field; one that does not fit is an error,
never a guess. What it says is the job's word: nobody grants a free retry on it alone.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from attrs import evolve, frozen

from fetchml_core.convert import from_data
from fetchml_core.errors import HostError
from fetchml_core.fsio import read_json

if TYPE_CHECKING:
    from pathlib import Path

_MAX_SIZE = 64 * 1024
_MAX_NUMBER = 2**53


@frozen
class ExitRecord:
    """How an attempt ended.

    Args:
        attempt: Its number.
        code: The job's exit code; None when a signal ended it. 127: command not found, 126: it cannot be run.
        signal: The signal that ended it, or None.
        started: Wall clock, seconds since the epoch.
        ended: Likewise.
        oom: Whether the kernel killed something of the job for want of memory; None where that cannot be known.
        log_bytes: How much the job printed.
        log_dropped: How much of that was not kept.
        log_problem: Why some of it could not be written, as on a full disk; empty where the cap alone dropped it.
        max_rss: Largest memory of one process, in bytes; None where that cannot be known.
        error: Why the job could not be started, or what was left of it; empty otherwise.
    """

    attempt: int
    started: float
    ended: float
    code: int | None = None
    signal: int | None = None
    oom: bool | None = None
    log_bytes: int = 0
    log_dropped: int = 0
    log_problem: str = ""
    max_rss: int | None = None
    error: str = ""


def read_record(control: Path, attempt: int) -> ExitRecord | None:
    """Return the exit record in a control folder, None where there is none yet.

    Raises:
        HostError: ``damaged-record`` or ``damaged-file`` when it is none that our init would write.
    """
    path = control / "exit.json"
    try:
        data = read_json(path, limit=_MAX_SIZE)
    except OSError as error:  # a link, for one
        raise HostError(
            "damaged-record", f"the exit record cannot be read: {error.strerror}", context=str(path)
        ) from None
    if data is None:
        return None
    record = from_data(data, ExitRecord, what="exit record")
    problem = _problem(record, attempt)
    if problem:
        raise HostError("damaged-record", f"the exit record {problem}", context=str(path))
    return evolve(record, error=_clean(record.error), log_problem=_clean(record.log_problem))


def _clean(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text[:300])


def _problem(record: ExitRecord, attempt: int) -> str:
    numbers = (record.started, record.ended, record.log_bytes, record.log_dropped, record.max_rss or 0)
    if record.attempt != attempt:
        return f"is of attempt {record.attempt}, not {attempt}"
    if (record.code is None) == (record.signal is None):
        return "has not exactly one of code and signal"
    if record.code not in {None, *range(256)} or record.signal not in {None, *range(1, 65)}:
        return "has an impossible code or signal"
    if not all(math.isfinite(number) and 0 <= number <= _MAX_NUMBER for number in numbers):
        return "has an impossible number"
    return ""
