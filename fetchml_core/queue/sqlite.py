"""The SQLite queue: one database file, one transaction per change; `sqlite_file` has its layout."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import overload

from fetchml_core.clock import Clock
from fetchml_core.convert import to_data
from fetchml_core.errors import FetchError, HostError
from fetchml_core.jobs.job import Job, JobSpec, Lease
from fetchml_core.jobs.states import State

from .base import (
    ALL,
    Beat,
    Change,
    Choose,
    Damage,
    Filter,
    Pause,
    Properties,
    Stored,
    Watch,
    next_in_line,
)
from .engine import Engine
from .moves import (
    Move,
    advance_move,
    apply,
    claim_move,
    refuse_if_moved,
    same_or_refuse,
    submit_event,
    submitted,
    unknown_job,
)
from .sqlite_check import check, repair_file
from .sqlite_file import SqliteFile, counter, revision, store, text
from .stored import is_new
from .watch import FileWatch

PROPERTIES = Properties("sqlite", survives_power_cut=True, several_hosts=False)
_ROW = "id, record, crc"


class SqliteQueue(Engine):
    """`fetchml_core.queue.base.Queue` over a database file.

    A record that cannot be read is told by whatever has to read it; the other jobs are served.

    Args:
        path: The file; made with the first job.
        clock: For the times in the records.
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        self._file = SqliteFile(path)
        self._clock = clock

    @property
    def properties(self) -> Properties:
        """See `Queue.properties`."""
        return PROPERTIES

    # --- for those who submit ---

    def submit(self, spec: JobSpec, *, user: str, key: str) -> Job:
        """See `Queue.submit`."""
        with self._file.changing() as db:
            refuse_if_moved(self._file.paused(db))
            return self._submit(db, spec, user, key)

    def submit_array(self, specs: Sequence[JobSpec], *, user: str, key: str) -> list[Job]:
        """See `Queue.submit_array`."""
        with self._file.changing() as db:
            refuse_if_moved(self._file.paused(db))
            return [self._submit(db, spec, user, f"{key}/{n}") for n, spec in enumerate(specs)]

    def _submit(self, db: sqlite3.Connection, spec: JobSpec, user: str, key: str) -> Job:
        known = self._find(db, "user = ? AND key = ?", text(user), text(key))
        if known is not None:
            return same_or_refuse(known.job, key, spec)
        _, last, line, at, _ = counter(db)
        now = self._clock.now()
        event = submit_event(last + 1, spec, user, key, now, next_in_line(line, at, now))
        return store(db, Stored(key, submitted(event)))

    # --- for workers ---

    def claim(self, choose: Choose, lease: Lease) -> Job | None:
        """See `Queue.claim`."""
        with self._file.reading() as seen:
            if seen is None or self._file.paused(seen) is not None or not _queued(seen, 1):
                return None  # no idle worker keeps the others waiting
        with self._file.changing() as db:
            if self._file.paused(db) is not None:
                return None
            line = _Line(self._file, db, _queued(db))
            chosen = line.choose(choose)
            if chosen is None:
                return None
            key = line.stored(chosen.id).key
            return store(db, Stored(key, apply(chosen, claim_move(chosen, lease, self._clock.now()))))

    def advance(self, job_id: int, attempt: int, change: Change) -> Job:
        """See `Queue.advance`."""
        return self._change(
            job_id,
            lambda job: advance_move(job, attempt, change, self._clock.now()),
            news=not isinstance(change, Beat),
        )

    # --- for those who look ---

    def get(self, job_id: int) -> Job:
        """See `Queue.get`."""
        with self._file.reading() as db:
            return self._one(db, job_id).job

    def jobs(
        self, wanted: Filter = ALL, *, newest: bool = False, after: int = 0, limit: int | None = None
    ) -> Sequence[Job]:
        """See `Queue.jobs`."""
        where, values = _conditions(wanted)
        if after:
            where, values = [*where, "id < ?" if newest else "id > ?"], [*values, after]
        order = f"ORDER BY id {'DESC' if newest else 'ASC'} LIMIT ?"
        which = f"WHERE {' AND '.join(where)} {order}" if where else order
        return self._many(which, *values, -1 if limit is None else limit)

    def line(self, limit: int) -> Sequence[Job]:
        """See `Queue.line`."""
        return self._many("INDEXED BY line WHERE state = 'queued' ORDER BY place, id LIMIT ?", limit)

    def counts(self) -> dict[State, int]:
        """See `Queue.counts`."""
        with self._file.reading() as db:
            found = dict(db.execute("SELECT state, count(*) FROM jobs GROUP BY state")) if db else {}
        return {state: found.get(state.value, 0) for state in State}

    def revision(self) -> int:
        """See `Queue.revision`."""
        with self._file.reading() as db:
            return revision(db) if db else 0

    def changes(self, after: int, *, limit: int = 1000) -> Sequence[Job]:
        """See `Queue.changes`."""
        return self._many("WHERE revision > ? ORDER BY revision LIMIT ?", after, limit)

    def watch(self) -> Watch:
        """See `Queue.watch`."""
        return FileWatch(self._file.news.parent, [self._file.news.name])

    # --- for admins ---

    def pause(self, pause: Pause) -> None:
        """See `Queue.pause`."""
        self._set_pause(json.dumps(to_data(pause)))

    def resume(self) -> None:
        """See `Queue.resume`."""
        if self.paused() is not None:  # of a queue that is not there, none is made
            self._set_pause(None)

    def paused(self) -> Pause | None:
        """See `Queue.paused`."""
        with self._file.reading() as db:
            return self._file.paused(db) if db else None

    def export(self) -> Iterator[Stored]:
        """See `Queue.export`."""
        with self._file.reading() as db:
            rows = db.execute(f"SELECT {_ROW} FROM jobs ORDER BY id").fetchall() if db else []  # noqa: S608
        for row in rows:
            yield self._file.decode(*row)

    def adopt(self, stored: Sequence[Stored]) -> None:
        """See `Queue.adopt`."""
        with self._file.changing() as db:
            for one in stored:
                same_id = self._find(db, "id = ?", one.job.id)
                same_key = self._find(db, "user = ? AND key = ?", text(one.job.user), text(one.key))
                if is_new(one, same_id, same_key):
                    store(db, one)

    def check(self, *, repair: bool = False) -> Sequence[Damage]:
        """See `Queue.check`.

        A repair builds a new database from what can be read and puts it in the place of the old one, while no other
        process has that open: a connection would go on with the old file.
        """
        return repair_file(self._file) if repair else check(self._file)

    # --- what they have in common ---

    def _set_pause(self, pause: str | None) -> None:
        with self._file.changing() as db:
            db.execute("UPDATE counter SET paused = ?, revision = revision + 1", (pause,))

    def _change(self, job_id: int, decide: Callable[[Job], Move | None], *, news: bool = True) -> Job:
        self.get(job_id)  # of a queue that is not there, none is made
        with self._file.changing() as db:
            stored = self._one(db, job_id)
            move = decide(stored.job)
            if move is None:
                return stored.job
            return store(db, Stored(stored.key, apply(stored.job, move)), news=news)

    def _one(self, db: sqlite3.Connection | None, job_id: int) -> Stored:
        stored = self._find(db, "id = ?", job_id) if db and _fits(job_id) else None
        if stored is None:
            raise unknown_job(job_id)
        return stored

    def _find(self, db: sqlite3.Connection, where: str, *values: object) -> Stored | None:
        row = db.execute(f"SELECT {_ROW} FROM jobs WHERE {where}", values).fetchone()  # noqa: S608 - our own words
        return None if row is None else self._file.decode(*row)

    def _many(self, which: str, *values: object) -> Sequence[Job]:
        with self._file.reading() as db:
            rows = db.execute(f"SELECT {_ROW} FROM jobs {which}", values).fetchall() if db else []  # noqa: S608
        return [self._file.decode(*row).job for row in rows]


