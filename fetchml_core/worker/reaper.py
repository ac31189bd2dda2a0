"""Removes what attempts that are over have left on the host: containers, processes that nobody watches, workspaces.

Who ends an attempt cleans up after it; this is for what a kill in the wrong moment left, and for workspaces that a power
cut has brought back, for which all jobs are looked through once after each boot. What the queue says is live stays,
whoever watches it; of other bases nothing is even looked at.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from fetchml_core.errors import FetchError
from fetchml_core.fsio import replace_file
from fetchml_core.launcher.base import Launcher
from fetchml_core.launcher.spec import Leftover, name_prefix
from fetchml_core.removal import remove_tree
from fetchml_core.service.host import Host

EVERY_S = 60.0
"""How often it looks when nothing went wrong: Podman's answer takes some 30 ms, too much for every change of the queue."""
AGAIN_S = 10.0
"""How soon it looks again after something could not be removed."""

IsLive = Callable[[int, int], bool]
"""Says of a job's id and an attempt's number whether the queue has it as live; raises where the queue cannot tell."""


class Reaper:
    """Looks at the worker's start, after a launch or a clean-up that went wrong, and from time to time.

    Args:
        host: The host.
        launcher: What starts jobs here.
        is_live: Asked after each look at the host, as what was launched in between is live by then, and of each attempt
            that was found: a list of the live ones lacks those that only a Redis that is away knows.
    """

    def __init__(self, host: Host, launcher: Launcher, is_live: IsLive) -> None:
        self._host = host
        self._launcher = launcher
        self._is_live = is_live
        self._log = logging.getLogger("fetchml")
        self._due_at = 0.0
        self._thread: threading.Thread | None = None

    def ask(self) -> None:
        """Look at the next turn: something may have been left."""
        self._due_at = 0.0

    def turn(self) -> None:
        """Start a look, if it is time for one; it takes seconds where there is much to remove, so it has a thread."""
        now = self._host.clock.boot().seconds
        if now < self._due_at or (self._thread is not None and self._thread.is_alive()):
            return
        self._due_at = now + EVERY_S
        self._thread = threading.Thread(target=self._look, name="reaper", daemon=True)
        self._thread.start()

    def join(self, seconds: float) -> None:
        """Wait for a look to end."""
        if self._thread is not None:
            self._thread.join(seconds)

    def _look(self) -> None:
        try:
            self.look()
        except (FetchError, OSError) as error:
            self._log.warning("what earlier jobs may have left could not be removed: %s", error)
            self._due_at = self._host.clock.boot().seconds + AGAIN_S

    def look(self) -> list[Leftover]:
        """Remove what is left; return it.

        Raises:
            FetchError: it could not be found out or not be removed.
        """
        jobs, boot_id = self._host.data.jobs, self._host.clock.boot().boot_id.encode()
        swept = self._host.base.swept
        new_boot = not swept.exists() or swept.read_bytes() != boot_id
        found = {*self._launcher.leftovers(jobs), *(_with_workspace(jobs) if new_boot else ())}
        over = [left for left in sorted(found) if not self._is_live(left.job_id, left.attempt)]
        for left in over:
            self._log.warning("job %d: removing what attempt %d has left", left.job_id, left.attempt)
            places = self._host.data.attempt(left.job_id, left.attempt)
            # another attempt may use the checkpoint folder
            self._launcher.clean(left.name, places.folder, None)
            remove_tree(places.workspace)
        if new_boot:
            replace_file(swept, boot_id)
        return over


def _with_workspace(jobs: Path) -> Iterator[Leftover]:
    """Yield the attempts that have a workspace, as those do that have not ended."""
    for job in _numbered(jobs):
        for attempt in _numbered(job):
            if (attempt / "workspace").exists():
                name = f"{name_prefix(jobs)}{job.name}-{attempt.name}"
                yield Leftover(int(job.name), int(attempt.name), name)


def _numbered(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.name.isdigit()] if folder.is_dir() else []
