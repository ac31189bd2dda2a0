"""What both launchers share: an attempt is reached through its init, whoever started it.

Layer 2. The init is known by pid and start time, takes signals, and leaves its record in the control folder, in a
container and on a bare host alike.
"""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from . import control, evidence
from .record import ExitRecord, read_record

if TYPE_CHECKING:
    from pathlib import Path

    from .spec import Launched


class ByInit:
    """The part of `base.Launcher` that only needs the init."""

    def go(self, launched: Launched, folder: Path) -> None:
        """See `base.Launcher.go`."""
        del launched
        control.give_go(folder)

    def alive(self, launched: Launched) -> bool:
        """See `base.Launcher.alive`."""
        return evidence.is_alive(launched)

    def open_pidfd(self, launched: Launched) -> int | None:
        """See `base.Launcher.open_pidfd`."""
        return evidence.open_pidfd(launched)

    def signal(self, launched: Launched, number: int) -> bool:
        """See `base.Launcher.signal`."""
        return evidence.send_signal(launched, number)

    def kill(self, launched: Launched) -> bool:
        """See `base.Launcher.kill`; what outlives an init on a bare host is found by `clean`."""
        return kill_init(launched)

    def record(self, folder: Path, attempt: int) -> ExitRecord | None:
        """See `base.Launcher.record`."""
        return read_record(folder / "control", attempt)

    def close(self) -> None:
        """See `base.Launcher.close`; nothing is held."""


def kill_init(launched: Launched, *, grace: float = 5.0) -> bool:
    """Let the init kill the job and write its record; kill the init itself when that takes over *grace* seconds.

    With PID 1 of a container the kernel ends the whole container.
    """
    if not evidence.send_signal(launched, signal.SIGQUIT) or evidence.wait_end(launched, grace):
        return True
    evidence.send_signal(launched, signal.SIGKILL)
    return evidence.wait_end(launched, grace)
