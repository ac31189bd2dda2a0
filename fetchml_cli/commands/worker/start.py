"""``ml worker start``: run a worker until it is stopped."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from fetchml_cli.commands.common import JsonOption, ProfileOption, connect
from fetchml_cli.lazy import new_app
from fetchml_cli.output.jobs import worker_fields
from fetchml_core.errors import HostError
from fetchml_core.wire.verbs import Nothing
from fetchml_core.wire.worker import WorkerStartReply

if TYPE_CHECKING:
    from fetchml_cli.cli import Cli

app = new_app()


@app.command()
def start(ctx: typer.Context, as_json: JsonOption = False, profile: ProfileOption = "") -> None:
    """Run a worker on the host until it is stopped.

    A job starts a worker by itself; that one ends after a minute without work, this one stays, until ml worker stop,
    ml worker drain or the host's next start. One that runs for a job is replaced: its jobs go on.

    Exit status: 0 it runs; 1 it cannot be started, or it is drained; 4 you are no admin of the host; 6 host out of
    reach.
    """
    run(ctx.obj.configured(profile=profile, json=as_json))


def run(cli: Cli) -> None:
    """Do the command without Typer."""
    with connect(cli) as client:
        reply: WorkerStartReply = client.call("worker-start", Nothing())
    worker = reply.worker
    if not worker.alive:
        raise HostError(
            "worker-not-started", "no worker could be started", context=worker.problem, hint=worker.hint
        )
    if cli.json:
        cli.show_json({"started": reply.started, "worker": worker_fields(worker)})
        return
    name = worker.id or "the worker"
    cli.out.line(f"{name} runs until it is stopped" if reply.started else f"{name} runs already")
