"""What a job left in its results folder. The job wrote it, so nothing in it is trusted: no link is followed."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from fetchml_core.errors import HostError, NotFoundError
from fetchml_core.fsio import open_below
from fetchml_core.wire.messages import ResultFile, ResultsReply, ResultsRequest

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
    for path, plain in _walk(folder, ""):
        if not plain or not _printable(path):
            skipped.append(path)
            continue
        if len(files) >= MAX_FILES:
            raise HostError(
                "too-many-results",
                f"more than {MAX_FILES} result files",
                context=str(folder),
                hint="pack them into one file in the job",
            )
        files.append(_measure(folder, path))
    return ResultsReply(job, tuple(files), tuple(skipped[:100]))


def _walk(folder: Path, below: str) -> Iterator[tuple[str, bool]]:
    """Yield paths below *folder* and whether each is a plain file; links are named, never followed."""
    try:
        entries = sorted(os.scandir(folder / below if below else folder), key=lambda entry: entry.name)
    except FileNotFoundError:
        return
    for entry in entries:
        path = f"{below}/{entry.name}" if below else entry.name
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(folder, path)
        else:
            yield path, entry.is_file(follow_symlinks=False)


def _printable(path: str) -> bool:
    """Whether *path* can travel: UTF-8 without control characters."""
    return path.isprintable()


def _measure(folder: Path, path: str) -> ResultFile:
    """Return size and digest of one file."""
    digest = hashlib.sha256()
    size = 0
    with os.fdopen(open_below(folder, path), "rb") as file:
        executable = bool(os.fstat(file.fileno()).st_mode & stat.S_IXUSR)
        while chunk := file.read(1 << 20):
            digest.update(chunk)
            size += len(chunk)
    return ResultFile(path, size, digest.hexdigest(), executable)
