"""What several verbs share: the options of all, the profile, the connection, exit statuses of a wait."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer
from attrs import evolve

from fetchml_cli.output.typed import name_profile
from fetchml_core.errors import InputError
from fetchml_core.jobs.job import Job
from fetchml_core.jobs.states import State

if TYPE_CHECKING:
    from fetchml_cli.cli import Cli
    from fetchml_cli.remote.client import Client, Opening
    from fetchml_core.config.profile import Profile

ProfileOption = Annotated[str, typer.Option("--profile", metavar="NAME", help="Use ~/.ml/config-NAME.toml.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
JobsArgument = Annotated[
    list[str],
    typer.Argument(metavar="JOB...", help="42, 40-44, last, @~1 or name:PATTERN.", show_default=False),
]
JobArgument = Annotated[
    str, typer.Argument(metavar="JOB", help="42, last, @~1 or name:PATTERN.", show_default=False)
]
KindArgument = Annotated[
    str, typer.Argument(metavar="KIND", help="api, worker or profile.", show_default=False)
]
ExitStatusOption = Annotated[
    str,
    typer.Option("--exit-status", metavar="job", help="Exit with the job's own status.", show_default=False),
]

_WAIT_STATUS = {
    State.FAILED: 1,
    State.LOST: 1,
    State.TIMED_OUT: 8,
    State.CANCELLED: 7,
}
_ORDER = (1, 8, 7)
PORT_KEY = ("server", "worker_port")


def load_profile(cli: Cli) -> Profile:
    """Return the profile that counts; the embedded default where there is none."""
    from fetchml_core.config.find import find_profile

    path = find_profile(cli.home, cli.environ, cli.profile or None)
    if path is None:
        from fetchml_core.config.profile import Profile

        return Profile()
    from fetchml_core.config import load

    loaded = load.load_profile(path, cli.environ)
    for finding in loaded.findings:
        if finding.severity == "warning":
            cli.warn(str(finding))
    profile = loaded.config
    cli.keep_secret(profile.auth.api_key)
    if PORT_KEY not in loaded.places:  # a default must not overrule what ~/.ssh/config says of the host
        profile = evolve(profile, server=evolve(profile.server, worker_port=0))
    return profile


def begin(cli: Cli, profile: Profile) -> Opening:
    """Begin a conversation with the profile's host; its agent starts while we do something else."""
    from fetchml_cli.remote.client import Opening

    return Opening(cli, profile)


def connect(cli: Cli, profile: Profile | None = None) -> Client:
    """Return a conversation with the profile's host; what the host has to say at once is said."""
    from fetchml_cli.remote.client import connect as connect_to

    return connect_to(cli, profile or load_profile(cli))


def host_name(profile: Profile, client: Client) -> str:
    """Return the name people know the host by."""
    return profile.server.worker_host or client.welcome.host


def check_exit_status(word: str) -> bool:
    """Return whether the job's own status is wanted."""
    if word not in {"", "job"}:
        raise InputError(
            "bad-value", "--exit-status takes the word job", context=word, hint="--exit-status job"
        )
    return word == "job"


def hint_next(cli: Cli, *rows: tuple[str, str]) -> None:
    """Tell a person what could be typed next: commands, and what each does."""
    commands = [name_profile(command, cli.profile) for command, _ in rows]
    width = max(map(len, commands))
    for command, (_, what) in zip(commands, rows, strict=True):
        cli.hint(f"  {command:<{width}}   {what}")


def wait_status(jobs: Iterable[Job], *, of_job: bool = False) -> int:
    """Return the exit status of a wait for *jobs*, which have ended.

    Args:
        jobs: All of them.
        of_job: Pass on the job's own exit code, 128 + N for a signal N; for exactly one job.
    """
    jobs = list(jobs)
    if of_job and len(jobs) == 1 and (outcome := jobs[0].outcome) is not None:
        if outcome.code is not None:
            return outcome.code
        if outcome.signal is not None:
            return 128 + outcome.signal
    statuses = {_WAIT_STATUS.get(job.state, 0) for job in jobs}
    for status in _ORDER:
        if status in statuses:
            return status
    return 0
