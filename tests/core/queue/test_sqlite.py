"""The SQLite queue keeps the contract, and leaves files alone that are not its own."""

from __future__ import annotations

import contextlib
import gc
import os
import shutil
import sqlite3
import sys

import pytest
from attrs import evolve

from fetchml_core.errors import FetchError
from fetchml_core.queue.base import Beat, Pause
from fetchml_core.queue.sqlite import SqliteQueue
from tests.core.queue.contract import FORK, LEASE, SPEC, FakeClock, QueueContract, first, order
from tests.core.queue.old_samples import SAMPLES, assert_all_is_there
from tests.support.faults import run


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
    with queue._file.reading() as db:
        assert db.execute("PRAGMA synchronous").fetchone() == (2,)
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)


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
        db.execute("PRAGMA user_version = 3")

    with pytest.raises(FetchError, match="has layout 3, we read 2"):
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


def test_a_file_that_could_not_be_opened_once_is_tried_again(in_memory, clock):
    """SQLite opens it for reading then, and would go on so: at most one change hears of it."""
    path = in_memory / "queue.sqlite"
    SqliteQueue(path, clock).submit(SPEC, user="anna", key="first")
    heard = set()

    def work(faults):
        queue = SqliteQueue(path, clock)
        said = ""
        with contextlib.suppress(FetchError):
            queue.jobs()
        faults.lift()
        try:
            queue.submit(SPEC, user="anna", key=f"{at}")
        except FetchError as error:
            said = error.message
        queue.submit(SPEC, user="anna", key=f"{at} again")
        return said

    at = 1
    while (ended := run(work, "EIO", at)).struck:
        heard.add(ended.answer)
        at += 1
    assert heard == {"", "could not write to the queue: attempt to write a readonly database"}


def load_layout_1(path):
    """Make the database of the first version."""
    path.parent.mkdir()
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.executescript((SAMPLES / "sqlite-1.sql").read_text("utf-8"))


def test_layout_1_is_upgraded(path, open_queue):
    """A database of the first version goes on, whoever opens it."""
    load_layout_1(path)

    assert_all_is_there(open_queue)


def test_an_upgrade_that_fails_leaves_the_old_layout(path, open_queue, mocker):
    """It is one transaction: tried again, it works."""
    load_layout_1(path)
    mocker.patch("fetchml_core.queue.sqlite_file._upgrade_row", side_effect=[None, None, ZeroDivisionError])
    with pytest.raises(ZeroDivisionError):
        open_queue().jobs()
    mocker.stopall()

    assert_all_is_there(open_queue)


def test_many_may_upgrade_at_once(path, open_queue):
    """Processes that open an old database at the same time do not get in each other's way."""
    load_layout_1(path)
    children = [FORK.Process(target=lambda: sys.exit(len(open_queue().jobs()))) for _ in range(4)]
    for child in children:
        child.start()
    for child in children:
        child.join()

    assert [child.exitcode for child in children] == [6, 6, 6, 6]
    assert_all_is_there(open_queue)


def test_damage_of_an_old_record_survives_the_upgrade(path, open_queue):
    """It is found by a check, as it would be without."""
    load_layout_1(path)
    spoil(path, "record = '{}' WHERE id = 2")

    assert [damage.jobs for damage in open_queue().check()] == [(2,)]


