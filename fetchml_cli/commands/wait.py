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
from fetchml_cli.commands.follow import Link, end_lines
from fetchml_cli.lazy import new_app
from fetchml_cli.output.jobs import job_fields
from fetchml_core.errors import UnreachableError
from fetchml_core.jobs.job import Job
from fetchml_core.units import parse_duration
from fetchml_core.wire.jobs import MAX_JOBS, JobNews, ListReply, ListRequest, WaitReply, WaitRequest

if TYPE_CHECKING:
    from fetchml_cli.cli import Cli
    from fetchml_cli.remote.client import Client
    from fetchml_core.config.profile import Profile

app = new_app()
RAN_OUT = 9


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
    profile = load_profile(cli)
    try:
        jobs = wait_for(cli, profile, tuple(words), limit=limit)
    except WaitedLongEnough:
        cli.note(f"not ended after {limit:g} s")
        return RAN_OUT
    if cli.json:
        cli.show_json({"jobs": [job_fields(job) for job in jobs]})
    else:
        for line in (line for job in jobs for line in end_lines(job)):
            cli.note(line)
    return wait_status(jobs, of_job=of_job)


class WaitedLongEnough(Exception):  # noqa: N818 - not an error
    """The limit of a wait ran out."""


def wait_for(
    cli: Cli,
    profile: Profile,
    words: tuple[str, ...],
    *,
    limit: float | None = None,
    client: Client | None = None,
) -> list[Job]:
    """Return the jobs that *words* name, ended. A lost link is dialled again.

    Args:
        cli: The surroundings.
        profile: The host's.
        words: Selectors.
        limit: Seconds.
        client: A connection that is there already; closed at the end.

    Raises:
        WaitedLongEnough: *limit* ran out.
        Detached: Ctrl-C.
    """
    link = Link(
        cli,
        profile,
        client or connect(cli, profile),
        again=f"ml wait {' '.join(words)}",
        goes_on="the jobs go on",
    )
    waiting = _Waiting(link, limit)
    try:
        return waiting.run(words)
    except KeyboardInterrupt:
        again = f"ml wait {' '.join(words)}"
        raise Detached(f"\ndetached: what runs goes on\n  {again}   waits again") from None
    finally:
        waiting.close()


class _Waiting:
    """Waits over as many connections as it takes."""

    def __init__(self, link: Link, limit: float | None) -> None:
        self._link = link
        self._ran_out = threading.Event()
        self._timer = threading.Timer(threading.TIMEOUT_MAX if limit is None else limit, self._give_up)
        self._timer.daemon = True
        self._timer.start()

    def run(self, words: tuple[str, ...]) -> list[Job]:
        """Wait to the end."""
        ids: tuple[str, ...] = ()
        while not self._ran_out.is_set():
            try:
                if not ids:  # "last" shall mean the same job after a lost link
                    named: ListReply = self._link.client.call("list", ListRequest(words, limit=MAX_JOBS))
                    ids = tuple(str(job.id) for job in named.jobs)
                reply: WaitReply = self._link.client.call("wait", WaitRequest(ids), on_item=_ignore)
                return list(reply.jobs)
            except UnreachableError as error:
                if not self._ran_out.is_set():
                    self._link.dial_again(error)
        raise WaitedLongEnough

    def close(self) -> None:
        """Let go of timer and connection."""
        self._timer.cancel()
        self._link.client.close()

    def _give_up(self) -> None:
        self._ran_out.set()
        self._link.client.close()


def _ignore(_: JobNews) -> None:
    pass
