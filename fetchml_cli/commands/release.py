"""``ml release``: let held jobs start."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from fetchml_cli.commands.common import JobsArgument, JsonOption, ProfileOption, connect
from fetchml_cli.commands.holding import show_reply
from fetchml_cli.lazy import new_app
from fetchml_core.wire.jobs import HoldReply, ReleaseRequest

if TYPE_CHECKING:
    from fetchml_cli.cli import Cli

app = new_app()


@app.command()
def release(
    ctx: typer.Context, jobs: JobsArgument, as_json: JsonOption = False, profile: ProfileOption = ""
) -> int:
    """Let held jobs start, when it is their turn.

    Releasing what is queued is no error.

    Exit status: 0 all are queued; 1 one runs or has ended; 4 a job is somebody else's; 5 a job is unknown; 6 host out
    of reach.
    """
    return run(ctx.obj.configured(profile=profile, json=as_json), jobs)


def run(cli: Cli, jobs: list[str]) -> int:
    """Do the command without Typer; return the exit status."""
    with connect(cli) as client:
        reply: HoldReply = client.call("release", ReleaseRequest(tuple(jobs)))
    return show_reply(cli, reply, "released")
