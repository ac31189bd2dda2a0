"""Find what tests left behind: processes, containers and mounts; name it, remove it, fail the run.

Every process that a test starts inherits ``FETCHML_TEST_RUN`` (a private sshd sets it for its sessions), and so
does what it detaches; every container carries the same id as an annotation. That tells our leftovers from the
processes of another run on the same machine. Podman hands neither to conmon nor to what that starts, and it may have
forgotten both: conmon is known by the settings of Podman, which lie in a folder of the run, and a process in a
container by such a folder, or one of pytest's, that is mounted there.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.support.engine import RUN_LABEL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

VARIABLE = "FETCHML_TEST_RUN"
_WAIT_S = 8.0


class Process(NamedTuple):
    """One process of the machine."""

    pid: int
    command: str


def run_id() -> str:
    """The id of this test run, the same in all its processes."""
    return os.environ.setdefault(VARIABLE, uuid.uuid4().hex[:12])


@functools.cache
def run_folder() -> Path:
    """A folder of this process that every account may read; removed when the process ends."""
    folder = Path(tempfile.mkdtemp(prefix=f"fetchml-{run_id()}-"))
    folder.chmod(0o755)
    return folder


def remove_run_folder() -> None:
    """Remove this process's folder, if it made one."""
    if run_folder.cache_info().currsize:
        shutil.rmtree(run_folder(), ignore_errors=True)
        run_folder.cache_clear()


