"""Files that survive a power cut, and files that a stranger may have made.

A file is durable when its bytes are synced and the folder that names it is synced too; a rename without the
second loses the file at a power cut. After a failed fsync the kernel may have dropped the page, so the call is
never tried again: the error goes to the caller, and what was being written does not count.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .errors import HostError


def sync_folder(path: Path) -> None:
    """Make the names in folder *path* durable."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def write_all(fd: int, data: bytes) -> None:
    """Write all of *data*; a short write goes on, an error is raised."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def write_durably(path: Path, data: bytes, *, mode: int = 0o600) -> None:
    """Replace *path* by *data*, whole and durable, or leave it as it was."""
    replace_file(path, data, mode=mode, durable=True)


def replace_file(path: Path, data: bytes, *, mode: int = 0o600, durable: bool = False) -> None:
    """Replace *path* by *data* in one step; *durable* says whether it must survive a power cut."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, mode)
    try:
        try:
            write_all(fd, data)
            if durable:
                os.fsync(fd)
        finally:
            os.close(fd)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    if durable:
        sync_folder(path.parent)


def make_folder(path: Path, *, mode: int = 0o700) -> None:
    """Make folder *path* and its parents, durable, private unless *mode* says otherwise."""
    if path.is_dir():
        return
    make_folder(path.parent, mode=mode)
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=mode)
        try:
            sync_folder(path.parent)
        except OSError:  # whoever comes next must not take it for durable
            with contextlib.suppress(OSError):
                path.rmdir()
            raise


def open_plain_file(path: Path | str, *, dir_fd: int | None = None) -> int:
    """Open a file that somebody else may have made, for reading.

    Returns: a file descriptor of a regular file; links are not followed and a FIFO does not block.

    Raises:
        OSError: it does not exist or is a link.
        HostError: ``not-a-plain-file`` for anything else that is not a regular file.
    """
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=dir_fd)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise HostError("not-a-plain-file", "this is not a plain file", context=str(path))
    return fd


def read_plain_file(path: Path | str, *, limit: int, dir_fd: int | None = None) -> bytes:
    """Return at most *limit* bytes of a file that somebody else may have made (see `open_plain_file`)."""
    with os.fdopen(open_plain_file(path, dir_fd=dir_fd), "rb") as file:
        return file.read(limit)


def read_json(path: Path, *, limit: int = 1 << 20) -> Any:
    """Return the JSON in *path*, or None where there is no such file.

    Raises:
        HostError: ``damaged-file`` when it is no JSON or longer than *limit* bytes.
    """
    try:
        data = read_plain_file(path, limit=limit + 1)
    except FileNotFoundError:
        return None
    if len(data) > limit:
        raise HostError("damaged-file", f"longer than {limit} bytes", context=str(path))
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise HostError("damaged-file", f"this file is no JSON: {error}", context=str(path)) from None


@contextlib.contextmanager
def locked(path: Path, *, shared: bool = False) -> Iterator[int]:
    """Hold an flock on *path* (made if missing) for the length of the block; yields its descriptor."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        yield fd
    finally:
        os.close(fd)


def try_lock(path: Path, *, shared: bool = False) -> int | None:
    """Take an flock on *path* without waiting; None when somebody else holds it. Closing the descriptor frees it."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    except BaseException:
        os.close(fd)
        raise
    return fd


def open_below(folder: Path, relative: str) -> int:
    """Open a plain file below *folder* for reading, following no link at any step.

    Raises:
        OSError: a part does not exist or is a link.
        HostError: ``not-a-plain-file``, or the name leaves the folder.
    """
    parts = relative.split("/")
    if any(part in {"", ".", ".."} or "\0" in part for part in parts):
        raise HostError("not-a-plain-file", "this name leaves the folder", context=relative)
    try:
        os.fsencode(relative)
    except UnicodeEncodeError:  # a peer may send any text
        raise HostError("not-a-plain-file", "no file has such a name", context=ascii(relative)) from None
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in parts[:-1]:
            below = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=fd)
            os.close(fd)
            fd = below
        return open_plain_file(parts[-1], dir_fd=fd)
    finally:
        os.close(fd)
