"""``ml pull``: fetch the results of a job, checked, and resumed where a link broke."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fetchml_cli.commands.common import JobArgument, JsonOption, ProfileOption, connect
from fetchml_cli.lazy import new_app
from fetchml_cli.output.progress import progress
from fetchml_core.errors import FetchError, HostError, InputError, explain_os_error
from fetchml_core.fsio import write_all
from fetchml_core.units import format_size
from fetchml_core.wire.output import FetchRequest, ResultFile, ResultsReply, ResultsRequest

if TYPE_CHECKING:
    from fetchml_cli.cli import Cli
    from fetchml_cli.remote.client import Client

app = new_app()
WARNED = 10  # entries that cannot come; more lines would hide the rest
PARTS = ".ml-parts"
"""Folder in DIR of files that have not come whole, each named by the digest of the whole: none gets its name before."""


@app.command()
def pull(
    ctx: typer.Context,
    job: JobArgument,
    folder: Annotated[
        Path | None,
        typer.Argument(
            metavar="[DIR]", help="Where to put them; default: NAME-JOB here.", show_default=False
        ),
    ] = None,
    as_json: JsonOption = False,
    profile: ProfileOption = "",
) -> None:
    """Fetch the results of a job.

    Files that are here already, with the same content, are not fetched again; a file whose transfer broke goes on
    where it stopped. Every file is checked against its SHA-256.

    Exit status: 0 all are here; 2 DIR cannot be used; 4 permission; 5 unknown job or no results; 6 host out of reach.
    """
    run(ctx.obj.configured(profile=profile, json=as_json), job, folder)


def run(cli: Cli, word: str, folder: Path | None = None) -> None:
    """Do the command without Typer."""
    with connect(cli) as client:
        reply: ResultsReply = client.call("results", ResultsRequest(word), on_data=lambda _: None)
        target = cli.cwd / (folder or Path(f"{reply.job.spec.name}-{reply.job.id}"))
        try:
            fetched = _pull(cli, client, reply, target)
        except OSError as error:
            raise _cannot_write(error, target) from None
    _tell(cli, reply, target, fetched)


def _cannot_write(error: OSError, target: Path) -> FetchError:
    """Explain what our own file system said; what has come so far stays, so that the next pull goes on from there."""
    told = explain_os_error(error, "write the results here")
    if told.code == "disk-full":
        told.message = "no space left here for the results"
        told.context = told.context or str(target)
        told.hint = "free space here (df -h; df -i), then pull again: it goes on where it stopped"
    elif told.code == "not-permitted":
        told.message = "you may not write the results here"
    told.hint = told.hint or "name another folder: ml pull JOB DIR"
    return told


def _tell(cli: Cli, reply: ResultsReply, target: Path, fetched: int) -> None:
    total = sum(file.size for file in reply.files)
    for path in reply.skipped[:WARNED]:
        reason = "it is no plain file" if path.isprintable() else "its name has control characters"
        cli.warn(f"left on the host, {reason}: {path}")
    if len(reply.skipped) > WARNED:
        cli.warn(f"left on the host, {len(reply.skipped) - WARNED} more")
    if not reply.job.state.final:
        cli.warn(f"job {reply.job.id} is {reply.job.state.value}: these are its results so far")
    if cli.json:
        files = [{"path": file.path, "bytes": file.size, "sha256": file.digest} for file in reply.files]
        cli.show_json(
            {"folder": str(target), "files": files, "fetched": fetched, "skipped": list(reply.skipped)}
        )
        return
    count = "1 file" if len(reply.files) == 1 else f"{len(reply.files)} files"
    here = len(reply.files) - fetched
    cli.note(f"{count}, {format_size(total)}" + (f"; {fetched} fetched, {here} here already" if here else ""))
    cli.out.line(str(target))


def _pull(cli: Cli, client: Client, reply: ResultsReply, target: Path) -> int:
    """Bring *target* to what the host has; return how many files travelled."""
    _check_target(target)
    for file in reply.files:
        _check_name(file.path)
    target.mkdir(parents=True, exist_ok=True)
    wanted = [file for file in reply.files if not _is_here(target / file.path, file)]
    attempt = len(reply.job.attempts)
    parts = target / PARTS
    if wanted:
        parts.mkdir(exist_ok=True)
    with progress(cli, "download", sum(file.size for file in wanted)) as advance:
        for file in wanted:
            path = target / file.path
            path.parent.mkdir(parents=True, exist_ok=True)
            part = parts / file.digest
            request = FetchRequest(reply.job.id, attempt, file.path)
            if not _fetch(client, request, file, part, advance):
                _fetch(client, request, file, part, advance, last=True)
            part.replace(path)
    with contextlib.suppress(OSError):  # not there, or it holds parts of another pull
        parts.rmdir()
    return len(wanted)


def _check_target(target: Path) -> None:
    there = next(place for place in (target, *target.parents) if place.exists())
    if not there.is_dir():
        raise InputError(
            "not-a-folder",
            "results go into a folder, and this is a file",
            context=str(there),
            hint="name another: ml pull JOB DIR",
        )


def _check_name(path: str) -> None:
    """Refuse a name that would leave the folder: the host is not trusted with our files."""
    parts = path.split("/")
    if not path.isprintable() or any(part in {"", ".", ".."} for part in parts):
        raise HostError(
            "bad-result-name", "the host names a result file that leaves its folder", context=path
        )


def _is_here(path: Path, file: ResultFile) -> bool:
    """Whether *path* has the content of *file* already."""
    try:
        return path.is_file() and path.stat().st_size == file.size and _digest(path) == file.digest
    except OSError:
        return False


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def _fetch(
    client: Client,
    request: FetchRequest,
    file: ResultFile,
    part: Path,
    advance: Callable[[int], None],
    *,
    last: bool = False,
) -> bool:
    """Fetch one file to *part*, from where a broken transfer stopped; False when what came does not check."""
    from attrs import evolve

    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
    fd = os.open(part, flags, 0o600)
    try:
        have = os.fstat(fd).st_size
        if have > file.size:
            os.ftruncate(fd, 0)
            have = 0
        advance(have)

        def keep(chunk: bytes) -> None:
            write_all(fd, chunk)
            advance(len(chunk))

        try:
            client.call("fetch", evolve(request, offset=have), on_data=keep)
        except FetchError:
            if not os.fstat(fd).st_size:
                part.unlink()
            raise
    finally:
        os.close(fd)
    if part.stat().st_size == file.size and _digest(part) == file.digest:
        part.chmod(0o755 if file.executable else 0o644)
        return True
    part.unlink()
    if last:
        raise HostError(
            "results-changed",
            "a result file is not what the host said it was",
            context=file.path,
            hint="is the job still running? wait for its end, then pull again",
        )
    return False
