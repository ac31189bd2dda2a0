"""The contract of `fetchml_core.queue.base.Queue`, run against every engine."""

from __future__ import annotations

import multiprocessing

import pytest
from attrs import evolve

from fetchml_core.clock import BootTime
from fetchml_core.errors import FetchError
from fetchml_core.jobs.job import JobSpec, Launched, Lease, Outcome, Stop
from fetchml_core.jobs.states import State
from fetchml_core.queue.base import Beat, Finished, Requeued, Started

SPEC = JobSpec(name="train", argv=("python3", "train.py"), snapshot="a" * 64)
LEASE = Lease("box1", "boot-1", 100.0)
LAUNCH = Launched("process", pid=7, start_ticks=9)


class FakeClock:
    """Stands still until somebody moves it."""

    def __init__(self) -> None:
        self.time = 1_000.0

    def now(self) -> float:
        """The wall clock."""
        return self.time

    def boot(self) -> BootTime:
        """The boot clock."""
        return BootTime("boot-1", self.time)


def first(jobs):
    """Choose the job that is first in line."""
    return jobs[0] if jobs else None


def running(queue, spec=SPEC, key="k"):
    """Submit a job and bring it to running."""
    job = queue.submit(spec, user="anna", key=key)
    queue.claim(first, LEASE)
    return queue.advance(job.id, 1, Started(LAUNCH, LEASE))


class QueueContract:
    """Subclasses give the fixtures `open_queue` (a factory: call it again for another process's view) and `clock`."""

    @pytest.fixture
    def queue(self, open_queue):
        """One view of an empty queue."""
        return open_queue()

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

    @pytest.mark.parametrize("ask", ["get", "stop", "advance"])
    def test_unknown_job(self, queue, ask):
        """An id that was never given is named in the error."""
        calls = {
            "get": lambda: queue.get(7),
            "stop": lambda: queue.stop(7, Stop("anna")),
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

    def test_lease_ends_with_time_or_boot(self, queue, clock):
        """A lease counts in its own boot only."""
        lease = queue.lease("box1", 100.0)
        clock.time += 100.0
        assert not queue.lease_ended(lease)
        assert queue.lease_ended(evolve(lease, boot_id="boot-2"))
        clock.time += 0.1
        assert queue.lease_ended(lease)

    def test_processes_never_share_an_attempt(self, open_queue):
        """Four processes that claim at once get every job exactly once."""
        queue = open_queue()
        for n in range(40):
            queue.submit(SPEC, user="anna", key=str(n))
        context = multiprocessing.get_context("fork")
        results = context.SimpleQueue()
        workers = [context.Process(target=_claim_all, args=(open_queue, n, results)) for n in range(4)]
        for worker in workers:
            worker.start()
        got = [number for _ in workers for number in results.get()]
        for worker in workers:
            worker.join()

        assert sorted(got) == list(range(1, 41))


def _claim_all(open_queue, number, results):
    queue, mine = open_queue(), []
    while (job := queue.claim(first, Lease(f"w{number}", "boot-1", 1e9))) is not None:
        mine.append(job.id)
    results.put(mine)
