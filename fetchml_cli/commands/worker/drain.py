"""``ml worker drain``: take no new jobs, end with the running ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from fetchml_cli.boundary import Detached
from fetchml_cli.commands.common import JsonOption, ProfileOption, connect
from fetchml_cli.commands.worker.draining import jobs_in_words
from fetchml_cli.lazy import new_app
from fetchml_cli.output.jobs import drain_fields
from fetchml_core.wire.worker import WorkerDrainReply, WorkerDrainRequest

if TYPE_CHECKING:
    from fetchml_cli.cli import Cli

app = new_app()


@app.command()
def drain(
    ctx: typer.Context,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why; whoever waits can read it.")] = "",
    cancel: Annotated[bool, typer.Option("--cancel", help="Cancel the running jobs.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until the worker has ended.")] = False,
    as_json: JsonOption = False,
    profile: ProfileOption = "",
) -> None:
    """Take no new jobs on the host, until ml worker resume.

    Running jobs go on to their end, and the worker ends with the last of them. New jobs are taken and wait; none starts
    a worker, not even after the host's next start. With --cancel each running job gets the signal to stop and the
    worker file's graceful_timeout, as with ml cancel. Draining again replaces the reason where one is given.

    Exit status: 0 it is drained; 4 you are no admin of the host; 6 host out of reach; 130 Ctrl-C while it waits: it
    stays drained.
    """
    run(ctx.obj.configured(profile=profile, json=as_json), reason, cancel=cancel, wait=wait)


def run(cli: Cli, reason: str, *, cancel: bool = False, wait: bool = False) -> None:
    """Do the command without Typer.

    Raises:
        Detached: Ctrl-C while it waits.
    """
    told: list[WorkerDrainReply] = []

    def tell(reply: WorkerDrainReply) -> None:
        told.append(reply)
        if not cli.json:
            _tell(cli, reply, cancel=cancel)

    try:
        with connect(cli) as client:
            # heard without a time limit: jobs may run for days
            request = WorkerDrainRequest(reason, cancel, wait)
            reply: WorkerDrainReply = client.call("worker-drain", request, on_item=tell)
    except KeyboardInterrupt:
        if not told:
            raise
        raise Detached(
            "\ndetached: the worker stays drained\n  ml worker resume   takes jobs again"
        ) from None
    if cli.json:
        cli.show_json(
            {"drained": drain_fields(reply.drained), "running": list(reply.running), "alive": reply.alive}
        )
    elif not told:
        _tell(cli, reply, cancel=cancel)
    elif told[0].alive and not reply.alive:
        cli.out.line("the worker has ended")
        if cancel and reply.running:
            cli.out.line(f"{jobs_in_words(reply.running)}: cancelled")


def _tell(cli: Cli, reply: WorkerDrainReply, *, cancel: bool) -> None:
    """Say what the drain has begun."""
    cli.out.line("the worker is drained: no job starts")
    if not reply.alive:
        cli.out.line("no worker runs")
    elif reply.running:
        what = "being cancelled" if cancel else "going on"
        cli.out.line(f"{jobs_in_words(reply.running)}: {what}; the worker then ends")
    cli.hint("  ml worker resume   takes jobs again")
    cli.out.flush()
