"""Say what a test needs of the machine, and be loud about what is missing.

A test (or a fixture) calls ``need("podman", "sshd")``. Where a part is missing the test is skipped with a reason
that names it and how to get it; where the environment variable ``FETCHML_REQUIRE`` names the part (comma list, or
``all``), the same thing is a failure, so that CI cannot pass by skipping.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import pwd
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, NoReturn

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

ROOTLESS_ACCOUNT = "mlrootless"
VARIABLE = "FETCHML_REQUIRE"


class Part(NamedTuple):
    """One thing a machine may have: how to see it, and how to get it."""

    there: Callable[[], bool]
    install: str


def is_root() -> bool:
    """Whether this process may create accounts, mounts and containers of the system."""
    return os.geteuid() == 0


def find_program(name: str) -> str | None:
    """The path of a program, in the system folders too, which are not on everyone's PATH."""
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


def find_python(version: str) -> str | None:
    """A Python of this minor version that really starts, from PATH or from pyenv.

    Args:
        version: Such as ``3.10``.
    """
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    # A name on PATH may be a pyenv shim that only complains, so each one is run.
    found = [
        shutil.which(f"python{version}"),
        *sorted(pyenv.glob(f"versions/{version}*/bin/python{version}")),
    ]
    script = "import ensurepip, venv"
    for path in found:
        if path and subprocess.run([path, "-c", script], capture_output=True, check=False).returncode == 0:
            return str(path)
    return None


def _program(name: str) -> Callable[[], bool]:
    return lambda: find_program(name) is not None


def _podman() -> bool:
    return bool(find_program("podman") and (find_program("runc") or find_program("crun")))


def has_account() -> bool:
    """Whether the rootless account exists."""
    try:
        pwd.getpwnam(ROOTLESS_ACCOUNT)
    except KeyError:
        return False
    return True


def _rootless() -> bool:
    return _podman() and is_root() and find_program("newuidmap") is not None and has_account()


def _images() -> bool:
    return _podman() and is_root() and find_program("debootstrap") is not None


def _torch() -> bool:
    """The image is big: it counts as there once built, or where it is asked for by name."""
    from tests.support.images import TORCH

    return _images() and (TORCH.built() or is_required("image-torch"))


def _trixie() -> bool:
    return is_root() and find_program("debootstrap") is not None


def _sshd() -> bool:
    return find_program("sshd") is not None and is_root()


_PODMAN = "apt-get install -y podman runc slirp4netns uidmap"
_IMAGES = "apt-get install -y podman runc debootstrap busybox-static   (and run as root)"
_BUILD_TORCH = _PODMAN + " debootstrap && python -m tests.support.prepare torch   (as root)"

PARTS: dict[str, Part] = {
    "busybox": Part(_program("busybox"), "apt-get install -y busybox-static"),
    "gcc": Part(_program("gcc"), "apt-get install -y gcc libc6-dev"),
    "git": Part(_program("git"), "apt-get install -y git"),
    "groff": Part(_program("groff"), "apt-get install -y groff-base"),
    "image-python": Part(_images, _IMAGES),
    "image-torch": Part(_torch, _BUILD_TORCH),
    "iptables": Part(
        _program("iptables"), "apt-get install -y iptables netavark   (for networks of containers)"
    ),
    "podman": Part(_podman, _PODMAN),
    "python3.10": Part(
        lambda: find_python("3.10") is not None, "pyenv install 3.10   (or python3.10 on PATH)"
    ),
    "redis": Part(_program("redis-server"), "apt-get install -y redis-server"),
    "root": Part(is_root, "run the tests as root"),
    "rootless": Part(_rootless, _PODMAN + " && python -m tests.support.prepare   (as root)"),
    "ssh": Part(_program("ssh"), "apt-get install -y openssh-client"),
    "sshd": Part(_sshd, "apt-get install -y openssh-server   (and run as root)"),
    "strace": Part(_program("strace"), "apt-get install -y strace"),
    "tmux": Part(_program("tmux"), "apt-get install -y tmux"),
    "torch": Part(_torch, _BUILD_TORCH),
    "trixie": Part(_trixie, "apt-get install -y debootstrap debian-archive-keyring   (and run as root)"),
}


def need(*names: str) -> None:
    """Skip the calling test, or fail it where ``FETCHML_REQUIRE`` says so, unless the machine has all these parts.

    Also works at the top of a module, for all tests in it.

    Args:
        *names: Keys of ``PARTS``, or the name of any module that can be imported, as ``module:NAME``.
    """
    for name in names:
        if not has(name):
            missing(name, f"this machine has no {name}; {_install(name)}")


def missing(name: str, reason: str) -> NoReturn:
    """Skip the calling test for want of a part, or fail it where that part is required."""
    if is_required(name):
        pytest.fail(f"required by {VARIABLE}: {reason}", pytrace=False)
    pytest.skip(reason, allow_module_level=True)


@functools.cache
def has(name: str) -> bool:
    """Whether the machine has a part; looked up once per process."""
    if name.startswith("module:"):
        return importlib.util.find_spec(name.removeprefix("module:")) is not None
    return PARTS[name].there()


def is_required(name: str) -> bool:
    """Whether ``FETCHML_REQUIRE`` names this part."""
    wanted = required()
    return "all" in wanted or name in wanted


def required() -> frozenset[str]:
    """The names in ``FETCHML_REQUIRE``.

    Raises:
        pytest.UsageError: If one of them is no part: a typo there would silently allow a skip.
    """
    names = frozenset(word for word in os.environ.get(VARIABLE, "").replace(",", " ").split() if word)
    unknown = sorted(name for name in names - PARTS.keys() - {"all"} if not name.startswith("module:"))
    if unknown:
        raise pytest.UsageError(
            f"{VARIABLE} names unknown parts: {', '.join(unknown)}; known: {', '.join(PARTS)}"
        )
    return names


def _install(name: str) -> str:
    if name.startswith("module:"):
        return f"pip install {name.removeprefix('module:')}"
    return PARTS[name].install
