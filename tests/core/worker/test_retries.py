"""Further tries are counted by their cause: the host's by ``max_retries``, the job's own by ``--retries``."""

from __future__ import annotations

import os
import signal

import pytest
from attrs import evolve

from fetchml_core.clock import Clock
from fetchml_core.jobs.retries import LONGEST_S
from fetchml_core.jobs.states import State
from tests.core.service.support import WORKER_FILE, World
from tests.core.worker.support import Serving, sweep

RUN = "echo $FETCHML_ATTEMPT >>$FETCHML_CHECKPOINT_DIR/ran; "
STAY = "echo ready; while :; do sleep 0.1; done"


class LaterClock(Clock):
    """The machine's clocks, the wall clock so many seconds ahead: pauses between tries are over at once."""

    ahead = 0.0

    def now(self) -> float:
        """Seconds since the epoch."""
        return super().now() + self.ahead


def by_plan(plan: str) -> tuple[str, ...]:
    """The command of a job whose n-th try does what the n-th letter says: L stays and gets lost, E exits with 3."""
    line = f"{RUN}set -- {' '.join(plan)}; shift $((FETCHML_ATTEMPT - 1)); [ $1 = L ] || exit 3; {STAY}"
    return ("sh", "-c", line)


class Losing:
    """Workers on one base, one after the other, each of which can be lost together with what it runs."""

    def __init__(self, world: World) -> None:
        self.world, self.clock = world, LaterClock()
        self.serving = Serving(world, clock=self.clock)

    def at_try(self, number: int, job_id: int = 1) -> bool:
        """Whether the job is at this try or has ended; a pause before it is skipped."""
        job = self.world.host.queue.get(job_id)
        if job.state is State.QUEUED and job.attempts:
            self.clock.ahead += LONGEST_S
        return job.state.final or (job.state is State.RUNNING and len(job.attempts) == number)

    def lose(self, number: int) -> None:
        """Let the try of this number begin, then kill the worker and, as a power cut does, what it runs."""
        log = self.world.host.data.attempt(1, number).control / "log"
        self.serving.until(lambda: self.at_try(number) and log.exists() and "ready" in log.read_text())
        launch = self.world.host.queue.get(1).attempt.launch
        self.serving.forget()
        os.kill(launch.pid, signal.SIGKILL)
        self.serving = Serving(self.world, clock=self.clock)


@pytest.fixture
def losing(tmp_path):
    """A base whose worker file allows three further tries for what gets lost."""
    world = World(tmp_path / "base", worker=f"{WORKER_FILE}max_retries: 3\n")
    made = Losing(world)
    yield made
    if made.serving.worker._wake >= 0:
        made.serving.leave()
    sweep(world)


@pytest.mark.parametrize(
    ("plan", "retries", "state"),
    [
        ("LLLL", 0, State.LOST),
        ("EEE", 2, State.FAILED),
        ("E", 0, State.FAILED),
        ("LELELL", 2, State.LOST),
        ("ELLEE", 2, State.FAILED),
    ],
)
def test_retries_are_counted_by_cause(losing, plan, retries, state):
    """#16: max_retries 3 is 4 starts of a job that gets lost, --retries N is N+1 of one that fails; neither takes from the other."""
    losing.world.submit(argv=by_plan(plan + "EE"), retries=retries)
    for number, letter in enumerate(plan, 1):
        if letter == "L":
            losing.lose(number)
    losing.serving.until(lambda: losing.at_try(0))
    job = losing.world.host.queue.get(1)
    ran = (losing.world.host.data.checkpoint(1) / "ran").read_text().split()

    assert ran == [str(number) for number in range(1, len(plan) + 1)]
    causes = {"L": (State.LOST, "infrastructure"), "E": (State.FAILED, "code")}
    assert [(one.outcome.state, one.outcome.failure) for one in job.attempts] == [causes[one] for one in plan]
    assert job.state is state


def test_out_of_memory_is_not_tried_again(losing, tmp_path):
    """#16: neither number pays for it, since it would happen again; the hint says what to type."""
    (tmp_path / "memory.events").write_text(
        "oom 1\noom_kill 1\n"
    )  # of the container's memory group, on the host
    launcher = losing.serving.launcher
    real = launcher.launch
    launcher.launch = lambda spec: evolve(real(spec), cgroup=str(tmp_path))
    losing.world.submit(argv=("sh", "-c", f"{RUN}kill -9 $PPID"), retries=5)
    job = losing.serving.ended(losing.world.host.queue.get(1))

    assert len(job.attempts) == 1
    assert (job.state, job.outcome.failure, job.outcome.oom) == (State.FAILED, "resource", True)
    assert "--memory" in job.outcome.hint
