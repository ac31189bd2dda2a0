"""The Redis queue: several hosts share one server, Redis 6.2 or newer or Valkey; every change is one script there.

    key                      type         holds
    fetchml:format           string       version of this layout, 1
    fetchml:last             string       the highest id that was given or reserved
    fetchml:revision         string       one higher with every change
    fetchml:line             string       the latest `Job.line`
    fetchml:paused           string       the pause, as JSON; absent where there is none
    fetchml:jobs             hash         id: CHECKSUM REVISION LINE WORD JSON
    fetchml:keys             hash         JSON [user, key]: id
    fetchml:changes          sorted set   ids by the revision of their last change
    fetchml:in:<state>       sorted set   ids by id, of the jobs in that state
    fetchml:queued:<home>    set          ids of the queued jobs of a host
    fetchml:damaged          hash         id: record that a repair has set aside

In a record JSON is that of `stored`; the id, REVISION and LINE beside it count, as only the server knows them at a
submit. WORD is random, one for each change. CHECKSUM is the SHA-1 of "ID REVISION LINE WORD JSON" in hex. Beside the
keys there is the channel ``fetchml:changed:<database>``, on which every change is told.

Leases are on the server's clock, which all hosts share. What a server keeps over a crash is its admin's choice:
`RedisQueue.notes` says where that is less than an acknowledged job needs.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from attrs import evolve

from fetchml_core.clock import Clock
from fetchml_core.convert import from_data, to_data
from fetchml_core.errors import HostError
from fetchml_core.jobs.job import Job, JobSpec, Lease, Stop
from fetchml_core.jobs.states import State

from . import redis_lua as lua
from .base import ALL, QUEUED, Change, Choose, Damage, Filter, Pause, Properties, Stored, Watch, claim_order
from .engine import Engine
from .moves import (
    Move,
    advance_move,
    apply,
    claim_move,
    refuse_if_moved,
    same_or_refuse,
    stop_move,
    submit_event,
    submitted,
    unknown_job,
)
from .redis_check import RedisCheck
from .redis_line import Line
from .redis_link import Link, settings_notes
from .redis_record import Row, read_record
from .stored import encode, is_new

# Whether a power cut takes something lies with the server's settings, so nothing is promised; see `notes`.
PROPERTIES = Properties("redis", survives_power_cut=False, claim_survives_power_cut=False, several_hosts=True)
VERSION = 1
BOOT = "redis"
"""`Lease.boot_id` of leases on the server's clock."""
PAGE = 500
_STATES = tuple(state.value for state in State)


