"""``ml logs``: print or follow what a job writes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from fetchml_cli.commands.common import (
    ExitStatusOption,
    JobArgument,
    ProfileOption,
    check_exit_status,
    connect,
    load_profile,
    wait_status,
)
from fetchml_cli.commands.follow import Follower, LogPrinter, end_lines
from fetchml_cli.lazy import new_app
from fetchml_core.launcher.log import cut_mark
from fetchml_core.wire.jobs import JobNews, ShowReply, ShowRequest
from fetchml_core.wire.output import LogsReply, LogsRequest

if TYPE_CHECKING:
    from fetchml_cli.cli import Cli

app = new_app()


@app.command()
def logs(
    ctx: typer.Context,
    job: JobArgument,
    follow: Annotated[
        bool | None,
        typer.Option(
            "--follow/--no-follow",
            "-f",
            help="Go on until the job ends; default: on a terminal while it runs.",
            show_default=False,
        ),
    ] = None,
    tail: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="Begin N lines before the end.")
    ] = None,
    raw: Annotated[
        bool, typer.Option("--raw", help="Pass every byte to the terminal as the job wrote it.")
    ] = False,
    exit_status: ExitStatusOption = "",
    profile: ProfileOption = "",
) -> int:
    """Print what a job writes, followed while it runs.

    On a terminal only text and colour reach it; --raw passes everything on. Into a pipe the bytes go as they are.
    Ctrl-C detaches: the job goes on.

    Exit status: 0; when followed as ml wait: 1 failed or lost, 7 cancelled, 8 its --time was reached; 5 unknown
    job; 6 host out of reach; 130 detached.
    """
    cli = ctx.obj.configured(profile=profile)
    return run(cli, job, follow=follow, tail=tail, raw=raw, of_job=check_exit_status(exit_status))


def run(
    cli: Cli,
    word: str,
    *,
    follow: bool | None = None,
    tail: int | None = None,
    raw: bool = False,
    of_job: bool = False,
) -> int:
    """Do the command without Typer; return the exit status."""
    profile = load_profile(cli)
    client = connect(cli, profile)
    with client:
        shown: ShowReply = client.call("show", ShowRequest(word))
        job = shown.job
        if follow is None:
            follow = cli.out.tty and not job.state.final
        if follow:
            job = Follower(cli, profile, job.id, raw=raw).run(client, tail=tail)
            for line in end_lines(job):
                cli.note(line)
            return wait_status([job], of_job=of_job)
        printer = LogPrinter(cli, raw=raw)
        news: list[JobNews] = []

        def hear(item: JobNews) -> None:
            if item.log_at is None:
                news.append(item)
            elif item.dropped:
                printer.write(cut_mark(item.dropped))

        request = LogsRequest(str(job.id), tail=tail)
        try:
            reply: LogsReply = client.call("logs", request, on_item=hear, on_data=printer.write)
        finally:
            printer.close()
        if reply.job.attempt is None:
            why = news[-1].why if news else ""
            cli.note(
                f"job {job.id} has not run: it is {reply.job.state.value}" + (f" ({why})" if why else "")
            )
    return 0
