"""The queue as a whole: how it stands, pause and resume it, check and repair it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from fetchml_core.jobs.states import State
from fetchml_core.queue.base import QUEUED, Pause
from fetchml_core.queue.moves import refuse_if_moved
from fetchml_core.wire.queue import (
    DamageInfo,
    PauseInfo,
    QueueCheckReply,
    QueueCheckRequest,
    QueuePauseReply,
    QueuePauseRequest,
    QueueStatsReply,
)
from fetchml_core.wire.verbs import Nothing

from .context import Context
from .front import front
from .heal import heal
from .migrate import ACTION, choice_of, take_back
from .workers import wake_worker

MAX_REASON = 500
MAX_FILES = 10_000
"""A queue of more files is not measured: to look at each takes long."""


def stats(context: Context, _: Nothing) -> QueueStatsReply:
    """Tell how the queue stands; the oldest queued job is the one with the lowest id."""
    host, queue = context.host, context.host.queue
    counts = queue.counts()
    oldest = queue.jobs(QUEUED, limit=1)
    pause = queue.paused()
    return QueueStatsReply(
        type=queue.properties.name,
        place=host.queue_path,
        revision=queue.revision(),
        counts={state.value: counts[state] for state in State},
        now=host.clock.now(),
        oldest=oldest[0].submitted_at if oldest else None,
        pause=_told(pause),
        bytes=_bytes(context),
        home=queue.home,
        notes=host.queue_notes(),
    )


def pause(context: Context, request: QueuePauseRequest) -> QueuePauseReply:
    """Let the queue give out no more jobs; what runs goes on, and new jobs are taken."""
    host = context.host
    refuse_if_moved(host.queue.paused())
    wanted = Pause(context.identity.user, request.reason[:MAX_REASON], host.clock.now())
    context.change(ACTION, about="pause the queue")
    host.queue.pause(wanted)
    return QueuePauseReply(_told(wanted))


def resume(context: Context, _: Nothing) -> QueuePauseReply:
    """Let the queue give out jobs again; take it back where it was moved."""
    host = context.host
    before = host.queue.paused()
    context.change(ACTION, about="resume the queue")
    if before is not None and before.moved_to:
        take_back(context, before)
    else:
        host.queue.resume()
    heal(host, front(host.queue))
    wake_worker(host)
    return QueuePauseReply(_told(before))


def check(context: Context, request: QueueCheckRequest) -> QueueCheckReply:
    """Verify all that the queue holds; move damaged parts aside where that is asked for."""
    if request.repair:
        context.change(ACTION, about="repair the queue")
    found = context.host.queue.check(repair=request.repair)
    return QueueCheckReply(tuple(DamageInfo(one.place, one.problem, one.repair, one.jobs) for one in found))


def _told(pause: Pause | None) -> PauseInfo | None:
    return None if pause is None else PauseInfo(pause.by, pause.reason, pause.at, pause.moved_to)


def _bytes(context: Context) -> int | None:
    choice = choice_of(context.host, context.host.queue.properties.name)
    return None if choice.url else disk_bytes(choice.path)


def disk_bytes(path: Path) -> int | None:
    """Return what the queue at *path*, a folder or a file with companions, takes on the disk; None where nobody knows."""
    total = 0
    try:
        for number, size in enumerate(_sizes(path)):
            if number >= MAX_FILES:
                return None
            total += size
    except OSError:
        return None
    return total


def _sizes(path: Path) -> Iterator[int]:
    """Yield the bytes of each file; one that goes while they are counted counts for nothing."""
    if path.is_dir():
        for folder, _, names in os.walk(path):
            yield from (_size(os.path.join(folder, name)) for name in names)  # noqa: PTH118 - thousands of them
    else:
        yield _size(path)  # SQLite keeps two files beside its own
        yield from (_size(f"{path}{ending}") for ending in ("-wal", "-shm"))


def _size(path: Path | str) -> int:
    try:
        return os.stat(path).st_blocks * 512  # noqa: PTH116 - of a text or a Path
    except FileNotFoundError:
        return 0
