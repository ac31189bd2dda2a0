"""What configuration files mean for paths and for the queue.

Layer 1, pure: names only, nothing is looked up. Relative paths of either file are taken from the base. Agent and
worker call the same functions, so that they cannot resolve different queues from the same files.
"""

from __future__ import annotations

import os.path
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import evolve, field, frozen

from fetchml_core.errors import ConfigError

from .load import Loaded
from .redis_url import DEFAULT_URL, make_url, show_url
from .server import RedisConfig, ServerConfig
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
    "redis": (("queue", "filesystem_path"), "queue-fallback"),
}


@frozen
class QueueChoice:
    """The queue that a base uses.

    Args:
        type: Its backend.
        path: Its folder or file, absolute when the base is; of Redis the folder that stands in for it.
        url: Of Redis.
        connections: To Redis at once.
        fallback: Whether the folder stands in while Redis is away.
    """

    type: str
    path: Path
    url: str = field(default="", repr=False)
    connections: int = 10
    fallback: bool = False

    @property
    def label(self) -> str:
        """Where the queue is, for records and messages: its path, or its URL without the password."""
        return show_url(self.url) if self.url else str(self.path)


@frozen
class _Side:
    """What one file says about the queue."""

    name: str
    queue: QueueConfig
    type_written: bool
    url: str

    def path(self, kind: str) -> str:
        """The path it names for backend *kind*, or the empty string."""
        paths = {
            "native": self.queue.native.data_dir,
            "sqlite": self.queue.sqlite_path,
            "filesystem": self.queue.filesystem_path,
            "redis": self.queue.filesystem_path,
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
        ConfigError: ``queue-disagrees``.
    """
    sides = [side for side in (_side(server, "the api file"), _side(worker, "the worker file")) if side]
    kind = (
        _agreed("queue.type", [(side.name, side.queue.type) for side in sides if side.type_written])
        or "native"
    )
    key, usual = _PLACES[kind]
    named = [(side.name, str(_absolute(base, side.path(kind)))) for side in sides if side.path(kind)]
    path = _agreed(".".join(key), named)
    choice = QueueChoice(kind, Path(path) if path else data_root(worker, base) / usual)
    return choice if kind != "redis" else _with_redis(choice, sides, server)


def _with_redis(choice: QueueChoice, sides: list[_Side], server: Server) -> QueueChoice:
    """Add the server that the files name; where neither does, it is the usual one on this machine."""
    api = server.config if isinstance(server, Loaded) else server
    return evolve(
        choice,
        url=_agreed("Redis", [(side.name, side.url) for side in sides if side.url], show_url) or DEFAULT_URL,
        connections=(api.redis if api else RedisConfig()).max_connections,
        fallback=any(side.queue.fallback_to_filesystem for side in sides),
    )


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
        config, written = source.config, ("queue", "type") in source.places
        return _Side(str(source.file or name), config.queue, written, _redis_url(config))
    # of bare records a written default cannot be told apart
    return _Side(name, source.queue, source.queue.type != "native", _redis_url(source))


def _redis_url(config: ServerConfig | WorkerConfig) -> str:
    """The Redis that one file names, the empty string where it names none."""
    if isinstance(config, WorkerConfig):
        url, addr, password = config.redis_url, config.redis_addr, config.redis_password
        database = config.redis_db
    else:
        url, addr, password = config.redis.url, config.redis.addr, config.redis.password
        database = config.redis.db
    if url and url != DEFAULT_URL:
        return url
    return make_url(addr, password, database) if addr or password or database else ""


def _agreed(what: str, named: list[tuple[str, str]], show: Callable[[str], str] = str) -> str:
    """The one value in *named* (pairs of file and value), empty when nobody names one."""
    if len({value for _, value in named}) > 1:
        shown = [(file, show(value)) for file, value in named]
        secret = len({value for _, value in shown}) == 1
        raise ConfigError(
            "queue-disagrees",
            f"the api file and the worker file name different queues ({what})"
            + (": the place is the same, the password or an option is not" if secret else ""),
            context="; ".join(f"{file}: {value}" for file, value in shown),
            hint="write the same in both, or remove it from one",
        )
    return named[0][1] if named else ""
