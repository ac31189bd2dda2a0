"""Whether all that a Redis queue holds is whole, and everything in its place."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fetchml_core.errors import HostError
from fetchml_core.jobs.job import Job
from fetchml_core.jobs.states import State

from . import redis_lua as lua
from .base import Damage
from .redis_link import Link
from .redis_record import read_record

_STATES = tuple(state.value for state in State)


class RedisCheck:
    """Goes through all that is stored, as `Queue.check` asks."""

    def __init__(self, link: Link, channel: str, *, repair: bool) -> None:
        self._link = link
        self._channel = channel
        self._repair = repair

    def run(self) -> list[Damage]:
        """Return what is damaged, and mend it where that was asked for."""
        records: Any = self._link.ask(lambda server: server.hgetall("fetchml:jobs"))
        found = [damage for each in sorted(records.items()) for damage in self._record(*each)]
        lost = {str(job_id) for damage in found for job_id in damage.jobs}
        return found + self._keys(lost)

    def _record(self, job_id: str, value: str) -> Iterator[Damage]:
        place = f"{self._link.label} fetchml:jobs {job_id}"
        try:
            job = read_record(job_id, value).stored.job
        except (ValueError, KeyError, TypeError, HostError):
            self._mend(job_id, value, "", "")
            yield Damage(
                place, "the record does not match its checksum", "moved to fetchml:damaged", (int(job_id),)
            )
            return
        if not self._in_place(job):
            self._mend(job_id, value, job.state.value, job.home)
            yield Damage(place, "the job is not listed under its state", "listed again")

    def _in_place(self, job: Job) -> bool:
        def look(server: Any) -> list[Any]:
            with server.pipeline(transaction=True) as together:
                for state in _STATES:
                    together.zscore(f"fetchml:in:{state}", str(job.id))
                together.sismember(f"fetchml:queued:{job.home}", str(job.id))
                together.zscore("fetchml:changes", str(job.id))
                answer: list[Any] = together.execute()
                return answer

        *listed, waiting, revision = self._link.ask(look)
        there = [state for state, score in zip(State, listed, strict=True) if score is not None]
        return there == [job.state] and bool(waiting) == (job.state is State.QUEUED) and revision is not None

    def _keys(self, lost: set[str]) -> list[Damage]:
        """The keys without a job; that those of the jobs that are *lost* go with them is no news."""

        def look(server: Any) -> dict[str, str]:
            ids = set(server.hkeys("fetchml:jobs"))
            return {
                key: job_id for key, job_id in server.hgetall("fetchml:keys").items() if job_id not in ids
            }

        found = self._link.ask(look)
        if found and self._repair:
            self._link.ask(lambda server: server.hdel("fetchml:keys", *found))
        place = f"{self._link.label} fetchml:keys"
        return [
            Damage(f"{place} {key}", "the job of this key is gone", "the key is removed")
            for key, job_id in sorted(found.items())
            if job_id not in lost
        ]

    def _mend(self, job_id: str, value: str, state: str, home: str) -> None:
        if self._repair:
            self._link.run(lua.MEND, self._channel, job_id, value, state, home, *_STATES)
