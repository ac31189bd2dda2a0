"""The native queue over the years: ended jobs leave the journal, older formats load, heartbeats stay beside."""

from __future__ import annotations

import gzip
import json
import os
import shutil

import pytest
from attrs import evolve

from fetchml_core.errors import FetchError
from fetchml_core.jobs.job import Outcome
from fetchml_core.jobs.states import State
from fetchml_core.queue import native
from fetchml_core.queue.base import Beat, Filter, Finished, Pause, Started
from fetchml_core.queue.journal_format import check_line, to_line
from fetchml_core.queue.native import NativeQueue
from tests.core.queue.contract import LAUNCH, LEASE, SPEC, FakeClock, first, running
from tests.core.queue.old_samples import SAMPLES, assert_all_is_there

BLOCK = 4


@pytest.fixture
def folder(tmp_path):
    """Where the queue lies."""
    return tmp_path / "queue"


@pytest.fixture
def clock():
    """A clock that stands still."""
    return FakeClock()


@pytest.fixture
def open_queue(folder, clock, mocker):
    """A factory of views of one queue, in which few ended jobs are enough for a compaction."""
    mocker.patch.object(native, "COMPACT_ENDED", BLOCK)
    return lambda: NativeQueue(folder, clock)


def end(queue, number):
    """Submit jobs and bring each to its end."""
    for _ in range(number):
        job = queue.submit(SPEC, user="anna", key=str(os.urandom(8)))
        queue.claim(lambda line, wanted=job.id: next(job for job in line if job.id == wanted), LEASE)
        queue.advance(job.id, 1, Started(LAUNCH, LEASE))
        queue.advance(job.id, 1, Finished(Outcome(State.SUCCEEDED, code=0)))


def records(folder):
    """Return the events in the journal."""
    lines = (folder / "journal").read_bytes().rstrip(b"\0").splitlines()[1:]
    return [json.loads(check_line(line)) for line in lines]


def sealed(folder):
    """How many jobs are in the history, by the journal."""
    return max(event["history"]["jobs"] for event in records(folder) if event["e"] == "base")


def test_ended_jobs_leave_the_journal(folder, open_queue):
    """It holds those that live, and the last few that ended; asked for, all are there, in every way."""
    queue, other = open_queue(), open_queue()
    waiting = queue.submit(evolve(SPEC, name="waiting"), user="bob", key="waiting")
    assert other.get(waiting.id) == waiting
    end(queue, 3 * BLOCK + 1)

    assert sealed(folder) == 3 * BLOCK
    assert len(records(folder)) < 20
    for view in (queue, other, open_queue()):
        assert [job.id for job in view.jobs()] == list(range(1, 3 * BLOCK + 3))
        assert [job.id for job in view.jobs(newest=True, limit=3)] == [14, 13, 12]
        assert [job.id for job in view.jobs(newest=True, after=3)] == [2, 1]
        assert [job.id for job in view.jobs(Filter(user="bob"))] == [waiting.id]
        assert view.counts()[State.SUCCEEDED] == 3 * BLOCK + 1
        assert view.get(2).outcome == Outcome(State.SUCCEEDED, code=0)
        assert view.get(waiting.id) == waiting


def test_a_key_is_known_after_its_job_has_left(open_queue):
    """Asking again for a job that ended long ago gives that job; other content under its key is refused."""
    queue = open_queue()
    job = queue.submit(SPEC, user="anna", key="k")
    queue.claim(first, LEASE)
    queue.advance(job.id, 1, Finished(Outcome(State.FAILED, code=1)))
    end(queue, 2 * BLOCK)

    assert open_queue().submit(SPEC, user="anna", key="k").id == job.id
    with pytest.raises(FetchError, match="key-reused"):
        open_queue().submit(evolve(SPEC, name="other"), user="anna", key="k")
    with pytest.raises(FetchError, match="stale-attempt"):
        queue.advance(job.id, 1, Finished(Outcome(State.SUCCEEDED)))


def test_nothing_else_is_lost_on_the_way(open_queue):
    """Pause, line, ids, revision and running jobs are the same after as before."""
    queue = open_queue()
    held = running(queue)
    queue.pause(Pause("anna", "disk"))
    queue.resume()
    end(queue, BLOCK)
    queue.pause(Pause("bob", "heat", 7.0))
    before = (queue.revision(), queue.paused(), queue.get(held.id))
    assert open_queue().hold(queue.submit(SPEC, user="bob", key="last").id).id == BLOCK + 2

    assert (queue.revision() - 2, queue.paused(), queue.get(held.id)) == before
    assert queue.advance(held.id, 1, Finished(Outcome(State.SUCCEEDED))).state is State.SUCCEEDED


