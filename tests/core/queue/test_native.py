"""The native queue keeps the contract, and survives what files go through."""

from __future__ import annotations

import json
import os

import pytest

from fetchml_core.clock import BootTime
from fetchml_core.errors import FetchError
from fetchml_core.jobs.states import State
from fetchml_core.queue.journal import Journal
from fetchml_core.queue.journal_format import to_line
from fetchml_core.queue.native import NativeQueue
from tests.core.queue.contract import LEASE, SPEC, FakeClock, QueueContract, first


class BootClock(FakeClock):
    """A clock of a machine that can be started anew."""

    boots = 1

    def boot(self):
        """The boot clock."""
        return BootTime(f"boot-{self.boots}", self.time)


@pytest.fixture
def clock():
    """A clock that stands still."""
    return BootClock()


@pytest.fixture
def open_queue(tmp_path, clock):
    """A factory of views of one queue."""
    return lambda: NativeQueue(tmp_path / "queue", clock)


@pytest.fixture
def reboot(clock):
    """Let the machine start anew."""

    def start_anew():
        clock.boots += 1

    return start_anew


class TestNative(QueueContract):
    """The contract."""


def journal(tmp_path):
    """Return the file."""
    return tmp_path / "queue" / "journal"


def test_reading_makes_nothing(tmp_path, open_queue):
    """Looking at a queue that is not there does not create it."""
    assert open_queue().jobs() == []
    assert not (tmp_path / "queue").exists()


def records(tmp_path):
    """Return what the journal holds, without the room behind."""
    return journal(tmp_path).read_bytes().rstrip(b"\0")


def test_every_cut_of_the_last_record_loses_only_it(tmp_path, open_queue, reboot):
    """A write that a power cut took at any byte was never acknowledged; all before it stays, and writing goes on."""
    open_queue().submit(SPEC, user="anna", key="1")
    whole = records(tmp_path)
    open_queue().submit(SPEC, user="anna", key="2")
    longer = records(tmp_path)
    for length in range(len(whole), len(longer)):
        for room in (b"", bytes(8192)):
            journal(tmp_path).write_bytes(longer[:length] + room)
            reboot()
            queue = open_queue()
            assert [job.id for job in queue.jobs()] == [1]
            assert queue.submit(SPEC, user="anna", key="3").id == 2
            assert [job.id for job in open_queue().jobs()] == [1, 2]


def test_pages_behind_the_end_that_a_power_cut_left_are_dropped(tmp_path, open_queue, reboot):
    """A later page may have reached the disk before an earlier one: what stands behind the hole never counted."""
    open_queue().submit(SPEC, user="anna", key="1")
    whole = records(tmp_path)
    hole = bytes(-len(whole) % 4096)
    journal(tmp_path).write_bytes(whole + hole + b'1234 5 {"e":"claim"}\n' + bytes(100))
    reboot()
    queue = open_queue()

    assert [job.id for job in queue.jobs()] == [1]
    assert queue.submit(SPEC, user="anna", key="2").id == 2
    reboot()
    assert [job.id for job in open_queue().jobs()] == [1, 2]


def test_what_a_killed_writer_left_is_removed(tmp_path, open_queue, reboot):
    """A record that was written and not counted yet does not count, and leaves no trace under a shorter one."""
    queue = open_queue()
    queue.submit(SPEC, user="anna", key="1")
    whole = records(tmp_path)
    with journal(tmp_path).open("r+b") as file:
        file.seek(len(whole))
        file.write(b"x" * 5000)

    assert [job.id for job in open_queue().jobs()] == [1]
    assert open_queue().submit(SPEC, user="anna", key="2").id == 2
    reboot()
    assert [job.id for job in open_queue().jobs()] == [1, 2]


def test_cut_header_starts_anew(tmp_path, open_queue, reboot):
    """A queue whose first write was cut inside the header holds no job, and takes the next."""
    open_queue().submit(SPEC, user="anna", key="1")
    header = journal(tmp_path).read_bytes().split(b"\n")[0]
    for length in range(len(header) + 1):
        journal(tmp_path).write_bytes(header[:length])
        reboot()
        assert open_queue().submit(SPEC, user="anna", key="1").id == 1
        assert len(open_queue().jobs()) == 1


