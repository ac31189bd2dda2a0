"""The one way a job is ended: say why, signal, grace, kill of everything."""

from __future__ import annotations

import signal
from pathlib import Path

from fetchml_core.jobs.job import Launched, Stop
from fetchml_core.launcher.base import Launcher
from fetchml_core.launcher.control import request_stop
from fetchml_core.service.host import Host


class Stopping:
    """Ends one attempt, step after step.

    Args:
        launcher: What started it.
        launch: What it started.
        folder: Of the attempt.
    """

    def __init__(self, launcher: Launcher, launch: Launched, folder: Path) -> None:
        self._launcher = launcher
        self._launch = launch
        self._folder = folder
        self._signalled = False
        self.deadline: float | None = None
        """When the next step is due, on the boot clock; None before the first."""

    def drive(self, stop: Stop | None, host: Host) -> None:
        """Do the next step of ending the job, if it is time for one."""
        if stop is None:
            return
        now = host.clock.boot().seconds
        if not self._signalled:
            self._signalled = True
            request_stop(self._folder, stop.reason or "cancelled")
            self._launcher.signal(self._launch, signal.SIGTERM)
            self.deadline = now + host.worker.graceful_timeout.seconds
        if stop.now or (self.deadline is not None and now >= self.deadline):
            self._launcher.kill(self._launch)
            self.deadline = now + 1.0