class _Line(Sequence[Job]):
    """The queued jobs in their order, read one by one: who takes the first does not pay for the rest."""

    def __init__(self, file: SqliteFile, db: sqlite3.Connection, ids: list[int]) -> None:
        self._file = file
        self._db = db
        self._ids = ids
        self._read: dict[int, Stored] = {}
        self._unreadable: set[int] = set()

    def choose(self, choose: Choose) -> Job | None:
        """Ask *choose*; again without it where it met a record that cannot be read: the others shall run."""
        while True:
            known = len(self._unreadable)
            try:
                return choose(self)
            except HostError:
                if len(self._unreadable) == known:
                    raise
                self._ids = [job_id for job_id in self._ids if job_id not in self._unreadable]

    def stored(self, job_id: int) -> Stored:
        """Return one of them."""
        if job_id not in self._read:
            row = self._db.execute(f"SELECT {_ROW} FROM jobs WHERE id = ?", (job_id,)).fetchone()  # noqa: S608
            try:
                self._read[job_id] = self._file.decode(*row)
            except FetchError:
                self._unreadable.add(job_id)
                raise
        return self._read[job_id]

    def __len__(self) -> int:
        return len(self._ids)

    @overload
    def __getitem__(self, index: int) -> Job: ...
    @overload
    def __getitem__(self, index: slice) -> list[Job]: ...
    def __getitem__(self, index: int | slice) -> Job | list[Job]:
        if isinstance(index, slice):
            return [self.stored(job_id).job for job_id in self._ids[index]]
        return self.stored(self._ids[index]).job


def _queued(db: sqlite3.Connection, limit: int = -1) -> list[int]:
    """The ids of the queued jobs in the order of the line, so many at most."""
    rows = db.execute(
        "SELECT id FROM jobs INDEXED BY line WHERE state = 'queued' ORDER BY place, id LIMIT ?", (limit,)
    )
    return [job_id for (job_id,) in rows]


def _conditions(wanted: Filter) -> tuple[list[str], list[object]]:
    """Return what `Filter.fits` says, in SQL."""
    where: list[str] = []
    values: list[object] = []
    if wanted.states:
        where.append(f"state IN ({', '.join('?' * len(wanted.states))})")
        values += [state.value for state in wanted.states]
    if wanted.user:
        where.append("user = ?")
        values.append(text(wanted.user))
    if wanted.name:
        where.append("fits(name, ?)")
        values.append(text(wanted.name))
    return where, values


def _fits(job_id: int) -> bool:
    """Whether SQLite has numbers so high."""
    return abs(job_id) < 1 << 63
