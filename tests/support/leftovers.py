"""Find what tests left behind: processes, containers and mounts; name it, remove it, fail the run.

Every process that a test starts inherits ``FETCHML_TEST_RUN`` (a private sshd sets it for its sessions), and so
does what it detaches; every container carries the same id as an annotation. That tells our leftovers from the
processes of another run on the same machine.
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
    from collections.abc import Iterable

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


def processes_with(variable: str, value: str) -> list[Process]:
    """All processes that carry this variable in the environment they were started with, ours left out."""
    wanted = f"{variable}={value}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):  # it ended, or belongs to another account
            if wanted in (entry / "environ").read_bytes().split(b"\0"):
                command = (
                    (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
                )
                found.append(Process(int(entry.name), command))
    # Rootless Podman keeps one such process per account to hold its user namespace; that is no leak.
    return [
        process for process in found if process.command and not process.command.startswith("catatonit -P")
    ]


def end_processes(variable: str, value: str, grace_s: float = 3.0) -> None:
    """Ask all processes with this variable to end, and make them after *grace_s* seconds."""
    for number, wait_s in ((signal.SIGTERM, grace_s), (signal.SIGKILL, 5.0)):
        end = time.monotonic() + wait_s
        for process in processes_with(variable, value):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, number)
        while processes_with(variable, value):
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


def leftovers(wait_s: float) -> list[str]:
    """What is left after waiting for it to go, one line each; processes are ended, the rest is removed."""
    end = time.monotonic() + wait_s
    while (processes := processes_with(VARIABLE, run_id())) and time.monotonic() < end:
        time.sleep(0.1)
    lines = [f"process {process.pid}: {process.command[:150]}" for process in processes]
    lines += _leftover_containers()
    end_processes(VARIABLE, run_id())
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
    lines = leftovers(float(os.environ.get("FETCHML_TEST_PATIENCE", _WAIT_S)))
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
