"""Everything about one job."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fetchml_core.fsio import open_plain_file
from fetchml_core.wire.jobs import MetricLine, ShowReply, ShowRequest

from .context import Context
from .front import front
from .heal import heal
from .select import select_one
from .why import why


def run(context: Context, request: ShowRequest) -> ShowReply:
    """See the module."""
    host, queue = context.host, context.host.queue
    job = select_one(context, request.select, anywhere=True)
    jobs = front(queue)
    worker = heal(host, jobs)
    here = job.home == queue.home
    places = host.data.attempt(job.id, job.attempt.number) if job.attempt and here else None
    return ShowReply(
        job,
        host.clock.now(),
        worker,
        why=why(host, jobs, worker, [job]).get(job.id, ""),
        metrics=tuple(last_metrics(places.metrics)) if places else (),
        results=str(places.results) if places else "",
        checkpoint=str(host.data.checkpoint(job.id)) if here else "",
        notes=host.queue_notes(),
    )


def last_metrics(path: Path) -> list[MetricLine]:
    """Return the newest value of every metric in *path*, in the order they first came."""
    newest: dict[str, MetricLine] = {}
    for record in _records(path):
        for key, value in record["values"].items():
            newest[key] = MetricLine(key, float(value), record["step"])
    return list(newest.values())


def _records(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the whole lines; the last may be half-written, and one at which the disk was full cut short."""
    try:
        fd = open_plain_file(path)
    except FileNotFoundError:
        return
    with os.fdopen(fd, "rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                with contextlib.suppress(ValueError):
                    yield json.loads(line)
