"""The one place that runs ``podman``: argv lists, nothing on stdin, a time limit, errors fit for a terminal.

Layer 2. Podman runs in a session of its own, so that a worker that dies or is interrupted does not cut a start in
half. Its environment is what the caller hands over, less the variables through which systemd and a job could meet.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from typing import TYPE_CHECKING

from attrs import frozen

from fetchml_core.errors import HostError

from .spec import LIMITS, Capabilities
from .versions import MIN_VERSION, parse_version, traits_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

TIMEOUT = 60.0
_INSTALL = "sudo apt-get install podman"
_DROPPED = ("NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "WATCHDOG_PID", "WATCHDOG_USEC")
_ADDED = {"PODMAN_IGNORE_CGROUPSV1_WARNING": "1"}
"""Else Podman 5 begins whatever it says with a warning of cgroup v1, in front of what is wrong."""
_CONTROLLERS = {"memory": "memory", "cpus": "cpu", "pids": "pids"}


@frozen
class Answer:
    """What a run of Podman gave: its exit status, its output, and its errors on one printable line."""

    status: int
    output: str
    errors: str


@frozen
class Engine:
    """Podman on this host.

    Args:
        env: Its whole environment: PATH, HOME, XDG_RUNTIME_DIR, CONTAINERS_CONF and what else it needs.
        program: Its name or path.
    """

    env: Mapping[str, str]
    program: str = "podman"

    def run(self, arguments: Sequence[str], *, timeout: float = TIMEOUT, program: str = "") -> Answer:
        """Run Podman and return what it said, whatever its exit status.

        Args:
            arguments: What comes after ``podman``.
            timeout: Seconds after which it is killed.
            program: Another program in its place, such as its runtime.

        Raises:
            HostError: ``podman-missing``, or ``podman-hangs`` when the time ran out.
        """
        env = {name: value for name, value in self.env.items() if name not in _DROPPED} | _ADDED
        try:
            process = subprocess.Popen(
                [program or self.program, *arguments],
                env=env,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            absent = isinstance(error, FileNotFoundError)
            raise HostError(
                "podman-missing",
                "Podman is not installed on this host, or not on its PATH"
                if absent
                else f"Podman cannot be run: {error.strerror}",
                context="" if absent else self.program,
                hint=_INSTALL,
            ) from error
        with process:
            try:
                output, errors = process.communicate(timeout=timeout)
            except BaseException as error:
                with contextlib.suppress(OSError):
                    os.killpg(process.pid, signal.SIGKILL)
                if isinstance(error, subprocess.TimeoutExpired):
                    command = " ".join(["podman", *arguments[:2]])
                    raise HostError(
                        "podman-hangs", f"{command} gave no answer in {timeout:.0f} s", hint="podman info"
                    ) from None
                raise
        return Answer(process.returncode, output.decode("utf-8", "replace"), printable(errors))

    def check(self) -> Capabilities:
        """Ask Podman what it can do here.

        Raises:
            HostError: ``podman-missing``, ``podman-broken``, ``podman-too-old``, ``no-seccomp``.
        """
        answer = self.run(["info", "--format=json"])
        try:
            info = json.loads(answer.output) if answer.status == 0 else {}
            return capabilities(info)
        except (ValueError, KeyError, TypeError, AttributeError):
            raise HostError(
                "podman-broken", "podman info fails on this host", context=answer.errors, hint="podman info"
            ) from None


def capabilities(info: dict[str, dict[str, object]]) -> Capabilities:
    """Decide from ``podman info`` what this host can do.

    Raises:
        HostError: ``podman-too-old``, ``no-seccomp``.
        KeyError: or the like when it is no such answer.
    """
    host = info["host"]
    version = str(info["version"]["Version"])
    number = parse_version(version)
    if number < MIN_VERSION:
        wanted = ".".join(map(str, MIN_VERSION))
        raise HostError(
            "podman-too-old", f"Podman {wanted} or newer is needed", context=version, hint=_INSTALL
        )
    security = host["security"]
    if not isinstance(security, dict) or security["seccompEnabled"] is not True:
        raise HostError("no-seccomp", "Podman has no seccomp on this host, so no job can be sandboxed")
    rootless, cgroups = bool(security["rootless"]), str(host["cgroupVersion"])
    controllers = host.get("cgroupControllers") or []
    enforceable, reasons = _enforceable(rootless=rootless, cgroups=cgroups, controllers=list(controllers))  # type: ignore[call-overload]
    return Capabilities(
        launcher="podman",
        version=version,
        traits=traits_of(number),
        rootless=rootless,
        cgroups=cgroups,
        enforceable=enforceable,
        not_enforced=tuple(limit for limit in LIMITS if limit not in enforceable),
        reasons=reasons,
        image_index=_image_index(info.get("store") or {}),
        runtime=_runtime(host.get("ociRuntime")),
    )


def _runtime(said: object) -> str:
    """Return the path of the program that Podman runs containers with, empty where it does not say."""
    path = said.get("path") if isinstance(said, dict) else None
    return path if isinstance(path, str) and path.startswith("/") else ""


def _image_index(store: dict[str, object]) -> str:
    """Return the file in which Podman's store keeps names and ids of images, rewritten whenever one changes."""
    root, driver = store.get("graphRoot"), store.get("graphDriverName")
    return f"{root}/{driver}-images/images.json" if root and driver else ""


def _enforceable(
    *, rootless: bool, cgroups: str, controllers: list[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    if rootless and cgroups != "v2":
        return (), ("rootless Podman on cgroup v1 cannot enforce limits",)
    enforceable = tuple(limit for limit in LIMITS if _CONTROLLERS[limit] in controllers)
    missing = [_CONTROLLERS[limit] for limit in LIMITS if limit not in enforceable]
    if not missing:
        return enforceable, ()
    return enforceable, (f"the cgroup controllers {', '.join(missing)} are not delegated to this account",)


def printable(data: bytes, *, limit: int = 600) -> str:
    """Return the end of what a program printed as one line without anything a terminal would obey."""
    text = " ".join(data.decode("utf-8", "replace").split())
    return "".join(char if char.isprintable() else "?" for char in text)[-limit:]
