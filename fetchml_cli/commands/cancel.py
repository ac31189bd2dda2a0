"""``ml cancel``: stop queued or running jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from fetchml_cli.commands.common import JobsArgument, JsonOption, ProfileOption, connect
from fetchml_cli.lazy import new_app
from fetchml_cli.output.jobs import job_fields
from fetchml_core.wire.jobs import MAX_JOBS, CancelReply, CancelRequest, ListReply, ListRequest

if TYPE_CHECKING:
    from fetchml_cli.cli import Cli

app = new_app()


@app.command()
def cancel(
    ctx: typer.Context,
    jobs: JobsArgument,
    reason: Annotated[
        str, typer.Option(metavar="TEXT", help="Recorded with the job; the job can read it.")
    ] = "",
    now: Annotated[bool, typer.Option("--now", help="Kill at once, without time to end by itself.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show which jobs would end; end none.")] = False,
    as_json: JsonOption = False,
    profile: ProfileOption = "",
) -> None:
    """Stop queued or running jobs.

    A running job gets SIGTERM and, after the host's graceful_timeout, is killed with all it started. Cancelling
    what has ended is no error.

    Exit status: 0 all are stopped, stopping or had ended; 4 a job is somebody else's; 5 a job is unknown; 6 host
    out of reach.
    """
    run(ctx.obj.configured(profile=profile, json=as_json), jobs, reason=reason, now=now, dry_run=dry_run)


def run(cli: Cli, jobs: list[str], *, reason: str = "", now: bool = False, dry_run: bool = False) -> None:
    """Do the command without Typer."""
    with connect(cli) as client:
        if dry_run:
            _show_dry_run(cli, client.call("list", ListRequest(tuple(jobs), limit=MAX_JOBS)))
            return
        reply: CancelReply = client.call("cancel", CancelRequest(tuple(jobs), reason, now))
    if cli.json:
        cli.show_json(
            {"jobs": [job_fields(job) for job in reply.jobs], "ended_before": list(reply.ended_before)}
        )
        return
    for job in reply.jobs:
        if job.id in reply.ended_before:
            cli.out.line(f"job {job.id} had ended: {job.state.value}")
        else:
            cli.out.line(f"job {job.id} {job.state.value}")


def _show_dry_run(cli: Cli, reply: ListReply) -> None:
    if cli.json:
        cli.show_json({"jobs": [job_fields(job) for job in reply.jobs]})
        return
    for job in reply.jobs:
        what = f"has ended: {job.state.value}" if job.state.final else f"would be stopped: {job.state.value}"
        cli.out.line(f"job {job.id} {what}")
