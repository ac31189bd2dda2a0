"""Append audit records, each chained to the one before by SHA-256, each durable before the change it tells of.

A record is one JSON line:

    field     meaning
    seq       1, 2, 3 ... without gaps
    ts        UTC, RFC 3339
    user      who
    action    permission that was asked for, as in jobs:create
    object    what it was about, as in job 42
    result    allowed or denied
    prev      hash of the record before, 64 zeros for the first
    hash      SHA-256 over the record without this field, as canonical JSON

A line that a power cut has torn is left where it is, closed by a newline, and the next record says so.
No record holds a key, an environment value or output of a job.
"""

from __future__ import annotations

import hashlib
import json
import os
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from fetchml_core.clock import Clock
from fetchml_core.errors import explain_os_error
from fetchml_core.fsio import locked, make_folder, sync_folder, write_all

FIRST = "0" * 64
_TAIL = 16 << 10


class AuditLog:
    """Writes to one file; any number of processes may share it.

    Args:
        path: The file; made when the first record comes.
        clock: For the time in the records.
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock

    def append(self, *, user: str, action: str, about: str, result: str) -> None:
        """Add a record and make it durable.

        Raises:
            FetchError: it could not be written; what it would have told of must not happen then.
        """
        try:
            make_folder(self._path.parent)
            new = not self._path.exists()
            with locked(self._path) as fd:
                self._write(fd, {"user": user, "action": action, "object": about[:500], "result": result})
                os.fsync(fd)
            if new:
                sync_folder(self._path.parent)
        except OSError as error:
            raise explain_os_error(error, "write the audit log", self._path) from None

    def _write(self, fd: int, facts: dict[str, Any]) -> None:
        """Chain *facts* to the last whole record and write them at the end."""
        size = os.lseek(fd, 0, os.SEEK_END)
        tail = os.pread(fd, _TAIL, max(0, size - _TAIL))
        torn = bool(tail) and not tail.endswith(b"\n")
        last = _last_record(tail)
        record = {
            "seq": last["seq"] + 1 if last else 1,
            "ts": datetime.fromtimestamp(self._clock.now(), timezone.utc).isoformat(timespec="milliseconds"),
            **facts,
            **({"after_torn_line": True} if torn else {}),
            "prev": last["hash"] if last else FIRST,
        }
        record["hash"] = digest(record)
        write_all(fd, (b"\n" if torn else b"") + _canonical(record) + b"\n")


def digest(record: dict[str, Any]) -> str:
    """Return the hash that *record* must carry; its own ``hash`` field does not count."""
    return hashlib.sha256(_canonical({k: v for k, v in record.items() if k != "hash"})).hexdigest()


def _canonical(record: dict[str, Any]) -> bytes:
    return json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode("ascii")


def _last_record(tail: bytes) -> dict[str, Any] | None:
    """Return the last whole record in *tail*, None where there is none."""
    for line in reversed(tail.split(b"\n")):
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if (
            isinstance(record, dict)
            and isinstance(record.get("seq"), int)
            and isinstance(record.get("hash"), str)
        ):
            return record
    return None
