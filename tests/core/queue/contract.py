"""The contract of `fetchml_core.queue.base.Queue`, run against every engine."""

from __future__ import annotations

import multiprocessing
import select

import pytest
from attrs import evolve

from fetchml_core.clock import BootTime
from fetchml_core.errors import FetchError
from fetchml_core.jobs.job import Job, JobSpec, Launched, Lease, Outcome, Stop
from fetchml_core.jobs.states import FINAL, State
from fetchml_core.queue.base import (
    AGEING_S,
    ALL,
    UNFINISHED,
    Beat,
    Filter,
    Finished,
    Pause,
    Requeued,
    Returned,
    Started,
    Stored,
)
from fetchml_core.queue.engines import open_queue as open_engine

SPEC = JobSpec(name="train", argv=("python3", "train.py"), snapshot="a" * 64)
LEASE = Lease("box1", "boot-1", 100.0)
LAUNCH = Launched("process", pid=7, start_ticks=9)
FORK = multiprocessing.get_context("fork")
ODD = (
    "anna",
    "Anna",
    "anna ",
    "",
    "ä\u0308\U0001f600",
    "a\nb\0c",
    "'; --",
    "*",
    "%",
    "\udcff",
    "\udcfe",
    "x" * 70_000,
)
"""Texts that a careless engine takes for one another, for a pattern, or for an end."""


class FakeClock:
    """Stands still until somebody moves it: the wall clock by `time`, the boot clock by `uptime`."""

    def __init__(self) -> None:
        self.time = 1_000.0
        self.uptime = 50.0

    def now(self) -> float:
        """The wall clock."""
        return self.time

    def boot(self) -> BootTime:
        """The boot clock."""
        return BootTime("boot-1", self.uptime)


def first(jobs):
    """Choose the job that is first in line."""
    return jobs[0] if jobs else None


def running(queue, spec=SPEC, key="k"):
    """Submit a job and bring it to running."""
    job = queue.submit(spec, user="anna", key=key)
    queue.claim(first, LEASE)
    return queue.advance(job.id, 1, Started(LAUNCH, LEASE))


def order(queue):
    """The ids of the queued jobs, as a claim is offered them."""
    offered = []
    queue.claim(lambda jobs: offered.__setitem__(slice(None), [job.id for job in jobs]), LEASE)
    return offered