@pytest.mark.parametrize("flip", [1, 0x80])
@pytest.mark.parametrize("booted", [False, True])
def test_flipped_bytes_are_found(tmp_path, open_queue, reboot, flip, booted):
    """Damage inside an acknowledged record is reported with its place, never skipped."""
    open_queue().submit(SPEC, user="anna", key="1")
    good = records(tmp_path)
    room = bytes(4096 - len(good) % 4096)
    for place in range(good.index(b"\n") + 1, len(good) - booted):
        journal(tmp_path).write_bytes(good[:place] + bytes([good[place] ^ flip]) + good[place + 1 :] + room)
        if booted:
            reboot()
        with pytest.raises(FetchError, match=r"queue-damaged|damaged-record"):
            open_queue().jobs()


def test_a_zero_inside_a_record_is_no_end(tmp_path, open_queue, reboot):
    """The records end with zeros up to the end of a page; a single one is damage."""
    open_queue().submit(SPEC, user="anna", key="1")
    good = records(tmp_path)
    for place in range(good.index(b"\n") + 1, len(good) - 1):
        journal(tmp_path).write_bytes(good[:place] + b"\0" + good[place + 1 :] + bytes(100))
        reboot()
        with pytest.raises(FetchError, match="queue-damaged"):
            open_queue().jobs()


def test_newer_format_is_refused(tmp_path, open_queue):
    """A queue of a later version is left alone."""
    open_queue().submit(SPEC, user="anna", key="1")
    journal(tmp_path).write_bytes(journal(tmp_path).read_bytes().replace(b"QUEUE 2", b"QUEUE 3", 1))

    with pytest.raises(FetchError, match="queue-format"):
        open_queue().submit(SPEC, user="anna", key="2")


NO_DISK = OSError(5, "Input/output error")


@pytest.mark.parametrize("known", [True, False])
def test_a_failed_sync_is_made_good_in_another_file(tmp_path, open_queue, mocker, reboot, known):
    """What the disk refused once is written anew elsewhere, with all that was there; everybody goes on in it."""
    open_queue().submit(SPEC, user="anna", key="1")
    queue, other = open_queue(), open_queue()
    assert len(other.jobs()) == 1
    inode = journal(tmp_path).stat().st_ino

    def refuse(_):
        if not known:
            os.truncate(tmp_path / "queue" / "state", 0)
        raise NO_DISK

    synced = mocker.patch("os.fdatasync", side_effect=refuse)
    assert queue.submit(SPEC, user="anna", key="2").id == 2
    mocker.stopall()

    assert synced.call_count == 1
    assert journal(tmp_path).stat().st_ino != inode
    assert other.submit(SPEC, user="bob", key="3").id == 3
    reboot()
    assert [job.user for job in open_queue().jobs()] == ["anna", "anna", "bob"]


def test_a_disk_that_takes_nothing_is_told_and_made_good_later(tmp_path, open_queue, mocker):
    """Where another file fails, too, nobody adds anything until one has been written; asking again doubles nothing."""
    open_queue().submit(SPEC, user="anna", key="1")
    queue, other = open_queue(), open_queue()
    assert len(other.jobs()) == 1
    mocker.patch("os.fdatasync", side_effect=NO_DISK)
    refusals = mocker.patch("os.fsync", side_effect=NO_DISK)
    with pytest.raises(FetchError, match="io-error"):
        queue.submit(SPEC, user="anna", key="2")
    mocker.patch("os.fdatasync")  # the kernel tells of a failure once, then says that all is well
    for view in (queue, other, open_queue()):
        with pytest.raises(FetchError, match="io-error"):
            view.submit(SPEC, user="bob", key="3")
        assert len(view.jobs()) == 2
    mocker.stopall()

    assert refusals.call_count == 4
    assert other.submit(SPEC, user="anna", key="2").id == 2
    assert queue.submit(SPEC, user="bob", key="3").id == 3
    assert [job.user for job in open_queue().jobs()] == ["anna", "anna", "bob"]


