"""Whatever happens at whatever call to the file system: a queue stands before a change or after it, never between.

For every operation and every engine a child strikes itself at the first call, the second, and so on until the
operation has none left. The clock stands still, so the states can be compared whole.
"""

from __future__ import annotations

import itertools
import os
import shutil
from typing import Any, NamedTuple

import pytest
from attrs import evolve

from fetchml_core.errors import FetchError
from fetchml_core.jobs.job import Job, Lease, Outcome, Stop
from fetchml_core.jobs.states import State
from fetchml_core.queue import native
from fetchml_core.queue.base import Beat, Finished, Pause, Requeued, Returned, Started, Stored
from fetchml_core.queue.engines import open_queue
from tests.core.queue.contract import LAUNCH, LEASE, SPEC, FakeClock, first
from tests.support.faults import run

ENGINES = ("native", "sqlite", "filesystem")
LATER = evolve(LEASE, until=900.0)
DONE = Finished(Outcome(State.SUCCEEDED, code=0))
ADOPTED = [Stored(f"a{n}", Job(n, "carl", SPEC, 900.0, line=900.0)) for n in (20, 21, 22)]
MOST = 400
"""More calls than any operation makes."""
STRIDE = int(os.environ.get("FETCHML_STRIDE", "2"))
"""An error strikes at every so many calls; a kill at all of them."""

OPERATIONS = {
    "submit": lambda queue: queue.submit(SPEC, user="anna", key="new"),
    "array": lambda queue: queue.submit_array([SPEC] * 3, user="anna", key="many"),
    "claim": lambda queue: queue.claim(first, LEASE),
    "beat": lambda queue: queue.advance(1, 1, Beat(LATER)),
    "start": lambda queue: queue.advance(2, 1, Started(LAUNCH, LEASE)),
    "finish": lambda queue: queue.advance(1, 1, DONE),
    "requeue": lambda queue: queue.advance(1, 1, Requeued(Outcome(State.LOST, "worker died"))),
    "return": lambda queue: queue.advance(2, 1, Returned()),
    "stop-queued": lambda queue: queue.stop(3, Stop("anna")),
    "stop-running": lambda queue: queue.stop(1, Stop("anna", now=True)),
    "hold": lambda queue: queue.hold(3),
    "release": lambda queue: queue.release(4),
    "pause": lambda queue: queue.pause(Pause("root", "a new disk", at=1000.0)),
    "resume": lambda queue: queue.resume(),
    "adopt": lambda queue: queue.adopt(ADOPTED),
}
"""Job 1 runs, 2 starts, 3 is queued, 4 held, 5 has ended."""
SEVERAL = {"array", "adopt"}
"""Operations that change one job after the other: asked again they complete what was cut."""


class Seen(NamedTuple):
    """All that a queue says of itself, but revisions, which may be passed over."""

    jobs: list[Job]
    paused: Pause | None


def look(queue) -> Seen:
    """See."""
    return Seen([evolve(job, revision=0) for job in queue.jobs()], queue.paused())


def prepare(queue, operation):
    """Bring the jobs where the operations want them."""
    for n in range(1, 6):
        queue.submit(SPEC, user="anna", key=str(n))
    for job in (1, 2, 5):
        queue.claim(lambda jobs, job=job: next(one for one in jobs if one.id == job), LEASE)
    queue.advance(1, 1, Started(LAUNCH, LEASE))
    queue.hold(4)
    queue.advance(5, 1, DONE)
    if operation == "resume":
        queue.pause(Pause("root", at=1000.0))