def various(queue, prefix=""):
    """Twelve jobs of two users in all kinds of states; returns nothing, the queue tells."""
    new = []
    for n in range(12):
        name = f"{('train', 'eval')[n % 2]}-{n % 3}"
        spec = evolve(SPEC, name=name, priority=1 + n % 10)
        new.append(queue.submit(spec, user=("anna", "bob")[n // 6], key=f"{prefix}various {n}").id)
    take = {
        "running": 0,
        "stopping": 1,
        "failed": 2,
        "succeeded": 3,
        "requeued": 4,
        "returned": 5,
        "starting": 6,
    }
    for place in take.values():
        queue.claim(lambda jobs, place=place: next(job for job in jobs if job.id == new[place]), LEASE)
    for word in ("running", "stopping", "failed", "succeeded", "requeued"):
        queue.advance(new[take[word]], 1, Started(LAUNCH, LEASE))
    queue.stop(new[take["stopping"]], Stop("anna", "enough"))
    queue.advance(new[take["failed"]], 1, Finished(Outcome(State.FAILED, "exit 3", code=3)))
    queue.advance(new[take["succeeded"]], 1, Finished(Outcome(State.SUCCEEDED, code=0)))
    queue.advance(new[take["requeued"]], 1, Requeued(Outcome(State.LOST, "worker died")))
    queue.advance(new[take["returned"]], 1, Returned())
    queue.hold(new[7])
    queue.stop(new[8], Stop("bob", "typo"))


def stored_job(job_id, key, spec=SPEC):
    """A job as another queue gives it away."""
    return Stored(key, Job(job_id, "anna", spec, 1_000.0, line=1_000.0, revision=77))


def readable(watch, seconds):
    """Whether a watch tells of news, waiting for them so long."""
    return bool(select.select([watch], [], [], seconds)[0])


def settle(watch):
    """Read all news away, the late ones as well."""
    watch.clear()
    while readable(watch, 0.02):
        watch.clear()


class QueueContract:
    """Subclasses give the fixture `open_queue` (a factory: call it again for another process's view)."""

    @pytest.fixture
    def clock(self):
        """The clock of the queue."""
        return FakeClock()

    @pytest.fixture
    def pass_time(self, clock):
        """Let leases age by some seconds; an engine whose leases count on another clock waits instead."""

        def wait(seconds):
            clock.uptime += seconds

        return wait

    @pytest.fixture
    def queue(self, open_queue):
        """One view of an empty queue."""
        return open_queue()

    @pytest.fixture
    def other_queue(self, tmp_path, clock, queue):
        """An empty queue of another kind."""
        kind = "sqlite" if queue.properties.name == "filesystem" else "filesystem"
        return open_engine(kind, tmp_path / "other", clock)

    def test_ids_are_one_two_three(self, queue):
        """Ids are positive integers in one sequence."""
        ids = [queue.submit(SPEC, user="anna", key=str(n)).id for n in range(3)]

        assert ids == [1, 2, 3]

    def test_submit_is_seen_by_everybody(self, queue, open_queue):
        """What one process submits another one reads back whole."""
        spec = evolve(SPEC, env={"A": "ü"}, priority=9, time_limit=1.5)
        job = queue.submit(spec, user="anna", key="k")

        assert open_queue().get(job.id) == job
        assert job.spec == spec
        assert job.state is State.QUEUED

    def test_same_key_is_the_same_job(self, queue, open_queue):
        """Asking again after a lost answer makes no second job."""
        job = queue.submit(SPEC, user="anna", key="k")

        assert open_queue().submit(SPEC, user="anna", key="k") == job
        assert len(queue.jobs()) == 1

    def test_keys_of_different_users_do_not_clash(self, queue):
        """A key belongs to its user."""
        assert queue.submit(SPEC, user="anna", key="k").id != queue.submit(SPEC, user="bob", key="k").id

    def test_same_key_with_another_spec_is_refused(self, queue):
        """A key cannot stand for two different jobs."""
        queue.submit(SPEC, user="anna", key="k")

        with pytest.raises(FetchError, match="key-reused"):
            queue.submit(evolve(SPEC, name="other"), user="anna", key="k")

    def test_claim_offers_priority_then_age(self, queue):
        """The choice function gets the queued jobs in the order of the line."""
        for key, priority in enumerate((5, 9, 5)):
            queue.submit(evolve(SPEC, priority=priority), user="anna", key=str(key))
        offered = []
        queue.claim(lambda jobs: offered.extend(job.id for job in jobs), LEASE)

        assert offered == [2, 1, 3]

    def test_the_line_is_what_a_claim_is_offered(self, queue, open_queue):
        """Its front, in that order, also while nobody gets anything; what is held or claimed stands in none."""
        assert list(queue.line(10)) == []
        for key, priority in enumerate((5, 9, 5, 1, 7)):
            queue.submit(evolve(SPEC, priority=priority), user="anna", key=str(key))
        queue.hold(3)
        queue.claim(first, LEASE)
        other = open_queue()
        offered = []
        other.claim(offered.extend, LEASE)
        queue.pause(Pause("anna"))

        assert [job.id for job in offered] == [5, 1, 4]
        assert list(other.line(10)) == offered
        assert [job.id for job in other.line(2)] == [5, 1]

    def test_jobs_of_a_user_whose_name_begins_like_anothers(self, queue, open_queue):
        """Names are compared as a whole."""
        for number, user in enumerate(("ann", "anna", 'ann","key":"k', "anna")):
            queue.submit(SPEC, user=user, key=str(number))
        other = open_queue()

        found = {user: [job.id for job in other.jobs(Filter(user=user))] for user in ("ann", "anna", "an")}
        assert found == {"ann": [1], "anna": [2, 4], "an": []}

    def test_claim_takes_what_was_chosen(self, queue, open_queue):
        """A claimed job is starting, in a numbered attempt of that worker, and nobody gets it again."""
        queue.submit(SPEC, user="anna", key="k")
        job = queue.claim(first, LEASE)

        assert (job.state, job.lease, job.attempt.number, job.attempt.worker) == (
            State.STARTING,
            LEASE,
            1,
            "box1",
        )
        assert open_queue().claim(first, evolve(LEASE, worker="box2")) is None

    def test_claim_of_nothing_changes_nothing(self, queue):
        """A choice of None leaves the queue as it was."""
        job = queue.submit(SPEC, user="anna", key="k")

        assert queue.claim(lambda _: None, LEASE) is None
        assert queue.get(job.id) == job

    def test_the_way_of_a_job(self, queue, clock):
        """Started, finished: each step is recorded with its time."""
        job = running(queue)
        assert job.state is State.RUNNING
        clock.time += 5
        outcome = Outcome(State.FAILED, "exit 3", code=3)
        job = queue.advance(job.id, 1, Finished(outcome))

        assert (job.state, job.outcome, job.ended_at, job.lease) == (State.FAILED, outcome, 1005.0, None)
        assert job.attempt.launch == LAUNCH

    def test_beat_renews_the_lease(self, queue):
        """A heartbeat moves the end of the lease."""
        job = running(queue)

        assert queue.advance(job.id, 1, Beat(evolve(LEASE, until=160.0))).lease.until == 160.0

    def test_requeued_attempt_is_fenced(self, queue):
        """A job that was queued again has a new attempt; the old one's word no longer counts."""
        job = running(queue)
        queue.advance(job.id, 1, Requeued(Outcome(State.LOST, "worker died")))
        again = queue.claim(first, LEASE)

        assert again.attempt.number == 2
        for change in (Beat(LEASE), Finished(Outcome(State.SUCCEEDED)), Started(LAUNCH, LEASE)):
            with pytest.raises(FetchError, match="stale-attempt"):
                queue.advance(job.id, 1, change)

    def test_word_about_an_ended_job_is_stale(self, queue):
        """A second end is refused."""
        job = running(queue)
        queue.advance(job.id, 1, Finished(Outcome(State.SUCCEEDED)))

        with pytest.raises(FetchError, match="stale-attempt"):
            queue.advance(job.id, 1, Finished(Outcome(State.FAILED)))

    def test_illegal_step_names_both_states(self, queue):
        """A job cannot end in a state that is no end."""
        job = running(queue)

        with pytest.raises(FetchError, match=r"running cannot finish to queued"):
            queue.advance(job.id, 1, Finished(Outcome(State.QUEUED)))

    def test_stop_of_a_queued_job_cancels_it(self, queue):
        """Nobody holds it, so it ends at once."""
        job = queue.submit(SPEC, user="anna", key="k")
        job = queue.stop(job.id, Stop("anna", "typo"))

        assert (job.state, job.stop.reason) == (State.CANCELLED, "typo")
        assert job.ended_at is not None
        assert queue.claim(first, LEASE) is None

    def test_stop_of_a_running_job_asks_its_worker(self, queue):
        """It is stopping until the worker says how it ended."""
        job = running(queue)
        assert queue.stop(job.id, Stop("anna")).state is State.STOPPING

        assert queue.advance(job.id, 1, Finished(Outcome(State.CANCELLED))).state is State.CANCELLED

    def test_stop_between_claim_and_start_is_kept(self, queue):
        """A wish to stop that comes while the job starts is not lost by the start."""
        job = queue.submit(SPEC, user="anna", key="k")
        queue.claim(first, LEASE)
        queue.stop(job.id, Stop("anna"))

        job = queue.advance(job.id, 1, Started(LAUNCH, LEASE))
        assert (job.state, job.attempt.launch) == (State.STOPPING, LAUNCH)

    def test_stop_is_idempotent_and_sharpens(self, queue):
        """Only a sharper wish changes an earlier one."""
        job = running(queue)
        queue.stop(job.id, Stop("anna", "first"))
        assert queue.stop(job.id, Stop("bob", "second")).stop.reason == "first"

        assert queue.stop(job.id, Stop("bob", "third", now=True)).stop.now

    def test_stop_of_an_ended_job_changes_nothing(self, queue):
        """Cancelling what has ended is no error and no change."""
        job = running(queue)
        done = queue.advance(job.id, 1, Finished(Outcome(State.SUCCEEDED)))

        assert queue.stop(job.id, Stop("anna")) == done

    @pytest.mark.parametrize("ask", ["get", "stop", "hold", "release", "advance"])
    def test_unknown_job(self, queue, ask):
        """An id that was never given is named in the error."""
        calls = {
            "get": lambda: queue.get(7),
            "stop": lambda: queue.stop(7, Stop("anna")),
            "hold": lambda: queue.hold(7),
            "release": lambda: queue.release(7),
            "advance": lambda: queue.advance(7, 1, Beat(LEASE)),
        }
        with pytest.raises(FetchError, match="job-unknown"):
            calls[ask]()

    def test_revision_rises_with_every_change(self, queue, open_queue):
        """Another process sees that something changed."""
        other = open_queue()
        before = other.revision()
        queue.submit(SPEC, user="anna", key="k")

        assert other.revision() > before
        assert other.revision() == other.revision()

    def test_lease_ends_with_time_or_boot(self, queue, pass_time):
        """A lease counts in its own boot only."""
        lease = queue.lease("box1", 2.0)
        assert lease.worker == "box1"
        pass_time(1.0)
        assert not queue.lease_ended(lease)
        assert queue.lease_ended(evolve(lease, boot_id="boot-2"))
        pass_time(1.1)
        assert queue.lease_ended(lease)

    def test_processes_never_share_an_attempt(self, open_queue):
        """Four processes that claim at once get every job exactly once."""
        queue = open_queue()
        for n in range(40):
            queue.submit(SPEC, user="anna", key=str(n))
        results = FORK.SimpleQueue()
        workers = [FORK.Process(target=_claim_all, args=(open_queue, n, results)) for n in range(4)]
        for worker in workers:
            worker.start()
        got = [number for _ in workers for number in results.get()]
        for worker in workers:
            worker.join()

        assert sorted(got) == list(range(1, 41))

    # --- ids, keys, arrays ---

    @pytest.mark.parametrize("word", ODD, ids=range(len(ODD)))
    def test_odd_users_and_keys(self, queue, open_queue, word):
        """Any text can be a user or a key, and no two of them are taken for one."""
        jobs = [queue.submit(SPEC, user=word, key=other).id for other in ODD]

        assert len(set(jobs)) == len(ODD)
        assert [open_queue().submit(SPEC, user=word, key=other).id for other in ODD] == jobs
        assert [job.id for job in open_queue().jobs(Filter(user=word))] == jobs

    def test_array_is_many_jobs(self, queue, open_queue):
        """Each spec becomes a job, in their order, under its own key."""
        specs = [evolve(SPEC, name=f"train-{n}") for n in range(5)]
        jobs = queue.submit_array(specs, user="anna", key="k")

        assert [job.spec for job in jobs] == specs
        assert [job.id for job in jobs] == [1, 2, 3, 4, 5]
        assert len({job.revision for job in jobs}) == len(jobs)
        assert open_queue().jobs() == jobs
        assert queue.submit(specs[3], user="anna", key="k/3") == jobs[3]

    def test_array_asked_again_is_completed(self, queue, open_queue):
        """What a crash has cut is completed; what is there is not doubled."""
        specs = [evolve(SPEC, name=f"train-{n}") for n in range(4)]
        part = queue.submit_array(specs[:2], user="anna", key="k")
        whole = open_queue().submit_array(specs, user="anna", key="k")

        assert whole[:2] == part
        assert [job.spec for job in whole] == specs
        assert open_queue().submit_array(specs, user="anna", key="k") == whole
        assert len(queue.jobs()) == 4

    def test_array_with_a_used_key_changes_nothing(self, queue):
        """One key that came with another job refuses the whole array."""
        queue.submit(SPEC, user="anna", key="k/1")

        with pytest.raises(FetchError, match="key-reused"):
            queue.submit_array([evolve(SPEC, name=f"train-{n}") for n in range(3)], user="anna", key="k")
        assert len(queue.jobs()) == 1

    def test_empty_array(self, queue):
        """No job at all is no error."""
        assert queue.submit_array([], user="anna", key="k") == []

    # --- the line ---

    def test_waiting_counts_as_priority(self, queue, clock):
        """Nine priorities are nine hours of waiting: a little less and the new one goes first, a little more and not."""
        queue.submit(evolve(SPEC, priority=1), user="anna", key="old")
        clock.time += 9 * AGEING_S - 1
        queue.submit(evolve(SPEC, priority=10), user="anna", key="before")
        clock.time += 2
        queue.submit(evolve(SPEC, priority=10), user="anna", key="after")

        assert order(queue) == [2, 1, 3]

    @pytest.mark.parametrize("jump", [-10 * 365 * 86400.0, 10 * 365 * 86400.0])
    def test_a_clock_that_was_set_starves_nobody(self, queue, clock, jump):
        """Whether the wall clock was ahead for a while or went back: those who came first go first."""
        for n, step in enumerate((jump, -jump, 1.0, 1.0)):
            queue.submit(SPEC, user="anna", key=str(n))
            clock.time += step

        assert order(queue) == [1, 2, 3, 4]

    def test_line_never_goes_back(self, queue, clock):
        """`Job.line` is when a job was submitted, or that of the job before it."""
        first_job = queue.submit(SPEC, user="anna", key="1")
        clock.time -= 500
        second = queue.submit(SPEC, user="anna", key="2")

        assert second.submitted_at == clock.time
        assert second.line == first_job.line == first_job.submitted_at

    # --- hold and release ---

    def test_hold_keeps_a_job_back(self, queue, open_queue):
        """A held job is not offered; released it stands where it stood."""
        for n in range(3):
            queue.submit(SPEC, user="anna", key=str(n))
        assert queue.hold(1).state is State.HELD
        assert order(open_queue()) == [2, 3]

        assert queue.release(1).state is State.QUEUED
        assert order(open_queue()) == [1, 2, 3]

    def test_hold_and_release_can_be_repeated(self, queue):
        """A wish that is fulfilled already changes nothing."""
        queued = queue.submit(SPEC, user="anna", key="k")
        assert queue.release(1) == queued
        held = queue.hold(1)
        assert queue.hold(1) == held

        assert queue.stop(1, Stop("anna")).state is State.CANCELLED

    @pytest.mark.parametrize("ask", ["hold", "release"])
    def test_only_queued_jobs_are_held(self, queue, ask):
        """A job that a worker has, or that has ended, is neither held nor released."""
        running(queue)
        for _ in range(2):
            with pytest.raises(FetchError, match="illegal-step"):
                getattr(queue, ask)(1)
            queue.stop(1, Stop("anna"))

    # --- what workers say ---

    def test_returned_attempt_counts_as_no_try(self, queue):
        """It has ended without an outcome; the next has a higher number and the old one's word no longer counts."""
        queue.submit(SPEC, user="anna", key="k")
        queue.claim(first, LEASE)
        job = queue.advance(1, 1, Returned())

        assert (job.state, job.lease, job.attempt.outcome) == (State.QUEUED, None, None)
        assert job.attempt.ended_at is not None
        assert queue.claim(first, LEASE).attempt.number == 2
        with pytest.raises(FetchError, match="stale-attempt"):
            queue.advance(1, 1, Returned())

    def test_what_has_started_is_not_returned(self, queue):
        """Something of it has run, so it is a try."""
        running(queue)

        with pytest.raises(FetchError, match="illegal-step"):
            queue.advance(1, 1, Returned())

    def test_requeue_keeps_the_place_in_line(self, queue):
        """A job that lost its worker stands before those who came after it, and no wish to stop is left over."""
        running(queue)
        queue.submit(SPEC, user="anna", key="later")
        queue.stop(1, Stop("anna"))
        job = queue.advance(1, 1, Requeued(Outcome(State.LOST, "worker died")))

        assert (job.state, job.stop, job.lease) == (State.QUEUED, None, None)
        assert order(queue) == [1, 2]

    def test_an_attempt_that_was_never_made(self, queue):
        """A number that is too high is refused as well."""
        running(queue)
        with pytest.raises(FetchError, match="stale-attempt"):
            queue.advance(1, 2, Beat(LEASE))
        queue.submit(SPEC, user="anna", key="queued")
        with pytest.raises(FetchError, match="stale-attempt"):
            queue.advance(2, 1, Beat(LEASE))

    def test_refused_words_change_nothing(self, queue, open_queue):
        """Whatever is refused leaves jobs and revision as they were."""
        running(queue)
        before, revision = open_queue().jobs(), queue.revision()
        for refused in (
            lambda: queue.advance(1, 7, Beat(LEASE)),
            lambda: queue.hold(1),
            lambda: queue.stop(9, Stop("anna")),
            lambda: queue.advance(1, 1, Finished(Outcome(State.QUEUED))),
            lambda: queue.submit(evolve(SPEC, name="other"), user="anna", key="k"),
        ):
            with pytest.raises(FetchError):
                refused()

        assert (open_queue().jobs(), open_queue().revision()) == (before, revision)

    def test_beat_is_seen_by_everybody_and_is_no_news(self, queue, open_queue):
        """Others see the renewed lease, though the revision stays."""
        other = open_queue()
        running(queue)
        revision = queue.revision()
        assert other.jobs()[0].lease == LEASE
        job = queue.advance(1, 1, Beat(evolve(LEASE, until=160.0)))

        assert queue.revision() == other.revision() == job.revision == revision
        assert other.jobs()[0].lease.until == other.get(1).lease.until == 160.0

    # --- looking ---

    @pytest.mark.parametrize("newest", [False, True])
    def test_jobs_are_filtered_as_said(self, queue, newest):
        """Every filter, start and limit gives what going through all jobs by hand gives."""
        various(queue)
        everything = sorted(queue.jobs(), key=lambda job: job.id, reverse=newest)
        filters = [
            ALL,
            UNFINISHED,
            Filter(states=frozenset({State.QUEUED, State.FAILED})),
            Filter(states=FINAL, user="bob"),
            Filter(user="nobody"),
            Filter(name="eval-*"),
            Filter(name="[!e]*", user="anna"),
            Filter(name="TRAIN-0"),
            Filter(name="*[01]"),
        ]
        assert len(everything) == 12
        for wanted in filters:
            for after in (0, 1, 5, 12, 99):
                fitting = [job for job in everything if wanted.fits(job)]
                if after:
                    fitting = [job for job in fitting if (job.id < after if newest else job.id > after)]
                for limit in (None, 0, 1, 3, 100):
                    found = queue.jobs(wanted, newest=newest, after=after, limit=limit)
                    assert list(found) == fitting[:limit], (wanted, after, limit)

    def test_counts_name_every_state(self, queue, open_queue):
        """An empty queue has zeros; else they are what the list shows."""
        assert queue.counts() == dict.fromkeys(State, 0)
        various(queue)

        listed = [job.state for job in queue.jobs()]
        assert open_queue().counts() == {state: listed.count(state) for state in State}

    @pytest.mark.parametrize("limit", [1, 2, 7, 1000])
    def test_a_follower_misses_nothing(self, queue, open_queue, limit):
        """Whoever asks with the last revision he got knows in the end what the list knows, however few he takes."""
        follower, known, last = open_queue(), {}, 0
        for round_ in range(3):
            various(queue, str(round_))
            while batch := follower.changes(last, limit=limit):
                assert len(batch) <= limit
                revisions = [job.revision for job in batch]
                assert revisions == sorted(set(revisions))
                assert revisions[0] > last
                known.update({job.id: job for job in batch})
                last = revisions[-1]

            assert known == {job.id: job for job in queue.jobs()}

    def test_revision_rises_for_each_change(self, queue, open_queue):
        """Each step raises it, and the job carries it; what changes nothing leaves it."""
        other = open_queue()
        seen = [other.revision()]
        steps = (
            lambda: queue.submit(SPEC, user="anna", key="k"),
            lambda: queue.hold(1),
            lambda: queue.release(1),
            lambda: queue.claim(first, LEASE),
            lambda: queue.advance(1, 1, Returned()),
            lambda: queue.claim(first, LEASE),
            lambda: queue.advance(1, 2, Started(LAUNCH, LEASE)),
            lambda: queue.stop(1, Stop("anna")),
            lambda: queue.advance(1, 2, Requeued(Outcome(State.LOST))),
            lambda: queue.claim(first, LEASE),
            lambda: queue.advance(1, 3, Finished(Outcome(State.FAILED))),
        )
        for step in steps:
            job = step()
            assert other.revision() > seen[-1]
            assert job.revision > seen[-1]
            assert other.get(1) == job
            seen.append(other.revision())
        for nothing in (
            lambda: queue.claim(first, LEASE),
            lambda: queue.stop(1, Stop("anna")),
            lambda: queue.submit(SPEC, user="anna", key="k"),
            queue.resume,
        ):
            nothing()
            assert other.revision() == seen[-1]
        for change in (lambda: queue.pause(Pause("anna")), queue.resume):
            change()
            assert other.revision() > seen[-1]
            seen.append(other.revision())

    # --- leases ---

    def test_lease_does_not_follow_the_wall_clock(self, queue, clock, pass_time):
        """Setting the wall clock neither ends a lease nor makes it last."""
        lease = queue.lease("box1", 2.0)
        for jump in (10 * 365 * 86400.0, -20 * 365 * 86400.0):
            clock.time += jump
            assert not queue.lease_ended(lease)
        pass_time(2.5)

        assert queue.lease_ended(lease)

    # --- pause ---

    def test_pause_gives_out_no_jobs(self, queue, open_queue):
        """No claim while it lasts; all else goes on. Everybody sees it, and the newest one counts."""
        running(queue)
        pause = Pause("anna", "disk", 5.0)
        queue.pause(pause)
        other = open_queue()
        assert other.paused() == pause
        other.submit(SPEC, user="anna", key="more")
        other.submit_array([SPEC], user="anna", key="array")
        assert other.claim(first, LEASE) is None
        assert queue.claim(first, LEASE) is None
        queue.advance(1, 1, Finished(Outcome(State.SUCCEEDED)))

        queue.pause(Pause("bob"))
        assert other.paused() == Pause("bob")
        other.resume()
        other.resume()
        assert queue.paused() is None
        assert queue.claim(first, LEASE).id == 2

    def test_a_moved_queue_takes_no_more_jobs(self, queue, open_queue):
        """Whoever submits is told where the jobs are served now; those that run may end here."""
        running(queue)
        open_queue().pause(Pause("anna", moved_to="redis"))
        for refused in (
            lambda: queue.submit(SPEC, user="anna", key="new"),
            lambda: queue.submit_array([SPEC], user="anna", key="array"),
        ):
            with pytest.raises(FetchError, match="queue-moved") as caught:
                refused()
            assert "redis" in caught.value.hint
        assert queue.advance(1, 1, Finished(Outcome(State.SUCCEEDED))).state is State.SUCCEEDED
        assert len(queue.jobs()) == 1

    # --- watch ---

    def test_watch_tells_of_others_changes(self, open_queue, tmp_path):
        """A change of another process makes it readable at once; without one it stays quiet."""
        queue = open_queue()
        watch = queue.watch()
        try:
            watch.clear()
            assert not readable(watch, 0.05)
            for n in range(3):
                child = FORK.Process(target=_submit_one, args=(open_queue, str(n)))
                child.start()
                assert readable(watch, 10.0)
                child.join()
                assert queue.revision() > 0
                watch.clear()
                assert len(queue.jobs()) == n + 1
                settle(watch)
                assert not readable(watch, 0.05)
        finally:
            watch.close()

    def test_watch_tells_of_every_kind_of_change(self, queue, open_queue):
        """Claim, start, end, pause and resume are news as well, and the news come when they can be seen."""
        queue.submit(SPEC, user="anna", key="k")
        watch = open_queue().watch()
        try:
            for change in (
                lambda: queue.claim(first, LEASE),
                lambda: queue.advance(1, 1, Started(LAUNCH, LEASE)),
                lambda: queue.advance(1, 1, Finished(Outcome(State.SUCCEEDED))),
                lambda: queue.pause(Pause("anna")),
                queue.resume,
            ):
                settle(watch)
                change()
                assert readable(watch, 1.0)
        finally:
            watch.close()

    def test_looking_for_work_in_vain_wakes_nobody(self, queue, open_queue):
        """Else idle workers would keep each other awake for ever."""
        queue.submit(SPEC, user="anna", key="k")
        watch = open_queue().watch()
        try:
            settle(watch)
            queue.claim(lambda _: None, LEASE)
            queue.submit(SPEC, user="anna", key="k")
            queue.jobs()

            assert not readable(watch, 0.05)
        finally:
            watch.close()

    # --- moving and checking ---

    def test_everything_can_be_moved(self, queue, open_queue, other_queue):
        """Ids, keys, attempts and ends arrive as they were; later ids are higher, and asking again changes nothing."""
        various(queue)
        stored = list(open_queue().export())
        assert [one.job.id for one in stored] == [job.id for job in queue.jobs()]
        other_queue.adopt(stored)
        other_queue.adopt(stored)

        moved = other_queue.jobs()
        assert [evolve(job, revision=0) for job in moved] == [evolve(one.job, revision=0) for one in stored]
        assert [one.key for one in other_queue.export()] == [one.key for one in stored]
        assert {job.id for job in other_queue.changes(0)} == {one.job.id for one in stored}
        assert other_queue.submit(stored[0].job.spec, user=stored[0].job.user, key=stored[0].key).id == 1
        assert order(other_queue) == order(queue)
        assert other_queue.submit(SPEC, user="anna", key="new").id == len(stored) + 1

    def test_everything_can_be_moved_here(self, queue, open_queue, other_queue):
        """Likewise the other way round, and a job that a worker has is finished in its new queue."""
        various(other_queue)
        queue.adopt(list(other_queue.export()))
        assert [evolve(job, revision=0) for job in open_queue().jobs()] == [
            evolve(job, revision=0) for job in other_queue.jobs()
        ]
        assert open_queue().counts() == other_queue.counts()
        job = next(job for job in queue.jobs() if job.state is State.RUNNING)

        assert queue.advance(job.id, 1, Finished(Outcome(State.SUCCEEDED))).state is State.SUCCEEDED
        assert queue.submit(SPEC, user="anna", key="new").id == 13

    def test_adopted_jobs_stay_as_they_are_now(self, queue):
        """What was taken in and has gone on since is not set back."""
        queue.submit(SPEC, user="anna", key="k")
        stored = list(queue.export())
        queue.claim(first, LEASE)
        before = queue.jobs()
        queue.adopt(stored)

        assert queue.jobs() == before

    def test_gaps_and_order_of_what_is_adopted(self, queue, open_queue):
        """Ids need not be dense nor rising, and a block that comes later fits in between."""
        queue.adopt([stored_job(40, "a"), stored_job(7, "b")])
        queue.adopt([stored_job(9, "c")])

        assert [job.id for job in open_queue().jobs()] == [7, 9, 40]
        assert open_queue().submit(SPEC, user="anna", key="new").id == 41

    @pytest.mark.parametrize(
        "taken",
        [
            lambda: [stored_job(1, "other")],  # its id is another's
            lambda: [stored_job(5, "k")],  # its key is another's
            lambda: [stored_job(1, "k", spec=evolve(SPEC, name="other"))],  # other content
            lambda: [stored_job(5, "x"), stored_job(5, "y")],  # two with one id
            lambda: [stored_job(5, "x"), stored_job(6, "x")],  # two with one key
        ],
    )
    def test_what_clashes_is_not_adopted(self, queue, taken):
        """One id or key that stands for another job refuses all that came with it."""
        queue.submit(SPEC, user="anna", key="k")
        before = queue.jobs()

        with pytest.raises(FetchError, match="id-taken"):
            queue.adopt([stored_job(30, "fine"), *taken()])
        assert queue.jobs() == before

    def test_nothing_to_adopt(self, queue):
        """An empty queue can be moved, too."""
        queue.adopt(list(queue.export()))

        assert queue.jobs() == []

    def test_a_healthy_queue_has_no_damage(self, queue, open_queue):
        """Neither an empty one nor one that has seen everything; a repair then changes nothing."""
        assert queue.check() == []
        various(queue)
        queue.pause(Pause("anna"))
        before = queue.jobs()

        assert list(open_queue().check()) == []
        assert list(open_queue().check(repair=True)) == []
        assert open_queue().jobs() == before
        assert queue.paused() == Pause("anna")

    def test_reading_an_empty_queue(self, queue):
        """Where nobody has submitted yet, every question has an answer."""
        assert queue.jobs() == []
        assert queue.changes(0) == []
        assert queue.revision() == 0
        assert list(queue.export()) == []
        assert queue.paused() is None
        assert queue.claim(first, LEASE) is None
        queue.resume()
        assert queue.home == queue.home
        assert queue.properties.name


def _claim_all(open_queue, number, results):
    queue, mine = open_queue(), []
    while (job := queue.claim(first, Lease(f"w{number}", "boot-1", 1e9))) is not None:
        mine.append(job.id)
    results.put(mine)


def _submit_one(open_queue, key):
    open_queue().submit(SPEC, user="anna", key=key)
