"""What a killed ``podman run`` leaves running, which Podman itself no longer knows: found by name, and ended.

Layer 2. Podman starts conmon, conmon starts the runtime, the runtime starts the container's first process. Whoever is
killed on that way leaves the others behind; ``podman rm`` then removes the record and not always the processes.

A process counts only where it is the account's own and lies in no container: the words of a command line are anybody's
to choose, also a job's. For the same reason nothing that stands in one is ever run.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from attrs import frozen

from fetchml_core.errors import HostError

from . import evidence

if TYPE_CHECKING:
    from collections.abc import Callable

    from fetchml_core.clock import Clock

    from .engine import Engine

_CONTAINER_ID = re.compile(r"[0-9a-f]{64}")
_PATIENCE_S = 1.0
"""How long a conmon whose container has just ended has for its own clean-up before it counts as a stray."""
_KILL_S = 3.0
_LIMIT_S = 15.0
_RUN_S = 5.0
"""How long a start that a dead worker left may take to end by itself, which is tidier than a kill."""


@frozen
class Stray:
    """A process of Podman's that belongs to one container.

    Args:
        kind: ``conmon``, or ``run`` for a ``podman run``.
        name: The container's name.
        container: Its id; empty where it is not known.
    """

    pid: int
    start_ticks: int
    kind: Literal["conmon", "run"]
    name: str
    container: str = ""
    boot_id: str = ""


def stray_of(argv: list[str]) -> tuple[Literal["conmon", "run"], str, str] | None:
    """Return kind, container's name and container's id from a command line; None where it is of something else."""
    program = argv[0].rpartition("/")[2] if argv else ""
    if program == "conmon":
        container = _word_after("-c", argv)
        return "conmon", _word_after("-n", argv), container if _CONTAINER_ID.fullmatch(container) else ""
    if program == "podman" and argv[1:2] == ["run"]:
        names = [word.partition("=")[2] for word in argv if word.startswith("--name=")]
        return ("run", names[0], "") if names else None
    return None


def _word_after(option: str, argv: list[str]) -> str:
    place = argv.index(option) + 1 if option in argv else len(argv)
    return argv[place] if place < len(argv) else ""


def find(wanted: Callable[[str], bool], proc: Path = evidence.PROC) -> list[Stray]:
    """Return the processes of the containers whose names are *wanted*."""
    found = []
    for entry in proc.iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):  # it has just ended
            words = (entry / "cmdline").read_bytes().decode("utf-8", "surrogateescape").split("\0")
            known = stray_of(words[:-1])
            if known is None or not wanted(known[1]) or not _is_ours(entry):
                continue
            stat = evidence.read_stat(int(entry.name), proc)
            if stat is not None and stat.state not in "ZX":
                found.append(Stray(int(entry.name), stat.start_ticks, *known))
    return found


def end_runs(name: str, clock: Clock) -> None:
    """Let every ``podman run`` of this container end, or make it; its container may be there afterwards."""
    end = clock.boot().seconds + _RUN_S
    while runs := [stray for stray in find(lambda other: other == name) if stray.kind == "run"]:
        if clock.boot().seconds > end:
            for stray in runs:
                evidence.send_signal(stray, signal.SIGKILL)
        clock.sleep(0.02)


def end_rest(name: str, engine: Engine, clock: Clock, runtime: str) -> None:
    """Let the processes of a container end that was removed, or make them.

    Args:
        name: The container's.
        engine: Runs the runtime with Podman's own environment.
        clock: The machine's clocks.
        runtime: Path of the runtime that Podman uses; empty where it is not known.

    Raises:
        HostError: ``cannot-clean``.
    """
    began = clock.boot().seconds
    deleted: set[str] = set()
    while strays := find(lambda other: other == name):
        seconds = clock.boot().seconds - began
        if seconds > _LIMIT_S:
            context = ", ".join(f"{stray.kind} {stray.pid}" for stray in strays)
            raise HostError("cannot-clean", "processes of a container cannot be ended", context=context)
        for stray in strays:
            if seconds > _KILL_S:
                _kill(stray)
            elif seconds > _PATIENCE_S and runtime and stray.container and stray.container not in deleted:
                deleted.add(stray.container)
                # It takes its records and the control groups along, where it knows the container.
                engine.run(["delete", "--force", stray.container], program=runtime)
        clock.sleep(0.02)


def _kill(stray: Stray) -> None:
    """Kill what it started; itself once there is nothing, for what a dead parent leaves nobody finds by name."""
    for pid in _descendants(stray.pid) or [stray.pid]:
        if evidence.is_alive(stray):
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)


def _descendants(pid: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for entry in evidence.PROC.iterdir():
        if entry.name.isdigit() and (stat := evidence.read_stat(int(entry.name))) is not None:
            children.setdefault(stat.parent, []).append(int(entry.name))
    found: list[int] = []
    todo = [pid]
    while todo:
        for child in children.get(todo.pop(), ()):
            found.append(child)
            todo.append(child)
    return found


def _is_ours(entry: Path) -> bool:
    """Whether it is the account's, in the process table that we see: one of a container has a number there too."""
    if entry.stat().st_uid != os.geteuid():
        return False
    for line in (entry / "status").read_text("utf-8", "replace").split("\n"):
        if line.startswith("NSpid:"):
            return len(line.split()) == 2
    return False
