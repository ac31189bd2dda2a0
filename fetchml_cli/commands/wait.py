"""``ml wait``: wait until jobs end; the exit status tells how."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Annotated

import typer

from fetchml_cli.boundary import Detached
from fetchml_cli.commands.common import (
    ExitStatusOption,
    JobsArgument,
    JsonOption,
    ProfileOption,
    check_exit_status,
    connect,
    load_profile,
    wait_status,
)
from fetchml_cli.commands.follow import end_lines
from fetchml_cli.lazy import new_app
from fetchml_cli.output.jobs import job_fields
from fetchml_core.errors import UnreachableError
from fetchml_core.jobs.job import Job
from fetchml_core.units import parse_duration
from fetchml_core.wire.messages import JobNews, ListReply, ListRequest, WaitReply, WaitRequest

if TYPE_CHECKING:
    from fetchml_cli.cli import Cli

app = new_app()
RAN_OUT = 9
TRIES = 5


@app.command()
def wait(
    ctx: typer.Context,
    jobs: JobsArgument,
    timeout: Annotated[
        str, typer.Option(metavar="DURATION", help="Wait at most so long, as in 30m; then exit 9.")
    ] = "",
    exit_status: ExitStatusOption = "",
    as_json: JsonOption = False,
    profile: ProfileOption = "",
) -> int:
    """Wait until jobs end.

    Exit status: 0 all succeeded; 1 one failed or was lost; 8 its --time was reached; 7 cancelled; 9 --timeout ran
    out; of several the first of these; 5 unknown job; 6 host out of reach; 130 detached.
    """
    cli = ctx.obj.configured(profile=profile, json=as_json)
    limit = parse_duration(timeout) if timeout else None
    return run(cli, jobs, limit=limit, of_job=check_exit_status(exit_status))


def run(cli: Cli, words: list[str], *, limit: float | None = None, of_job: bool = False) -> int:
    """Do the command without Typer; *limit* is in seconds. Return the exit status."""
    try:
        jobs = _wait(cli, words, limit)
    except KeyboardInterrupt:
        raise Detached(f"\ndetached: the jobs go on\n  ml wait {' '.join(words)}   waits again") from None
    if jobs is None:
        cli.note(f"still running after {limit:g} s")
        return RAN_OUT
    if cli.json:
        cli.show_json({"jobs": [job_fields(job) for job in jobs]})
    else:
        for line in (line for job in jobs for line in end_lines(job)):
            cli.note(line)
    return wait_status(jobs, of_job=of_job)


def _wait(cli: Cli, words: list[str], limit: float | None) -> list[Job] | None:
    """Return the jobs, ended; None when *limit* ran out. A lost link is dialled again."""
    profile = load_profile(cli)
    client = connect(cli, profile)
    # "last" shall mean the same job after a lost link
    named: ListReply = client.call("list", ListRequest(tuple(words), limit=10_000))
    ids = tuple(str(job.id) for job in named.jobs)
    ran_out = threading.Event()

    def give_up() -> None:
        ran_out.set()
        client.close()

    timer = threading.Timer(limit if limit is not None else threading.TIMEOUT_MAX, give_up)
    timer.daemon = True
    timer.start()
    tries = 0
    try:
        while True:
            try:
                reply: WaitReply = client.call("wait", WaitRequest(ids), on_item=_ignore)
                return list(reply.jobs)
            except UnreachableError as error:
                client.close()
                if ran_out.is_set():
                    return None
                if tries == TRIES:
                    raise
                cli.note(f"{error.message}; the jobs go on, connecting again in {2**tries} s")
                cli.clock.sleep(2**tries)
                tries += 1
                client = connect(cli, profile)
    finally:
        timer.cancel()
        client.close()


def _ignore(_: JobNews) -> None:
    pass
