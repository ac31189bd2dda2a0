"""The SQLite queue keeps the contract, and leaves files alone that are not its own."""

from __future__ import annotations

import os
import sqlite3

import pytest

from fetchml_core.errors import FetchError
from fetchml_core.queue.sqlite import SqliteQueue
from tests.core.queue.contract import SPEC, FakeClock, QueueContract


@pytest.fixture
def clock():
    """A clock that stands still."""
    return FakeClock()


@pytest.fixture
def path(tmp_path):
    """The database."""
    return tmp_path / "data" / "queue.sqlite"


@pytest.fixture
def open_queue(path, clock):
    """A factory of views of one queue."""
    return lambda: SqliteQueue(path, clock)


class TestSqlite(QueueContract):
    """The contract."""


def test_reading_makes_nothing(path, open_queue):
    """Looking at a queue that is not there does not create it, and neither does a wish about one of its jobs."""
    assert open_queue().jobs() == []
    assert open_queue().revision() == 0
    assert not path.exists()


def test_it_is_private_and_durable(path, open_queue):
    """Others cannot read it, and a commit waits for the disk."""
    queue = open_queue()
    queue.submit(SPEC, user="anna", key="1")

    assert os.stat(path).st_mode & 0o077 == 0
    assert queue._connection().execute("PRAGMA synchronous").fetchone() == (2,)
    assert queue._connection().execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_strangers_database_is_left_alone(path, open_queue):
    """A path that names somebody else's database is an error, and nothing is written there."""
    path.parent.mkdir()
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE theirs (x)")
    before = path.read_bytes()

    with pytest.raises(FetchError, match="queue-format"):
        open_queue().submit(SPEC, user="anna", key="1")
    assert path.read_bytes() == before


def test_newer_layout_is_refused(path, open_queue):
    """A queue of a later version is left alone."""
    open_queue().submit(SPEC, user="anna", key="1")
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 2")

    with pytest.raises(FetchError, match="has layout 2, we read 1"):
        open_queue().submit(SPEC, user="anna", key="2")


@pytest.mark.parametrize(
    "text", [b"no database at all, but long enough to be taken for one" * 20, b"SQLite format 3\0"]
)
def test_damage_is_told(path, open_queue, text):
    """A file that is no database is damage, with its place."""
    path.parent.mkdir()
    path.write_bytes(text)

    with pytest.raises(FetchError, match="queue-damaged"):
        open_queue().jobs()


def test_an_error_takes_the_change_back(open_queue):
    """When a choice fails in the middle of a claim, the job stays queued and the queue goes on."""
    queue = open_queue()
    job = queue.submit(SPEC, user="anna", key="1")

    with pytest.raises(ZeroDivisionError):
        queue.claim(lambda _: 1 // 0, None)
    assert open_queue().get(job.id) == job
    assert open_queue().submit(SPEC, user="anna", key="2").id == 2
