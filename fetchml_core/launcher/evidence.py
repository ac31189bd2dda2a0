"""Whether a process lives, told from the host's /proc: the pid, the boot and the moment it started, never the pid alone.

Layer 2. Waiting is on a pidfd, so it ends at once and cannot meet another process that got the same pid.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal as signals
from pathlib import Path
from typing import Protocol

from attrs import frozen

from fetchml_core.clock import read_boot_id
from fetchml_core.errors import HostError

PROC = Path("/proc")
CGROUPS = Path("/sys/fs/cgroup")


class Known(Protocol):
    """A process that somebody wrote down: an attempt's init, or a worker."""

    @property
    def pid(self) -> int:
        """As the host sees it."""
        ...

    @property
    def start_ticks(self) -> int:
        """When it started, in clock ticks since boot."""
        ...

    @property
    def boot_id(self) -> str:
        """That boot; empty where it was not written down."""
        ...


@frozen
class ProcessStat:
    """What /proc/PID/stat says that we use."""

    state: str
    parent: int
    start_ticks: int


def read_stat(pid: int, proc: Path = PROC) -> ProcessStat | None:
    """Return the state of a process, None when there is none."""
    try:
        with open(f"{proc}/{pid}/stat", "rb", buffering=0) as file:  # noqa: PTH123 - this is asked for often
            text = file.read(4096)
    except OSError:
        return None
    fields = text.rpartition(b")")[2].split()  # the name before may hold anything
    return ProcessStat(state=fields[0].decode(), parent=int(fields[1]), start_ticks=int(fields[19]))


def is_alive(known: Known, proc: Path = PROC) -> bool:
    """Return whether the process lives; one that has ended and was not collected yet does not."""
    stat = read_stat(known.pid, proc)
    if stat is None or stat.state in "ZX" or stat.start_ticks != known.start_ticks:
        return False
    return known.boot_id in {"", read_boot_id(proc)}  # after a boot the same ticks come again


def open_pidfd(known: Known) -> int | None:
    """Return a descriptor that becomes readable when the process ends, None when it has; the caller closes it.

    Raises:
        HostError: ``no-pidfd`` on a kernel before 5.3.
    """
    try:
        fd = os.pidfd_open(known.pid)
    except ProcessLookupError:
        return None
    except OSError as error:
        raise HostError(
            "no-pidfd", f"this kernel cannot watch a process: {error.strerror}", hint="uname -r"
        ) from error
    if is_alive(known):  # asked after the opening: the descriptor is of this very process
        return fd
    os.close(fd)
    return None


def send_signal(known: Known, number: int) -> bool:
    """Send the process a signal; returns False when it has ended."""
    fd = open_pidfd(known)
    if fd is None:
        return False
    try:
        signals.pidfd_send_signal(fd, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(fd)
    return True


def wait_end(known: Known, seconds: float) -> bool:
    """Wait for the process to end; returns whether it has."""
    fd = open_pidfd(known)
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
