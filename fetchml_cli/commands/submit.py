"""``ml submit``: freeze the code, send what the host lacks, queue the job."""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from attrs import field, frozen

from fetchml_cli.boundary import Detached
from fetchml_cli.commands.common import (
    ExitStatusOption,
    JsonOption,
    ProfileOption,
    check_exit_status,
    connect,
    host_name,
    load_profile,
    wait_status,
    with_profile,
)
from fetchml_cli.commands.follow import Follower, end_lines
from fetchml_cli.commands.upload import TreeChanged, send_snapshot
from fetchml_cli.lazy import new_app
from fetchml_cli.output.jobs import job_fields, worker_fields
from fetchml_core.convert import to_data
from fetchml_core.errors import FetchError, InputError, UnreachableError
from fetchml_core.fsio import read_json, replace_file
from fetchml_core.jobs.job import Job, JobSpec, Resources
from fetchml_core.snapshot.scan import Scan, scan
from fetchml_core.snapshot.tree import TreePlan, plan
from fetchml_core.units import format_size, parse_duration, parse_size
from fetchml_core.wire.messages import SubmitReply, SubmitRequest, WaitRequest

if TYPE_CHECKING:
    from fetchml_cli.cli import Cli
    from fetchml_cli.remote.client import Client
    from fetchml_core.config.profile import Profile

app = new_app()
TRIES = 3
PENDING_S = 3600.0
"""How long a submission whose answer was lost is remembered, so that repeating it finds the same job."""


