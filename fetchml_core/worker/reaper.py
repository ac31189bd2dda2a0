"""Removes what attempts that are over have left on the host: containers, and processes that nobody watches.

Who ends an attempt cleans up after it; this is for what a kill in the wrong moment left. What the queue says is live
stays, whoever watches it; of other bases nothing is even looked at.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from fetchml_core.errors import FetchError
from fetchml_core.launcher.base import Launcher
from fetchml_core.launcher.spec import Leftover
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
        except FetchError as error:
            self._log.warning("what earlier jobs may have left could not be removed: %s", error)
            self._due_at = self._host.clock.boot().seconds + AGAIN_S

    def look(self) -> list[Leftover]:
        """Remove what is left; return it.

        Raises:
            FetchError: it could not be found out or not be removed.
        """
        found = self._launcher.leftovers(self._host.data.folder / "jobs")
        over = [left for left in found if not self._is_live(left.job_id, left.attempt)]
        for left in over:
            self._log.warning("job %d: removing what attempt %d has left", left.job_id, left.attempt)
            folder = self._host.data.attempt(left.job_id, left.attempt).folder
            self._launcher.clean(left.name, folder, None)  # another attempt may use the checkpoint folder
        return over
