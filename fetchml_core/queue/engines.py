"""Which engine serves which ``queue.type``; an engine is imported when a queue of its kind is opened."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING

from fetchml_core.clock import Clock

from .base import Queue
from .place import check_place

if TYPE_CHECKING:
    from fetchml_core.config.resolve import QueueChoice

_ENGINES = {
    "native": ("native", "NativeQueue"),
    "sqlite": ("sqlite", "SqliteQueue"),
    "filesystem": ("filesystem", "FilesystemQueue"),
}


def open_queue(kind: str, path: Path, clock: Clock) -> Queue:
    """Return the queue of type *kind* at *path*, a folder or a file; it is made with its first job.

    Raises:
        HostError: ``queue-place``: no queue may lie there (see `place`).
    """
    check_place(path.parent if kind == "sqlite" else path)
    module, name = _ENGINES[kind]
    queue: Queue = getattr(importlib.import_module(f".{module}", __package__), name)(path, clock)
    return queue


def open_chosen(choice: QueueChoice, clock: Clock, *, home: str = "") -> Queue:
    """Return the queue that the files of a host name, be it in files or on a server.

    Args:
        choice: Which.
        clock: The machine's clocks.
        home: This host's name among those that share a queue; counts for Redis alone.

    Raises:
        HostError: ``queue-place``.
    """
    if choice.type != "redis":
        return open_queue(choice.type, choice.path, clock)
    from .redis import RedisQueue
    from .redis_link import Link

    if not choice.fallback:
        return RedisQueue(Link(choice.url, connections=choice.connections), clock, home)
    from .fallback import SHORT_PATIENCE_S, FallbackQueue

    check_place(choice.path)
    link = Link(choice.url, connections=choice.connections, patience=SHORT_PATIENCE_S)
    return FallbackQueue(RedisQueue(link, clock, home), choice.path, clock)
