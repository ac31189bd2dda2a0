"""What a job left in its results folder. The job wrote it, so nothing in it is trusted: no link is followed."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from fetchml_core.errors import HostError, NotFoundError
from fetchml_core.fsio import open_below
from fetchml_core.wire.output import ResultFile, ResultsReply, ResultsRequest

from .context import Context
from .select import select_one

MAX_FILES = 100_000


def run(context: Context, request: ResultsRequest) -> ResultsReply:
    """See the module."""
    job = select_one(context, request.select)
    if job.attempt is None:
        raise NotFoundError(
            "no-results",
            f"job {job.id} is {job.state.value}: it has not run, so it has no results",
            hint=f"ml logs {job.id}",
        )
    folder = context.host.data.attempt(job.id, job.attempt.number).results
    files: list[ResultFile] = []
    skipped: list[str] = []
    for path, plain in _walk(folder):
        measured = _measure(folder, path) if plain and _printable(path) else None
        if measured is None:
            skipped.append(path)
            continue
        if len(files) >= MAX_FILES:
            raise HostError(
                "too-many-results",
                f"more than {MAX_FILES} result files",
                context=str(folder),
                hint="pack them into one file in the job",
            )
        files.append(measured)
    return ResultsReply(job, tuple(files), tuple(skipped[:100]))


def _walk(folder: Path) -> Iterator[tuple[str, bool]]:
    """Yield paths below *folder* and whether each is a plain file; links are named, never followed.

    A folder that cannot be listed (nested too deep for a path, gone in this moment) is named like a link.
    """
    waiting = [""]
    while waiting:
        below = waiting.pop()
        try:
            entries = sorted(os.scandir(folder / below), key=lambda entry: entry.name)
        except OSError:
            if below:
                yield below, False
            continue
        folders = []
        for entry in entries:
            path = f"{below}/{entry.name}" if below else entry.name
            if entry.is_dir(follow_symlinks=False):
                folders.append(path)
            else:
                yield path, entry.is_file(follow_symlinks=False)
        waiting += reversed(folders)


def _printable(path: str) -> bool:
    """Whether *path* can travel: UTF-8 without control characters."""
    return path.isprintable()


def _measure(folder: Path, path: str) -> ResultFile | None:
    """Return size and digest of one file; None where the job has just replaced or removed it."""
    try:
        file = os.fdopen(open_below(folder, path), "rb")
    except (OSError, HostError):
        return None
    digest = hashlib.sha256()
    size = 0
    with file:
        executable = bool(os.fstat(file.fileno()).st_mode & stat.S_IXUSR)
        while chunk := file.read(1 << 20):
            digest.update(chunk)
            size += len(chunk)
    return ResultFile(path, size, digest.hexdigest(), executable)
