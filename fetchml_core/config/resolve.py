"""What configuration files mean for paths and for the queue.

Layer 1, pure: names only, nothing is looked up. Relative paths of either file are taken from the base. Agent and
worker call the same functions, so that they cannot resolve different queues from the same files.
"""

from __future__ import annotations

import os.path
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import frozen

from fetchml_core.errors import ConfigError

from .load import Loaded
from .server import ServerConfig
from .worker import WorkerConfig

if TYPE_CHECKING:
    from .findings import Key
    from .shared import QueueConfig

Server = Loaded[ServerConfig] | ServerConfig | None
Worker = Loaded[WorkerConfig] | WorkerConfig | None

#: The key that names the place of each type of queue, and its name in the data folder where no key does.
_PLACES: dict[str, tuple[Key, str]] = {
    "native": (("queue", "native", "data_dir"), "queue"),
    "sqlite": (("queue", "sqlite_path"), "queue.sqlite"),
    "filesystem": (("queue", "filesystem_path"), "queue-files"),
}


@frozen
class QueueChoice:
    """The queue that a base uses: its backend, and its folder or file, absolute when the base is."""

    type: str
    path: Path


@frozen
class _Side:
    """What one file says about the queue."""

    name: str
    queue: QueueConfig
    type_written: bool

    def path(self, kind: str) -> str:
        """The path it names for backend *kind*, or the empty string."""
        paths = {
            "native": self.queue.native.data_dir,
            "sqlite": self.queue.sqlite_path,
            "filesystem": self.queue.filesystem_path,
        }
        return paths.get(kind, "")


def resolve_queue(server: Server, worker: Worker, base: Path) -> QueueChoice:
    """Return the queue that the files of a base name.

    Where both files name one they must agree; where one is silent the other counts; where both are, it is the
    native one. A queue whose place nobody names lies in the data folder.

    Args:
        server: The api file as `load_server` gave it (or its records), None without one.
        worker: The worker file, likewise.
        base: The base.

    Raises:
        ConfigError: ``queue-disagrees``, ``queue-type-not-active``.
    """
    sides = [side for side in (_side(server, "the api file"), _side(worker, "the worker file")) if side]
    kind = (
        _agreed("queue.type", [(side.name, side.queue.type) for side in sides if side.type_written])
        or "native"
    )
    if kind not in _PLACES:
        raise ConfigError(
            "queue-type-not-active",
            f"the queue type {kind} does not work yet",
            context=f"queue.type: {kind}",
            hint=f"write queue.type: native (or {', '.join(list(_PLACES)[1:])}), or remove it",
        )
    key, usual = _PLACES[kind]
    named = [(side.name, str(_absolute(base, side.path(kind)))) for side in sides if side.path(kind)]
    path = _agreed(".".join(key), named)
    return QueueChoice(kind, Path(path) if path else data_root(worker, base) / usual)


def data_root(worker: Worker, base: Path) -> Path:
    """Return the folder of queue, snapshots and jobs: the worker file's ``base_path``, else ``<base>/data``."""
    config = worker.config if isinstance(worker, Loaded) else worker
    return _absolute(base, (config.base_path if config else "") or "data")


def audit_file(server: Server, base: Path) -> Path | None:
    """Return where audit records go, None where audit logging is off."""
    config = server.config if isinstance(server, Loaded) else server
    if config is None or not config.security.audit_logging.enabled:
        return None
    return _absolute(base, config.security.audit_logging.log_path or "audit.log")


def _absolute(base: Path, text: str) -> Path:
    return Path(os.path.normpath(base / text))


def _side(source: Server | Worker, name: str) -> _Side | None:
    if source is None:
        return None
    if isinstance(source, Loaded):
        return _Side(str(source.file or name), source.config.queue, ("queue", "type") in source.places)
    return _Side(name, source.queue, source.queue.type != "native")  # a written default cannot be told apart


def _agreed(what: str, named: list[tuple[str, str]]) -> str:
    """The one value in *named* (pairs of file and value), empty when nobody names one."""
    if len({value for _, value in named}) > 1:
        raise ConfigError(
            "queue-disagrees",
            f"the api file and the worker file name different queues ({what})",
            context="; ".join(f"{file}: {value}" for file, value in named),
            hint="write the same in both, or remove it from one",
        )
    return named[0][1] if named else ""