def spoil(path, change):
    """Write into a row behind the queue's back."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute(f"UPDATE jobs SET {change}")
        db.commit()


def three_jobs(queue):
    """Three queued jobs."""
    return [queue.submit(SPEC, user="anna", key=str(n)) for n in range(3)]


SPOILED = {
    "text": "record = '{' WHERE id = 2",
    "flipped": "record = replace(record, 'train.py', 'drain.py') WHERE id = 2",
    "not text": "record = x'ff00' WHERE id = 2",
    "of another": "record = (SELECT record FROM jobs WHERE id = 1), crc = (SELECT crc FROM jobs WHERE id = 1) WHERE id = 2",
}


@pytest.mark.parametrize("change", SPOILED)
def test_the_rest_is_served_beside_a_damaged_record(path, open_queue, change):
    """Other jobs are listed, claimed and taken in; whatever would show the damaged one tells it, until a repair."""
    three_jobs(open_queue())
    spoil(path, SPOILED[change])
    queue = open_queue()
    for refused in (queue.jobs, lambda: queue.get(2), lambda: list(queue.export())):
        with pytest.raises(FetchError, match="queue-damaged") as caught:
            refused()
        assert caught.value.hint == "ml queue check --repair"
    assert [job.id for job in queue.jobs(newest=True, limit=1)] == [3]
    assert order(queue) == [1, 3]
    assert queue.claim(first, LEASE).id == 1
    assert queue.advance(1, 1, Beat(LEASE)).id == 1
    assert queue.submit(SPEC, user="anna", key="new").id == 4
    assert [damage.jobs for damage in queue.check()] == [(2,)]
    revision = queue.revision()

    (damage,) = queue.check(repair=True)
    old = path.with_name("queue.sqlite.damaged-1")
    assert str(old) in damage.repair
    assert queue.check() == []
    assert [job.id for job in queue.jobs()] == [job.id for job in open_queue().jobs()] == [1, 3, 4]
    assert queue.revision() > revision
    assert queue.submit(SPEC, user="anna", key="newer").id == 5
    with contextlib.closing(sqlite3.connect(old)) as db:
        assert db.execute("SELECT count(*) FROM jobs").fetchone() == (4,)


def test_columns_that_disagree_are_written_again(path, open_queue):
    """The record is the truth."""
    jobs = three_jobs(open_queue())
    spoil(path, "state = 'failed', place = 7 WHERE id = 2")
    assert len(open_queue().check()) == 1
    open_queue().check(repair=True)

    assert open_queue().check() == []
    assert open_queue().jobs() == jobs
    assert order(open_queue()) == [1, 2, 3]


def test_damaged_pages_cost_only_what_is_on_them(path, open_queue):
    """Wherever a page is overwritten: nothing wrong is shown, and a repair keeps what can be found.

    Without the root of the table that is nothing; every job is then told as lost.
    """
    queue = open_queue()
    specs = [evolve(SPEC, name=f"train-{n}", env={"X": "x" * 700}) for n in range(40)]
    jobs = {job.id: job for job in queue.submit_array(specs, user="anna", key="k")}
    queue.pause(Pause("anna", "disk"))
    del queue
    gc.collect()
    with contextlib.closing(sqlite3.connect(path)) as db:
        (root,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'jobs'").fetchone()
    good = path.read_bytes()
    for page in range(1, len(good) // 4096):
        path.write_bytes(good[: page * 4096] + b"\x5a" * 4096 + good[(page + 1) * 4096 :])
        with contextlib.suppress(FetchError):
            assert all(jobs[job.id] == job for job in open_queue().jobs())
        gc.collect()
        damages = open_queue().check()
        gc.collect()
        repaired = open_queue().check(repair=True)
        assert bool(repaired) == bool(damages)
        left = open_queue().jobs()
        assert all(jobs[job.id] == job for job in left)
        assert len(left) >= len(jobs) - 12 or page == root - 1
        lost = {job_id for damage in repaired for job_id in damage.jobs}
        assert lost >= set(jobs) - {job.id for job in left}
        assert open_queue().check() == []
        assert open_queue().submit(SPEC, user="anna", key="new").id == 41
        gc.collect()


COUNTERS = {
    "gone": "DELETE FROM counter",
    "text": "UPDATE counter SET last = 'x'",
    "blob": "UPDATE counter SET revision = x'00'",
}


@pytest.mark.parametrize("change", COUNTERS)
def test_a_counter_that_says_nothing_is_damage(path, open_queue, change):
    """Whatever would need it tells; a repair counts again from the jobs that are there."""
    jobs = three_jobs(open_queue())
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute(COUNTERS[change])
        db.commit()
    for refused in (
        lambda queue: queue.submit(SPEC, user="anna", key="new"),
        lambda queue: queue.hold(1),
        lambda queue: queue.claim(first, LEASE),
        lambda queue: queue.pause(Pause("anna")),
        lambda queue: queue.paused(),
        lambda queue: queue.revision(),
    ):
        with pytest.raises(FetchError, match="queue-damaged") as caught:
            refused(open_queue())
        assert caught.value.hint == "ml queue check --repair"
    gc.collect()
    assert open_queue().check()
    gc.collect()
    assert open_queue().check(repair=True)

    queue = open_queue()
    assert queue.check() == []
    assert queue.jobs() == jobs
    assert queue.revision() > jobs[-1].revision
    assert queue.submit(SPEC, user="anna", key="new").id == 4


@pytest.fixture
def cut_off(tmp_path, open_queue, path):
    """A folder with a database that has lost its end, so that SQLite will not bring job 5 into it from the WAL."""
    three_jobs(open_queue())
    open_queue().submit(evolve(SPEC, env={"X": "x" * 120_000}), user="anna", key="large")
    gc.collect()
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    queue = open_queue()
    queue.submit(SPEC, user="anna", key="in the WAL")
    folder = tmp_path / "cut"
    shutil.copytree(path.parent, folder)
    os.truncate(folder / path.name, os.path.getsize(path) - 110_000)
    return folder


@pytest.mark.parametrize("fault", ["kill", "ENOSPC"])
def test_a_repair_that_is_cut_loses_nothing(cut_off, in_memory, clock, fault):
    """A kill, or a full disk, at every call of a repair: done again, it finds what the first would have."""
    case = in_memory / "case"

    def repair(_):
        try:
            return list(SqliteQueue(case / "queue.sqlite", clock).check(repair=True))
        except FetchError as error:
            assert error.code in {"disk-full", "io-error"}
            assert str(case) in error.context

    for at in range(400):  # the first time undisturbed
        shutil.copytree(cut_off, case)
        struck = run(repair, fault, at).struck
        repair(None)
        queue = SqliteQueue(case / "queue.sqlite", clock)
        assert [job.id for job in queue.jobs()] == [1, 2, 3, 5]
        assert queue.check() == []
        assert (case / "queue.sqlite.damaged-1-wal").exists()
        assert not (case / "queue.sqlite.damaged-2").exists()
        del queue
        shutil.rmtree(case)
        if at and not struck:
            assert at > 10
            return


def test_a_repair_needs_the_file_for_itself(path, open_queue):
    """While another process has it open, it would go on with the old file."""
    queue = open_queue()
    three_jobs(queue)
    spoil(path, SPOILED["text"])

    with pytest.raises(FetchError, match="queue-busy"):
        open_queue().check(repair=True)
    assert queue.get(1).id == 1
    assert list(path.parent.glob("*damaged*")) == []
