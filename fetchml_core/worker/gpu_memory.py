"""What an attempt that is over still holds of a GPU. Decided from what the driver lists and what the host's /proc tells.

A process is the attempt's by a fact that stays true while the kernel cannot end it: its memory cgroup, or, without a
container, the variable that names the attempt's folder. One that has begun before the attempt never is. Of a process
that is ending the kernel has taken the variables away already: it counts as the attempt's where nobody else shares
the GPU. Memory that no process explains counts where it is clearly more than before the attempt; where a process does
not tell how much it has, nothing can be said of that.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from attrs import frozen

from fetchml_core.hardware.inventory import Gpu, GpuProcess
from fetchml_core.launcher.evidence import PROC, memory_cgroup, read_stat
from fetchml_core.service.quarantine import Holder, OutOfUse
from fetchml_core.units import format_size

MARGIN = 1 << 30
"""So many bytes more than before the attempt may be in use by nobody: a driver keeps some for itself as it likes."""


@frozen
class Over:
    """An attempt that is over.

    Args:
        job: Its job.
        workspace: Its workspace.
        start_ticks: When its init began; 0 where nobody wrote that down.
        cgroup: Folder of its own memory cgroup; empty where it had none.
    """

    job: int
    workspace: Path
    start_ticks: int = 0
    cgroup: str = ""


def held(gpu: Gpu, over: Over, most: int | None, proc: Path = PROC) -> OutOfUse | None:
    """Return that *over* holds memory of *gpu*, None where it does not, or nobody can tell.

    Args:
        gpu: As it is now.
        over: The attempt.
        most: What may be in use by nobody that is known; None where that was not known before the attempt.
        proc: The folder /proc.
    """
    alone = gpu.slots == 1
    found = [
        Holder(one.pid, _ticks(one.pid, proc))
        for one in gpu.processes
        if _is_of(one.pid, over, proc, alone=alone)
    ]
    return _told(gpu, over.job, found, most if alone else None, proc)


def still_held(gpu: Gpu, out: OutOfUse, proc: Path = PROC) -> OutOfUse | None:
    """Return what *out* says as it is now; None where the GPU is clean."""
    listed = {one.pid for one in gpu.processes}
    found = [one for one in out.holders if one.pid in listed and _ticks(one.pid, proc) == one.start_ticks]
    return _told(gpu, out.job, found, out.most, proc)


def unexplained(gpu: Gpu, proc: Path = PROC) -> int | None:
    """Return how many bytes are in use that no living process has; None where that cannot be told."""
    sizes = [one.memory for one in gpu.processes if read_stat(one.pid, proc) is not None]
    if gpu.memory_used is None or None in sizes:
        return None
    return max(0, gpu.memory_used - sum(size or 0 for size in sizes))


def _told(gpu: Gpu, job: int, holders: Sequence[Holder], most: int | None, proc: Path) -> OutOfUse | None:
    pids = {holder.pid for holder in holders}
    parts = [_process_words(one, proc) for one in gpu.processes if one.pid in pids]
    loose = None if most is None else unexplained(gpu, proc)
    if not parts and most is not None and loose is not None and loose > most:
        size = format_size(loose - most + MARGIN)
        parts.append(f"{size} more are in use than before it, and no process is known to hold them")
    if not parts:
        return None
    problem = f"quarantined: job {job} has ended, but {', '.join(parts)}"
    return OutOfUse(gpu.uuid, "memory", problem, job=job, holders=tuple(holders), most=most)


def _process_words(one: GpuProcess, proc: Path) -> str:
    stat = read_stat(one.pid, proc)
    size = "memory" if one.memory is None else format_size(one.memory)
    return f"its {one.name or 'process'} {one.pid} (state {stat.state if stat else 'X'}) holds {size}"


def _is_of(pid: int, over: Over, proc: Path, *, alone: bool) -> bool:
    stat = read_stat(pid, proc)
    if stat is None or stat.start_ticks < over.start_ticks:
        return False
    if over.cgroup:
        # each thread's: a process whose first thread has ended stands in the root where the others hang
        places = (memory_cgroup(thread, proc / str(pid) / "task") for thread in _threads(pid, proc))
        return any(place == over.cgroup or place.startswith(f"{over.cgroup}/") for place in places)
    variables = [_environ(proc / str(pid) / "task" / str(thread)) for thread in _threads(pid, proc)]
    marker = b"\0FETCHML_WORKSPACE=" + os.fsencode(over.workspace) + b"\0"
    if any(marker in words for words in variables):
        return True
    return alone and over.start_ticks > 0 and set(variables) == {b"\0"}


def _threads(pid: int, proc: Path) -> Iterator[int]:
    try:
        for entry in (proc / str(pid) / "task").iterdir():
            yield int(entry.name)
    except OSError:
        return


def _environ(thread: Path) -> bytes:
    """Return the variables, each between two NUL characters; no NUL where nobody may look."""
    try:
        return b"\0" + (thread / "environ").read_bytes()
    except ProcessLookupError:  # newer kernels say so of one that is ending, older ones tell no variables
        return b"\0"
    except OSError:
        return b""


def _ticks(pid: int, proc: Path) -> int:
    stat = read_stat(pid, proc)
    return -1 if stat is None else stat.start_ticks
