"""Time, as an argument: wall clock for people, boot clock for leases.

A lease must neither expire nor live on because somebody set the clock, so it is measured on
CLOCK_BOOTTIME, which runs through suspend, together with the kernel's boot id.
"""

from __future__ import annotations

import time
from pathlib import Path

from attrs import frozen


@frozen
class BootTime:
    """A moment of one boot: the kernel's boot id, and seconds since that boot."""

    boot_id: str
    seconds: float


def read_boot_id(proc: Path = Path("/proc")) -> str:
    """Return the kernel's name for this boot."""
    try:
        return (proc / "sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:  # not Linux: a boot cannot be told from another, leases then end with time alone
        return "unknown"


class Clock:
    """The machine's clocks; tests pass one of their own."""

    def __init__(self) -> None:
        self._boot_id = read_boot_id()

    def now(self) -> float:
        """Seconds since the epoch, for people."""
        return time.time()

    def boot(self) -> BootTime:
        """The moment on the boot clock, for leases and time limits."""
        clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
        return BootTime(self._boot_id, time.clock_gettime(clock))

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)