class Scene:
    """A queue as it was before an operation, and as it was after one that nothing disturbed.

    Args:
        kind: Of which engine.
        folder: Of the test.
        operation: A key of `OPERATIONS`.
        empty: There is no queue yet.
    """

    def __init__(self, kind, folder, operation, *, empty=False):
        self.kind, self.operation = kind, operation
        self._folder, self._before = folder / "case", folder / "before"
        self._before.mkdir()
        if not empty:
            prepare(open_queue(kind, self._before / "queue", FakeClock()), operation)
        self.reset()
        queue = self.open()
        self.before = look(queue)
        self.revision = queue.revision()
        OPERATIONS[operation](queue)
        self.after = look(queue)

    def reset(self):
        """Put the queue back to where it was before."""
        shutil.rmtree(self._folder, ignore_errors=True)
        shutil.copytree(self._before, self._folder)

    @property
    def path(self):
        """Where it lies."""
        return self._folder / "queue"

    def open(self):
        """A view of the queue that has seen nothing yet."""
        return open_queue(self.kind, self.path, FakeClock())

    def legal(self, seen):
        """Whether the operation has happened or not; of one that changes several jobs, some may have changed."""
        if self.operation in SEVERAL:
            return seen.jobs in [
                self.after.jobs[:n] for n in range(len(self.before.jobs), len(self.after.jobs) + 1)
            ]
        return seen in (self.before, self.after)

    def assert_recovered(self, *, done=False):
        """A fresh view finds a legal state, another one the same; the change is told; and all goes on.

        Args:
            done: The operation was acknowledged.
        """
        queue = self.open()
        seen = look(queue)
        assert seen == self.after if done else self.legal(seen)
        assert look(self.open()) == seen
        assert list(queue.check()) == []
        news = {job.id for job in queue.changes(self.revision)}
        if self.operation != "beat":
            assert {job.id for job in seen.jobs if job not in self.before.jobs} <= news
        self.assert_goes_on(seen)

    def assert_goes_on(self, seen):
        """The next job goes its way, and asking again for an array or a job doubles nothing."""
        queue = self.open()
        highest = max([job.id for job in seen.jobs], default=0)
        if self.operation in {"submit", "array", "adopt"}:
            OPERATIONS[self.operation](queue)
            again = look(self.open()).jobs
            # the id that a cut submission had taken may be passed over
            assert [evolve(job, id=0) for job in again] == [evolve(job, id=0) for job in self.after.jobs]
            highest = max(job.id for job in again)
        queue.resume()
        job = queue.submit(SPEC, user="anna", key="next")
        assert job.id > highest
        claimed = queue.claim(lambda jobs: next(one for one in jobs if one.id == job.id), LEASE)
        queue.advance(claimed.id, 1, Started(LAUNCH, LEASE))
        assert queue.advance(claimed.id, 1, DONE).state is State.SUCCEEDED
        assert self.open().get(job.id).state is State.SUCCEEDED


CASES = [(kind, name) for kind in ENGINES for name in ("first", *OPERATIONS)] + [("native", "compact")]


@pytest.fixture(params=CASES, ids=lambda case: "-".join(case))
def scene(request, in_memory, monkeypatch):
    """One operation of one engine; ``first`` makes the queue, before ``compact`` its journal is begun anew."""
    kind, name = request.param
    if name == "compact":
        monkeypatch.setattr(native, "COMPACT_ENDED", 1)
    operation = {"first": "submit", "compact": "finish"}.get(name, name)
    made = Scene(kind, in_memory, operation, empty=name == "first")
    assert (name == "compact") == (made.path / "history").exists()
    return made


def strike_everywhere(scene, fault, work, *, stride=1, **options):
    """Yield how *work* ended when the fault struck at its first call, its second, and so on, or at fewer of them."""
    for at in itertools.count(1, stride):
        assert at < MOST
        scene.reset()
        ended = run(work, fault, at, **options)
        if not ended.struck:
            return
        yield ended


