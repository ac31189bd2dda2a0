"""What a host keeps beside the jobs it has accepted while Redis was away.

    ids.json       {"ids": [[first, last], ...]}: ids that Redis has given to this host, and that are free
    moving.json    {"ids": [id, ...]}: jobs that are on their way to Redis; whether they have arrived is not known
    reserve.lock   held (flock) for every change of these files, and of the jobs beside them

Both are written durably before what they tell of is done, so that no id is given twice and no job is worked on in two
places, whenever a process ends.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from fetchml_core.errors import HostError, explain_os_error
from fetchml_core.fsio import locked, make_folder, read_json, write_durably

BLOCK = 100
"""How many ids a host keeps."""


class Reserve:
    """The files of one host.

    Args:
        folder: Of the queue that stands in for Redis.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Inside it nobody else changes the files or the jobs."""
        try:
            make_folder(self._folder)
            with locked(self._folder / "reserve.lock"):
                yield
        except OSError as error:
            raise explain_os_error(error, "write to the queue", self._folder) from None

    def left(self) -> int:
        """Return how many ids are free."""
        return sum(last - first + 1 for first, last in self._read("ids.json"))

    def add(self, ids: range) -> None:
        """Keep more ids. The caller holds the lock."""
        self._write("ids.json", [*self._read("ids.json"), [ids.start, ids.stop - 1]])

    def take(self, count: int) -> list[int]:
        """Return ids that are used up with this. The caller holds the lock.

        Raises:
            HostError: ``ids-used-up``.
        """
        free = [number for first, last in self._read("ids.json") for number in range(first, last + 1)]
        if len(free) < count:
            raise HostError(
                "ids-used-up",
                f"Redis is away, and of the ids kept for that {len(free)} are left",
                context=f"{count} wanted",
                hint="submit again when Redis is back: ml status",
            )
        rest = free[count:]
        self._write("ids.json", _ranges(rest))
        return free[:count]

    def moving(self) -> frozenset[int]:
        """Return the jobs of which nobody knows whether Redis has them."""
        return frozenset(self._read("moving.json"))

    def set_moving(self, ids: Sequence[int]) -> None:
        """Write down which jobs are on their way. The caller holds the lock."""
        self._write("moving.json", list(ids))

    def _read(self, name: str) -> Any:
        data = read_json(self._folder / name)
        if data is None:
            return []
        if not isinstance(data, dict) or not isinstance(data.get("ids"), list):
            raise HostError("damaged-file", "this file has no ids", context=str(self._folder / name))
        return data["ids"]

    def _write(self, name: str, ids: Any) -> None:
        write_durably(self._folder / name, json.dumps({"ids": ids}).encode("ascii") + b"\n")


def _ranges(numbers: Sequence[int]) -> list[list[int]]:
    found: list[list[int]] = []
    for number in numbers:
        if found and found[-1][1] == number - 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return found
