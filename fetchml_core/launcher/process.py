"""Jobs as plain processes of the account: the embedded default without Podman, and hosts that ask for it.

Layer 2. The same init, control folder and records as in a container, and nothing of the isolation: every attempt says
so in `Launched.not_enforced`. The init is the job's subreaper, so that it can kill and collect all that the job
started. Should the init itself be killed, the job dies with it, and what the job had started is found by
a variable in its environment that names the attempt's folder; a job that hides from that on purpose is not caught.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from fetchml_core.errors import HostError, explain_os_error
from fetchml_core.fsio import make_folder

from . import control, evidence, handover
from .by_init import ByInit, kill_init
from .engine import printable
from .environment import host_view, job_environment
from .gpus import CUDA, FENCED, grant_on_host, prove, visible_variables
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
        self._python = python

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
        # Last, for here a choice of the user's own would be one among everybody's GPUs.
        control.prepare(spec, view, environment | visible_variables(spec.gpus), given)
        try:
            make_folder(Path(view.home))
            pid = self._start(spec)
        except OSError as error:
            raise explain_os_error(error, "launch the job") from error
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
        """See `base.Launcher.leftovers`: by the variable that names an attempt's folder."""
        pattern = re.compile(
            rb"\0FETCHML_WORKSPACE=" + re.escape(os.fsencode(jobs)) + rb"/(\d+)/(\d+)/workspace\0"
        )
        found = {
            Leftover(int(match[1]), int(match[2]))
            for _, environment in _environments()
            if (match := pattern.search(environment))
        }
        return sorted(found)

    def clean(self, launched: Launched | str, folder: Path, checkpoint: Path | None) -> None:
        """See `base.Launcher.clean`."""
        if isinstance(launched, Launched):
            kill_init(launched, grace=1.0)
        if not self._sweep(folder):
            raise HostError("cannot-clean", "processes of the job could not be killed", context=str(folder))
        folders = [folder / name for name in ("workspace", "results", "control", "home")]
        handover.take_back(
            [*folders, *([checkpoint] if checkpoint else [])], os.getuid(), os.getgid(), change_owner=False
        )

    def _start(self, spec: LaunchSpec) -> int:
        """Start the init, which leaves our session and family, and return the pid that it tells."""
        program = str(Path(__file__).with_name("init.py"))
        argv = [self._python, "-I", "-S", "-B", program, str(spec.control), "--detach"]
        with (spec.folder / "init.log").open("wb") as errors:
            done = subprocess.run(
                argv,
                # the name by which `clean` finds an init whose launch nobody wrote down
                env={**self._env, "FETCHML_WORKSPACE": str(spec.folder / "workspace")},
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,
                check=False,
                timeout=_READY_TIMEOUT,
            )
        if done.returncode != 0 or not done.stdout.strip().isdigit():
            raise _failed(spec)
        return int(done.stdout)

    def _wait_ready(self, spec: LaunchSpec, launched: Launched) -> None:
        end = self._clock.boot().seconds + _READY_TIMEOUT + (_GPU_TIMEOUT if spec.gpus else 0)
        while not control.is_ready(spec.folder):
            if not evidence.is_alive(launched):
                raise _failed(spec)
            if self._clock.boot().seconds > end:
                kill_init(launched, grace=1.0)
                raise _failed(spec)
            self._clock.sleep(0.005)

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


def _processes_of(folder: Path) -> list[int]:
    marker = b"\0FETCHML_WORKSPACE=" + os.fsencode(folder / "workspace") + b"\0"
    return [pid for pid, environment in _environments() if marker in environment]


def _environments(proc: Path = evidence.PROC) -> Iterator[tuple[int, bytes]]:
    """Yield each process with the variables it was started with, every one between two NUL characters."""
    for entry in proc.iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):  # it has just ended, or belongs to somebody else
                yield int(entry.name), b"\0" + (entry / "environ").read_bytes()


def _failed(spec: LaunchSpec) -> HostError:
    try:
        words = printable((spec.folder / "init.log").read_bytes())
    except OSError:
        words = ""
    return HostError("init-failed", "the job's init could not be started", context=words)
