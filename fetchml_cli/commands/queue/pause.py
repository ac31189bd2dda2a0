"""``ml queue pause``: start no more jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from fetchml_cli.commands.common import JsonOption, ProfileOption, connect
from fetchml_cli.commands.queue.pausing import pause_fields
from fetchml_cli.lazy import new_app
from fetchml_core.wire.queue import QueuePauseReply, QueuePauseRequest

if TYPE_CHECKING:
    from fetchml_cli.cli import Cli

app = new_app()


@app.command()
def pause(
    ctx: typer.Context,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why; whoever waits can read it.")] = "",
    as_json: JsonOption = False,
    profile: ProfileOption = "",
) -> None:
    """Start no more jobs, until ml queue resume.

    Running jobs go on, new ones are taken and wait. Pausing again replaces the reason.

    Exit status: 0 it is paused; 4 you are no admin of the host; 6 host out of reach.
    """
    run(ctx.obj.configured(profile=profile, json=as_json), reason)


def run(cli: Cli, reason: str) -> None:
    """Do the command without Typer."""
    with connect(cli) as client:
        reply: QueuePauseReply = client.call("queue-pause", QueuePauseRequest(reason))
    if cli.json:
        cli.show_json({"paused": pause_fields(reply.pause)})
        return
    cli.out.line("the queue is paused: running jobs go on, no other starts")
    cli.hint("  ml queue resume   starts jobs again")
