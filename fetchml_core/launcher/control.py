"""The control folder, from the worker's side: what to run, the go, the request to stop.

Layer 2. The folder's files are a table in `init.py`. Until the go nobody but us has touched the folder; after it the
job may have: it runs as the same user as its init. So nothing here trusts a name or a content found there, and
nothing here can be made to wait.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import secrets
import shlex
from typing import TYPE_CHECKING

from fetchml_core.errors import HostError, explain_os_error
from fetchml_core.fsio import make_folder, replace_file, write_all

from .gpus import Grant

if TYPE_CHECKING:
    from pathlib import Path

    from .environment import JobView
    from .spec import LaunchSpec

VERSION = 1
_NO_GPUS = Grant()
GO_TIMEOUT = 300
"""Seconds after which an init that nobody told to go ends by itself: its worker is gone."""


def prepare(spec: LaunchSpec, view: JobView, environment: dict[str, str], given: Grant = _NO_GPUS) -> None:
    """Write the control folder, all but what only `init.sh` needs; *given* are the attempt's GPUs.

    Raises:
        HostError: ``disk-full`` and the like.
    """
    data = {
        "version": VERSION,
        "attempt": spec.attempt,
        "argv": list(spec.argv),
        "cwd": spec.cwd,
        "workspace": view.workspace,
        "env": environment,
        "log_limit": spec.log_limit,
        "go_timeout": GO_TIMEOUT,
        "gpu_files": list(given.files),
        "cuda": given.cuda,
    }
    try:
        make_folder(spec.control)
        replace_file(spec.control / "spec.json", json.dumps(data).encode("ascii"))
        _make_fifo(spec.control / "go")
    except OSError as error:
        raise explain_os_error(error, "prepare the job's control folder", spec.control) from error


def prepare_shell(
    spec: LaunchSpec, view: JobView, environment: dict[str, str], given: Grant = _NO_GPUS
) -> None:
    """Write the rest of it; likewise."""
    try:
        script = shell_spec(spec, view, environment, given)
        replace_file(spec.control / "spec.sh", script.encode("utf-8", "surrogateescape"))
        _make_fifo(spec.control / "out")
    except OSError as error:
        raise explain_os_error(error, "prepare the job's control folder", spec.control) from error


def _make_fifo(path: Path) -> None:
    with contextlib.suppress(FileExistsError):
        os.mkfifo(path, 0o600)


def shell_spec(spec: LaunchSpec, view: JobView, environment: dict[str, str], given: Grant = _NO_GPUS) -> str:
    """Return what `init.sh` reads: assignments, and the command as a function; every word is quoted."""
    place = f"{view.workspace}/{spec.cwd}"
    variables = [shlex.quote(f"{name}={value}") for name, value in environment.items()]
    if "PATH" not in environment:
        variables.append('"PATH=$PATH"')
    # env takes a first word with = in it for a variable; the shell does not.
    guard = ["sh", "-c", "'exec \"$@\"'", "sh"] if "=" in spec.argv[0] else []
    command = " ".join([*variables, *guard, *map(shlex.quote, spec.argv)])
    return (
        f"version={VERSION}\nattempt={spec.attempt}\nlog_limit={spec.log_limit}\ngo_timeout={GO_TIMEOUT}\n"
        f"gpu_files={shlex.quote(' '.join(given.files))}\n"
        f"run_job() {{\n    cd {shlex.quote(place)} || exit 127\n    exec setsid env -i {command}\n}}\n"
    )


def is_ready(folder: Path, *, gpus: bool = False) -> bool:
    """Return whether the attempt's init is there: whether the FIFO has a reader, and for *gpus* also its report."""
    if gpus and not os.path.lexists(folder / "control" / "gpus.json"):
        return False
    fd = _open_go(folder)
    if fd is None:
        return False
    os.close(fd)
    return True


def give_go(folder: Path) -> None:
    """Let the init start the job; does nothing when it was told before.

    Raises:
        HostError: ``init-gone`` when no init waits and none was told.
    """
    fd = _open_go(folder)
    if fd is None:
        if was_started(folder):
            return
        raise HostError("init-gone", "the job's init ended before it was told to start", context=str(folder))
    try:
        write_all(fd, b"go\n")
    except OSError as error:
        raise HostError(
            "init-gone", "the job's init ended while it was told to start", context=str(error)
        ) from error
    finally:
        os.close(fd)


def was_started(folder: Path) -> bool:
    """Return whether the init got the go; a job could remove this trace, but none can forge it before the go."""
    return os.path.lexists(folder / "control" / "started")


def request_stop(folder: Path, reason: str) -> None:
    """Put *reason* into the job's stop file; a job that spoilt its own control folder is not told."""
    control = folder / "control"
    temporary = control / f".stop.{secrets.token_hex(8)}"  # a name that a job cannot guess and block
    with contextlib.suppress(OSError):
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        try:
            os.fchmod(fd, 0o644)  # the job may be another user
            write_all(fd, reason.encode("utf-8", "replace") + b"\n")
        finally:
            os.close(fd)
        temporary.replace(control / "stop")
    with contextlib.suppress(OSError):
        temporary.unlink()


def _open_go(folder: Path) -> int | None:
    try:
        flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
        return os.open(f"{folder}/control/go", flags)
    except OSError as error:
        if error.errno in {errno.ENXIO, errno.ENOENT, errno.ELOOP}:
            return None
        raise explain_os_error(error, "tell the job's init to start") from error
