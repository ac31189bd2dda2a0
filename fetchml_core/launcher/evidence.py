"""Whether an init lives, told from the host's /proc: the pid and the moment it started, never the pid alone.

Layer 2. Waiting is on a pidfd, so it ends at once and cannot meet another process that got the same pid.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal as signals
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import frozen

from fetchml_core.errors import HostError

if TYPE_CHECKING:
    from .spec import Launched

PROC = Path("/proc")
CGROUPS = Path("/sys/fs/cgroup")


@frozen
class ProcessStat:
    """What /proc/PID/stat says that we use."""

    state: str
    parent: int
    start_ticks: int


def read_stat(pid: int, proc: Path = PROC) -> ProcessStat | None:
    """Return the state of a process, None when there is none."""
    try:
        text = (proc / str(pid) / "stat").read_text("utf-8", "replace")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()  # the name before may hold anything
    return ProcessStat(state=fields[0], parent=int(fields[1]), start_ticks=int(fields[19]))


def is_alive(launched: Launched, proc: Path = PROC) -> bool:
    """Return whether the init lives; one that has ended and was not collected yet does not."""
    stat = read_stat(launched.pid, proc)
    return stat is not None and stat.state not in "ZX" and stat.start_ticks == launched.start_ticks


def open_pidfd(launched: Launched) -> int | None:
    """Return a descriptor that becomes readable when the init ends, None when it has; the caller closes it.

    Raises:
        HostError: ``no-pidfd`` on a kernel before 5.3.
    """
    try:
        fd = os.pidfd_open(launched.pid)
    except ProcessLookupError:
        return None
    except OSError as error:
        raise HostError(
            "no-pidfd", f"this kernel cannot watch a process: {error.strerror}", hint="uname -r"
        ) from error
    if is_alive(launched):  # asked after the opening: the descriptor is of this very process
        return fd
    os.close(fd)
    return None


def send_signal(launched: Launched, number: int) -> bool:
    """Send the init a signal; returns False when it has ended."""
    fd = open_pidfd(launched)
    if fd is None:
        return False
    try:
        signals.pidfd_send_signal(fd, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(fd)
    return True


def wait_end(launched: Launched, seconds: float) -> bool:
    """Wait for the init to end; returns whether it has."""
    fd = open_pidfd(launched)
    if fd is None:
        return True
    try:
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        return bool(poll.poll(max(0, int(seconds * 1000))))
    finally:
        os.close(fd)


def memory_cgroup(pid: int, proc: Path = PROC, cgroups: Path = CGROUPS) -> str:
    """Return the folder of a process's memory cgroup, empty where it cannot be told."""
    with contextlib.suppress(OSError, ValueError):
        for line in (proc / str(pid) / "cgroup").read_text("utf-8", "replace").splitlines():
            number, controllers, path = line.split(":", 2)
            if "memory" in controllers.split(","):
                return str(cgroups / "memory" / path.lstrip("/"))
            if number == "0" and (cgroups / "cgroup.controllers").exists():
                return str(cgroups / path.lstrip("/"))
    return ""


def oom_kills(cgroup: str) -> int | None:
    """Return how many processes of a memory cgroup the kernel killed for want of memory, None when it is gone."""
    for name in ("memory.events", "memory.oom_control"):
        with contextlib.suppress(OSError, ValueError):
            for line in Path(cgroup, name).read_text("ascii").splitlines():
                key, _, value = line.partition(" ")
                if key == "oom_kill":
                    return int(value)
    return None
