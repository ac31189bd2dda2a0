"""A model of the contract: hypothesis does anything in any order to a queue, a plain oracle says what must follow.

The oracle shares no code with `fetchml_core.queue.moves`. Two views of the queue take turns, as two processes would.
An engine is put to it by a subclass that says how a view is opened.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
from attrs import define, evolve, field
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from fetchml_core.errors import FetchError
from fetchml_core.jobs.job import Job, JobSpec, Lease, Outcome, Stop
from fetchml_core.jobs.states import State
from fetchml_core.queue.base import (
    AGEING_S,
    Beat,
    Change,
    Filter,
    Finished,
    Pause,
    Queue,
    Requeued,
    Returned,
    Started,
)
from tests.core.queue.contract import LAUNCH, SPEC, FakeClock

SETTINGS = settings(
    max_examples=int(os.environ.get("FETCHML_MODEL", "20")),
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
VIEW = st.sampled_from([0, 1])
PICK = st.integers(0, 7)
USER = st.sampled_from(["anna", "bob"])
KEY = st.sampled_from(["a", "b", "c", "d/0", "d/1"])
ACTIVE = ("starting", "running", "stopping")
OUTCOMES = st.sampled_from([State.SUCCEEDED, State.FAILED, State.CANCELLED, State.TIMED_OUT, State.LOST])
CHANGES = ("beat", "start", "finish", "requeue", "return")


@define
class Expected:
    """What the oracle knows of a job."""

    id: int
    user: str
    key: str
    spec: JobSpec
    place: float
    state: str = "queued"
    attempts: int = 0
    stop: str = ""
    until: float | None = None
    ended: list[str] = field(factory=list)


class QueueModel(RuleBasedStateMachine):
    """Subclasses set `open_view`."""

    def open_view(self, folder: Path, clock: FakeClock) -> Queue:
        """Return one more view of the queue in *folder*."""
        raise NotImplementedError

    def __init__(self) -> None:
        super().__init__()
        self._temporary = tempfile.TemporaryDirectory(prefix="fetchml-model-")
        self.folder = Path(self._temporary.name)
        self.clock = FakeClock()
        self.clock.time = 1.7e9  # far enough from 1970 for every jump
        self.views = [self.open_view(self.folder, self.clock) for _ in range(2)]
        self.jobs: dict[int, Expected] = {}
        self.line = self.at = 0.0
        self.pause_kind = ""
        self.followed: dict[int, Job] = {}
        self.followed_until = 0
        self.revision = 0

    def teardown(self) -> None:
        """Leave nothing behind."""
        self.views.clear()
        self._temporary.cleanup()

    # --- those who submit ---

    @rule(
        view=VIEW, user=USER, key=KEY, name=st.sampled_from(["x", "y"]), priority=st.sampled_from([1, 5, 10])
    )
    def submit(self, view: int, user: str, key: str, name: str, priority: int) -> None:
        """A new job, or an old key."""
        spec = evolve(SPEC, name=name, priority=priority)
        with self.refused(self.why_not([(key, spec)], user)):
            job = self.views[view].submit(spec, user=user, key=key)
            assert job.id == self.accept(key, spec, user)

    @rule(view=VIEW, user=USER, names=st.lists(st.sampled_from(["x", "y"]), max_size=3))
    def submit_array(self, view: int, user: str, names: list[str]) -> None:
        """Several at once, some of them perhaps known."""
        specs = [evolve(SPEC, name=name) for name in names]
        wanted = [(f"d/{n}", spec) for n, spec in enumerate(specs)]
        with self.refused(self.why_not(wanted, user)):
            jobs = self.views[view].submit_array(specs, user=user, key="d")
            assert [job.id for job in jobs] == [self.accept(key, spec, user) for key, spec in wanted]

    def why_not(self, wanted: list[tuple[str, JobSpec]], user: str) -> str:
        """The error that submitting has to give; empty where it has to work."""
        if self.pause_kind == "moved":
            return "queue-moved"
        known = {job.key: job.spec for job in self.jobs.values() if job.user == user}
        return "key-reused" if any(known.get(key, spec) != spec for key, spec in wanted) else ""

    def accept(self, key: str, spec: JobSpec, user: str) -> int:
        """What the oracle makes of it."""
        for job in self.jobs.values():
            if (job.user, job.key) == (user, key):
                return job.id
        self.stand_in_line()
        job_id = len(self.jobs) + 1
        self.jobs[job_id] = Expected(job_id, user, key, spec, self.line - spec.priority * AGEING_S)
        return job_id

    def stand_in_line(self) -> None:
        """Since when the job that comes now stands there: hosts with clocks of their own know of no jump of one."""
        now, one_clock = self.clock.time, not self.views[0].properties.several_hosts
        jumped_back = one_clock and self.line != self.at
        self.line = self.line + max(0.0, now - self.at) if jumped_back else max(self.line, now)
        self.at = now

    @rule(view=VIEW, pick=PICK, now=st.booleans())
    def stop(self, view: int, pick: int, *, now: bool) -> None:
        """A wish to end."""
        job = self.pick(pick)
        with self.refused("" if job else "job-unknown"):
            self.views[view].stop(pick, Stop("anna", now=now))
        if job and job.state in {"queued", "held"}:
            job.state, job.stop = "cancelled", "now" if now else "soft"
        elif job and job.state in ACTIVE:
            job.state = "stopping"
            job.stop = "now" if now else job.stop or "soft"

    @rule(view=VIEW, pick=PICK, step=st.sampled_from(["hold", "release"]))
    def hold_or_release(self, view: int, pick: int, step: str) -> None:
        """Back from the line, or into it again."""
        job = self.pick(pick)
        fitting = job and job.state in {"queued", "held"}
        with self.refused("" if fitting else "illegal-step" if job else "job-unknown"):
            getattr(self.views[view], step)(pick)
        if job and fitting:
            job.state = "held" if step == "hold" else "queued"

    # --- workers ---

    @rule(
        view=VIEW,
        which=st.sampled_from(["first", "first", "last", "none"]),
        worker=st.sampled_from(["w1", "w2"]),
    )
    def claim(self, view: int, which: str, worker: str) -> None:
        """A worker takes the first in line, another one, or none."""
        line = sorted(
            (job for job in self.jobs.values() if job.state == "queued"), key=lambda job: (job.place, job.id)
        )
        offered: list[int] = []

        def choose(jobs: Any) -> Job | None:
            offered[:] = [job.id for job in jobs]
            if which == "none" or not offered:
                return None
            chosen: Job = jobs[0] if which == "first" else jobs[-1]
            return chosen

        lease = self.views[view].lease(worker, 60.0)
        got = self.views[view].claim(choose, lease)
        if not line or self.pause_kind or which == "none":
            assert got is None
            assert offered in ([], [job.id for job in line])
            return
        assert offered == [job.id for job in line]
        expected = line[0] if which == "first" else line[-1]
        assert got is not None
        assert got.id == expected.id
        expected.state, expected.until = "starting", lease.until
        expected.attempts += 1
        assert got.attempt is not None
        assert (got.attempt.number, got.attempt.worker) == (expected.attempts, worker)

    @rule(
        view=VIEW,
        pick=PICK,
        what=st.sampled_from(CHANGES),
        late=st.sampled_from([0, 0, 0, 0, 1, -1]),
        outcome=OUTCOMES,
    )
    def say(self, view: int, pick: int, what: str, late: int, outcome: State) -> None:
        """A worker's word about its attempt, or about one that no longer counts."""
        job = self.pick(pick)
        number = (job.attempts if job else 1) - late
        lease = self.views[view].lease("w1", 30.0)
        with self.refused(self.why_not_say(job, number, what)):
            self.views[view].advance(pick, number, change_of(what, lease, outcome))
            assert job is not None
            self.take_word(job, what, lease, outcome)

    def why_not_say(self, job: Expected | None, number: int, what: str) -> str:
        """The error that a worker's word has to give; empty where it counts."""
        if job is None:
            return "job-unknown"
        if number != job.attempts or job.state not in ACTIVE:
            return "stale-attempt"
        refused = {"start": "running", "return": "running stopping"}.get(what, "")
        return "illegal-step" if job.state in refused.split() else ""

    def take_word(self, job: Expected, what: str, lease: Lease, outcome: State) -> None:
        """What the oracle makes of it."""
        job.until = lease.until if what in {"beat", "start"} else None
        if what == "start" and job.state == "starting":
            job.state = "running"
        elif what == "finish":
            job.state = outcome.value
            job.ended = [*job.ended, outcome.value]
        elif what == "requeue":
            job.state, job.stop = "queued", ""
            job.ended = [*job.ended, outcome.value]
        elif what == "return":
            job.state = "queued"
            job.ended = [*job.ended, "nothing"]

    # --- admins, time, and processes that come and go ---

    @rule(view=VIEW, kind=st.sampled_from(["", "", "paused", "moved"]))
    def pause_or_resume(self, view: int, kind: str) -> None:
        """Stop giving out jobs, or go on."""
        if kind:
            self.views[view].pause(Pause("anna", kind, moved_to="sqlite" if kind == "moved" else ""))
        else:
            self.views[view].resume()
        self.pause_kind = kind

    @rule(view=VIEW)
    def reopen(self, view: int) -> None:
        """Another process looks at the queue for the first time."""
        self.views[view] = self.open_view(self.folder, self.clock)

    @rule(seconds=st.sampled_from([1.0, 61.0, 5 * AGEING_S]), wall=st.sampled_from([1.0, 1.0, -1.0, 1000.0]))
    def pass_time(self, seconds: float, wall: float) -> None:
        """The boot clock goes on; the wall clock mostly does, too."""
        self.clock.uptime += seconds
        self.clock.time += seconds * wall

    # --- what always holds ---

    @invariant()
    def everybody_sees_what_happened(self) -> None:
        """Jobs, counts and pause are what the oracle says, in both views."""
        for view in self.views:
            found = view.jobs()
            assert [seen(job) for job in found] == [known(job) for job in self.jobs.values()]
            states = [job.state for job in self.jobs.values()]
            assert view.counts() == {state: states.count(state.value) for state in State}
            pause = view.paused()
            assert (pause.reason if pause else "") == self.pause_kind
        assert [stored.key for stored in self.views[0].export()] == [job.key for job in self.jobs.values()]
        wanted = Filter(states=frozenset({State.QUEUED}), user="anna")
        queued = [job.id for job in self.jobs.values() if job.state == "queued" and job.user == "anna"]
        assert [job.id for job in self.views[1].jobs(wanted, newest=True, limit=2)] == queued[::-1][:2]

    @invariant()
    def nobody_runs_twice(self) -> None:
        """Of a job's attempts only the newest can be alive, and only while the job is with a worker."""
        for job in self.views[0].jobs():
            assert [attempt.number for attempt in job.attempts] == list(range(1, len(job.attempts) + 1))
            alive = [attempt.number for attempt in job.attempts if attempt.ended_at is None]
            assert alive == ([len(job.attempts)] if job.state.active else [])
            assert (job.lease is not None) == job.state.active

    @invariant()
    def a_follower_knows_everything(self) -> None:
        """Small bites of the changes lead to what the list shows; only a lease may be newer there."""
        view = self.views[1]
        while batch := view.changes(self.followed_until, limit=2):
            self.followed.update({job.id: job for job in batch})
            self.followed_until = batch[-1].revision
        assert {job_id: evolve(job, lease=None) for job_id, job in self.followed.items()} == {
            job.id: evolve(job, lease=None) for job in view.jobs()
        }
        assert self.followed_until <= view.revision()
        assert view.revision() >= self.revision
        self.revision = view.revision()

    # --- helpers ---

    def pick(self, number: int) -> Expected | None:
        """The job with this id; ids that were not given are asked for as well."""
        return self.jobs.get(number)

    @contextlib.contextmanager
    def refused(self, code: str) -> Any:
        """What is done inside has to fail with *code*, or to work where that is empty."""
        if not code:
            yield
            return
        with pytest.raises(FetchError) as caught:
            yield
        assert caught.value.code == code


def change_of(what: str, lease: Lease, outcome: State) -> Change:
    """The change that a worker tells."""
    return {
        "beat": Beat(lease),
        "start": Started(LAUNCH, lease),
        "finish": Finished(Outcome(outcome)),
        "requeue": Requeued(Outcome(outcome)),
        "return": Returned(),
    }[what]


def seen(job: Job) -> tuple[object, ...]:
    """What a queue says about a job, as the oracle would say it."""
    ended = [
        attempt.outcome.state.value if attempt.outcome else "nothing"
        for attempt in job.attempts
        if attempt.ended_at is not None
    ]
    stop = "" if job.stop is None else "now" if job.stop.now else "soft"
    until = job.lease.until if job.lease else None
    return job.id, job.user, job.spec, job.state.value, len(job.attempts), stop, until, ended


def known(job: Expected) -> tuple[object, ...]:
    """Likewise, from the oracle."""
    return job.id, job.user, job.spec, job.state, job.attempts, job.stop, job.until, job.ended