def _processes(wanted: Callable[[Path], bool]) -> list[Process]:
    """All processes for whose folder in /proc *wanted* holds, ours left out."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):  # it ended, or belongs to another account
            if wanted(entry):
                command = (
                    (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
                )
                found.append(Process(int(entry.name), command))
    # Rootless Podman keeps one such process per account to hold its user namespace; that is no leak.
    return [
        process for process in found if process.command and not process.command.startswith("catatonit -P")
    ]


def processes_with(variable: str, value: str) -> list[Process]:
    """All processes that carry this variable in the environment they were started with, ours left out."""
    wanted = f"{variable}={value}".encode()
    return _processes(lambda entry: wanted in (entry / "environ").read_bytes().split(b"\0"))


def processes_of_run(pytest_folder: Path | None = None) -> list[Process]:
    """All processes of this run, those in containers and those that watch one too.

    Args:
        pytest_folder: Where the ``tmp_path`` of all tests lie; None for nowhere.
    """
    variable, folder = f"{VARIABLE}={run_id()}".encode(), f"/fetchml-{run_id()}-".encode()
    folders = [folder]
    if pytest_folder is not None:
        # Mounts are named from the root of their file system, which may be below ours.
        folders.append(f"/{'/'.join(pytest_folder.parts[-2:])}/".encode())

    def wanted(entry: Path) -> bool:
        environment = (entry / "environ").read_bytes()
        if variable in environment.split(b"\0") or folder in environment:
            return True
        # Only of a container: a folder that a test has mounted on the host is mounted for every process of the machine.
        if not _is_contained(entry):
            return False
        mounts = (entry / "mountinfo").read_bytes()
        return any(folder in mounts for folder in folders)

    return _processes(wanted)


def _is_contained(entry: Path) -> bool:
    """Whether a process lies in a table of processes below ours."""
    lines = (entry / "status").read_bytes().splitlines()
    return any(line.startswith(b"NSpid:") and len(line.split()) > 2 for line in lines)


def end_processes(variable: str, value: str, grace_s: float = 3.0) -> None:
    """Ask all processes with this variable to end, and make them after *grace_s* seconds."""
    _end(functools.partial(processes_with, variable, value), grace_s)


def _end(find: Callable[[], list[Process]], grace_s: float = 3.0) -> None:
    for number, wait_s in ((signal.SIGTERM, grace_s), (signal.SIGKILL, 5.0)):
        end = time.monotonic() + wait_s
        for process in find():
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, number)
        while find():
            if time.monotonic() > end:
                break
            time.sleep(0.05)
        else:
            return


def our_containers(podman: list[str], env: dict[str, str]) -> list[str]:
    """Names of the containers of this run in one store."""

    def ask(*args: str) -> str:
        done = subprocess.run(
            [*podman, *args], env=env, cwd="/", capture_output=True, text=True, check=False, timeout=60
        )
        return done.stdout

    ids = ask("ps", "--all", "--quiet", "--no-trunc").split()
    if not ids:
        return []
    records = json.loads(ask("inspect", "--type", "container", *ids) or "[]")
    return [
        record["Name"]
        for record in records
        if ((record.get("Config") or {}).get("Annotations") or {}).get(RUN_LABEL) == run_id()
    ]


def our_mounts() -> list[str]:
    """Mount points below folders of this run."""
    lines = Path("/proc/self/mountinfo").read_text("utf-8").splitlines()
    return [line.split()[4] for line in lines if f"fetchml-{run_id()}" in line.split()[4]]


def leftovers(wait_s: float, pytest_folder: Path | None = None) -> list[str]:
    """What is left after waiting for it to go, one line each; processes are ended, the rest is removed."""
    find = functools.partial(processes_of_run, pytest_folder)
    end = time.monotonic() + wait_s
    while (processes := find()) and time.monotonic() < end:
        time.sleep(0.1)
    lines = [f"process {process.pid}: {process.command[:150]}" for process in processes]
    lines += _leftover_containers()
    _end(find)
    for mount in reversed(our_mounts()):
        lines.append(f"mount {mount}")
        subprocess.run(["umount", "--lazy", mount], check=False)
    return lines


def _leftover_containers() -> list[str]:
    lines = []
    for podman, env in _stores():
        names = our_containers(podman, env)
        lines += [f"container {name} ({podman[0]})" for name in names]
        if names:
            argv = [*podman, "rm", "--force", "--time", "0", *names]
            subprocess.run(argv, env=env, cwd="/", capture_output=True, check=False, timeout=60)
    return lines


def _stores() -> Iterable[tuple[list[str], dict[str, str]]]:
    """The stores of this machine's tests that exist: the root account's, the rootless account's."""
    from tests.support.accounts import ROOTLESS_STORE, rootless_podman
    from tests.support.cache import cache_folder
    from tests.support.podman import root_podman

    if os.geteuid() != 0:
        return
    if (cache_folder() / "store").exists():
        yield ["podman"], root_podman().env
    if ROOTLESS_STORE.exists():
        podman = rootless_podman()
        yield [*podman.prefix, "podman"], podman.env


def pytest_configure(config) -> None:
    """Give the run its id before any process of it starts; a pytest started by a test keeps the outer one's."""
    config.stash[OWNER] = VARIABLE not in os.environ
    run_id()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session) -> None:
    """Fail the run where something of it is left, after the processes that ran the tests are gone."""
    if hasattr(session.config, "workerinput"):
        return
    folders = session.config._tmp_path_factory.getbasetemp()
    lines = leftovers(float(os.environ.get("FETCHML_TEST_PATIENCE", _WAIT_S)), folders)
    session.config.stash[LEFT] = lines
    if lines and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter, config) -> None:
    """Name what was left."""
    lines = config.stash.get(LEFT, [])
    if lines:
        terminalreporter.section("left behind by the tests", red=True)
        for line in lines:
            terminalreporter.write_line(line)


def pytest_unconfigure(config) -> None:
    """Remove this process's folder, and at the very end those of processes that were killed."""
    remove_run_folder()
    if config.stash.get(OWNER, False):
        for folder in Path(tempfile.gettempdir()).glob(f"fetchml-{run_id()}-*"):
            shutil.rmtree(folder, ignore_errors=True)


LEFT = pytest.StashKey[list[str]]()
OWNER = pytest.StashKey[bool]()
