"""What a job printed, from any byte on, and where the last lines begin."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fetchml_core.jobs.job import Outcome
from fetchml_core.jobs.states import State
from fetchml_core.queue.base import Finished, Requeued
from fetchml_core.service import logs
from fetchml_core.service.logs import tail_offset
from fetchml_core.wire.output import LogsRequest
from tests.core.service.support import LEASE, Talk


@pytest.fixture(scope="module")
def control(tmp_path_factory):
    """A control folder whose log each example writes anew."""
    return tmp_path_factory.mktemp("control")


@given(
    st.lists(st.sampled_from([b"\n", b"a", b"bc", b"\r", b"\xff"]), max_size=30).map(b"".join),
    st.integers(-1, 8),
)
def test_tail_offset_is_where_the_last_lines_begin(control, data, lines):
    """The same as splitting the whole log into lines and counting from the end."""
    (control / "log").write_bytes(data)
    kept = data.split(b"\n")
    kept = [line + b"\n" for line in kept[:-1]] + ([kept[-1]] if kept[-1] else [])
    expected = b"".join(kept[-lines:]) if lines > 0 else b""

    assert data[tail_offset(control, lines) :] == expected


def test_tail_of_no_log(tmp_path):
    """A job that printed nothing has no last lines."""
    assert tail_offset(tmp_path / "none", 5) == 0


def test_tail_reaches_back_so_far_and_no_farther(tmp_path, mocker):
    """One endless line is not read whole."""
    mocker.patch.object(logs, "MAX_TAIL", 10)
    (tmp_path / "log").write_bytes(b"x" * 100)

    assert tail_offset(tmp_path, 3) == 90


def test_tail_does_not_count_over_a_gap(tmp_path):
    """Where the middle was dropped the last lines begin after it."""
    (tmp_path / "log").write_bytes(b"1\n2\n")
    (tmp_path / "log.1000").write_bytes(b"8\n9\n")

    assert tail_offset(tmp_path, 1) == 1002
    assert tail_offset(tmp_path, 2) == 1000
    assert tail_offset(tmp_path, 9) == 1000


# --- the verb ---


def read(world, talk=None, **request):
    """Ask for the log of job 1."""
    talk = talk or Talk()
    return world.ask("logs", LogsRequest("1", **request), talk), talk


def test_the_whole_log_and_where_it_ended(world):
    """Bytes as they were printed; the reply says where to go on."""
    world.print_log(world.ended(), b"one\n\x1b[2Jtwo\xff")
    reply, talk = read(world)

    assert talk.received == b"one\n\x1b[2Jtwo\xff"
    assert reply.offset == len(talk.received)


@given(st.integers(-5, 2**70))
def test_any_offset_is_taken(world_with_log, offset):
    """From an offset on, as often as one likes; beyond the end there is nothing, before the start is the start."""
    reply, talk = read(world_with_log, attempt=1, offset=offset)

    assert talk.received == b"0123456789"[max(0, offset) :]
    assert reply.offset >= len(talk.received)


@pytest.fixture(scope="module")
def world_with_log(tmp_path_factory):
    """A job that ended and printed ten bytes."""
    from tests.core.service.support import World

    made = World(tmp_path_factory.mktemp("logs") / "base")
    made.print_log(made.ended(), b"0123456789")
    return made


def test_an_offset_counts_in_its_attempt_only(world):
    """A log of another attempt begins at its start."""
    job = world.running()
    world.print_log(job, b"first attempt")
    world.host.queue.advance(1, 1, Requeued(Outcome(State.LOST)))
    again = world.host.queue.claim(lambda jobs: jobs[0], LEASE)
    world.print_log(again, b"second")
    _, talk = read(world, attempt=1, offset=5)

    assert talk.received == b"second"


def test_tail_begins_lines_before_the_end(world):
    """--tail is the other way to say where."""
    world.print_log(world.ended(), b"1\n2\n3\n")

    assert read(world, tail=2)[1].received == b"2\n3\n"
    assert read(world, tail=0)[1].received == b""


def test_what_was_dropped_is_said_where_it_was(world):
    """A gap is announced before the bytes that follow it."""
    control = world.print_log(world.ended(Outcome(State.SUCCEEDED, code=0, log_dropped=996)), b"1\n2\n")
    (control / "log.1000").write_bytes(b"8\n")
    reply, talk = read(world)

    assert talk.received == b"1\n2\n8\n"
    assert [(item.dropped, item.log_at) for item in talk.items if item.log_at is not None] == [
        (0, 0),
        (996, 1000),
    ]
    assert (reply.offset, reply.dropped) == (1002, 996)


def test_a_queued_job_says_why_it_waits(world):
    """There is no log yet, but a reason."""
    world.submit()
    reply, talk = read(world)

    assert [(item.job.state, item.why) for item in talk.items] == [(State.QUEUED, "starts next")]
    assert (talk.received, reply.offset) == (b"", 0)


def test_follow_goes_on_until_the_end(world):
    """News of each state, each byte once, through an attempt that is tried again."""
    job = world.running()
    world.print_log(job, b"a")

    class Drives(Talk):
        steps = 0

        def gone(self, seconds, also=-1):
            self.steps += 1
            if self.steps == 1:
                world.print_log(job, b"b")
            elif self.steps == 2:
                world.host.queue.advance(1, 1, Requeued(Outcome(State.LOST)))
            elif self.steps == 3:
                world.print_log(world.host.queue.claim(lambda jobs: jobs[0], LEASE), b"c")
            else:
                world.host.queue.advance(1, 2, Finished(Outcome(State.FAILED, code=1)))
            return False

    reply, talk = read(world, Drives(), follow=True)

    assert talk.received == b"abc"
    states = [item.job.state for item in talk.items if item.log_at is None]
    assert states == [State.RUNNING, State.QUEUED, State.STARTING, State.FAILED]
    assert [item.log_at for item in talk.items if item.log_at is not None] == [0, 0]
    assert (reply.job.state, reply.offset) == (State.FAILED, 1)


def test_the_seconds_until_the_next_try_are_told_once(world, mocker):
    """Not a line for each of them; another reason is told, and so is the wait after it."""
    world.submit()
    told = (
        "tried again in 9s (exit 3)",
        "tried again in 8s (exit 3)",
        "drained",
        "tried again in 6s (exit 3)",
    )
    mocker.patch.object(logs, "NEWS_S", 0)
    mocker.patch.object(logs, "why", side_effect=[{1: reason} for reason in (*told, *[told[-1]] * 9)])
    _, talk = read(world, Talk(leaves_after=6), follow=True)

    assert [item.why for item in talk.items] == [told[0], told[2], told[3]]


def test_follow_ends_when_the_client_leaves(world):
    """Nothing of the job changes."""
    world.running()
    before = world.everything()
    reply, _ = read(world, Talk(leaves_after=3), follow=True)

    assert reply.job.state is State.RUNNING
    assert world.everything() == before


def test_a_log_that_the_job_made_a_link_is_not_followed(world, tmp_path):
    """The job wrote the folder; a link in it leads nowhere."""
    (tmp_path / "secret").write_bytes(b"secret")
    control = world.print_log(world.ended(), b"")
    (control / "log").unlink()
    (control / "log").symlink_to(tmp_path / "secret")

    assert read(world)[1].received == b""
