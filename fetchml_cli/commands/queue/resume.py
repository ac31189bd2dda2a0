"""``ml queue resume``: start jobs again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from fetchml_cli.commands.common import JsonOption, ProfileOption, connect
from fetchml_cli.commands.queue.pausing import pause_fields
from fetchml_cli.lazy import new_app
from fetchml_core.wire.queue import QueueMigrateNews, QueuePauseReply
from fetchml_core.wire.verbs import Nothing

if TYPE_CHECKING:
    from fetchml_cli.cli import Cli

app = new_app()


@app.command()
def resume(ctx: typer.Context, as_json: JsonOption = False, profile: ProfileOption = "") -> None:
    """Start jobs again, after ml queue pause or ml queue migrate.

    A queue that was moved is taken back only while the other one has done nothing with its jobs: none runs twice.

    Exit status: 0 it is not paused; 1 the queue that the jobs were moved to has gone on; 4 you are no admin of the
    host; 6 host out of reach.
    """
    run(ctx.obj.configured(profile=profile, json=as_json))


def run(cli: Cli) -> None:
    """Do the command without Typer."""
    with connect(cli) as client:
        # heard without a time limit: taking a queue back compares every job
        reply: QueuePauseReply = client.call("queue-resume", Nothing(), on_item=_ignore)
    if cli.json:
        cli.show_json({"was_paused": pause_fields(reply.pause)})
    elif reply.pause is None:
        cli.out.line("the queue was not paused")
    elif reply.pause.moved_to:
        cli.out.line(f"the queue is taken back from {reply.pause.moved_to}: jobs start again")
    else:
        cli.out.line("the queue is resumed: jobs start again")


def _ignore(_: QueueMigrateNews) -> None:
    pass
