"""``ml status``: jobs and what they wait for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from fetchml_cli.commands.common import JsonOption, ProfileOption, connect, host_name, load_profile
from fetchml_cli.lazy import new_app
from fetchml_cli.output.jobs import COLUMNS, drain_words, job_fields, job_row, worker_fields
from fetchml_cli.output.table import write_table
from fetchml_cli.output.times import rfc3339
from fetchml_core.errors import InputError
from fetchml_core.wire.jobs import ListReply, ListRequest

if TYPE_CHECKING:
    from fetchml_cli.cli import Cli
    from fetchml_cli.remote.client import Client

app = new_app()
REFRESH_S = 2.0
HINTS = 3  # of ended jobs, the newest; a long list is for the eye, not for advice
HOME_AND_CLEAR = "\x1b[H\x1b[J"
ALTERNATE, NORMAL = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"


@app.command()
def status(
    ctx: typer.Context,
    jobs: Annotated[
        list[str] | None,
        typer.Argument(metavar="[JOB...]", help="42, 40-44, last, @~1 or name:PATTERN.", show_default=False),
    ] = None,
    everyone: Annotated[
        bool, typer.Option("--all", "-a", help="Everyone's jobs, finished ones too, the newest 50.")
    ] = False,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Show it again every two seconds.")] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show how the host was reached, and what it cost.")
    ] = False,
    as_json: JsonOption = False,
    profile: ProfileOption = "",
) -> None:
    """Show jobs and what they wait for.

    Without a JOB: your unfinished jobs and the one that ended last. Times that a script reads are in seconds and
    RFC 3339.

    Exit status: 0; 3 configuration; 4 permission; 5 a job is unknown; 6 host out of reach.
    """
    run(
        ctx.obj.configured(profile=profile, json=as_json),
        jobs or [],
        everyone=everyone,
        watch=watch,
        debug=debug,
    )


def run(
    cli: Cli, jobs: list[str], *, everyone: bool = False, watch: bool = False, debug: bool = False
) -> None:
    """Do the command without Typer."""
    if watch and (cli.json or not cli.out.tty):
        raise InputError(
            "no-terminal",
            "--watch redraws a terminal, and this is none",
            hint="call ml status again, or ml wait JOB",
        )
    profile = load_profile(cli)
    request = ListRequest(tuple(jobs), everyone=everyone)
    with connect(cli, profile) as client:
        if debug:
            _show_facts(cli, client)
        if watch:
            _watch(cli, client, request)
            return
        reply: ListReply = client.call("list", request)
        if cli.json:
            cli.show_json(_fields(reply, client))
            return
        _show(cli, reply, request, host_name(profile, client))


def _show(cli: Cli, reply: ListReply, request: ListRequest, host: str) -> None:
    for note in reply.notes:
        cli.warn(note)
    rows = [
        job_row(job, reply.why.get(str(job.id), ""), reply.now, user=request.everyone) for job in reply.jobs
    ]
    write_table(cli, COLUMNS, rows)
    if not rows:
        cli.note(
            f"no jobs on {host}"
            if request.everyone
            else f"no jobs of yours on {host}; ml submit PATH makes one, ml status -a shows all"
        )
    if reply.hidden:
        cli.note(f"{reply.hidden}{' or more' if reply.more else ''} older jobs are not shown")
    waiting = any(not job.state.final for job in reply.jobs)
    if waiting and reply.worker.drained is not None:
        cli.warn(f"the worker on {host} was drained {drain_words(reply.worker.drained, reply.now)}")
    elif waiting and not reply.worker.alive:
        cli.warn(f"no worker runs on {host}" + (f": {reply.worker.problem}" if reply.worker.problem else ""))
        if reply.worker.hint:
            cli.note(f"  {reply.worker.hint}")
    if not request.everyone:
        for job in reply.jobs[-HINTS:]:
            if job.outcome and job.outcome.hint:
                cli.note(f"job {job.id}: {job.outcome.hint}")


def _watch(cli: Cli, client: Client, request: ListRequest) -> None:
    """Redraw until Ctrl-C, on the alternate screen, which leaves the shell's as it was."""
    cli.out.write(ALTERNATE)
    try:
        while True:
            reply: ListReply = client.call("list", request)
            cli.out.write(HOME_AND_CLEAR)
            _show(cli, reply, request, client.welcome.host)
            cli.out.line(f"{rfc3339(cli.clock.now())}  Ctrl-C ends this view, no job")
            cli.out.flush()
            cli.clock.sleep(REFRESH_S)
    except KeyboardInterrupt:
        return
    finally:
        cli.out.write(NORMAL)
        cli.out.flush()


def _fields(reply: ListReply, client: Client) -> dict[str, object]:
    return {
        "host": client.welcome.host,
        "user": client.welcome.user,
        "now": rfc3339(reply.now),
        "worker": worker_fields(reply.worker),
        "jobs": [job_fields(job, reply.why.get(str(job.id), "")) for job in reply.jobs],
        "hidden": reply.hidden,
        "notes": list(reply.notes),
    }


def _show_facts(cli: Cli, client: Client) -> None:
    """Tell how the host was reached. No secret is among the facts."""
    welcome = client.welcome
    facts = {
        **client.facts,
        "you are": f"{welcome.user}{' (admin)' if welcome.admin else ''}",
        "authentication": "on" if welcome.auth else "off",
        "agent": f"{welcome.version}, protocol {welcome.protocol}",
    }
    width = max(map(len, facts))
    for name, value in facts.items():
        cli.note(f"{name:<{width}}  {value}")
