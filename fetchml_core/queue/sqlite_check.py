"""What is damaged in the SQLite queue, and a new database from what is not."""

from __future__ import annotations

import contextlib
import json
import re
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

from attrs import evolve

from fetchml_core.convert import from_data
from fetchml_core.errors import FetchError
from fetchml_core.fsio import sync_folder

from .base import Damage, Pause, Stored
from .sqlite_file import SqliteFile, columns, empty_beside, filling, put, readable, text

_HIGHEST = 1 << 53
_ID_QUERIES = (
    "SELECT id FROM jobs NOT INDEXED ORDER BY id",
    "SELECT id FROM jobs NOT INDEXED ORDER BY id DESC",
    "SELECT id FROM jobs INDEXED BY revisions WHERE revision >= 0",
    "SELECT id FROM jobs INDEXED BY states WHERE state >= ''",
)
_ID_IN_RECORD = re.compile(rb'"job":\{"id":(\d{1,15}),')


def check(file: SqliteFile) -> Sequence[Damage]:
    """Return what is damaged."""
    damages: list[Damage] = []
    try:
        with file.reading() as db:
            if db is not None:
                damages.extend(_damages(db, file.path))
                file.paused(db)
    except FetchError as error:
        if error.code != "queue-damaged":
            raise
        damages.append(Damage(str(file.path), error.message))
    return damages


def repair_file(file: SqliteFile) -> Sequence[Damage]:
    """Do what `Queue.check` does to repair; return what was damaged.

    Raises:
        HostError: ``queue-busy``: another process has the database open.
    """
    with file.explained("repair the queue"):
        cut = _cut_repair(file.path)
    if cut is not None:
        with file.alone():
            _take_back(file.path, cut)
    damages = check(file)
    if not damages:
        return []
    with file.alone():
        return _rebuild(file.path, damages)


def _damages(db: sqlite3.Connection, path: Path) -> Iterator[Damage]:
    for (problem,) in db.execute("PRAGMA integrity_check"):
        if problem != "ok":
            yield Damage(str(path), problem)
    (last,) = db.execute("SELECT max(last) FROM counter").fetchone()
    if type(last) is not int:
        yield Damage(str(path), "its counter does not say which ids were given")
        last = _HIGHEST
    cursor = db.execute(
        "SELECT id, state, place, revision, user, name, key, record, crc FROM jobs ORDER BY id"
    )
    for job_id, *found, record, crc in cursor:
        place = f"{path}, job {job_id}"
        stored = readable(job_id, record, crc)
        if stored is None:
            yield Damage(place, "its record does not match its checksum", jobs=(job_id,))
        elif tuple(found) != columns(stored) or job_id > last:
            yield Damage(place, "the columns do not say what its record says")


def _rebuild(path: Path, damages: Sequence[Damage]) -> Sequence[Damage]:
    """Put a new database in the place of a damaged one, which is kept beside it."""
    ids = {int(found) for name in (path, _wal(path)) if name.exists() for found in _ids_in(name)}
    with empty_beside(path) as temporary:
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as old:
            old.text_factory = lambda data: data.decode("utf-8", "replace")
            ids |= _ids_by_index(old)
            kept = _copy(old, temporary, sorted(ids))
        aside = _free_name(path)
        aside.hardlink_to(path)
        if _wal(path).exists():  # what SQLite could not bring into the damaged file
            _wal(path).replace(_wal(aside))
        sync_folder(path.parent)
        temporary.replace(path)
        sync_folder(path.parent)
    told = f"a new database was made of what can be read; the old one is {aside}"
    lost = tuple(sorted(ids - kept))
    named = {job_id for damage in damages for job_id in damage.jobs}
    unnamed = tuple(job_id for job_id in lost if job_id not in named)
    more = [Damage(str(path), "jobs that cannot be found any more", jobs=unnamed)] if unnamed else []
    return [evolve(damage, repair=told) for damage in [*damages, *more]]


def _cut_repair(path: Path) -> Path | None:
    """The second name that a repair, killed before its last step, has given to the file."""
    found = path.parent.glob(f"{path.name}.damaged-*")
    return next((aside for aside in found if path.exists() and aside.samefile(path)), None)


def _take_back(path: Path, aside: Path) -> None:
    """Undo what such a repair did; the WAL belongs to the file again unless somebody has gone on without it."""
    wal = _wal(aside)
    if wal.exists() and path.stat().st_mtime_ns <= wal.stat().st_ctime_ns:
        wal.replace(_wal(path))
        sync_folder(path.parent)
    aside.unlink()


def _ids_in(path: Path) -> list[bytes]:
    """The ids of all jobs that ever stood in a file."""
    return _ID_IN_RECORD.findall(path.read_bytes())


def _ids_by_index(old: sqlite3.Connection) -> set[int]:
    """The ids that the table and its indexes know, as far as each can be read from either end."""
    ids = set()
    for query in _ID_QUERIES:
        with contextlib.suppress(sqlite3.DatabaseError):
            for (job_id,) in old.execute(query):
                ids.add(job_id)
    return ids


def _copy(old: sqlite3.Connection, temporary: Path, ids: Sequence[int]) -> set[int]:
    """Copy every job that can be read, each looked up by its id; return the ids."""
    kept = set()
    with filling(temporary) as new:
        _copy_counter(old, new)
        for job_id in ids:
            stored = _look_up(old, job_id)
            if stored is not None and _is_free(new, stored):
                put(new, stored)
                kept.add(job_id)
        # No id is given twice, and whoever follows the changes misses none, whatever the old counter has lost.
        new.execute("UPDATE counter SET last = max(last, ?)", (max(ids, default=0),))
        new.execute(
            "UPDATE counter SET revision = 1 + max(revision, (SELECT ifnull(max(revision), 0) FROM jobs))"
        )
    return kept


def _look_up(old: sqlite3.Connection, job_id: int) -> Stored | None:
    with contextlib.suppress(sqlite3.DatabaseError):
        row = old.execute("SELECT id, record, crc FROM jobs WHERE id = ?", (job_id,)).fetchone()
        return readable(*row) if row else None
    return None


def _is_free(new: sqlite3.Connection, stored: Stored) -> bool:
    """Whether no other job has its key or revision, as damaged pages may have it."""
    values = (text(stored.job.user), text(stored.key), stored.job.revision)
    found = new.execute("SELECT 1 FROM jobs WHERE (user = ? AND key = ?) OR revision = ?", values).fetchone()
    return found is None


def _copy_counter(old: sqlite3.Connection, new: sqlite3.Connection) -> None:
    """Take over what the counter says, as far as it can be trusted."""
    with contextlib.suppress(sqlite3.DatabaseError, TypeError):
        number, last, *times, paused = old.execute(
            "SELECT revision, last, line, at, paused FROM counter"
        ).fetchone()
        counts = all(type(value) is int and value < _HIGHEST for value in (number, last))
        if counts and all(type(value) is float for value in times):
            new.execute("UPDATE counter SET revision = ?, last = ?, line = ?, at = ?", (number, last, *times))
        with contextlib.suppress(ValueError, TypeError, FetchError):
            from_data(json.loads(paused or ""), Pause)
            new.execute("UPDATE counter SET paused = ?", (paused,))


def _free_name(path: Path) -> Path:
    number = 1
    while (aside := path.with_name(f"{path.name}.damaged-{number}")).exists() or _wal(aside).exists():
        number += 1
    return aside


def _wal(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")
