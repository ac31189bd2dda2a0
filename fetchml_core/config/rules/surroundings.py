"""Rules about folders and about what the machine has, for the api file and the worker file alike.

Layer 1, pure; the second half asks the machine.
"""

from __future__ import annotations

import os.path
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fetchml_core.config.findings import Finding, Key, show, show_key
from fetchml_core.units import format_size

if TYPE_CHECKING:
    from fetchml_core.config.option import Cpus, Size

    from .base import View

VOLATILE = ("/tmp", "/dev/shm", "/run")  # noqa: S108 - to warn of them
VOLATILE_TYPES = ("tmpfs", "ramfs")
_BASE: Key = ("base_path",)
_NATIVE: Key = ("queue", "native", "data_dir")
_QUEUES: dict[str, Key] = {
    "native": _NATIVE,
    "sqlite": ("queue", "sqlite_path"),
    "filesystem": ("queue", "filesystem_path"),
}


def queue_survives_by_name(view: View[Any]) -> Iterator[Finding]:
    """Under /tmp a queue is gone after a restart."""
    for key, text in _folders(view):
        if above := _volatile(Path(os.path.normpath(text))):
            yield _volatile_finding(view, key, f"{show(text)} is under {above}")


def queue_survives(view: View[Any]) -> Iterator[Finding]:
    """On a file system in memory a queue is gone after a restart; asks the machine."""
    if view.machine is None:
        return
    for key, text in _folders(view):
        if _volatile(Path(os.path.normpath(text))):
            continue  # its name says so already
        path = view.machine.path(text)
        kind = view.machine.filesystem(path)
        if above := _volatile(path):
            yield _volatile_finding(view, key, f"{show(text)} is {show(str(path))}, under {above}")
        elif kind in VOLATILE_TYPES:
            yield _volatile_finding(view, key, f"{show(text)} lies in memory ({kind})")


def _folders(view: View[Any]) -> Iterator[tuple[Key, str]]:
    """Yield the folders that the file names for queue and jobs, in use and in the order of the file."""
    config = view.config
    found = {
        _NATIVE: config.queue.native.data_dir,
        _QUEUES["sqlite"]: config.queue.sqlite_path,
        _QUEUES["filesystem"]: config.queue.filesystem_path,
    }
    keys = {_QUEUES[config.queue.type]} if config.queue.type in _QUEUES else set()
    if hasattr(config, "podman_image"):  # a worker's, where jobs lie below it too
        found[_BASE] = config.base_path
        keys.add(_BASE)
    for key in view.written(*keys):
        yield key, found[key]


def _volatile(path: Path) -> str:
    """The folder of `VOLATILE` that *path* is or lies below, else ""."""
    return next((name for name in VOLATILE if path.is_relative_to(name)), "")


def _volatile_finding(view: View[Any], key: Key, problem: str) -> Finding:
    what = "the queue, code and results are" if key == _BASE else "the queue is"
    return view.finding(
        "volatile-folder",
        key,
        f"{show_key(key)}: {problem}: {what} gone after a restart",
        severity="warning",
        hint=f"name a folder on a disk, such as /var/lib/fetchml{'/queue' if key != _BASE else ''}",
    )


def jobs_fit_the_machine(view: View[Any]) -> Iterator[Finding]:
    """A job's ceiling above what the machine has limits nothing; asks the machine."""
    machine = view.machine
    if machine is None:
        return
    cpus: Cpus = view.config.resources.podman_cpus
    memory: Size = view.config.resources.podman_memory
    if cpus.number > machine.cpus:
        key: Key = ("resources", "podman_cpus")
        yield view.finding(
            "cpus-beyond-machine",
            key,
            f"{show_key(key)} is {cpus}, but this machine has {machine.cpus:g} CPUs",
            severity="warning",
            hint=f'write "{machine.cpus:g}" or less',
        )
    if machine.memory and memory.bytes > machine.memory:
        key = ("resources", "podman_memory")
        yield view.finding(
            "memory-beyond-machine",
            key,
            f"{show_key(key)} is {memory}, but this machine has {format_size(machine.memory)}",
            severity="warning",
            hint=f'write "{machine.memory >> 20}m" or less',
        )
