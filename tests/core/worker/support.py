"""A worker in the test's own process, with the real process launcher, driven turn by turn."""

from __future__ import annotations

import os
import time
from pathlib import Path

from attrs import evolve

from fetchml_core.clock import BootTime, Clock
from fetchml_core.fsio import try_lock
from fetchml_core.jobs.job import Job
from fetchml_core.launcher.process import ProcessLauncher
from fetchml_core.service.workers import wake_worker
from fetchml_core.worker.worker import Worker
from tests.core.service.support import World


class ShiftedClock(Clock):
    """The machine's clocks, so many seconds ahead."""

    ahead = 0.0

    def boot(self) -> BootTime:
        """The boot clock."""
        real = super().boot()
        return evolve(real, seconds=real.seconds + self.ahead)


class Serving:
    """One worker on one base; `until` lets it work."""

    def __init__(
        self,
        world: World,
        *,
        on_demand: bool = False,
        worker_id: str = "box1",
        clock: Clock | None = None,
        poll_s: float = 0.05,
    ) -> None:
        self.world = world
        # a test waits for more than a worker does, such as a line in a log: let it look often
        often = evolve(world.host.worker, poll_interval_seconds=poll_s)
        self.host = evolve(world.host, clock=clock or world.host.clock, worker=often)
        lock = try_lock(self.host.base.worker_lock)
        assert lock is not None
        self.lock = lock
        self.launcher = ProcessLauncher(env=dict(os.environ), clock=Clock())
        self.worker = Worker(
            self.host,
            self.launcher,
            worker_id=worker_id,
            image="localhost/none",
            lock=lock,
            on_demand=on_demand,
        )

    def until(self, condition, seconds: float = 20.0) -> None:
        """Turn until *condition* holds."""
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, [str(job) for job in self.host.queue.jobs()]
            self.worker._turn()
            wake_worker(self.host) if condition() else self.worker._sleep()

    def ended(self, job: Job) -> Job:
        """Work until *job* has ended; return it."""
        self.until(lambda: self.host.queue.get(job.id).state.final)
        return self.host.queue.get(job.id)

    def printed(self, job: Job, text: str) -> None:
        """Work until *job* has printed *text*."""
        log = self.host.data.attempt(job.id, 1).control / "log"
        self.until(lambda: self._not_over(job) and log.exists() and text in log.read_text())

    def _not_over(self, job: Job) -> bool:
        now = self.host.queue.get(job.id)
        assert not now.state.final, now.outcome
        return True

    def leave(self) -> None:
        """End the worker as SIGTERM does: its jobs go on."""
        self.worker._detach()
        os.close(self.lock)

    def forget(self) -> None:
        """Drop the worker in the middle, as a kill does: nothing more is said about its jobs."""
        for runner in self.worker._runners.values():
            runner._advance = _gone
            runner.detach()
        self.leave()


def _gone(*_: object) -> Job:
    raise AssertionError("a killed worker says nothing")


def sweep(world: World) -> None:
    """End every process of the base's jobs."""
    launcher = ProcessLauncher(env={}, clock=Clock())
    jobs = world.host.data.folder / "jobs"
    for folder in jobs.glob("*/*/control") if jobs.is_dir() else ():
        launcher.clean("", folder.parent, Path(folder.parent.parent / "checkpoint"))
