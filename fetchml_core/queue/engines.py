"""Which engine serves which ``queue.type``; an engine is imported when a queue of its kind is opened."""

from __future__ import annotations

import importlib
from pathlib import Path

from fetchml_core.clock import Clock

from .base import Queue

_ENGINES = {
    "native": ("native", "NativeQueue"),
    "sqlite": ("sqlite", "SqliteQueue"),
    "filesystem": ("filesystem", "FilesystemQueue"),
}


def open_queue(kind: str, path: Path, clock: Clock) -> Queue:
    """Return the queue of type *kind* at *path*, a folder or a file; it is made with its first job."""
    module, name = _ENGINES[kind]
    queue: Queue = getattr(importlib.import_module(f".{module}", __package__), name)(path, clock)
    return queue
