"""Prove from outside that a container is sandboxed, before any code of a job runs in it.

Layer 2. What was asked of Podman is not what is: flags are ignored by old versions, a runtime may skip what it
does not know, limits do not work everywhere. So the worker reads what the kernel says about the container's
first process, in the host's /proc, while that process is our init and waits for its go.

The functions over text are pure; `prove` reads. Lines end with a newline and nothing else: str.splitlines would
let a program forge a line by its own name.

Invariants (tests of the same names): unreadable -- what cannot be read counts as not proven; one_process -- all
answers are about one process: /proc/PID is opened once and everything is read through that descriptor, which
fails when the process is gone, even if its number is used again.

A process of the account's own container is readable to the account, rootless and rootful, namespaces included:
whoever made a user namespace has all rights over the processes in it. Where a link under ns/ cannot be read all
the same, the worker runs as another account than the one that started the container.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from attrs import field, frozen

from .mountinfo import HIDDEN, READ_ONLY, root_is_read_only, unmasked

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_MAX_BYTES = 4 * 1024 * 1024
_CAPABILITIES = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
_SECCOMP_FILTER = "2"
# Where a limit is kept: the file of cgroup v1 and that of v2.
_LIMIT_FILES = {"pids": ("pids.max", "pids.max"), "memory": ("memory.limit_in_bytes", "memory.max")}
# Podman, we and CDI set these in a container, and may have done so around a worker that runs in one itself.
_OF_EVERY_CONTAINER = ("PATH", "TERM", "HOME", "HOSTNAME", "container")
_OF_CDI = "NVIDIA_"
_MOST_NAMES = 5


@frozen
class Expected:
    """What must hold; a field that is False or None is not looked at."""

    seccomp: bool = True
    no_new_privs: bool = True
    no_caps: bool = True
    read_only_root: bool = True
    own_ipc: bool = True
    masked_paths: bool = True
    network: Literal["none", "full"] = "none"
    """A network of its own; with ``none`` it has nothing but the loopback interface."""
    pids_limit: int | None = None
    """At most so many processes and threads."""
    memory: int | None = None
    """At most so many bytes."""
    host_variables: Mapping[str, str] = field(factory=dict, repr=False)  # may hold secrets
    """None of these may be in its environment, but those of the image."""
    image_variables: tuple[str, ...] = field(default=(), repr=False)
    """As ``NAME=VALUE``."""


class _UnprovenError(Exception):
    """Something could not be read, so it does not count as true."""


def prove(
    pid: int, expected: Expected, proc: Path = Path("/proc"), cgroup: Path = Path("/sys/fs/cgroup")
) -> tuple[str, ...]:
    """Return what does not hold of the container whose first process is *pid*; empty when all is proven.

    Args:
        pid: On the host, as in ``podman inspect -f '{{.State.Pid}}'``.
        expected: What to look at.
        proc: The host's process files.
        cgroup: The host's control groups, version 1, 2 or both.

    Returns: One phrase for each thing that is missing or cannot be read.
    """
    try:
        folder = os.open(proc / str(pid), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        return (f"process {pid} cannot be looked at: {error.strerror}",)
    try:
        process = _Process(folder, proc, cgroup)
        return tuple(
            problem for what, check in _CHECKS for problem in _found_by(what, check, process, expected)
        )
    finally:
        os.close(folder)


@frozen
class _Process:
    """One process, by the descriptor of its folder in /proc."""

    folder: int
    proc: Path
    cgroup: Path

    def text(self, name: str) -> str:
        try:
            with os.fdopen(os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=self.folder), "rb") as file:
                return file.read(_MAX_BYTES).decode("utf-8", "surrogateescape")
        except OSError as error:
            raise _UnprovenError(f"/proc/PID/{name}: {error.strerror}") from None

    def kernel_has(self, path: str) -> bool:
        """Whether the kernel has this file, which in a container may lie under a mask."""
        return not path.startswith("/proc/") or (self.proc / path.removeprefix("/proc/")).exists()

    def shares(self, namespace: str) -> bool:
        """Whether it is in the same namespace as we are, who run on the host."""
        try:
            theirs = os.readlink(f"ns/{namespace}", dir_fd=self.folder)
            return theirs == str((self.proc / "self" / "ns" / namespace).readlink())
        except OSError as error:
            raise _UnprovenError(f"/proc/PID/ns/{namespace}: {error.strerror}") from None


def status_problems(text: str, expected: Expected) -> list[str]:
    """Return what /proc/PID/status says against *expected*.

    A line that is missing counts as a problem. Two things are asked of every container: that its user is not
    the host's root, and that it has a process table of its own.
    """
    status = dict(line.split(":\t", 1) for line in text.split("\n") if ":\t" in line)
    problems = []
    if expected.seccomp and (found := status.get("Seccomp", "?")) != _SECCOMP_FILTER:
        problems.append(f"no seccomp filter is in force (Seccomp: {found}, not {_SECCOMP_FILTER})")
    if expected.no_new_privs and (found := status.get("NoNewPrivs", "?")) != "1":
        problems.append(f"no-new-privileges is not set (NoNewPrivs: {found})")
    if expected.no_caps:
        held = [
            f"{name} {status.get(name, '?')}" for name in _CAPABILITIES if status.get(name, "?").strip("0")
        ]
        problems += [f"it has capabilities ({', '.join(held)})"] if held else []
    users = status.get("Uid", "").split()
    if not users or "0" in users:
        problems.append(f"it runs as root of the host (Uid: {' '.join(users) or '?'})")
    if len(status.get("NSpid", "").split()) < 2:
        problems.append("it shares the process table of the host")
    return problems


def borrowed(environ: str, expected: Expected) -> list[str]:
    """Return the names of the variables in /proc/PID/environ that the host lent."""
    lent = {f"{name}={value}" for name, value in expected.host_variables.items()}
    names = {
        word.partition("=")[0] for word in lent.difference(expected.image_variables) & {*environ.split("\0")}
    }
    return sorted(name for name in names if name not in _OF_EVERY_CONTAINER and not name.startswith(_OF_CDI))


def interfaces(net_dev: str) -> list[str]:
    """Return the names of the network interfaces in /proc/PID/net/dev, below its two lines of headings."""
    return [line.partition(":")[0].strip() for line in net_dev.split("\n")[2:] if line]


def cgroup_paths(text: str, controller: str) -> tuple[str | None, str | None]:
    """Return the path of *controller* in cgroup v1, and the path in v2, from /proc/PID/cgroup; None where absent."""
    one, two = None, None
    for line in text.split("\n"):
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controller in controllers.split(","):
            one = path
        elif number == "0" and not controllers:
            two = path
    return one, two


def _status_problems(process: _Process, expected: Expected) -> list[str]:
    return status_problems(process.text("status"), expected)


def _root_problems(process: _Process, expected: Expected) -> list[str]:
    if not expected.read_only_root or root_is_read_only(process.text("mountinfo")):
        return []
    return ["its root file system can be written"]


def _mask_problems(process: _Process, expected: Expected) -> list[str]:
    if not expected.masked_paths:
        return []
    there = [path for path in (*HIDDEN, *READ_ONLY) if process.kernel_has(path)]
    seen, taken = unmasked(process.text("mountinfo"), there)
    problems = [f"it can look into the host's kernel ({', '.join(seen)})"] if seen else []
    return problems + ([f"it can give orders to the host's kernel ({', '.join(taken)})"] if taken else [])


def _variable_problems(process: _Process, expected: Expected) -> list[str]:
    if not expected.host_variables:
        return []
    names = borrowed(process.text("environ"), expected)
    more = ", …" if len(names) > _MOST_NAMES else ""
    return [f"it has variables of the host ({', '.join(names[:_MOST_NAMES])}{more})"] if names else []


def _ipc_problems(process: _Process, expected: Expected) -> list[str]:
    return ["it shares the IPC namespace of the host"] if expected.own_ipc and process.shares("ipc") else []


def _network_problems(process: _Process, expected: Expected) -> list[str]:
    if process.shares("net"):
        return ["it shares the network of the host"]
    if expected.network == "full":
        return []
    found = interfaces(process.text("net/dev"))
    # Without a single line the file was not what we took it for.
    return [] if found == ["lo"] else [f"it has a network (interfaces: {', '.join(found) or '?'})"]


def _pids_problems(process: _Process, expected: Expected) -> list[str]:
    return _limit_problems(process, "pids", expected.pids_limit)


def _memory_problems(process: _Process, expected: Expected) -> list[str]:
    return _limit_problems(process, "memory", expected.memory)


def _limit_problems(process: _Process, controller: str, wanted: int | None) -> list[str]:
    if wanted is None:
        return []
    one, two = cgroup_paths(process.text("cgroup"), controller)
    file_one, file_two = _LIMIT_FILES[controller]
    if one is not None:
        limits = _limits(process.cgroup / controller, one, file_one)
    elif two is not None:
        unified = process.cgroup / "unified"
        limits = _limits(unified if unified.is_dir() else process.cgroup, two, file_two)
    else:
        raise _UnprovenError(f"no control group for {controller}")
    if not limits:
        raise _UnprovenError(f"no readable {file_one if one is not None else file_two} in its control group")
    if min(limits) <= wanted:
        return []
    return [f"the {controller} limit of {wanted} is not in force"]


def _limits(base: Path, path: str, name: str) -> list[float]:
    """Return the limits on the way from a control group up to *base*: the smallest one is what counts."""
    parts = [part for part in path.split("/") if part]
    if ".." in parts:
        raise _UnprovenError(f"its control group {path} lies outside ours")
    found = (_limit(base.joinpath(*parts[:depth], name)) for depth in range(len(parts), -1, -1))
    return [limit for limit in found if limit is not None]


def _limit(file: Path) -> float | None:
    """Return one limit; None where there is no such file, as in the topmost group."""
    try:
        word = file.read_text("ascii").strip()
        return float("inf") if word == "max" else int(word)
    except (OSError, ValueError):
        return None


_CHECKS = (
    ("the state of the process", _status_problems),
    ("a read-only root", _root_problems),
    ("what is masked", _mask_problems),
    ("an environment of its own", _variable_problems),
    ("an IPC namespace of its own", _ipc_problems),
    ("a network of its own", _network_problems),
    ("the pids limit", _pids_problems),
    ("the memory limit", _memory_problems),
)


def _found_by(
    what: str, check: Callable[[_Process, Expected], list[str]], process: _Process, expected: Expected
) -> list[str]:
    """Run one check; a file it cannot read is a problem of its own and does not hide what the others see."""
    try:
        return check(process, expected)
    except _UnprovenError as error:
        return [f"{what} cannot be proven: {error}"]