def test_what_the_kernel_dropped_is_not_made_up(tmp_path, open_queue, mocker):
    """Where the records that were to be written are no longer there, the old file stays as it is, and says so."""
    open_queue().submit(SPEC, user="anna", key="1")
    queue, inode = open_queue(), journal(tmp_path).stat().st_ino

    def lose(fd):
        os.pwrite(fd, b"x" * 20, len(records(tmp_path)) - 30)
        raise NO_DISK

    mocker.patch("os.fdatasync", side_effect=lose)
    with pytest.raises(FetchError, match="io-error"):
        queue.submit(SPEC, user="anna", key="2")
    mocker.stopall()

    assert journal(tmp_path).stat().st_ino == inode
    with pytest.raises(FetchError, match="queue-damaged"):
        open_queue().submit(SPEC, user="anna", key="3")


def write(journal, text):
    """Append an event and leave it unsynced."""
    with journal.lock():
        if not journal.look():
            journal.forget()
        journal.catch_up()
        journal.prepare()
        return journal.append(to_line(b'{"e":"%s"}' % text.encode()))


def read(folder):
    """What a fresh process reads."""
    journal = Journal(folder, "boot-1")
    with journal.lock_to_read():
        return [json.loads(body)["e"] for body in journal.bodies(journal.catch_up())]


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


def test_a_failed_sync_takes_nobody_elses_record(folder, mocker):
    """Whoever had appended behind the one whose sync failed finds its record on disk in the other file."""
    first, second, third = (Journal(folder, "boot-1") for _ in range(3))
    one, two = write(first, "one"), write(second, "two")
    mocker.patch("os.fdatasync", side_effect=NO_DISK)
    first.settle(one)
    second.settle(two)
    mocker.stopall()

    assert read(folder) == ["old", "one", "two"]
    third.settle(write(third, "three"))
    second.settle(write(second, "four"))
    assert read(folder) == ["old", "one", "two", "three", "four"]


def test_a_sync_that_is_not_needed_cannot_fail(folder, mocker):
    """A record that another process's sync has reached is on disk, and its writer is right to say so."""
    first, second = (Journal(folder, "boot-1") for _ in range(2))
    read_by_first = write(second, "zero")
    one, two = write(first, "one"), write(second, "two")
    second.settle(two)
    second.settle(read_by_first)
    mocker.patch("os.fdatasync", side_effect=NO_DISK)
    first.settle(one)
    mocker.stopall()

    assert read(folder) == ["old", "zero", "one", "two"]


def test_what_is_read_is_on_disk(folder, mocker):
    """Nobody acts on a record that a power cut could take back: its reader syncs it first."""
    write(Journal(folder, "boot-1"), "unsynced")
    synced = mocker.spy(os, "fdatasync")
    for boot, expected in (("boot-1", 1), ("boot-2", 2)):  # of another boot nothing is known
        journal = Journal(folder, boot)
        with journal.lock_to_read():
            journal.catch_up()
            journal.settle_what_was_read()

        assert synced.call_count == expected


def test_only_a_claim_of_ones_own_is_acted_upon_before_it_is_on_disk(tmp_path, open_queue, mocker):
    """Whoever claims may look at it without a sync; others may not, and what came before it must be there."""
    queue, other = open_queue(), open_queue()
    for key in "12":
        queue.submit(SPEC, user="anna", key=key)
    synced = mocker.spy(os, "fdatasync")
    queue.claim(first, LEASE)
    assert (queue.get(1).state, queue.revision()) == (State.STARTING, 3)
    assert synced.call_count == 0
    other.claim(first, LEASE)
    assert synced.call_count == 0
    assert queue.revision() == 4
    assert synced.call_count == 1
    assert open_queue().get(1).state is State.STARTING
    assert synced.call_count == 2


def test_where_nothing_is_known_all_is_synced_first(tmp_path, open_queue, mocker):
    """Without its state the journal may hold what is on no disk: nothing is added behind it before it is."""
    open_queue().submit(SPEC, user="anna", key="1")
    (tmp_path / "queue" / "state").unlink()
    before, ends = records(tmp_path), []
    mocker.patch("os.fdatasync", side_effect=lambda _: ends.append(records(tmp_path)))
    open_queue().submit(SPEC, user="anna", key="2")

    assert ends == [before, records(tmp_path)]
