"""While Redis is away a host goes on; when it is back no job is lost, doubled, or under another id."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import time

import pytest
from attrs import evolve

from fetchml_core.clock import BootTime, Clock
from fetchml_core.errors import FetchError
from fetchml_core.jobs.job import Launched, Outcome, Stop
from fetchml_core.jobs.states import State
from fetchml_core.queue.base import Finished, Pause, Requeued, Started
from fetchml_core.queue.fallback import AWAY_S, FallbackQueue
from fetchml_core.queue.redis import RedisQueue
from fetchml_core.queue.redis_link import Link
from fetchml_core.queue.reserve import BLOCK, Reserve
from tests.core.queue.contract import SPEC, FakeClock, QueueContract, first
from tests.support.effort import seconds_not_minutes

HOME = "box1-0a1b2c3d"
KILLS = int(os.environ.get("FETCHML_KILLS", "120")) // 6
FORK = multiprocessing.get_context("fork")
LAUNCH = Launched("process", pid=7, start_ticks=9)


class Later(Clock):
    """The machine's clocks; a test may move on."""

    def __init__(self):
        super().__init__()
        self.ahead = 0.0

    def boot(self):
        """The boot clock."""
        now = super().boot()
        return BootTime(now.boot_id, now.seconds + self.ahead)


def view(url, folder, clock, home=HOME, patience=0.2):
    """One process's view of the queue."""
    return FallbackQueue(RedisQueue(Link(url, patience=patience), clock, home), folder, clock)


class TestFallback(QueueContract):
    """The contract, with Redis there."""

    @pytest.fixture
    def clock(self):
        """A clock that stands still."""
        return FakeClock()

    @pytest.fixture
    def open_queue(self, redis_url, tmp_path, clock):
        """A factory of views of one queue; the first ids are kept here, so that those of the contract are as it wants."""
        Reserve(tmp_path).add(range(10**6, 10**6 + BLOCK))
        return lambda: view(redis_url, tmp_path, clock)


class World:
    """A host with its folder, and a Redis that goes and comes."""

    def __init__(self, server, folder):
        self.server, self.folder, self.clock = server, folder, Later()
        self.queue = self.view()
        self.first = self.queue.submit(
            SPEC, user="anna", key="before"
        ).id  # a host that has seen Redis has ids

    def view(self, home=HOME):
        """Another process's view."""
        folder = self.folder if home == HOME else self.folder.with_name(home)
        return view(self.server.url(), folder, self.clock, home)

    def shared(self):
        """What everybody sees in Redis."""
        return RedisQueue(Link(self.server.url()), self.clock, HOME)

    def go(self):
        """Redis goes away."""
        self.server.kill()

    def come(self):
        """Redis comes back, and is asked again."""
        self.server.start()
        self.clock.ahead += AWAY_S + 1

    def run(self, queue=None):
        """Claim a job and bring it to its end; return it."""
        queue = queue or self.queue
        job = queue.claim(first, queue.lease("w", 60.0))
        queue.advance(job.id, job.attempt.number, Started(LAUNCH, job.lease))
        return queue.advance(job.id, job.attempt.number, Finished(Outcome(State.SUCCEEDED)))


@pytest.fixture
def world(redis_server, tmp_path):
    """A host that has seen Redis."""
    return World(redis_server(), tmp_path / "fallback")


def test_jobs_are_accepted_and_move_with_their_ids(world):
    """What is accepted while Redis is away is there under its id when it is back, for everybody."""
    world.go()
    accepted = [world.queue.submit(evolve(SPEC, name=f"n{n}"), user="anna", key=str(n)) for n in range(3)]
    assert {job.home for job in accepted} == {HOME}
    assert [job.id for job in world.view().jobs()] == [job.id for job in accepted]
    world.come()
    world.queue.revision()
    world.queue.jobs()

    moved = [world.shared().get(job.id) for job in accepted]
    assert [(job.spec, job.home, job.state, job.submitted_at) for job in moved] == [
        (job.spec, HOME, State.QUEUED, job.submitted_at) for job in accepted
    ]
    assert os.listdir(world.folder / "jobs") == []
    assert world.queue.submit(evolve(SPEC, name="n1"), user="anna", key="1").id == accepted[1].id


def test_jobs_run_while_redis_is_away(world):
    """A worker claims and ends what was accepted here; the whole story moves."""
    world.go()
    job = world.queue.submit(SPEC, user="anna", key="k")
    done = world.run()
    world.come()
    world.queue.jobs()

    assert done.id == job.id
    moved = world.shared().get(job.id)
    assert (moved.state, moved.attempts, moved.home) == (State.SUCCEEDED, done.attempts, HOME)


