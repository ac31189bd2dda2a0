"""``ml queue migrate``: move all jobs to a queue of another type."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from fetchml_cli.commands.common import JsonOption, ProfileOption, connect
from fetchml_cli.lazy import new_app
from fetchml_core.wire.queue import QueueMigrateNews, QueueMigrateReply, QueueMigrateRequest

if TYPE_CHECKING:
    from fetchml_cli.cli import Cli

app = new_app()


@app.command()
def migrate(
    ctx: typer.Context,
    to: Annotated[
        str,
        typer.Option("--to", metavar="TYPE", help="native, sqlite, filesystem or redis.", show_default=False),
    ],
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Show what would be moved, and whether it could; change nothing."),
    ] = False,
    as_json: JsonOption = False,
    profile: ProfileOption = "",
) -> None:
    """Move all jobs, ended ones too, to a queue of another type, with their numbers.

    No job may be running. The old queue keeps its copy and takes no more jobs. Every job is compared before the new
    one may be used. A migration that was cut off can be repeated; ml queue resume takes the old queue back instead.

    Exit status: 0 all is moved; 1 a job runs, the new queue holds other jobs, or the copy failed: the old one then
    goes on; 2 usage; 4 you are no admin of the host; 6 host out of reach.
    """
    run(ctx.obj.configured(profile=profile, json=as_json), to, dry_run=dry_run)


def run(cli: Cli, to: str, *, dry_run: bool = False) -> None:
    """Do the command without Typer."""
    with connect(cli) as client:
        request = QueueMigrateRequest(to, dry_run)
        # heard without a time limit: every job is copied and compared
        reply: QueueMigrateReply = client.call("queue-migrate", request, on_item=_ignore)
    if cli.json:
        fields = {"jobs": reply.jobs, "from": reply.source, "to": reply.target, "files": list(reply.files)}
        cli.show_json(fields | {"moved": not dry_run})
        return
    what = "would be moved" if dry_run else "moved"
    jobs = "1 job" if reply.jobs == 1 else f"{reply.jobs} jobs"
    cli.out.line(f"{jobs} {what} from {reply.source} to {reply.target}")
    if dry_run:
        return
    for file in reply.files:
        cli.out.line(f"write into {file} on the host, in place of the queue's type there:")
        for line in _lines(file, to):
            cli.out.line(line)
    cli.out.line("until then the host takes no jobs")
    cli.hint("  ml queue resume   takes the old queue back")


def _lines(file: str, kind: str) -> tuple[str, ...]:
    """Return the lines that name the type of the queue, in the language of *file*."""
    if file.endswith(".toml"):
        return "    [queue]", f'    type = "{kind}"'
    return "    queue:", f"      type: {kind}"


def _ignore(_: QueueMigrateNews) -> None:
    pass
