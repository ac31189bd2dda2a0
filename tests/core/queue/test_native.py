"""The native queue keeps the contract, and survives what files go through."""

from __future__ import annotations

import pytest

from fetchml_core.errors import FetchError
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