def test_nothing_sets_out_while_redis_is_away(world):
    """Processes that find it away leave what waits here to be claimed here."""
    world.go()
    jobs = [world.view().submit(SPEC, user="anna", key=str(n)) for n in range(3)]

    assert [world.run(world.view()).id for _ in jobs] == [job.id for job in jobs]


def test_a_running_job_moves_when_it_has_ended(world):
    """A job that a worker holds is at one place: here, until it has ended; it can be stopped all the time."""
    world.go()
    job = world.queue.submit(SPEC, user="anna", key="k")
    world.queue.claim(first, world.queue.lease("w", 60.0))
    world.queue.advance(job.id, 1, Started(LAUNCH, world.queue.lease("w", 60.0)))
    world.come()

    assert world.queue.get(job.id).state is State.RUNNING
    assert job.id in [each.id for each in world.view().jobs()]
    with pytest.raises(FetchError, match="job-unknown"):
        world.shared().get(job.id)
    assert world.view().stop(job.id, Stop("anna")).state is State.STOPPING
    assert world.queue.submit(SPEC, user="anna", key="k").id == job.id
    world.queue.advance(job.id, 1, Finished(Outcome(State.CANCELLED)))
    world.queue.jobs()
    assert world.shared().get(job.id).state is State.CANCELLED


def test_a_job_that_was_given_back_moves_to_the_line(world):
    """One that shall be tried again waits in Redis, with its first attempt."""
    world.go()
    job = world.queue.submit(SPEC, user="anna", key="k")
    world.queue.claim(first, world.queue.lease("w", 60.0))
    world.queue.advance(job.id, 1, Requeued(Outcome(State.LOST)))
    world.come()

    claimed = world.queue.claim(lambda jobs: jobs[-1], world.queue.lease("w", 60.0))
    assert (claimed.id, claimed.attempt.number) == (job.id, 2)
    assert world.shared().get(job.id).attempt.number == 2


def test_what_only_redis_knows_is_out_of_reach(world):
    """It is said so, and changes nothing; what was accepted before Redis went is not claimed here."""
    world.go()
    for ask in (world.queue.get, world.queue.hold):
        with pytest.raises(FetchError, match="queue-unreachable"):
            ask(world.first)
    assert world.queue.claim(first, world.queue.lease("w", 60.0)) is None
    assert world.queue.paused() is None


def test_ids_are_used_up(world):
    """So many jobs are accepted as ids were kept; then it is said, and with Redis it goes on."""
    left = Reserve(world.folder).left()
    assert left == BLOCK
    world.go()
    ids = [job.id for job in world.queue.submit_array([SPEC] * left, user="anna", key="a")]
    with pytest.raises(FetchError, match="ids-used-up"):
        world.queue.submit(SPEC, user="anna", key="more")
    world.come()

    assert len(set(ids)) == left
    assert world.queue.submit(SPEC, user="anna", key="more").id not in ids
    assert Reserve(world.folder).left() == BLOCK
    assert len(world.shared().jobs()) == left + 2


def test_the_same_key_is_the_same_job_while_redis_is_away(world):
    """Asking again makes no second job, be it here or after it has moved."""
    world.go()
    ids = [world.view().submit(SPEC, user="anna", key="k").id for _ in range(2)]
    world.come()

    assert {*ids, world.queue.submit(SPEC, user="anna", key="k").id} == {ids[0]}
    assert {job.id for job in world.shared().jobs()} == {world.first, ids[0]}


def test_a_submit_whose_answer_was_lost_makes_one_job(world, proxy):
    """Redis has the job, the answer is lost, the host accepts it itself: one of them runs, the printed id is true."""
    line = proxy(world.server.host, world.server.port)
    queue = view(f"redis://{line.host}:{line.port}", world.folder, world.clock)
    queue.jobs()
    line.stalled = True  # on its way
    job = queue.submit(SPEC, user="anna", key="k")
    assert job.id < world.first  # from the block
    line.stalled = False
    world.shared().submit(SPEC, user="anna", key="k")  # what was on its way arrives
    world.clock.ahead += AWAY_S + 1

    assert [world.run(queue).id for _ in range(2)] == [world.first, job.id]
    assert queue.claim(first, queue.lease("w", 60.0)) is None
    assert queue.submit(SPEC, user="anna", key="k").id == job.id
    twins = [each for each in world.shared().jobs() if each.id not in {world.first, job.id}]
    assert [each.state for each in twins] == [State.CANCELLED]