def test_a_follower_sees_what_was_sealed_meanwhile(open_queue):
    """Who follows the changes from an old revision gets every job that ended since, each once."""
    queue = open_queue()
    end(queue, BLOCK)
    seen, after = [], queue.revision()
    end(queue, 5 * BLOCK + 2)
    while batch := queue.changes(after, limit=3):
        seen += [job.id for job in batch]
        after = batch[-1].revision

    assert seen == list(range(BLOCK + 1, 6 * BLOCK + 3))


@pytest.mark.parametrize("call", ["rename", "fsync", "fdatasync", "ftruncate", "open"])
def test_a_compaction_that_fails_changes_nothing(call, folder, open_queue, mocker):
    """The disk says no at any step of it: what is asked for goes on, or fails clearly; the jobs are all there."""
    queue = open_queue()
    end(queue, BLOCK)
    truth = queue.jobs()
    real = getattr(os, call)

    def refuse(*arguments, **options):
        if (
            "history" in str(arguments[0])
            or call in {"rename", "fsync"}
            or "journal.new" in str(arguments[0])
        ):
            raise OSError(28, "No space left on device")
        return real(*arguments, **options)

    mocker.patch(f"os.{call}", refuse)
    accepted = []
    for n in range(3):
        try:
            accepted.append(queue.submit(SPEC, user="bob", key=str(n)).id)
        except FetchError as error:
            assert error.code == "disk-full"
    mocker.stopall()

    for view in (queue, open_queue()):
        assert [job for job in view.jobs() if job.user == "anna"] == truth
        assert [job.id for job in view.jobs() if job.user == "bob"] == accepted
    end(queue, 3 * BLOCK)
    assert len(open_queue().jobs()) == 4 * BLOCK + len(accepted)


def test_beats_are_beside_the_journal(folder, open_queue):
    """A heartbeat writes no record, and everybody sees the new end of the lease; places are used again."""
    queue = open_queue()
    for n in range(3 * BLOCK):
        job = running(queue, key=str(n))
        before, revision = records(folder)[-1], queue.revision()
        queue.advance(job.id, 1, Beat(evolve(LEASE, until=200.0 + n)))

        assert (records(folder)[-1], queue.revision()) == (before, revision)
        assert open_queue().get(job.id).lease == evolve(LEASE, until=200.0 + n)
        queue.advance(job.id, 1, Finished(Outcome(State.SUCCEEDED)))
    assert (folder / "beats").stat().st_size == 40


def test_beats_of_another_boot_are_void(folder, open_queue, clock):
    """After a reboot the lease is the one in the journal, which has ended."""
    queue = open_queue()
    running(queue)
    queue.advance(1, 1, Beat(evolve(LEASE, until=1e9)))
    clock.boot = lambda: evolve(FakeClock.boot(clock), boot_id="boot-2")
    again = NativeQueue(folder, clock)

    assert again.get(1).lease == LEASE
    assert again.lease_ended(again.get(1).lease)


def test_a_claim_that_a_repair_lost_is_not_another_ones(folder, open_queue):
    """Then two workers may have got the same attempt number: the first one's word no longer counts."""
    open_queue().submit(SPEC, user="anna", key="1")
    mine, other = open_queue(), open_queue()
    assert mine.claim(first, LEASE).attempt.number == 1
    with (folder / "journal").open("r+b") as file:
        file.seek(file.read().index(b'"claim"'))
        file.write(b'"clone"')
    assert len(open_queue().check(repair=True)) == 1
    assert other.claim(first, evolve(LEASE, worker="box2")).attempt.number == 1

    with pytest.raises(FetchError, match="stale-attempt"):
        mine.advance(1, 1, Started(LAUNCH, LEASE))
    assert other.advance(1, 1, Started(LAUNCH, LEASE)).state is State.RUNNING


@pytest.mark.parametrize("version", [1, 2])
def test_queues_of_older_versions_load(version, folder, open_queue):
    """What an older version has written is there, and goes on in today's format."""
    shutil.copytree(SAMPLES / f"native-{version}", folder)
    assert_all_is_there(open_queue)

    assert (folder / "journal").read_bytes().startswith(b"FETCHML-QUEUE 2 ")


def test_a_process_of_format_1_stops(folder, open_queue):
    """It goes on reading the file it has open: a line in it that does not check keeps it from writing there."""
    shutil.copytree(SAMPLES / "native-1", folder)
    with (folder / "journal").open("rb") as old:
        open_queue().submit(SPEC, user="anna", key="new")

        assert check_line(old.read().splitlines()[-1]) is None


def test_fields_of_newer_versions_stay(folder, open_queue):
    """What this version does not know of a job is still there when the job is sealed."""
    queue = open_queue()
    queue.submit(SPEC, user="anna", key="k")
    data = (folder / "journal").read_bytes().rstrip(b"\0").splitlines()
    event = json.loads(check_line(data[1]))
    event["spec"]["colour"] = "green"
    (folder / "journal").write_bytes(data[0] + b"\n" + to_line(json.dumps(event).encode()))
    (folder / "state").unlink()
    queue = open_queue()
    queue.claim(first, LEASE)
    queue.advance(1, 1, Finished(Outcome(State.SUCCEEDED)))
    end(queue, 2 * BLOCK)

    assert sealed(folder) >= BLOCK
    line = gzip.decompress((folder / "history" / "jobs.gz").read_bytes()).splitlines()[0]
    assert json.loads(line)["job"]["spec"]["colour"] == "green"
    assert open_queue().get(1).spec == SPEC