class RedisQueue(Engine):
    """`fetchml_core.queue.base.Queue` over a Redis server.

    Args:
        link: The way to it.
        clock: For the times in the records; leases have the server's.
        home: This host's name among those that share the queue.
    """

    def __init__(self, link: Link, clock: Clock, home: str = "") -> None:
        self._link = link
        self._clock = clock
        self._home = home
        self._channel = f"fetchml:changed:{link.database}"
        self._format_fits = False
        self._line = Line(home)

    @property
    def properties(self) -> Properties:
        """See `Queue.properties`."""
        return PROPERTIES

    @property
    def home(self) -> str:
        """See `Queue.home`."""
        return self._home

    @property
    def label(self) -> str:
        """Where the queue is, without its password."""
        return self._link.label

    def submit(self, spec: JobSpec, *, user: str, key: str) -> Job:
        """See `Queue.submit`."""
        return self._submit([(spec, key)], user)[0]

    def submit_array(self, specs: Sequence[JobSpec], *, user: str, key: str) -> list[Job]:
        """See `Queue.submit_array`."""
        return self._submit([(spec, f"{key}/{n}") for n, spec in enumerate(specs)], user)

    def claim(self, choose: Choose, lease: Lease) -> Job | None:
        """See `Queue.claim`."""
        while self._catch_up():
            chosen = choose(self._line.jobs())
            if chosen is None:
                return None
            move = claim_move(chosen, lease, self._clock.now())
            job = self._put(self._line.row(chosen.id), move, "unpaused")
            if job is not None:
                return job
            self._take_in([str(chosen.id)])
        return None

    def advance(self, job_id: int, attempt: int, change: Change) -> Job:
        """See `Queue.advance`."""
        return self._change(job_id, lambda job: advance_move(job, attempt, change, self._clock.now()))

    def lease(self, worker: str, seconds: float) -> Lease:
        """See `Queue.lease`."""
        return Lease(worker, BOOT, self._server_time() + seconds)

    def lease_ended(self, lease: Lease) -> bool:
        """See `Queue.lease_ended`."""
        return lease.boot_id != BOOT or lease.until < self._server_time()

    def get(self, job_id: int) -> Job:
        """See `Queue.get`."""
        return self._one(job_id).stored.job

    def jobs(
        self, wanted: Filter = ALL, *, newest: bool = False, after: int = 0, limit: int | None = None
    ) -> Sequence[Job]:
        """See `Queue.jobs`."""
        found: list[Job] = []
        for row in self._rows(wanted.states, newest=newest, after=after, page=min(limit or PAGE, PAGE)):
            if limit is not None and len(found) >= limit:
                break
            if wanted.fits(row.stored.job):
                found.append(row.stored.job)
        return found

    def line(self, limit: int) -> Sequence[Job]:
        """See `Queue.line`. Redis keeps no order but that of the ids, so all queued jobs are read."""
        here = [job for job in self.jobs(QUEUED) if job.home == self._home]
        return sorted(here, key=claim_order)[:limit]

    def counts(self) -> dict[State, int]:
        """See `Queue.counts`."""
        self._look()

        def count(server: Any) -> list[int]:
            with server.pipeline(transaction=True) as together:
                for state in _STATES:
                    together.zcard(f"fetchml:in:{state}")
                answer: list[int] = together.execute()
                return answer

        return dict(zip(State, self._link.ask(count), strict=True))

    def revision(self) -> int:
        """See `Queue.revision`."""
        return int(self._get("revision") or 0)

    def changes(self, after: int, *, limit: int = 1000) -> Sequence[Job]:
        """See `Queue.changes`."""
        self._look()
        return [row.stored.job for row in self._read(self._link.run(lua.CHANGES, after, limit))]

    def watch(self) -> Watch:
        """See `Queue.watch`."""
        return self._link.subscribe(self._channel)

    def pause(self, pause: Pause) -> None:
        """See `Queue.pause`."""
        self._look()
        self._link.run(lua.PAUSE, self._channel, json.dumps(to_data(pause)))

    def resume(self) -> None:
        """See `Queue.resume`."""
        if self.paused() is not None:
            self._link.run(lua.PAUSE, self._channel, "")

    def paused(self) -> Pause | None:
        """See `Queue.paused`."""
        text = self._get("paused")
        return from_data(json.loads(text), Pause) if text else None

    def export(self) -> Iterator[Stored]:
        """See `Queue.export`."""
        for row in self._rows(frozenset(), newest=False, after=0, page=PAGE):
            yield row.stored

    def adopt(self, stored: Sequence[Stored]) -> None:
        """See `Queue.adopt`."""
        self._look()
        while True:
            by_id: dict[int, Stored] = {}
            by_key: dict[tuple[str, str], Stored] = {}
            fresh = []
            for each, (same_id, same_key) in zip(stored, self._known(stored), strict=True):
                job_id, key = each.job.id, (each.job.user, each.key)
                if is_new(each, same_id or by_id.get(job_id), same_key or by_key.get(key)):
                    by_id[job_id] = by_key[key] = each
                    fresh.append(each)
            if self._add(fresh):
                return

    def check(self, *, repair: bool = False) -> Sequence[Damage]:
        """See `Queue.check`."""
        self._look()
        return RedisCheck(self._link, self._channel, repair=repair).run()

    # --- for hosts that take jobs while the server is away ---

    def reserve(self, count: int) -> range:
        """Return *count* ids that nobody else gets, for jobs that are adopted later."""
        self._look()
        last = int(self._link.run(lua.RESERVE, count))
        return range(last - count + 1, last + 1)

    def take_over(self, stored: Stored) -> None:
        """Adopt a job that a host has accepted on its own, whatever its key stands for by now.

        A submit whose answer was lost may have left a twin: a job with this key that nobody has worked on, and
        whose id nobody may know. Where there is one, it ends, and the key stands for *stored*. One that was worked on
        stays what the key stands for, and *stored* is kept beside it; it ends unless it was worked on too.
        """
        while True:
            same_id, twin = self._known([stored])[0]
            if same_id is not None:
                return  # it came before
            if twin is None:
                added = self._add([stored])
            elif twin.job.attempts:
                added = self._add([_beside(stored, twin.job.id, self._clock.now())])
            else:
                self.displace(stored)
                added = self._add([stored], instead=twin.job.id)
            if added:
                return

    def displace(self, stored: Stored) -> None:
        """End the twin of a job that a host has accepted on its own, where nobody has worked on it."""
        twin = self._known([stored])[0][1]
        if twin is None or twin.job.id == stored.job.id or twin.job.attempts or twin.job.state.final:
            return
        row = self._one(twin.job.id)
        reason = f"submitted again as job {stored.job.id} while Redis was away"
        move = stop_move(row.stored.job, Stop("fetchml", reason), self._clock.now())
        if move is not None:
            self._put(evolve(row, stored=evolve(row.stored, key=_other_key(row.stored))), move)

    def notes(self) -> tuple[str, ...]:
        """Say what the server's settings may lose, in sentences for people."""
        return self._link.ask(settings_notes)

    # --- reading ---

    def _look(self) -> None:
        """Refuse a queue that a newer version has laid out; asked once."""
        if self._format_fits:
            return
        version: Any = self._link.ask(lambda server: server.get("fetchml:format"))
        if version is not None and version != str(VERSION):
            raise HostError(
                "queue-format",
                f"this queue has layout {version}, we read {VERSION}",
                context=self.label,
                hint="use the version of FetchML that wrote it, or another database of Redis",
            )
        self._format_fits = True

    def _get(self, name: str) -> str | None:
        self._look()
        text: Any = self._link.ask(lambda server: server.get(f"fetchml:{name}"))
        return None if text is None else str(text)

    def _server_time(self) -> float:
        seconds, micros = self._link.ask(lambda server: server.time())
        return float(seconds + micros / 1e6)

    def _one(self, job_id: int) -> Row:
        self._look()
        value: Any = self._link.ask(lambda server: server.hget("fetchml:jobs", str(job_id)))
        if value is None:
            raise unknown_job(job_id)
        return self._row(str(job_id), value)

    def _rows(self, states: frozenset[State], *, newest: bool, after: int, page: int) -> Iterator[Row]:
        """All jobs in these states, or in any, in pages: a job that changes in between comes once at most."""
        self._look()
        words = [state.value for state in State if state in states or not states]
        while True:
            found = self._link.run(lua.PAGE, "newest" if newest else "oldest", after, page, *words)
            yield from self._read(found)
            if len(found) < 2 * page:
                return
            after = int(found[-2])

    def _catch_up(self) -> bool:
        """Know the queued jobs of this home as they are now; False while the queue is paused."""
        self._look()
        answer, *rest = self._link.run(lua.WAITING, self._home, self._line.revision, PAGE)
        if answer == "paused":
            return False
        revision, found = rest
        if answer == "changed":
            self._keep(found[::2], found[1::2])
        else:
            self._line.clear()
            for start in range(0, len(found), PAGE):
                self._take_in(found[start : start + PAGE])
        self._line.revision = int(revision)
        return True

    def _take_in(self, ids: list[str]) -> None:
        """Look how these jobs stand now."""
        values: Any = self._link.ask(lambda server: server.hmget("fetchml:jobs", ids))
        self._keep(ids, values)

    def _keep(self, ids: Sequence[str], values: Sequence[str | None]) -> None:
        """A record that cannot be read keeps nobody from the others; whoever lists the jobs is told."""
        for job_id, value in zip(ids, values, strict=True):
            try:
                row = self._row(job_id, value) if value else None
            except HostError:
                row = None
            self._line.take_in(int(job_id), row)

    def _read(self, found: Sequence[str]) -> list[Row]:
        return [self._row(job_id, value) for job_id, value in zip(found[::2], found[1::2], strict=True)]

    def _row(self, job_id: str, value: str) -> Row:
        try:
            return read_record(job_id, value)
        except (ValueError, KeyError, TypeError):
            raise HostError(
                "queue-damaged",
                f"the record of job {job_id} does not match its checksum",
                context=f"{self.label} fetchml:jobs {job_id}",
                hint="ml queue check --repair",
            ) from None

    # --- changing ---

    def _submit(self, wanted: Sequence[tuple[JobSpec, str]], user: str) -> list[Job]:
        """Submit jobs in one step; where keys are known, look first whether they stand for the same."""
        self._look()
        known = [""] * len(wanted)
        now = self._clock.now()
        words = [_word() for _ in wanted]
        while True:
            args: list[str] = []
            for (spec, key), job_id, word in zip(wanted, known, words, strict=True):
                job = submitted({**submit_event(0, spec, user, key, now, 0.0), "home": self._home})
                args += [_field(user, key), job_id, repr(now), word, encode(Stored(key, job))]
            answer, *rest = self._link.run(lua.SUBMIT, self._channel, self._home, *args)
            if answer == "moved":
                refuse_if_moved(self.paused())
                continue  # it was taken back at this moment
            ids, records = rest
            jobs = [
                self._row(*pair).stored.job if pair[0] else None for pair in zip(ids, records, strict=True)
            ]
            known = list(ids)
            for (spec, key), found in zip(wanted, jobs, strict=True):
                if found is not None:
                    same_or_refuse(found, key, spec)
            if answer == "done" or all(jobs):
                return [job for job in jobs if job is not None]

    def _known(self, stored: Sequence[Stored]) -> list[tuple[Stored | None, Stored | None]]:
        """What is here under the id, and what under the key, of each of these jobs."""
        wanted = [word for each in stored for word in (each.job.id, _field(each.job.user, each.key))]
        found = self._link.run(lua.KNOWN, *wanted)
        return [
            (
                self._row(str(each.job.id), found[n]).stored if found[n] else None,
                self._row(found[n + 1], found[n + 2]).stored if found[n + 1] else None,
            )
            for n, each in zip(range(0, len(found), 3), stored, strict=True)
        ]

    def _add(self, fresh: Sequence[Stored], instead: int | None = None) -> bool:
        """Store jobs with their ids; False, and nothing stored, where one of them is here by now.

        Args:
            fresh: The jobs.
            instead: The job that the key of a single one stands for so far.
        """
        args: list[str | int] = []
        for each in fresh:
            job, line = each.job, repr(each.job.line or each.job.submitted_at)
            args += [job.id, _field(job.user, each.key), instead or "", line, _word(), encode(each)]
            args += [job.state.value, job.home]
        return not args or self._link.run(lua.ADOPT, self._channel, *args) != "again"

    def _change(self, job_id: int, decide: Callable[[Job], Move | None]) -> Job:
        """Decide on what is true now; where somebody was quicker, again."""
        while True:
            row = self._one(job_id)
            move = decide(row.stored.job)
            changed = row.stored.job if move is None else self._put(row, move)
            if changed is not None:
                return changed

    def _put(self, row: Row, move: Move, only: str = "") -> Job | None:
        """Store what *move* makes of a job; None where the job is no longer as it was read."""
        old, new = row.stored.job, apply(row.stored.job, move)
        answer = self._link.run(
            lua.CHANGE,
            self._channel,
            old.id,
            row.checksum,
            _word(),
            repr(new.line),
            encode(evolve(row.stored, job=new)),
            old.state.value,
            new.state.value,
            new.home,
            "quiet" if move.event["e"] == "beat" else "",
            only,
        )
        return None if answer == "again" else self._row(str(old.id), answer).stored.job


def _beside(stored: Stored, twin: int, now: float) -> Stored:
    """*stored* under a key of its own; ended, unless it was worked on."""
    job = stored.job
    if not job.attempts and not job.state.final:
        stop = Stop("fetchml", f"it is the same as job {twin}", at=now)
        job = evolve(job, state=State.CANCELLED, stop=stop, ended_at=now)
    return Stored(_other_key(stored), job)


def _other_key(stored: Stored) -> str:
    return f"{stored.key} (job {stored.job.id})"


def _field(user: str, key: str) -> str:
    return json.dumps([user, key])


def _word() -> str:
    return secrets.token_hex(8)
