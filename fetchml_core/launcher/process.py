"""Jobs as plain processes of the account: the embedded default without Podman, and hosts that ask for it.

Layer 2. The same init, control folder and records as in a container, and nothing of the isolation: every attempt says
so in `Launched.not_enforced`. The init is the job's subreaper, so that it can kill and collect all that the job
started. Should the init itself be killed, the job dies with it, and what the job had started is found by
a variable in its environment that names the attempt's folder; a job that hides from that on purpose is not caught.
Inits are forked by a small program beside the worker, see `forkserver`.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from fetchml_core.errors import FetchError, HostError, explain_os_error

from . import control, evidence, handover
from .by_init import ByInit, kill_init
from .engine import printable
from .environment import host_view, job_environment
from .forks import ForkServer, is_fork
from .gpus import CUDA, FENCED, grant_on_host, prove, visible_variables
from .record import read_record
from .spec import LIMITS, Capabilities, Launched, LaunchSpec, Leftover

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from fetchml_core.clock import Clock

NOT_SANDBOXED = (
    "sandbox",
    "seccomp",
    "no-new-privileges",
    "read-only-root",
    "masked-paths",
    "own-ipc",
    "no-network",
    *LIMITS,
)
_LOST = (
    "not sandboxed: a job can read and change whatever the account can, reach the network, "
    "and use all memory and cores"
)
_READY_TIMEOUT = 30.0
_GPU_TIMEOUT = 70.0  # above what the init gives CUDA for an answer
_SWEEPS = 50
_FIRST_PAUSE, _LONGEST_PAUSE = 0.0003, 0.01
_WORKSPACE = re.compile(rb"\0FETCHML_WORKSPACE=([^\0]+)\0")
_DEFAULT_PATH = "/usr/local/bin:/usr/bin:/bin"


class ProcessLauncher(ByInit):
    """The launcher without a sandbox; see `base.Launcher` for the contract.

    Args:
        env: The host's variables: PATH is the job's, all are the init's, so that its owner can be told.
        clock: The machine's clocks.
        python: Runs the init.
    """

    def __init__(self, *, env: Mapping[str, str], clock: Clock, python: str = sys.executable) -> None:
        self._env = env
        self._clock = clock
        self._forks = ForkServer(env, python)

    def check(self) -> Capabilities:
        """See `base.Launcher.check`."""
        return Capabilities(
            launcher="process",
            not_enforced=NOT_SANDBOXED,
            reasons=(_LOST,),
        )

    def launch(self, spec: LaunchSpec) -> Launched:
        """See `base.Launcher.launch`; for GPUs also ``gpu-not-available`` and ``gpu-not-usable``."""
        given = grant_on_host(spec.gpus)
        view = host_view(spec)
        environment = job_environment(spec, view, path=self._env.get("PATH") or _DEFAULT_PATH)
        # Last, for here a choice of the user's own would be one among everybody's GPUs; a job without any sees none.
        control.prepare(spec, view, environment | visible_variables(spec.gpus), given)
        try:
            Path(view.home).mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise explain_os_error(error, "launch the job", spec.folder) from error
        pid = self._forks.start(spec.control)
        if pid is None:
            raise _failed(spec)
        stat = evidence.read_stat(pid)
        launched = Launched(
            launcher="process",
            pid=pid,
            start_ticks=stat.start_ticks if stat else 0,
            enforced=(CUDA,) if given.cuda else (),
            not_enforced=(*NOT_SANDBOXED, FENCED) if spec.gpus else NOT_SANDBOXED,
            boot_id=self._clock.boot().boot_id,
            gpus=spec.gpus,
        )
        self._wait_ready(spec, launched)
        if spec.gpus:
            try:
                prove(spec.control, spec.gpus, given)
            except HostError:
                kill_init(launched, grace=1.0)
                raise
        return launched

    def leftovers(self, jobs: Path) -> list[Leftover]:
        """See `base.Launcher.leftovers`: by what ties a process to an attempt's folder."""
        pattern = re.compile(re.escape(os.fsencode(jobs)) + rb"/(\d+)/(\d+)/workspace")
        found = {
            Leftover(int(match[1]), int(match[2]))
            for _, workspace in _workspaces()
            if (match := pattern.fullmatch(workspace))
        }
        return sorted(found)

    def clean(self, launched: Launched | str, folder: Path, checkpoint: Path | None) -> None:
        """See `base.Launcher.clean`."""
        whole = isinstance(launched, Launched) and not evidence.is_alive(launched) and _ended_whole(folder)
        if isinstance(launched, Launched) and not whole:
            kill_init(launched, grace=1.0)
        if not whole and not self._sweep(folder):
            raise HostError("cannot-clean", "processes of the job could not be killed", context=str(folder))
        folders = [folder / name for name in ("workspace", "results", "control", "home")]
        handover.take_back(
            [*folders, *([checkpoint] if checkpoint else [])], os.getuid(), os.getgid(), change_owner=False
        )

    def close(self) -> None:
        """See `base.Launcher.close`."""
        self._forks.close()

    def _wait_ready(self, spec: LaunchSpec, launched: Launched) -> None:
        end = self._clock.boot().seconds + _READY_TIMEOUT + (_GPU_TIMEOUT if spec.gpus else 0)
        pause = _FIRST_PAUSE
        while not control.is_ready(spec.folder, gpus=bool(spec.gpus)):
            if not evidence.is_alive(launched):
                raise _failed(spec)
            if self._clock.boot().seconds > end:
                kill_init(launched, grace=1.0)
                raise _failed(spec)
            self._clock.sleep(pause)
            pause = min(1.5 * pause, _LONGEST_PAUSE)

    def _sweep(self, folder: Path) -> bool:
        """Kill all processes whose environment names this attempt; return whether none is left."""
        for _ in range(_SWEEPS):
            found = _processes_of(folder)
            if not found:
                return True
            for pid in found:
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
            self._clock.sleep(0.02)
        return False


def _ended_whole(folder: Path) -> bool:
    """Return whether the init says that it ended last; a look at every process of the host then tells nothing new."""
    try:
        record = read_record(folder / "control", int(folder.name))
    except (FetchError, ValueError):
        return False
    return record is not None and not record.error


def _processes_of(folder: Path) -> list[int]:
    workspace = os.fsencode(folder / "workspace")
    return [pid for pid, found in _workspaces() if found == workspace]


def _workspaces(proc: str = "/proc") -> Iterator[tuple[int, bytes]]:
    """Yield each process of an attempt with the attempt's workspace: the init has it beside it, the others by name."""
    for name in os.listdir(proc):  # noqa: PTH208 - there are hundreds, and this is asked for often
        if not name.isdigit():
            continue
        place = f"{proc}/{name}"
        with contextlib.suppress(OSError):  # it has just ended, or belongs to somebody else
            if match := _WORKSPACE.search(b"\0" + _read(f"{place}/environ")):
                yield int(name), match[1]
            elif is_fork(_read(f"{place}/cmdline")):
                yield int(name), os.fsencode(Path(f"{place}/cwd").readlink().parent / "workspace")


def _read(path: str) -> bytes:
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - likewise
        return file.readall()


def _failed(spec: LaunchSpec) -> HostError:
    try:
        words = printable((spec.folder / "init.log").read_bytes())
    except OSError:
        words = ""
    return HostError("init-failed", "the job's init could not be started", context=words)
