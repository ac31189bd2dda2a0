"""The native queue keeps the contract, and survives what files go through."""

from __future__ import annotations

import os

import pytest

from fetchml_core.errors import FetchError
from fetchml_core.queue.journal import Journal
from fetchml_core.queue.native import NativeQueue
from tests.core.queue.contract import SPEC, FakeClock, QueueContract


@pytest.fixture
def clock():
    """A clock that stands still."""
    return FakeClock()


@pytest.fixture
def open_queue(tmp_path, clock):
    """A factory of views of one queue."""
    return lambda: NativeQueue(tmp_path / "queue", clock)


class TestNative(QueueContract):
    """The contract."""


def journal(tmp_path):
    """Return the file."""
    return tmp_path / "queue" / "journal"


def test_reading_makes_nothing(tmp_path, open_queue):
    """Looking at a queue that is not there does not create it."""
    assert open_queue().jobs() == []
    assert not (tmp_path / "queue").exists()


def test_every_cut_of_the_last_record_loses_only_it(tmp_path, open_queue):
    """A write that a crash cut at any byte was never acknowledged; all before it stays, and writing goes on."""
    open_queue().submit(SPEC, user="anna", key="1")
    whole = journal(tmp_path).read_bytes()
    open_queue().submit(SPEC, user="anna", key="2")
    longer = journal(tmp_path).read_bytes()
    for length in range(len(whole), len(longer)):
        journal(tmp_path).write_bytes(longer[:length])
        queue = open_queue()
        assert [job.id for job in queue.jobs()] == [1]
        assert queue.submit(SPEC, user="anna", key="3").id == 2
        assert [job.id for job in open_queue().jobs()] == [1, 2]


def test_cut_header_starts_anew(tmp_path, open_queue):
    """A queue whose first write was cut inside the header holds no job, and takes the next."""
    open_queue().submit(SPEC, user="anna", key="1")
    header = journal(tmp_path).read_bytes().split(b"\n")[0]
    for length in range(len(header) + 1):
        journal(tmp_path).write_bytes(header[:length])
        assert open_queue().submit(SPEC, user="anna", key="1").id == 1
        assert len(open_queue().jobs()) == 1


def test_flipped_bytes_are_found(tmp_path, open_queue):
    """Damage inside an acknowledged record is reported with its place, never skipped."""
    open_queue().submit(SPEC, user="anna", key="1")
    good = journal(tmp_path).read_bytes()
    for place in range(good.index(b"\n") + 1, len(good) - 1):
        journal(tmp_path).write_bytes(good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :])
        with pytest.raises(FetchError, match=r"queue-damaged|damaged-record"):
            open_queue().jobs()


def test_newer_format_is_refused(tmp_path, open_queue):
    """A queue of a later version is left alone."""
    open_queue().submit(SPEC, user="anna", key="1")
    journal(tmp_path).write_bytes(journal(tmp_path).read_bytes().replace(b"QUEUE 1", b"QUEUE 2", 1))

    with pytest.raises(FetchError, match="queue-format"):
        open_queue().submit(SPEC, user="anna", key="2")


def test_failed_sync_accepts_nothing(tmp_path, open_queue, mocker):
    """When the disk refuses, the error is explained, the job is not there, and the next one is."""
    open_queue().submit(SPEC, user="anna", key="1")
    before = journal(tmp_path).read_bytes()
    queue = open_queue()
    mocker.patch("os.fdatasync", side_effect=OSError(28, "No space left on device"))
    with pytest.raises(FetchError, match="disk-full"):
        queue.submit(SPEC, user="anna", key="2")
    mocker.stopall()

    assert journal(tmp_path).read_bytes() == before
    assert queue.submit(SPEC, user="anna", key="2").id == 2


EVENT = {"e": "later", "id": 1}


def write(journal, text):
    """Append an event and leave it unsynced."""
    with journal.lock():
        journal.rewound()
        list(journal.catch_up())
        return journal.append({**EVENT, "text": text})


def read(folder):
    """What a fresh process reads."""
    journal = Journal(folder, "boot-1")
    with journal.lock_to_read():
        return [event["text"] for event in journal.catch_up()]


@pytest.fixture
def folder(tmp_path):
    """A queue with one record that is on disk."""
    journal = Journal(tmp_path / "queue", "boot-1")
    journal.settle(write(journal, "old"))
    return tmp_path / "queue"


def test_a_sync_serves_all_that_was_appended_before_it(folder):
    """Writers that come at the same time do not wait for each other's syncs, and both records are there."""
    first, second = (Journal(folder, "boot-1") for _ in range(2))
    one, two = write(first, "one"), write(second, "two")
    second.settle(two)
    first.settle(one)

    assert read(folder) == ["old", "one", "two"]


def test_a_failed_sync_takes_back_what_it_covered(folder, mocker):
    """The one whose sync failed and the one who had appended behind it are both told, and nothing of it is left."""
    first, second, third = (Journal(folder, "boot-1") for _ in range(3))
    one, two = write(first, "one"), write(second, "two")
    mocker.patch("os.fdatasync", side_effect=OSError(5, "Input/output error"))
    with pytest.raises(FetchError, match="io-error"):
        first.settle(one)
    mocker.stopall()
    with pytest.raises(FetchError, match="queue-write-lost"):
        second.settle(two)

    assert read(folder) == ["old"]
    third.settle(write(third, "three"))
    second.settle(write(second, "four"))
    assert read(folder) == ["old", "three", "four"]


def test_a_failed_sync_takes_back_nothing_that_is_on_disk(folder, mocker):
    """A record that another process's sync has reached stays, and its writer is right to say so."""
    first, second = (Journal(folder, "boot-1") for _ in range(2))
    one, two = write(first, "one"), write(second, "two")
    second.settle(two)
    mocker.patch("os.fdatasync", side_effect=OSError(5, "Input/output error"))
    with pytest.raises(FetchError, match="io-error"):
        first.settle(one)
    mocker.stopall()

    assert read(folder) == ["old", "one", "two"]


def test_what_was_taken_back_is_forgotten(tmp_path, open_queue, mocker):
    """A process that had read a record that was cut forgets it, and gives its id to the next job."""
    open_queue().submit(SPEC, user="anna", key="1")
    writer, reader = open_queue(), open_queue()
    real = os.fdatasync

    def fail_after_reader(fd):
        mocker.patch("os.fdatasync", real)
        assert [job.id for job in reader.jobs()] == [1, 2]
        raise OSError(5, "Input/output error")

    # the reader syncs what it reads, which does not help the writer: the kernel has told it of the failure
    mocker.patch("os.fdatasync", side_effect=fail_after_reader)
    with pytest.raises(FetchError, match="io-error"):
        writer.submit(SPEC, user="anna", key="2")

    assert [job.id for job in reader.jobs()] == [1]
    assert reader.submit(SPEC, user="bob", key="3").id == 2
    assert [job.user for job in writer.jobs()] == ["anna", "bob"]


def test_what_is_read_is_on_disk(folder, mocker):
    """Nobody acts on a record that a power cut could take back: its reader syncs it first."""
    write(Journal(folder, "boot-1"), "unsynced")
    synced = mocker.spy(os, "fdatasync")
    for boot, expected in (("boot-1", 1), ("boot-2", 2)):  # of another boot nothing is known
        journal = Journal(folder, boot)
        with journal.lock_to_read():
            list(journal.catch_up())
            journal.settle_what_was_read()

        assert synced.call_count == expected
