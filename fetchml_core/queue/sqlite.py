"""The SQLite queue: one database file, one transaction per change.

    table     columns
    jobs      id (never used again), state, priority, user, key, record (see `stored`)
    counter   revision: one row, one higher with every change

PRAGMA application_id is `APPLICATION`, user_version the version of this layout. In WAL mode with synchronous=FULL a
transaction that has returned survives a power cut.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
import threading
import weakref
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from attrs import evolve

from fetchml_core.clock import Clock
from fetchml_core.errors import FetchError, HostError, explain_os_error
from fetchml_core.fsio import make_folder, sync_folder
from fetchml_core.jobs.job import Job, JobSpec, Lease, Stop
from fetchml_core.jobs.states import State

from .base import (
    ALL,
    Change,
    Choose,
    Damage,
    Filter,
    Pause,
    Properties,
    Stored,
    Watch,
    boot_lease,
    boot_lease_ended,
    select,
)
from .moves import (
    Event,
    advance_event,
    apply,
    claim_event,
    hold_event,
    release_event,
    same_or_refuse,
    stop_event,
    submit_event,
    submitted,
    unknown_job,
)
from .stored import decode, encode

PROPERTIES = Properties("sqlite", survives_power_cut=True, several_hosts=False)
APPLICATION = 0x464D4C51
VERSION = 1
WAIT_S = 30.0
"""How long a transaction waits for those of other processes."""

_LAYOUT = f"""
BEGIN;
CREATE TABLE jobs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    state TEXT NOT NULL, priority INTEGER NOT NULL,
    user TEXT NOT NULL, key TEXT NOT NULL,
    record TEXT NOT NULL,
    UNIQUE (user, key)
);
CREATE INDEX queued ON jobs (priority DESC, id) WHERE state = 'queued';
CREATE TABLE counter (revision INTEGER NOT NULL);
INSERT INTO counter VALUES (0);
PRAGMA application_id = {APPLICATION};
PRAGMA user_version = {VERSION};
COMMIT;
"""  # noqa: S608 - our own numbers


class SqliteQueue:
    """`fetchml_core.queue.base.Queue` over a database file.

    Args:
        path: The file; made with the first job.
        clock: For the times in the records.
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._threads = threading.Lock()
        self._opened: sqlite3.Connection | None = None

    @property
    def properties(self) -> Properties:
        """See `Queue.properties`."""
        return PROPERTIES

    @property
    def home(self) -> str:
        """See `Queue.home`."""
        return ""

    def submit(self, spec: JobSpec, *, user: str, key: str) -> Job:
        """See `Queue.submit`."""
        with self._changing() as db:
            known = db.execute("SELECT record FROM jobs WHERE user = ? AND key = ?", (user, key)).fetchone()
            if known is not None:
                return same_or_refuse(self._decode(known[0]).job, key, spec)
            last = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'jobs'").fetchone()
            event = submit_event((last[0] if last else 0) + 1, spec, user, key, self._clock.now(), 0.0)
            return _store(db, Stored(key, submitted(event)))

    def claim(self, choose: Choose, lease: Lease) -> Job | None:
        """See `Queue.claim`."""
        if not self._queued():
            return None  # no idle worker keeps the others waiting
        with self._changing() as db:
            waiting = self._all(db, "WHERE state = 'queued' ORDER BY priority DESC, id")
            chosen = choose([stored.job for stored in waiting])
            if chosen is None:
                return None
            key = next(stored.key for stored in waiting if stored.job.id == chosen.id)
            return _store(db, Stored(key, apply(chosen, claim_event(chosen, lease, self._clock.now()))))

    def advance(self, job_id: int, attempt: int, change: Change) -> Job:
        """See `Queue.advance`."""
        return self._change(job_id, lambda job: advance_event(job, attempt, change, self._clock.now()))

    def stop(self, job_id: int, stop: Stop) -> Job:
        """See `Queue.stop`."""
        return self._change(job_id, lambda job: stop_event(job, stop, self._clock.now()))

    def hold(self, job_id: int) -> Job:
        """See `Queue.hold`."""
        return self._change(job_id, lambda job: hold_event(job, self._clock.now()))

    def release(self, job_id: int) -> Job:
        """See `Queue.release`."""
        return self._change(job_id, lambda job: release_event(job, self._clock.now()))

    def lease(self, worker: str, seconds: float) -> Lease:
        """See `Queue.lease`."""
        return boot_lease(self._clock, worker, seconds)

    def lease_ended(self, lease: Lease) -> bool:
        """See `Queue.lease_ended`."""
        return boot_lease_ended(self._clock, lease)

    def submit_array(self, specs: Sequence[JobSpec], *, user: str, key: str) -> list[Job]:
        """See `Queue.submit_array`."""
        return [self.submit(spec, user=user, key=f"{key}/{n}") for n, spec in enumerate(specs)]

    def watch(self) -> Watch:
        """See `Queue.watch`."""
        raise NotImplementedError

    def pause(self, pause: Pause) -> None:
        """See `Queue.pause`."""
        raise NotImplementedError

    def resume(self) -> None:
        """See `Queue.resume`."""
        raise NotImplementedError

    def paused(self) -> Pause | None:
        """See `Queue.paused`."""
        return None

    def export(self) -> Iterator[Stored]:
        """See `Queue.export`."""
        raise NotImplementedError

    def adopt(self, stored: Sequence[Stored]) -> None:
        """See `Queue.adopt`."""
        raise NotImplementedError

    def check(self, *, repair: bool = False) -> Sequence[Damage]:
        """See `Queue.check`."""
        raise NotImplementedError

    def get(self, job_id: int) -> Job:
        """See `Queue.get`."""
        with self._reading() as db:
            return self._one(db, job_id).job

    def jobs(
        self, wanted: Filter = ALL, *, newest: bool = False, after: int = 0, limit: int | None = None
    ) -> Sequence[Job]:
        """See `Queue.jobs`."""
        return select(self._everything(), wanted, newest=newest, after=after, limit=limit)

    def counts(self) -> dict[State, int]:
        """See `Queue.counts`."""
        found = Counter(job.state for job in self._everything())
        return {state: found[state] for state in State}

    def changes(self, after: int, *, limit: int = 1000) -> Sequence[Job]:
        """See `Queue.changes`."""
        changed = [job for job in self._everything() if job.revision > after]
        return sorted(changed, key=lambda job: job.revision)[:limit]

    def _everything(self) -> Sequence[Job]:
        with self._reading() as db:
            return [stored.job for stored in self._all(db, "ORDER BY id")]

    def revision(self) -> int:
        """See `Queue.revision`."""
        with self._reading() as db:
            number: int = db.execute("SELECT revision FROM counter").fetchone()[0] if db else 0
            return number

    def _queued(self) -> bool:
        with self._reading() as db:
            return (
                db is not None
                and db.execute("SELECT 1 FROM jobs WHERE state = 'queued'").fetchone() is not None
            )

    def _change(self, job_id: int, decide: Callable[[Job], Event | None]) -> Job:
        self.get(job_id)  # of a queue that is not there, none is made
        with self._changing() as db:
            stored = self._one(db, job_id)
            event = decide(stored.job)
            return stored.job if event is None else _store(db, Stored(stored.key, apply(stored.job, event)))

    def _one(self, db: sqlite3.Connection | None, job_id: int) -> Stored:
        row = db.execute("SELECT record FROM jobs WHERE id = ?", (job_id,)).fetchone() if db else None
        if row is None:
            raise unknown_job(job_id)
        return self._decode(row[0])

    def _all(self, db: sqlite3.Connection | None, which: str) -> list[Stored]:
        if db is None:
            return []
        return [self._decode(record) for (record,) in db.execute(f"SELECT record FROM jobs {which}")]  # noqa: S608 - our own words

    def _decode(self, record: str) -> Stored:
        try:
            return decode(record)
        except (ValueError, KeyError, TypeError) as error:
            raise self._damaged(error) from None

    @contextlib.contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        """A transaction that nobody else writes beside; an error takes everything back."""
        with self._threads, self._explained("write to the queue"):
            db = self._connection() or self._make()
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise

    @contextlib.contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection | None]:
        """The database, None where there is none yet: reading makes nothing."""
        with self._threads, self._explained("read the queue"):
            yield self._connection()

    def _connection(self) -> sqlite3.Connection | None:
        """The open database; None where there is none yet."""
        if self._opened is None and self._path.exists():
            db = sqlite3.connect(self._path, timeout=WAIT_S, isolation_level=None, check_same_thread=False)
            try:
                self._check(db)
            except BaseException:
                db.close()
                raise
            # A connection is part of a cycle (its statement cache), so it would stay open until a collection.
            weakref.finalize(self, db.close).atexit = False
            self._opened = db
        return self._opened

    def _make(self) -> sqlite3.Connection:
        """Make the database beside its place and link it there: nobody ever sees a part of it, and one maker wins."""
        make_folder(self._path.parent)
        temporary = self._path.with_name(f".{self._path.name}.{os.getpid()}.{threading.get_ident()}.tmp")
        temporary.unlink(missing_ok=True)
        os.close(os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        try:
            with contextlib.closing(sqlite3.connect(temporary, isolation_level=None)) as db:
                db.execute("PRAGMA journal_mode = WAL")
                db.execute("PRAGMA synchronous = FULL")
                db.executescript(_LAYOUT)
            with contextlib.suppress(FileExistsError):
                self._path.hardlink_to(temporary)
            sync_folder(self._path.parent)
        finally:
            temporary.unlink()
        made = self._connection()
        assert made is not None  # noqa: S101 - it is there now
        return made

    def _check(self, db: sqlite3.Connection) -> None:
        """Prepare a connection; a stranger's file is left alone."""
        application = db.execute("PRAGMA application_id").fetchone()[0]
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if application != APPLICATION or version > VERSION:
            told = (
                f"has layout {version}, we read {VERSION}"
                if application == APPLICATION
                else "is no FetchML queue"
            )
            raise HostError(
                "queue-format",
                f"this database {told}",
                context=str(self._path),
                hint="use the version of FetchML that wrote it, or move the file aside",
            )
        db.execute("PRAGMA synchronous = FULL")

    @contextlib.contextmanager
    def _explained(self, doing: str) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise self._explain(error, doing) from None
        except OSError as error:
            raise explain_os_error(error, doing) from None

    def _explain(self, error: sqlite3.Error, doing: str) -> FetchError:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # Python 3.11; the words tell the same
        if code == 13 or "is full" in str(error):
            full = OSError(errno.ENOSPC, "", str(self._path))
            return explain_os_error(full, doing)
        if code in {11, 26} or "malformed" in str(error) or "not a database" in str(error):
            return self._damaged(error)
        return HostError("io-error", f"could not {doing}: {error}", context=str(self._path))

    def _damaged(self, error: Exception) -> HostError:
        return HostError(
            "queue-damaged",
            f"the queue's database cannot be read: {error}",
            context=str(self._path),
            hint="keep a copy of the file before anything else touches it",
        )


def _store(db: sqlite3.Connection, stored: Stored) -> Job:
    """Write a job inside a transaction."""
    db.execute("UPDATE counter SET revision = revision + 1")
    job = evolve(stored.job, revision=db.execute("SELECT revision FROM counter").fetchone()[0])
    stored = evolve(stored, job=job)
    db.execute(
        "INSERT INTO jobs (id, state, priority, user, key, record) VALUES (?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (id) DO UPDATE SET state = excluded.state, record = excluded.record",
        (job.id, job.state.value, job.spec.priority, job.user, stored.key, encode(stored)),
    )
    return job
