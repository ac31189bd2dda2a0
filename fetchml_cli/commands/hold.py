"""``ml hold``: keep queued jobs from starting."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from fetchml_cli.commands.common import JobsArgument, JsonOption, ProfileOption, connect, hint_next
from fetchml_cli.commands.holding import show_reply
from fetchml_cli.lazy import new_app
from fetchml_core.wire.jobs import HoldReply, HoldRequest

if TYPE_CHECKING:
    from fetchml_cli.cli import Cli

app = new_app()


@app.command()
def hold(
    ctx: typer.Context, jobs: JobsArgument, as_json: JsonOption = False, profile: ProfileOption = ""
) -> int:
    """Keep queued jobs from starting, until ml release.

    A held job keeps its age: released, it stands in line where it would have stood. Holding what is held is no error.

    Exit status: 0 all are held; 1 one runs or has ended, so that it cannot be; 4 a job is somebody else's; 5 a job is
    unknown; 6 host out of reach.
    """
    return run(ctx.obj.configured(profile=profile, json=as_json), jobs)


def run(cli: Cli, jobs: list[str]) -> int:
    """Do the command without Typer; return the exit status."""
    with connect(cli) as client:
        reply: HoldReply = client.call("hold", HoldRequest(tuple(jobs)))
    status = show_reply(cli, reply, "held")
    held = [str(job.id) for job in reply.jobs if job.id not in reply.unfit]
    if held:
        hint_next(
            cli, (f"ml release {' '.join(held[:10])}", f"lets {'it' if len(held) == 1 else 'them'} start")
        )
    return status
