"""The filesystem queue keeps the contract, and survives what files go through."""

from __future__ import annotations

import pytest

from fetchml_core.errors import FetchError
from fetchml_core.queue.filesystem import FilesystemQueue
from tests.core.queue.contract import SPEC, FakeClock, QueueContract


@pytest.fixture
def clock():
    """A clock that stands still."""
    return FakeClock()


@pytest.fixture
def folder(tmp_path):
    """The queue's folder."""
    return tmp_path / "queue-files"


@pytest.fixture
def open_queue(folder, clock):
    """A factory of views of one queue."""
    return lambda: FilesystemQueue(folder, clock)


class TestFilesystem(QueueContract):
    """The contract."""


def test_reading_makes_nothing(folder, open_queue):
    """Looking at a queue that is not there does not create it."""
    assert open_queue().jobs() == []
    assert not folder.exists()


def test_flipped_and_cut_bytes_are_found(folder, open_queue):
    """Damage at any place of a job's file is reported with the file's name, never skipped."""
    open_queue().submit(SPEC, user="anna", key="1")
    path = folder / "jobs" / "1"
    good = path.read_bytes()
    bad = [good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :] for place in range(len(good))]
    for data in [*bad, *(good[:length] for length in range(len(good)))]:
        path.write_bytes(data)
        with pytest.raises(FetchError, match=r"queue-damaged|queue-format") as caught:
            open_queue().get(1)
        assert caught.value.context == str(path)


def test_newer_format_is_refused(folder, open_queue):
    """A job of a later version is left alone."""
    open_queue().submit(SPEC, user="anna", key="1")
    path = folder / "jobs" / "1"
    path.write_bytes(path.read_bytes().replace(b"JOB 1 ", b"JOB 2 ", 1))

    with pytest.raises(FetchError, match="has format 2, we read 1"):
        open_queue().jobs()


def test_an_id_is_never_given_twice(folder, open_queue):
    """Whatever becomes of a job's file, and when a crash came between number and file, the next id is a new one."""
    open_queue().submit(SPEC, user="anna", key="1")
    open_queue().submit(SPEC, user="anna", key="2")
    (folder / "jobs" / "2").unlink()

    assert open_queue().submit(SPEC, user="anna", key="3").id == 3


def test_a_killed_write_leaves_no_job(folder, open_queue):
    """What a killed writer left beside the files is no job."""
    open_queue().submit(SPEC, user="anna", key="1")
    (folder / "jobs" / ".2.4711.tmp").write_bytes(b"FETCHML-JOB 1 0")

    assert [job.id for job in open_queue().jobs()] == [1]


def test_failed_sync_accepts_nothing(open_queue, mocker):
    """When the disk refuses, the error is explained, the job is not there, and the next one is."""
    queue = open_queue()
    queue.submit(SPEC, user="anna", key="1")
    mocker.patch("os.fsync", side_effect=OSError(28, "No space left on device"))
    with pytest.raises(FetchError, match="disk-full"):
        queue.submit(SPEC, user="anna", key="2")
    mocker.stopall()

    assert [job.id for job in open_queue().jobs()] == [1]
    assert queue.submit(SPEC, user="anna", key="2").user == "anna"
