"""The database file of the SQLite queue: how it is laid out, made, opened and upgraded.

    table     columns
    jobs      id, state, place (in line, see `claim_order`), revision, user, name, key, record (see `stored`),
              crc (CRC-32 of the record)
    counter   one row: revision, last (the highest id that was given), line (`Job.line` of the newest job), at (when it came),
              paused (a `Pause` as JSON, or null)

The record is the truth, the other columns are there to search by. A user or key that is no Unicode text is stored as
a blob. PRAGMA application_id is `APPLICATION`, user_version the version of this layout. In WAL mode with
synchronous=FULL a transaction that has returned survives a power cut.

    beside it   what it is for
    *-lock      held (flock, shared) by every open connection; a repair needs it alone
    *-news      written to after every change, to wake those who watch

Layout 1 had a priority in place of place, and neither revision, name, crc nor the last four columns of the counter. It is
upgraded, in one transaction, by whoever opens it first.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import fnmatch
import json
import os
import sqlite3
import threading
import weakref
import zlib
from collections.abc import Iterator
from pathlib import Path

from attrs import evolve

from fetchml_core.convert import from_data
from fetchml_core.errors import FetchError, HostError, explain_os_error
from fetchml_core.fsio import make_folder, sync_folder
from fetchml_core.jobs.job import Job

from .base import Pause, Stored, claim_order
from .stored import decode, encode

APPLICATION = 0x464D4C51
VERSION = 2
WAIT_S = 30.0
"""How long a transaction waits for those of other processes."""

_TABLES = (
    """CREATE TABLE jobs (
        id INTEGER PRIMARY KEY,
        state TEXT NOT NULL, place REAL NOT NULL, revision INTEGER NOT NULL,
        user TEXT NOT NULL, name TEXT NOT NULL, key TEXT NOT NULL,
        record TEXT NOT NULL, crc INTEGER NOT NULL,
        UNIQUE (user, key)
    )""",
    "CREATE INDEX line ON jobs (place, id) WHERE state = 'queued'",
    "CREATE INDEX states ON jobs (state, id)",
    "CREATE UNIQUE INDEX revisions ON jobs (revision)",
    """CREATE TABLE counter (
        revision INTEGER NOT NULL, last INTEGER NOT NULL, line REAL NOT NULL, at REAL NOT NULL, paused TEXT
    )""",
)


class SqliteFile:
    """One view of a database file; threads take turns."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.news = path.with_name(f"{path.name}-news")
        self.lock = path.with_name(f"{path.name}-lock")
        self._threads = threading.Lock()
        self._opened: sqlite3.Connection | None = None
        self._closed: weakref.finalize[..., SqliteFile] | None = None

    @contextlib.contextmanager
    def changing(self) -> Iterator[sqlite3.Connection]:
        """A transaction that nobody else writes beside; an error takes everything back."""
        with self._threads, self.explained("write to the queue"):
            db = self._connection() or self._make()
            db.execute("BEGIN IMMEDIATE")
            try:
                before = revision(db)
                yield db
                changed = revision(db) != before
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise
            if changed:
                self._tell()

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection | None]:
        """The database, None where there is none yet: reading makes nothing."""
        with self._threads, self.explained("read the queue"):
            yield self._connection()

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """The time in which no connection to the file is open, anywhere.

        Raises:
            HostError: ``queue-busy``: another process has one.
        """
        with self._threads, self.explained("repair the queue"):
            self._disconnect()
            fd = os.open(self.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise HostError(
                    "queue-busy",
                    "a database can only be repaired while no other process has it open",
                    context=str(self.path),
                    hint="ml worker stop",
                ) from None
            else:
                yield
            finally:
                os.close(fd)

    def decode(self, job_id: int, record: str, crc: int) -> Stored:
        """Return what is in a row, or raise ``queue-damaged``."""
        stored = readable(job_id, record, crc)
        if stored is None:
            raise self.damaged(f"the record of job {job_id} does not match its checksum")
        return stored

    def paused(self, db: sqlite3.Connection) -> Pause | None:
        """Return what the counter says about it."""
        *_, pause = counter(db)
        try:
            return None if pause is None else from_data(json.loads(pause), Pause)
        except (ValueError, TypeError, FetchError):
            raise self.damaged("what it says about a pause is no pause") from None

    def damaged(self, error: object) -> HostError:
        """Return the error for what cannot be read."""
        return HostError(
            "queue-damaged",
            f"the queue's database cannot be read: {error}",
            context=str(self.path),
            hint="ml queue check --repair",
        )

    def _connection(self) -> sqlite3.Connection | None:
        """The open database; None where there is none yet."""
        if self._opened is None and self.path.exists():
            lock = os.open(self.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_SH)
                db = connect(self.path)
            except BaseException:
                os.close(lock)
                raise
            # A connection is part of a cycle (its statement cache), so it would stay open until a collection.
            self._closed = weakref.finalize(self, _close, db, lock)
            self._closed.atexit = False
            self._opened = db
        return self._opened

    def _disconnect(self) -> None:
        """Give the connection back; who needs one next opens it anew."""
        if self._closed is not None:
            self._closed()
            self._opened = None

    def _make(self) -> sqlite3.Connection:
        """Make the database, where there is none."""
        make_folder(self.path.parent)
        with empty_beside(self.path) as temporary, contextlib.suppress(FileExistsError):
            self.path.hardlink_to(temporary)
        sync_folder(self.path.parent)
        made = self._connection()
        assert made is not None  # noqa: S101 - it is there now
        return made

    def _tell(self) -> None:
        """Wake those who watch. SQLite's own files do not do that: they are written before a change can be seen."""
        with contextlib.suppress(OSError):  # the change itself is made; whoever misses the news asks later
            fd = os.open(self.news, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                os.pwrite(fd, b"\n", 0)
            finally:
                os.close(fd)

    @contextlib.contextmanager
    def explained(self, doing: str) -> Iterator[None]:
        """Errors inside it are told with what was being done."""
        try:
            yield
        except sqlite3.Error as error:
            self._disconnect()  # where its files could not be opened for writing, it would never try again
            raise self._explain(error, doing) from None
        except OSError as error:
            raise explain_os_error(error, doing, self.path) from None

    def _explain(self, error: sqlite3.Error, doing: str) -> FetchError:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # Python 3.11; the words tell the same
        if code in {11, 26} or "malformed" in str(error) or "not a database" in str(error):
            return self.damaged(error)
        full = code == 13 or "is full" in str(error)
        return explain_os_error(OSError(errno.ENOSPC if full else errno.EIO, str(error)), doing, self.path)


def _close(db: sqlite3.Connection, lock: int) -> None:
    db.close()
    os.close(lock)


def connect(path: Path) -> sqlite3.Connection:
    """Open a database, upgrade it if need be; a stranger's file is left alone."""
    db = sqlite3.connect(path, timeout=WAIT_S, isolation_level=None, check_same_thread=False)
    try:
        check_layout(db, path)
        db.execute("PRAGMA synchronous = FULL")
        # Damage shall meet our checksum, not an error of another kind.
        db.text_factory = lambda data: data.decode("utf-8", "replace")
        db.create_function("fits", 2, fnmatch.fnmatchcase)
        if _version(db) < VERSION:
            _upgrade(db)
    except BaseException:
        db.close()
        raise
    return db


def check_layout(db: sqlite3.Connection, path: Path) -> None:
    """Raise ``queue-format`` for a database that is not ours, or of a later layout."""
    ours = db.execute("PRAGMA application_id").fetchone()[0] == APPLICATION
    if not ours and _looks_like_ours(db):
        raise sqlite3.DatabaseError("malformed: its application id is not ours, its tables are")
    version = _version(db)
    if not ours or version > VERSION:
        told = f"has layout {version}, we read {VERSION}" if ours else "is no FetchML queue"
        raise HostError(
            "queue-format",
            f"this database {told}",
            context=str(path),
            hint="use the version of FetchML that wrote it, or move the file aside",
        )


def _looks_like_ours(db: sqlite3.Connection) -> bool:
    with contextlib.suppress(sqlite3.OperationalError):
        db.execute("SELECT record, line FROM jobs, counter LIMIT 1")
        return True
    return False


@contextlib.contextmanager
def empty_beside(path: Path) -> Iterator[Path]:
    """An empty queue beside *path*, durable, to be linked or moved there: nobody ever sees a part of it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.tmp")
    temporary.unlink(missing_ok=True)
    os.close(os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    try:
        with filling(temporary) as db:
            for statement in _TABLES:
                db.execute(statement)
            db.execute("INSERT INTO counter VALUES (0, 0, 0.0, 0.0, NULL)")
            db.execute(f"PRAGMA application_id = {APPLICATION}")
            db.execute(f"PRAGMA user_version = {VERSION}")
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def filling(path: Path) -> Iterator[sqlite3.Connection]:
    """A transaction in a database that nobody else has yet; then all of it is in that one file, durable.

    It does without a WAL, as that is brought into the file by closing it, which cannot fail as far as one is told.
    """
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = MEMORY")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("BEGIN")
        yield db
        db.execute("COMMIT")
        db.execute("PRAGMA journal_mode = WAL")


def _upgrade(db: sqlite3.Connection) -> None:
    """Bring layout 1 to layout 2: all in one transaction, so that a crash leaves the old one."""
    db.execute("BEGIN IMMEDIATE")
    try:
        if _version(db) < VERSION:  # else somebody else was faster
            last = db.execute("SELECT max(seq) FROM sqlite_sequence").fetchone()[0] or 0
            db.execute("DROP INDEX queued")
            db.execute("ALTER TABLE jobs RENAME TO jobs_1")
            db.execute("DROP TABLE counter")
            for statement in _TABLES:
                db.execute(statement)
            db.execute("INSERT INTO counter VALUES (0, 0, 0.0, 0.0, NULL)")
            for row in db.execute("SELECT id, state, user, key, record FROM jobs_1 ORDER BY id"):
                _upgrade_row(db, *row)
            db.execute("UPDATE counter SET last = max(last, ?)", (last,))
            db.execute("DROP TABLE jobs_1")
            db.execute(f"PRAGMA user_version = {VERSION}")
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def _upgrade_row(db: sqlite3.Connection, job_id: int, state: str, user: str, key: str, record: str) -> None:
    """Bring one job to layout 2; a record that cannot be read stays as it is, for a check to find."""
    try:
        store(db, decode(record))
    except (ValueError, KeyError, TypeError, FetchError):
        db.execute("UPDATE counter SET revision = revision + 1")
        row = (job_id, state, 0.0, revision(db), user, "", key, record, -1)
        db.execute("INSERT INTO jobs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)


def _version(db: sqlite3.Connection) -> int:
    version: int = db.execute("PRAGMA user_version").fetchone()[0]
    return version


def counter(db: sqlite3.Connection) -> tuple[int, int, float, float, str | None]:
    """Return the row of that table; damaged pages may leave none, or one that says nothing."""
    row = db.execute("SELECT revision, last, line, at, paused FROM counter").fetchone()
    if row is None or [type(value) for value in row[:4]] != [int, int, float, float]:
        raise sqlite3.DatabaseError("malformed: its counter says nothing")
    found: tuple[int, int, float, float, str | None] = row
    return found


def revision(db: sqlite3.Connection) -> int:
    """Return the queue's revision."""
    return counter(db)[0]


def store(db: sqlite3.Connection, stored: Stored, *, news: bool = True) -> Job:
    """Write a job inside a transaction; unless it is no *news*, it gets the next revision."""
    if news:
        db.execute("UPDATE counter SET revision = revision + 1")
        stored = evolve(stored, job=evolve(stored.job, revision=revision(db)))
    put(db, stored)
    return stored.job


def put(db: sqlite3.Connection, stored: Stored) -> None:
    """Write a job as it is inside a transaction."""
    job = stored.job
    db.execute(
        "UPDATE counter SET at = CASE WHEN ?1 > last THEN ?2 ELSE at END, last = max(last, ?1), line = max(line, ?3)",
        (job.id, job.submitted_at, job.line or job.submitted_at),
    )
    record = encode(stored)
    db.execute(
        "INSERT INTO jobs (id, state, place, revision, user, name, key, record, crc)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET"
        " state = excluded.state, revision = excluded.revision, record = excluded.record, crc = excluded.crc",
        (job.id, *columns(stored), record, _checksum(record)),
    )


def readable(job_id: int, record: str, crc: int) -> Stored | None:
    """Return what is in a row, None where it cannot be trusted."""
    with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError, FetchError):
        if _checksum(record) == crc:
            stored = decode(record)
            return stored if stored.job.id == job_id else None
    return None


def _checksum(record: str) -> int:
    return zlib.crc32(record.encode("ascii"))


def columns(stored: Stored) -> tuple[object, ...]:
    """Return what the columns between id and record say about a job."""
    job = stored.job
    place = claim_order(job)[0]
    return job.state.value, place, job.revision, text(job.user), text(job.spec.name), text(stored.key)


def text(value: str) -> str | bytes:
    """Return *value* as SQLite takes it: what is no Unicode text as a blob, which equals no text."""
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return value.encode("utf-8", "surrogatepass")
    return value
