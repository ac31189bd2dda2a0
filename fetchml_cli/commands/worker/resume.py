"""``ml worker resume``: take jobs again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from fetchml_cli.commands.common import JsonOption, ProfileOption, connect
from fetchml_cli.lazy import new_app
from fetchml_cli.output.jobs import drain_fields, worker_fields
from fetchml_core.wire.verbs import Nothing
from fetchml_core.wire.worker import WorkerResumeReply

if TYPE_CHECKING:
    from fetchml_cli.cli import Cli

app = new_app()


@app.command()
def resume(ctx: typer.Context, as_json: JsonOption = False, profile: ProfileOption = "") -> None:
    """Take jobs again, after ml worker drain.

    A worker is started for jobs that wait, and where one ran until it was stopped before the drain.

    Exit status: 0 it is not drained; 4 you are no admin of the host; 6 host out of reach.
    """
    run(ctx.obj.configured(profile=profile, json=as_json))


def run(cli: Cli) -> None:
    """Do the command without Typer."""
    with connect(cli) as client:
        reply: WorkerResumeReply = client.call("worker-resume", Nothing())
    if cli.json:
        cli.show_json({"was_drained": drain_fields(reply.drained), "worker": worker_fields(reply.worker)})
        return
    cli.out.line("the worker was not drained" if reply.drained is None else "the worker takes jobs again")
    if reply.worker.problem:
        cli.warn(f"no worker could be started: {reply.worker.problem}")
        cli.note(f"  {reply.worker.hint}")