@frozen
class Wish:
    """What was typed, apart from the tree."""

    name: str = ""
    gpus: int = 0
    cpus: float | None = None
    memory: str = ""
    priority: int = 5
    time: str = ""
    env: tuple[str, ...] = field(default=(), repr=False)
    image: str = ""


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
    name: Annotated[str, typer.Option(help="Name of the job; default: that of the script or folder.")] = "",
    gpus: Annotated[int, typer.Option(min=0, help="GPUs.")] = 0,
    cpus: Annotated[
        float | None, typer.Option(help="CPUs; default and ceiling: the host's podman_cpus.")
    ] = None,
    memory: Annotated[
        str, typer.Option(help="Memory, as in 4Gi; default and ceiling: the host's podman_memory.")
    ] = "",
    priority: Annotated[int, typer.Option(min=1, max=10, help="1 to 10, higher goes first.")] = 5,
    time: Annotated[
        str, typer.Option(metavar="DURATION", help="Stop the job after this time, as in 90m or 2h.")
    ] = "",
    env: Annotated[
        list[str] | None, typer.Option(metavar="K=V", help="Set a variable of the job.", show_default=False)
    ] = None,
    image: Annotated[str, typer.Option(help="Container image; default: the host's podman_image.")] = "",
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

    Exit status: 0 queued (with --wait or --follow: succeeded; 1 failed or lost, 7 cancelled, 8 its --time was
    reached); 2 usage; 3 configuration; 4 permission; 6 host out of reach; 130 detached.
    """
    wish = Wish(name, gpus, cpus, memory, priority, time, tuple(env or ()), image)
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
    check_wish(wish)
    tree = plan(path, cwd=cli.cwd, only=only, home=cli.home, allow_large=allow_large)
    if dry_run:
        found = read_tree(cli, tree, allow_large=allow_large)
        return _show_dry_run(cli, tree, found, make_spec(tree, found, arguments, wish))
    profile = load_profile(cli)
    for tries in range(TRIES):
        found = read_tree(cli, tree, allow_large=allow_large)
        try:
            reply, client = _submit(cli, profile, make_spec(tree, found, arguments, wish), found)
            break
        except TreeChanged as changed:
            if tries + 1 == TRIES:
                raise
            cli.note(f"changed while it was being sent, reading again: {changed.context}")
    _show_reply(cli, profile, client, reply, quiet=quiet, more=follow or wait)
    if not (follow or wait):
        client.close()
        return 0
    if follow and not cli.json:
        job = Follower(cli, profile, reply.job.id, quiet=quiet).run(client)
    else:
        job = wait_for(cli, client, reply.job.id)
    if cli.json:
        cli.show_json({"job": job_fields(job)})
    elif not quiet:
        for line in end_lines(job):
            cli.note(line)
    return wait_status([job], of_job=of_job)


def check_wish(wish: Wish) -> None:
    """Raise InputError for what is wrong before any file is read."""
    if wish.time:
        parse_duration(wish.time)
    if wish.memory:
        parse_size(wish.memory)
    for pair in wish.env:
        name, sign, _ = pair.partition("=")
        if not sign or not name:
            raise InputError(
                "bad-env", "a variable is set as NAME=VALUE", context=f"--env {name}", hint="--env NAME=VALUE"
            )


def read_tree(cli: Cli, tree: TreePlan, *, allow_large: bool) -> Scan:
    """Hash the tree, with a bar where it takes long."""
    from fetchml_cli.output.progress import progress

    with progress(cli, "reading", None) as advance:
        seen = 0

        def report(done: int, _: int) -> None:
            nonlocal seen
            advance(done - seen)
            seen = done

        cache = (
            cli.home / ".ml" / "cache" / "hashes" / hashlib.sha256(str(tree.root).encode()).hexdigest()[:32]
        )
        return scan(
            tree.root,
            now=cli.clock.now(),
            allow_large=allow_large,
            only=tree.entry if tree.only else None,
            needed=tree.entry,
            progress=report,
            cache=cache,
        )


def make_spec(tree: TreePlan, found: Scan, arguments: tuple[str, ...], wish: Wish) -> JobSpec:
    """Return what is asked of the host."""
    return JobSpec(
        name=wish.name or default_name(tree),
        argv=(*tree.command, *arguments),
        snapshot=found.manifest.digest,
        cwd=tree.start,
        env=dict(pair.split("=", 1) for pair in wish.env),
        image=wish.image,
        resources=Resources(wish.cpus, parse_size(wish.memory) if wish.memory else None, wish.gpus),
        priority=wish.priority,
        time_limit=parse_duration(wish.time) if wish.time else None,
        git=found.git,
        files=len(found.manifest.entries),
        size=found.total_bytes,
    )


def default_name(tree: TreePlan) -> str:
    """Return a job name made of the script's, or of the folder's where the script is the usual one."""
    script = Path(tree.entry)
    stem = (script.parent.name or tree.root.name) if script.stem == "train" else script.stem
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", stem).strip("-._")[:63] or "job"


def _submit(cli: Cli, profile: Profile, spec: JobSpec, found: Scan) -> tuple[SubmitReply, Client]:
    """Send and queue; an answer that a broken link swallowed is asked for again, with the same key."""
    pending = _Pending(cli, profile, spec)
    for tries in range(TRIES):
        client = connect(cli, profile)
        try:
            send_snapshot(cli, client, found)
            key = pending.remember()
            reply: SubmitReply = client.call("submit", SubmitRequest(key, spec))
        except UnreachableError as error:
            client.close()
            if tries + 1 == TRIES or not pending.asked:
                raise
            cli.note(f"{error.message}; asking again for the same job")
        except BaseException:
            client.close()
            raise
        else:
            pending.forget()
            return reply, client
    raise AssertionError  # the loop returns or raises


class _Pending:
    """The idempotency key of this very submission, kept on disk until the host has answered."""

    def __init__(self, cli: Cli, profile: Profile, spec: JobSpec) -> None:
        server = profile.server
        target = [
            server.worker_host,
            server.worker_user,
            server.worker_base,
            server.worker_port,
            to_data(spec),
        ]
        digest = hashlib.sha256(json.dumps(target, sort_keys=True).encode()).hexdigest()
        self._path = cli.home / ".ml" / "cache" / "pending" / digest[:32]
        self._now = cli.clock.now()
        self.asked = False

    def remember(self) -> str:
        """Return the key: that of a submission which got no answer, else a new one, kept from now on."""
        self.asked = True
        try:
            known = read_json(self._path)
            if isinstance(known, dict) and 0 <= self._now - known["at"] < PENDING_S:
                return str(known["key"])
        except (FetchError, KeyError, TypeError, OSError):
            pass
        key = uuid.uuid4().hex
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            replace_file(self._path, json.dumps({"key": key, "at": self._now}).encode())
        except OSError:
            pass  # the memory is a comfort; this process knows the key
        return key

    def forget(self) -> None:
        """The host has answered."""
        self._path.unlink(missing_ok=True)


def wait_for(cli: Cli, client: Client, job_id: int) -> Job:
    """Wait until the job ends, over this connection."""
    try:
        with client:
            reply = client.call("wait", WaitRequest((str(job_id),)), on_item=lambda _: None)
    except KeyboardInterrupt:
        raise Detached(
            f"\ndetached: job {job_id} goes on\n  {with_profile(cli, f'ml wait {job_id}')}   waits again"
        ) from None
    job: Job = reply.jobs[0]
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
            cli.show_json({"job": job_fields(job), "ahead": reply.ahead, "worker": worker_fields(worker)})
        return
    if quiet:
        cli.out.line(str(job.id))
    else:
        line = f"{ordinal(reply.ahead + 1)} in line"
        cli.out.line(f"job {job.id} {job.state.value} on {host_name(profile, client)} ({line})")
    cli.out.flush()
    if not more and not quiet:
        cli.hint(f"  {with_profile(cli, f'ml logs -f {job.id}')}   follow it")
        cli.hint(f"  {with_profile(cli, 'ml status')}   see where it stands")
        cli.hint(f"  {with_profile(cli, f'ml pull {job.id}')}   fetch its results")


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
    cli.out.line(f"tree     {tree.root}")
    cli.out.line(f"files    {spec.files} ({format_size(spec.size)}), {found.ignored} ignored")
    cli.out.line(f"command  {' '.join(spec.argv)}")
    cli.out.line(f"starts   in {spec.cwd or 'the root of the tree'}")
    for number, (path, size) in enumerate(found.biggest):
        cli.out.line(f"{'biggest' if number == 0 else '':<8} {format_size(size):>10}  {path}")
    cli.hint("nothing was sent; at most this travels, and only what the host lacks")
    return 0
