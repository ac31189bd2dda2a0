"""``ml worker stop``: end the worker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from fetchml_cli.commands.common import JsonOption, ProfileOption, connect
from fetchml_cli.commands.worker.draining import jobs_in_words
from fetchml_cli.lazy import new_app
from fetchml_core.wire.verbs import Nothing
from fetchml_core.wire.worker import WorkerStopReply, WorkerStopRequest

if TYPE_CHECKING:
    from fetchml_cli.cli import Cli

app = new_app()


@app.command()
def stop(
    ctx: typer.Context,
    cancel: Annotated[
        bool, typer.Option("--cancel", help="Cancel the running jobs first, and wait for their end.")
    ] = False,
    reason: Annotated[
        str, typer.Option(metavar="TEXT", help="Why; the jobs that are cancelled can read it.")
    ] = "",
    as_json: JsonOption = False,
    profile: ProfileOption = "",
) -> None:
    """End the worker.

    Running jobs go on without it, and the next worker takes them up. Whoever submits a job, or looks at one that waits
    or runs, starts the next one; ml worker drain keeps it away. With --cancel each running job gets the signal to stop
    and the worker file's graceful_timeout, as with ml cancel.

    Exit status: 0 none runs any more; 1 it does not end; 4 you are no admin of the host; 6 host out of reach.
    """
    run(ctx.obj.configured(profile=profile, json=as_json), cancel=cancel, reason=reason)


def run(cli: Cli, *, cancel: bool = False, reason: str = "") -> None:
    """Do the command without Typer."""
    with connect(cli) as client:
        # heard without a time limit: a job may take its graceful_timeout
        request = WorkerStopRequest(cancel, reason)
        reply: WorkerStopReply = client.call("worker-stop", request, on_item=_ignore)
    if cli.json:
        cli.show_json(
            {
                "stopped": reply.stopped,
                "running": list(reply.running),
                "cancelled": list(reply.cancelled),
                "queued": reply.queued,
            }
        )
        return
    cli.out.line("the worker has ended" if reply.stopped else "no worker ran")
    if reply.cancelled:
        cli.out.line(f"{jobs_in_words(reply.cancelled)}: cancelled")
    if reply.running:
        cli.out.line(f"{jobs_in_words(reply.running)}: going on; the next worker takes over")
    if reply.queued:
        jobs = "1 job stays" if reply.queued == 1 else f"{reply.queued} jobs stay"
        until = (
            "until the drain ends"
            if reply.drained
            else "for the next worker, that of the next ml submit or ml status"
        )
        cli.out.line(f"{jobs} queued {until}")
    if reply.running or reply.queued:
        verb = "resume" if reply.drained else "start"
        cli.hint(f"  ml worker {verb}   starts it")


def _ignore(_: Nothing) -> None:
    pass
