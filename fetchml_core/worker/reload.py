"""What changes when a worker reads its file again, and what stays as it was when it started. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from attrs import evolve, fields, has

from fetchml_core.config.worker import WorkerConfig

CHANGES = (
    "max_workers",
    "poll_interval_seconds",
    "task_lease_duration",
    "heartbeat_interval",
    "max_retries",
    "graceful_timeout",
)
"""Options that may change while jobs run, with ``resources.max_workers``, ``sandbox.network`` and ``logging.level``."""


def reloaded(now: WorkerConfig, read: WorkerConfig) -> tuple[WorkerConfig, tuple[str, ...]]:
    """Return the configuration that counts from now on, and the options that differ in the file and are kept.

    Args:
        now: What counted so far.
        read: What the file says.
    """
    merged = evolve(
        now,
        **{name: getattr(read, name) for name in CHANGES},
        resources=evolve(now.resources, max_workers=read.resources.max_workers),
        sandbox=evolve(now.sandbox, network=read.sandbox.network),
        logging=evolve(now.logging, level=read.logging.level),
    )
    return merged, tuple(_differing(merged, read, ""))


def _differing(one: Any, other: Any, section: str) -> Iterator[str]:
    for field in fields(type(one)):
        left, right = getattr(one, field.name), getattr(other, field.name)
        if has(type(left)) and has(type(right)) and fields(type(left)):
            yield from _differing(left, right, f"{section}{field.name}.")
        elif left != right:
            yield section + field.name
