"""``ml queue stats``: how the queue stands."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import typer

from fetchml_cli.commands.common import JsonOption, ProfileOption, connect
from fetchml_cli.commands.queue.pausing import pause_fields
from fetchml_cli.lazy import new_app
from fetchml_cli.output.times import ago, rfc3339
from fetchml_core.units import format_size
from fetchml_core.wire.queue import PauseInfo, QueueStatsReply
from fetchml_core.wire.verbs import Nothing

if TYPE_CHECKING:
    from fetchml_cli.cli import Cli

app = new_app()


@app.command()
def stats(ctx: typer.Context, as_json: JsonOption = False, profile: ProfileOption = "") -> None:
    """Tell how the queue stands: its type and place, how many jobs are in each state, who paused it.

    Exit status: 0; 4 you are no admin of the host; 6 host out of reach.
    """
    run(ctx.obj.configured(profile=profile, json=as_json))


def run(cli: Cli) -> None:
    """Do the command without Typer."""
    with connect(cli) as client:
        reply: QueueStatsReply = client.call("queue-stats", Nothing())
    if cli.json:
        cli.show_json(_fields(reply))
        return
    cli.out.named(_rows(reply))


def _fields(reply: QueueStatsReply) -> dict[str, Any]:
    return {
        "type": reply.type,
        "place": reply.place,
        "home": reply.home or None,
        "revision": reply.revision,
        "bytes": reply.bytes,
        "jobs": reply.counts,
        "oldest_queued": None if reply.oldest is None else rfc3339(reply.oldest),
        "paused": pause_fields(reply.pause),
        "notes": list(reply.notes),
    }


def _rows(reply: QueueStatsReply) -> Iterator[tuple[str, str]]:
    yield "type", reply.type
    yield "place", reply.place
    if reply.home:
        yield "this host", reply.home
    if reply.bytes is not None:
        yield "on disk", format_size(reply.bytes)
    yield "changes", str(reply.revision)
    if reply.pause is not None:
        yield "paused", _paused(reply.pause, reply.now)
    for state, count in reply.counts.items():
        if count or state == "queued":
            since = "" if state != "queued" or reply.oldest is None else ago(reply.oldest, reply.now)
            yield state, f"{count}" + (f", the oldest submitted {since}" if since else "")
    for note in reply.notes:
        yield "note", note


def _paused(pause: PauseInfo, now: float) -> str:
    words = f"by {pause.by} {ago(pause.at, now)}" + (f": {pause.reason}" if pause.reason else "")
    return words + (f"; its jobs were moved to {pause.moved_to}" if pause.moved_to else "")