@pytest.mark.parametrize("fault", ["kill", "torn"])
def test_a_kill_at_every_call(scene, fault):
    """#2: SIGKILL at every call to the file system: the change happened or not, and whoever comes next goes on."""
    operate = OPERATIONS[scene.operation]
    kills = 0
    for ended in strike_everywhere(scene, fault, lambda _: operate(scene.open()) and None):
        assert ended.killed
        scene.assert_recovered()
        kills += 1

    assert kills > (2 if fault == "kill" else 0)
    scene.assert_recovered(done=True)


def attempt(scene, operate):
    """Operate while a fault is on, then go on with the same view; say what came of both."""

    def work(faults):
        queue = scene.open()
        said: dict[str, Any] = {"error": None, "later": None}
        try:
            operate(queue)
        except FetchError as error:
            said["error"] = (error.code, error.message, error.context, error.hint)
        faults.lift()
        try:
            queue.submit(SPEC, user="bob", key="later")
        except FetchError as error:
            said["later"] = (error.code, error.message, error.context, error.hint)
        return said

    return work


@pytest.mark.parametrize("fault", ["EIO", "ENOSPC", "EINTR", "short"])
def test_an_error_at_every_call(scene, fault):
    """#3: a call that fails: the operation is done all the same, or has changed nothing and says what to do next."""
    work = attempt(scene, OPERATIONS[scene.operation])
    for ended in strike_everywhere(scene, fault, work, stride=STRIDE):
        assert_told(scene, ended)
        if fault in {"EINTR", "short"}:
            assert ended.answer["error"] is None  # these are no errors
        assert_kept(scene, ended)


def assert_told(scene, ended):
    """What was said is of use, and no file was synced again whose sync had failed."""
    assert not ended.synced_again
    if ended.answer["error"] is not None:
        code, _, context, hint = ended.answer["error"]
        # SQLite calls what the disk will not give back damaged
        assert code in {"io-error", "disk-full", "queue-damaged"}
        assert str(scene.path.parent) in context
        assert hint
    assert ended.answer["later"] is None


def assert_kept(scene, ended):
    """What was said is true."""
    queue = scene.open()
    seen = look(queue)
    mine = Seen([job for job in seen.jobs if job.user != "bob"], seen.paused)
    if ended.answer["error"] is None:
        assert mine == scene.after or found_nothing(scene, mine)
    elif scene.operation in SEVERAL:
        assert scene.legal(mine)
    else:
        assert mine == scene.before
    assert len(seen.jobs) > len(mine.jobs)
    assert list(queue.check()) == []


def found_nothing(scene, seen):
    """A claim passes over a job that cannot be read, and serves the others: here there are none."""
    return scene.operation == "claim" and seen == scene.before


def test_a_disk_that_fails_from_some_call_on(scene):
    """#3: every call from the n-th on fails, those that would take a change back too: no acknowledged change is lost."""
    work = attempt(scene, OPERATIONS[scene.operation])
    for ended in strike_everywhere(scene, "EIO", work, stride=STRIDE, lasting=True):
        assert_told(scene, ended)
        seen = look(scene.open())
        mine = Seen([job for job in seen.jobs if job.user != "bob"], seen.paused)
        assert scene.legal(mine)
        if ended.answer["error"] is None:
            assert mine == scene.after or found_nothing(scene, mine)
        assert len(seen.jobs) > len(mine.jobs)


@pytest.mark.parametrize("kind", ENGINES)
def test_signals_disturb_nothing(kind, in_memory):
    """#3: signals that end blocking calls with EINTR, five thousand a second, are not noticed."""

    def work(_):
        queue = open_queue(kind, in_memory / "queue", FakeClock())
        for n in range(60):
            queue.submit(SPEC, user="anna", key=str(n))
            job = queue.claim(first, Lease("box1", "boot-1", 2000.0))
            queue.advance(job.id, 1, DONE)
        return len(queue.jobs())

    assert run(work, "kill", 1_000_000, storm=True).answer == 60
    assert {job.state for job in open_queue(kind, in_memory / "queue", FakeClock()).jobs()} == {
        State.SUCCEEDED
    }