def test_a_key_whose_job_was_worked_on_keeps_it(world):
    """Submitted and run, asked again while Redis is away: the second is ended before it runs."""
    assert world.run().id == world.first
    world.go()
    again = world.queue.submit(SPEC, user="anna", key="before")
    world.come()

    assert world.queue.claim(first, world.queue.lease("w", 60.0)) is None
    assert f"the same as job {world.first}" in world.shared().get(again.id).stop.reason
    assert world.shared().submit(SPEC, user="anna", key="before").id == world.first


def test_what_may_have_arrived_is_not_touched_here(world):
    """The host died after Redis had the job and before its own was gone, and Redis went: nobody runs it twice."""
    world.go()
    job = world.queue.submit(SPEC, user="anna", key="k")
    copy = (world.folder / "jobs" / str(job.id)).read_bytes()
    world.come()
    world.queue.jobs()
    (world.folder / "jobs" / str(job.id)).write_bytes(copy)
    (world.folder / "moving.json").write_text(json.dumps({"ids": [job.id]}))
    world.go()
    queue = world.view()

    assert queue.claim(first, queue.lease("w", 60.0)) is None
    with pytest.raises(FetchError, match="queue-unreachable"):
        queue.stop(job.id, Stop("anna"))
    world.come()
    assert [world.run(queue).id for _ in range(2)] == [world.first, job.id]
    assert queue.claim(first, queue.lease("w", 60.0)) is None


def test_another_host_leaves_our_jobs_alone(world):
    """Jobs that have moved are claimed by this host's workers only."""
    world.go()
    job = world.queue.submit(SPEC, user="anna", key="k")
    world.come()
    world.queue.jobs()
    other = world.view("box2-ffffffff")

    assert other.get(job.id).home == HOME
    assert other.claim(first, other.lease("w", 60.0)) is None


def test_a_queue_that_was_moved_takes_no_jobs_here_either(world):
    """They would never get to the queue that serves now; taken back, it takes them again."""
    world.queue.pause(Pause("anna", "ml queue migrate", 1.0, moved_to="native"))
    world.go()
    with pytest.raises(FetchError, match="queue-moved"):
        world.queue.submit(SPEC, user="anna", key="k")
    assert world.view().paused().moved_to == "native"
    world.come()
    world.queue.resume()
    world.go()

    assert world.queue.paused() is None
    assert world.queue.submit(SPEC, user="anna", key="k").state is State.QUEUED


def test_it_is_said(world):
    """Whether Redis is away, what waits and how many more may come."""
    assert world.queue.notes() == ()
    world.go()
    world.queue.submit(SPEC, user="anna", key="k")
    mode, here = world.queue.notes()

    assert mode.startswith(f"Redis at {world.server.url()} is away since 20")
    assert mode.endswith(
        f": this host takes jobs on its own ({BLOCK - 1} more) and runs them; those in Redis go on, unseen"
    )
    assert here == "1 job lies on this host until Redis can take it"


def test_it_is_said_since_when(world):
    """Every process tells the moment at which the first one found Redis away, until it was back."""
    world.go()
    world.queue.jobs()
    os.utime(world.folder / "away", (0, 0))
    assert "is away since 1970-01-01T00:00:00Z: " in world.view().notes()[0]
    world.come()
    assert world.queue.notes() == ()
    world.go()
    assert "1970" not in world.view().notes()[0]


def test_nobody_waits_at_every_step(world):
    """A server that hangs is waited for once, then left alone for a while."""
    queue = view(world.server.url(), world.folder, world.clock, patience=2.0)
    queue.revision()
    world.server.freeze()
    with seconds_not_minutes(time.monotonic):
        for n in range(20):
            queue.submit(SPEC, user="anna", key=str(n))
    world.server.thaw()


def test_news_of_both_are_heard(world):
    """What others change in Redis and what lies here wakes; while Redis is away the watch says that it must be asked."""
    watch = world.queue.watch()
    watch.clear()
    world.shared().hold(world.first)
    assert is_readable(watch)
    watch.clear()
    world.go()
    assert is_readable(watch)
    watch.clear()
    assert watch.fileno() == -1
    watch.close()


def is_readable(watch):
    """Whether there are news within a second."""
    import select

    return bool(select.select([watch], [], [], 1.0)[0])


