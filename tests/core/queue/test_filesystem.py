"""The filesystem queue keeps the contract, and survives what files go through."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from attrs import evolve

from fetchml_core.errors import FetchError
from fetchml_core.jobs.job import Stop
from fetchml_core.queue.base import Beat, Pause
from fetchml_core.queue.filesystem import FilesystemQueue
from fetchml_core.queue.filesystem_folder import QueueFolder
from tests.core.queue.contract import LEASE, SPEC, FakeClock, QueueContract, first, order, running
from tests.core.queue.old_samples import SAMPLES, assert_all_is_there


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
    path.write_bytes(b"FETCHML-JOB 2 00000000 2\n{}\n")

    with pytest.raises(FetchError, match="has format 2, we read 1"):
        open_queue().jobs()


def test_a_flipped_digit_is_no_newer_format(folder, open_queue):
    """The rest of the file tells that it is of ours."""
    open_queue().submit(SPEC, user="anna", key="1")
    path = folder / "jobs" / "1"
    path.write_bytes(path.read_bytes().replace(b"JOB 1 ", b"JOB 3 ", 1))

    with pytest.raises(FetchError, match="queue-damaged"):
        open_queue().jobs()
    assert [damage.jobs for damage in open_queue().check(repair=True)] == [(1,)]


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


def test_format_1_without_revisions_loads(folder, open_queue):
    """A folder of the first version, whose records carry neither revision nor line, goes on."""
    shutil.copytree(SAMPLES / "filesystem-1", folder)

    assert_all_is_there(open_queue)


def test_format_1_may_have_lost_its_revision(folder, open_queue):
    """It was not synced, so a power cut may have taken it; what comes then is higher than what stands for it."""
    shutil.copytree(SAMPLES / "filesystem-1", folder)
    (folder / "revision").write_bytes(b"")
    queue = open_queue()
    last = queue.changes(0)[-1].revision
    queue.hold(2)

    assert [job.id for job in queue.changes(last)] == [2]


def three_jobs(queue):
    """Three queued jobs."""
    return [queue.submit(SPEC, user="anna", key=str(n)) for n in range(3)]


def test_the_rest_is_served_beside_a_damaged_file(folder, open_queue):
    """Jobs that can be read are worked on; lists and new jobs tell what is wrong, until it is moved aside."""
    queue = open_queue()
    three_jobs(queue)
    (folder / "jobs" / "2").write_bytes(b"FETCHML-JOB 1 00000000 9\n{}\n")
    queue = open_queue()
    for refused in (
        queue.jobs,
        queue.counts,
        lambda: queue.changes(0),
        lambda: list(queue.export()),
        lambda: queue.get(2),
        lambda: queue.stop(2, Stop("anna")),
        lambda: queue.submit(SPEC, user="anna", key="new"),
        lambda: queue.adopt([]),
    ):
        with pytest.raises(FetchError, match="queue-damaged") as caught:
            refused()
        assert caught.value.hint == "ml queue check --repair"
    assert queue.get(3).id == 3
    assert order(queue) == [1, 3]
    queue.claim(first, LEASE)
    assert queue.advance(1, 1, Beat(LEASE)).id == 1

    assert [damage.jobs for damage in queue.check()] == [(2,)]
    (damage,) = queue.check(repair=True)
    assert (damage.jobs, damage.repair) == ((2,), f"moved to {folder / 'damaged' / '2'}")
    assert (folder / "damaged" / "2").read_bytes().endswith(b"{}\n")
    assert queue.check() == []
    assert [job.id for job in queue.jobs()] == [job.id for job in open_queue().jobs()] == [1, 3]
    assert open_queue().submit(SPEC, user="anna", key="new").id == 4


def test_a_repair_never_overwrites_an_earlier_one(folder, open_queue):
    """Two files of one name that were damaged are both kept."""
    queue = open_queue()
    for text in (b"first", b"second"):
        queue.submit(SPEC, user="anna", key="1")
        queue.pause(Pause("anna"))
        (folder / "paused").write_bytes(text)
        with pytest.raises(FetchError, match="queue-damaged"):
            queue.claim(first, LEASE)
        (damage,) = queue.check(repair=True)
        assert "jobs are given out again" in damage.repair

    assert {path.read_bytes() for path in (folder / "damaged").iterdir()} == {b"first", b"second"}
    assert queue.claim(first, LEASE).id == 1


def test_a_file_under_another_id_is_damage(folder, open_queue):
    """A copied file is no second job."""
    three_jobs(open_queue())
    shutil.copy(folder / "jobs" / "1", folder / "jobs" / "9")

    assert (9,) in [damage.jobs for damage in open_queue().check()]


@pytest.mark.parametrize("text", [b"", b"x", b"1\n"])
def test_a_wrong_last_id_is_repaired(folder, open_queue, text):
    """Ids stay higher than all that were given, those of damaged files too."""
    three_jobs(open_queue())
    (folder / "jobs" / "3").write_bytes(b"")
    assert [damage.jobs for damage in open_queue().check(repair=True)] == [(3,)]
    (folder / "last").write_bytes(text)
    (damage,) = open_queue().check()
    assert damage.place == str(folder / "last")
    open_queue().check(repair=True)

    assert open_queue().check() == []
    assert open_queue().submit(SPEC, user="anna", key="new").id == 4


@pytest.mark.parametrize("data", [bytes(8), b"", b"\xff" * 8, b"\1" + bytes(8)])
def test_a_wrong_revision_is_repaired(folder, open_queue, data):
    """Changes after the repair are higher than all before."""
    queue = open_queue()
    highest = three_jobs(queue)[-1].revision
    (folder / "revision").write_bytes(data)
    assert [damage.place for damage in queue.check(repair=True)] == [str(folder / "revision")]

    assert open_queue().check() == []
    assert queue.hold(1).revision > highest


def test_everything_at_once_is_repaired(folder, open_queue):
    """However much is damaged, one repair is enough."""
    queue = open_queue()
    three_jobs(queue)
    queue.pause(Pause("anna"))
    for name in ("jobs/1", "jobs/3", "last", "revision", "beats", "paused"):
        (folder / name).write_bytes(b"\xff" * 20)
    assert len(queue.check()) == 6
    assert len(queue.check(repair=True)) == 6

    assert queue.check() == []
    assert [job.id for job in open_queue().jobs()] == [2]
    assert queue.submit(SPEC, user="anna", key="new").id == 4


def no_space_after(calls):
    """Syncs of which the first so many work."""
    spare = iter([None] * calls)

    def sync(_):
        try:
            next(spare)
        except StopIteration:
            raise OSError(28, "No space left on device") from None

    return sync


def test_a_failed_change_is_no_job(folder, open_queue, mocker):
    """When a folder cannot be synced, what was put there is taken away again: all of an array or none."""
    queue = open_queue()
    queue.submit(SPEC, user="anna", key="1")
    mocker.patch("os.fsync", side_effect=no_space_after(4))
    with pytest.raises(FetchError, match="disk-full"):
        queue.submit_array([evolve(SPEC, name=str(n)) for n in range(3)], user="anna", key="2")
    mocker.stopall()

    assert [job.id for job in queue.jobs()] == [job.id for job in open_queue().jobs()] == [1]


def test_a_failed_change_leaves_the_first_at_worst(folder, open_queue, mocker):
    """When it cannot be taken back either, asking again completes it, as after a kill."""
    mocker.patch("os.fsync", side_effect=no_space_after(9))  # the last of them
    unlink = Path.unlink

    def unlink_but_2(path, *, missing_ok=False):
        if path.name == "2":
            raise OSError(5, "Input/output error", str(path))
        unlink(path, missing_ok=missing_ok)

    mocker.patch("pathlib.Path.unlink", unlink_but_2)
    with pytest.raises(FetchError, match=r"io-error|disk-full"):
        open_queue().submit_array([SPEC] * 3, user="anna", key="1")
    mocker.stopall()

    assert [job.id for job in open_queue().jobs()] == [1, 2]
    assert len(open_queue().submit_array([SPEC] * 3, user="anna", key="1")) == 3
    assert len(open_queue().jobs()) == 3


def test_a_job_that_left_is_gone_for_all(folder, open_queue):
    """A view that had read it sees that it is gone; its id is not given again."""
    queue = open_queue()
    three_jobs(queue)
    assert len(queue.jobs()) == 3
    files = QueueFolder(folder)
    for _ in range(2):  # ended in between, it is done again
        with files.changing():
            files.forget(3)

    assert [job.id for job in queue.jobs()] == [1, 2]
    assert queue.submit(SPEC, user="anna", key="new").id == 4


def test_a_beat_wakes_nobody(open_queue):
    """Heartbeats are written often and are no news."""
    queue = open_queue()
    running(queue)
    watch = open_queue().watch()
    watch.clear()
    before = queue.revision()
    queue.advance(1, 1, Beat(LEASE))

    assert queue.revision() == before
    watch.close()
