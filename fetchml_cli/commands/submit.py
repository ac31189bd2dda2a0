"""``ml submit``: freeze the code, send what the host lacks, queue the job."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fetchml_cli.commands.common import (
    ExitStatusOption,
    JsonOption,
    ProfileOption,
    begin,
    check_exit_status,
    hint_next,
    host_name,
    load_profile,
    wait_status,
)
from fetchml_cli.commands.wish import Wish, check_wish
from fetchml_cli.lazy import new_app

if TYPE_CHECKING:
    from fetchml_cli.cli import Cli
    from fetchml_cli.remote.client import Client
    from fetchml_core.config.profile import Profile
    from fetchml_core.jobs.job import Job, JobSpec
    from fetchml_core.snapshot.scan import Scan
    from fetchml_core.snapshot.tree import TreePlan
    from fetchml_core.wire.jobs import SubmitReply

app = new_app()


@app.command(context_settings={"allow_extra_args": False})
def submit(
    ctx: typer.Context,
    path: Annotated[
        Path, typer.Argument(metavar="PATH", help="A folder, or a script in one.", show_default=False)
    ],
    arguments: Annotated[
        list[str] | None,
        typer.Argument(metavar="[-- ARGS]", help="Arguments of the job.", show_default=False),
    ] = None,
    name: Annotated[
        str, typer.Option(metavar="NAME", help="Name of the job; default: that of the script or folder.")
    ] = "",
    gpus: Annotated[int, typer.Option(min=0, metavar="N", help="GPUs, each a different one.")] = 0,
    gpu_memory: Annotated[
        str, typer.Option(metavar="SIZE", help="Memory that each of them must have in all, as in 16g.")
    ] = "",
    cpus: Annotated[
        float | None, typer.Option(metavar="N", help="CPUs; default and ceiling: the host's podman_cpus.")
    ] = None,
    memory: Annotated[
        str,
        typer.Option(
            metavar="SIZE", help="Memory, as in 4Gi; default and ceiling: the host's podman_memory."
        ),
    ] = "",
    priority: Annotated[
        int, typer.Option(min=1, max=10, metavar="N", help="1 to 10, higher goes first.")
    ] = 5,
    time: Annotated[
        str, typer.Option(metavar="DURATION", help="Stop the job after this time, as in 90m or 2h.")
    ] = "",
    retries: Annotated[
        int, typer.Option(metavar="N", help="Try the job again so often when its program fails.")
    ] = 0,
    env: Annotated[
        list[str] | None, typer.Option(metavar="K=V", help="Set a variable of the job.", show_default=False)
    ] = None,
    image: Annotated[
        str, typer.Option(metavar="NAME", help="Container image; default: the host's podman_image.")
    ] = "",
    network: Annotated[
        bool,
        typer.Option("--network", help="Give the job a network, where the host's sandbox.network allows it."),
    ] = False,
    only: Annotated[bool, typer.Option("--only", help="Send the script alone.")] = False,
    allow_large: Annotated[bool, typer.Option("--allow-large", help="Send a tree however big.")] = False,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Print what the job prints, until it ends.")
    ] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until the job ends.")] = False,
    exit_status: ExitStatusOption = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would travel; change nothing.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print the id alone.")] = False,
    as_json: JsonOption = False,
    profile: ProfileOption = "",
) -> int:
    """Freeze the code and queue it as a job.

    The tree around a script (its git work tree, else its folder) travels as it is now; the job runs exactly these
    bytes whatever happens to the tree later. A .py file runs with python3, a .sh file with /bin/sh, an executable
    file that starts with #! by itself, a folder runs its train.py.

    A job has no network unless it asks for one and the host allows it.

    What the host is to blame for is tried again as its max_retries says, whatever --retries is; a job that ran out of
    memory is not.

    Exit status: 0 queued (with --wait or --follow: succeeded; 1 failed or lost, 7 cancelled, 8 its --time was
    reached); 2 usage; 3 configuration; 4 permission; 6 host out of reach; 130 detached.
    """
    wish = Wish(
        name, gpus, cpus, memory, gpu_memory, priority, time, tuple(env or ()), image, retries, network
    )
    return run(
        ctx.obj.configured(profile=profile, json=as_json),
        path,
        tuple(arguments or ()),
        wish,
        only=only,
        allow_large=allow_large,
        follow=follow,
        wait=wait,
        of_job=check_exit_status(exit_status),
        dry_run=dry_run,
        quiet=quiet,
    )


def run(
    cli: Cli,
    path: Path,
    arguments: tuple[str, ...],
    wish: Wish,
    *,
    only: bool = False,
    allow_large: bool = False,
    follow: bool = False,
    wait: bool = False,
    of_job: bool = False,
    dry_run: bool = False,
    quiet: bool = False,
) -> int:
    """Do the command without Typer; return the exit status."""
    from fetchml_core.snapshot.tree import plan

    check_wish(wish)
    profile = load_profile(cli)
    # what a folder runs is the host's to say (train_script)
    opening = begin(cli, profile) if (cli.cwd / path).is_dir() and not dry_run else None
    try:
        script = opening.client().welcome.train_script if opening else "train.py"
        tree = plan(path, cwd=cli.cwd, only=only, home=cli.home, train_script=script, allow_large=allow_large)
    except BaseException:
        if opening:
            opening.close()
        raise
    if not dry_run:
        opening = opening or begin(cli, profile)
    # not before the host has something to do
    from fetchml_cli.commands.submission import Submission

    submission = Submission(tree, wish, arguments, allow_large)
    if opening is None:
        return _show_dry_run(cli, tree, *submission.read(cli, remember=False))
    reply, client = submission.send(cli, profile, opening)
    _show_reply(cli, profile, client, reply, quiet=quiet, more=follow or wait)
    if not (follow or wait):
        client.close()
        return 0
    job = _see_through(cli, profile, client, reply.job.id, follow=follow and not cli.json, quiet=quiet)
    return wait_status([job], of_job=of_job)


def _see_through(
    cli: Cli, profile: Profile, client: Client, job_id: int, *, follow: bool, quiet: bool
) -> Job:
    """Follow the job or wait until it has ended, say how, and return it."""
    from fetchml_cli.commands.follow import Follower, end_lines
    from fetchml_cli.commands.wait import wait_for
    from fetchml_cli.output.jobs import job_fields

    if follow:
        job = Follower(cli, profile, job_id, quiet=quiet).run(client)
    else:
        job = wait_for(cli, profile, (str(job_id),), client=client)[0]
    if cli.json:
        cli.show_json({"job": job_fields(job)})
    elif not quiet:
        for line in end_lines(job):
            cli.note(line)
    return job


def _show_reply(
    cli: Cli, profile: Profile, client: Client, reply: SubmitReply, *, quiet: bool, more: bool
) -> None:
    job, worker = reply.job, reply.worker
    for note in reply.notes:
        cli.warn(note)
    if worker.problem:
        cli.warn(f"no worker could be started: {worker.problem}")
        cli.note(f"  the job stays queued; {worker.hint}")
    elif worker.launcher == "process":
        cli.note(f"note: {'; '.join(worker.notes)}")
    if cli.json:
        if not more:
            from fetchml_cli.output.jobs import job_fields, worker_fields

            cli.show_json({"job": job_fields(job), "ahead": reply.ahead, "worker": worker_fields(worker)})
        return
    if quiet:
        cli.out.line(str(job.id))
    else:
        line = "of thousands in line" if reply.ahead is None else f"{ordinal(reply.ahead + 1)} in line"
        cli.out.line(f"job {job.id} {job.state.value} on {host_name(profile, client)} ({line})")
    cli.out.flush()
    if not more and not quiet:
        hint_next(
            cli,
            (f"ml logs -f {job.id}", "follow it"),
            ("ml status", "see where it stands"),
            (f"ml pull {job.id}", "fetch its results"),
        )


def ordinal(number: int) -> str:
    """Return 1st, 2nd, 3rd, 4th, 11th, 21st ..."""
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10 if number % 100 not in {11, 12, 13} else 0, "th")
    return f"{number}{ending}"


def _show_dry_run(cli: Cli, tree: TreePlan, found: Scan, spec: JobSpec) -> int:
    if cli.json:
        cli.show_json(
            {
                "root": str(tree.root),
                "command": list(spec.argv),
                "start": spec.cwd,
                "snapshot": spec.snapshot,
                "files": spec.files,
                "bytes": spec.size,
                "ignored": found.ignored,
                "biggest": [{"path": path, "bytes": size} for path, size in found.biggest],
            }
        )
        return 0
    from fetchml_core.units import format_size

    cli.out.line(f"tree     {tree.root}")
    cli.out.line(f"files    {spec.files} ({format_size(spec.size)}), {found.ignored} ignored")
    cli.out.line(f"command  {' '.join(spec.argv)}")
    cli.out.line(f"starts   in {spec.cwd or 'the root of the tree'}")
    for number, (path, size) in enumerate(found.biggest):
        cli.out.line(f"{'biggest' if number == 0 else '':<8} {format_size(size):>10}  {path}")
    cli.hint("nothing was sent; at most this travels, and only what the host lacks")
    return 0