def test_whoever_has_the_old_journal_open_sees_the_new_one(folder, open_queue, mocker):
    """Its writer was killed when it had its name and nothing else told of it: a process that reads the old one turns to it."""
    queue = open_queue()
    mocker.patch.object(native, "COMPACT_ENDED", 100)
    other = open_queue()
    end(queue, BLOCK)
    assert len(other.jobs()) == BLOCK
    inode = (folder / "journal").stat().st_ino
    mocker.patch("fetchml_core.queue.journal.sync_folder", side_effect=KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        queue.submit(SPEC, user="anna", key="cut")
    mocker.stopall()
    assert (folder / "journal").stat().st_ino != inode

    job = other.submit(SPEC, user="anna", key="next")
    assert open_queue().get(job.id) == job


def test_the_line_goes_on_after_a_jump_of_the_clock(folder, open_queue, clock):
    """Whoever submits counts on from the job before it, be it read, skimmed, or before the journal was begun anew."""
    clock.time = 1e9
    queue, other = open_queue(), open_queue()
    line = queue.submit(SPEC, user="anna", key="ahead").line
    clock.time = 1000.0
    assert queue.submit(SPEC, user="anna", key="back").line == line
    for n in range(3):
        for view in (queue, other, open_queue()):
            clock.time += 10.0
            line += 10.0
            assert view.submit(SPEC, user="anna", key=f"{n}/{line}").line == line
        end(queue, BLOCK)

    assert sealed(folder) == 2 * BLOCK


@pytest.mark.parametrize("left", [None, 0, 1, 2])
def test_a_journal_that_is_lost_is_not_begun_anew(left, folder, open_queue):
    """No file, or only so many lines of it: where jobs have ended that is damage, and a repair serves the history."""
    queue = open_queue()
    end(queue, 2 * BLOCK)
    journal = folder / "journal"
    queue.submit(SPEC, user="anna", key="one more")  # with it all that ended before is in the history
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.unlink()
    (folder / "state").unlink()
    if left is not None:
        journal.write_bytes(b"".join(lines[:left]))
    before = (folder / "history/jobs.gz").read_bytes()

    for ask in (
        lambda: open_queue().submit(SPEC, user="anna", key="new"),
        lambda: open_queue().jobs(),
        lambda: open_queue().get(1),
    ):
        with pytest.raises(FetchError, match="queue-damaged") as error:
            ask()
        assert str(journal) in error.value.context
        assert error.value.hint == "ml queue check --repair"
    assert open_queue().check()
    assert open_queue().check(repair=True)
    assert open_queue().check() == []
    assert (folder / "history/jobs.gz").read_bytes() == before
    assert [job.id for job in open_queue().jobs()] == list(range(1, 2 * BLOCK + 1))
    assert open_queue().submit(SPEC, user="anna", key="new").id > 2 * BLOCK


def test_what_both_the_journal_and_the_history_hold_is_there_once(folder, open_queue, mocker):
    """A compaction was cut after the history was written, and then the journal's first line was lost."""
    mocker.patch.object(native, "COMPACT_ENDED", 100)
    queue = open_queue()
    end(queue, BLOCK)
    waiting = queue.submit(SPEC, user="anna", key="waiting")
    mocker.patch.object(native, "COMPACT_ENDED", BLOCK)
    mocker.patch("pathlib.Path.rename", side_effect=KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        open_queue().hold(waiting.id)
    mocker.stopall()
    assert (folder / "history/jobs.gz").stat().st_size
    with (folder / "journal").open("r+b") as file:
        file.write(b"X")

    before = queue.jobs()
    assert len(before) == BLOCK + 1
    open_queue().check(repair=True)
    assert open_queue().check() == []
    assert open_queue().jobs() == before


@pytest.mark.parametrize("compactions", [1, 2, 3])
def test_whoever_has_a_journal_open_that_lost_its_first_line_sees_the_mended_one(
    compactions, folder, open_queue
):
    """Nobody goes on writing to the file that was replaced, although its number was lost with the line."""
    queue, other = open_queue(), open_queue()
    end(queue, compactions * BLOCK)
    queue.submit(SPEC, user="anna", key="one more")
    assert len(other.jobs()) == compactions * BLOCK + 1
    with (folder / "journal").open("r+b") as file:
        file.write(b"X")

    assert open_queue().check(repair=True)
    job = other.submit(SPEC, user="anna", key="behind the repair")
    assert open_queue().get(job.id) == job