@pytest.mark.parametrize("goes", [False, True])
def test_killed_at_every_step_of_a_move(world, goes):
    """A process ends before any step of moving three jobs, Redis goes again or not: each job runs once, under its id."""
    for step in range(9):
        world.go()
        jobs = [world.queue.submit(SPEC, user="anna", key=f"{step}-{n}").id for n in range(3)]
        world.come()
        child = FORK.Process(target=_move, args=(world, step))
        child.start()
        child.join()
        assert child.exitcode == (0 if step == 8 else -signal.SIGKILL)
        ran = []
        if goes:
            world.go()
            ran += run_all(world.view(), {world.first})
            world.come()
        ran += run_all(world.view(), {world.first})

        assert sorted(ran) == jobs
        shared = world.shared()
        assert {(shared.get(job).state, len(shared.get(job).attempts)) for job in jobs} == {
            (State.SUCCEEDED, 1)
        }
        assert list((world.folder / "jobs").iterdir()) == []
        world.clock.ahead += AWAY_S + 1


def _move(world, step):
    """Move what waits, and be killed before the step."""
    queue, calls = world.view(), 0

    def deadly(call):
        def wrapped(*args):
            nonlocal calls
            if calls == step:
                os.kill(os.getpid(), signal.SIGKILL)
            calls += 1
            return call(*args)

        return wrapped

    queue._reserve.set_moving = deadly(queue._reserve.set_moving)
    queue._shared.take_over = deadly(queue._shared.take_over)
    queue._local.forget = deadly(queue._local.forget)
    queue.jobs()


def run_all(queue, but):
    """Run all that can be claimed; return the ids."""
    ran = []
    lease = queue.lease("w", 60.0)
    while job := queue.claim(lambda jobs: next((job for job in jobs if job.id not in but), None), lease):
        queue.advance(job.id, job.attempt.number, Finished(Outcome(State.SUCCEEDED)))
        ran.append(job.id)
    return ran


def _churn(url, folder, name, told):
    """Submit, and run what can be claimed, for ever; tell what was acknowledged."""
    queue, number = view(url, folder, Clock()), 0
    while True:
        number += 1
        try:
            key = f"{name}-{number}"
            told.put(("submitted", queue.submit(SPEC, user="anna", key=key).id, key))
            job = queue.claim(first, queue.lease(name, 1e9))
            if job is not None:
                told.put(("claimed", job.id, job.attempt.number))
                queue.advance(job.id, job.attempt.number, Finished(Outcome(State.SUCCEEDED)))
                told.put(("finished", job.id, ""))
        except FetchError as error:
            if error.code not in {"queue-unreachable", "ids-used-up"}:
                told.put(("failed", 0, str(error)))
            time.sleep(0.01)


def test_kills_while_redis_comes_and_goes(redis_server, tmp_path):
    """Processes of one host are killed at random while Redis goes and comes: nothing is lost, doubled or renamed."""
    server, folder, told = redis_server(), tmp_path / "fallback", []
    view(server.url(), folder, Clock()).submit(SPEC, user="anna", key="first")

    def start():
        pipe = FORK.SimpleQueue()
        child = FORK.Process(target=_churn, args=(server.url(), folder, f"w{random.getrandbits(64):x}", pipe))
        child.start()
        return child, pipe

    def listen(pipe):
        while not pipe.empty():
            told.append(pipe.get())

    crew = [start() for _ in range(2)]
    for turn in range(KILLS):
        time.sleep(random.uniform(0.02, 0.15))
        if turn % 4 == 1:
            server.kill()
        if turn % 4 == 3:
            server.start()
        child, pipe = crew.pop(0)
        os.kill(child.pid, signal.SIGSTOP)  # what it has said is whole then
        listen(pipe)
        os.kill(child.pid, signal.SIGKILL)
        child.join()
        crew.append(start())
    for child, pipe in crew:
        os.kill(child.pid, signal.SIGSTOP)
        listen(pipe)
        os.kill(child.pid, signal.SIGKILL)
        child.join()
    if server._process is None:
        server.start()
    queue = view(server.url(), folder, Clock())
    jobs = {job.id: job for job in queue.jobs()}

    assert [line for line in told if line[0] == "failed"] == []
    submitted = {(job_id, key) for word, job_id, key in told if word == "submitted"}
    claimed = [(job_id, number) for word, job_id, number in told if word == "claimed"]
    assert len({job_id for job_id, _ in submitted}) == len(submitted)
    assert {job_id for job_id, _ in submitted} <= set(jobs)
    assert len(set(claimed)) == len(claimed)
    assert {jobs[job_id].state for word, job_id, _ in told if word == "finished"} == {State.SUCCEEDED}
    assert all(len(job.attempts) < 2 for job in jobs.values())
    for job_id, key in list(submitted)[-20:]:
        assert queue.submit(SPEC, user="anna", key=key).id == job_id
