"""Programs of Debian trixie, Podman 5 and Valkey, beside this machine's own.

A Debian tree lies in the cache folder, built once per machine. Each test process has a mount namespace in which the
tree's ``/usr`` and its settings of Podman stand in place of the machine's; everything else is the machine's:
processes, networks, control groups, ``/tmp``. So a program that a test starts meets files and process numbers as it
names them, whichever of both it calls. The namespace goes with the process that holds it, and what is mounted in it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.cache import cache_folder, one_at_a_time
from tests.support.images import BuildError, debian, drop_junk
from tests.support.leftovers import run_folder
from tests.support.require import missing, need

if TYPE_CHECKING:
    from collections.abc import Iterator

VERSION = 1
PACKAGES = ("podman", "runc", "nftables", "passt", "uidmap", "valkey-server")
_PROGRAMS = {"podman": "/usr/bin/podman", "runc": "/usr/sbin/runc", "valkey-server": "/usr/bin/valkey-server"}
# A Python that comes here goes on loading its modules.
# Podman keeps its locks in /dev/shm, one set for all stores of an account; those of another version are not its own.
_ENTER = """
set -e
for python in /usr/lib/python3*; do
  mkdir -p "$1$python"
  mount --bind "$python" "$1$python"
done
mount --rbind "$1/usr" /usr
mount --bind "$1/etc/containers" /etc/containers
mount -t tmpfs shm /dev/shm
echo ready
exec cat
"""


def tree() -> Path:
    """Where the tree lies, built or not."""
    return cache_folder() / f"trixie-{VERSION}"


def build() -> Path:
    """Build the tree unless it is there.

    Returns: Its path.
    Raises: BuildError with the last lines of what failed.
    """
    with one_at_a_time("trixie"):
        if not tree().exists():
            with tempfile.TemporaryDirectory(dir=cache_folder(), prefix="trixie-new-") as scratch:
                root = Path(scratch, "root")
                root.mkdir(mode=0o755)
                debian(root, "trixie", *PACKAGES)
                drop_junk(root)
                root.rename(tree())
    return tree()


class Trixie:
    """The mount namespace, and in ``programs`` a folder with its programs, which root can call from outside.

    Attributes:
        programs: That folder.
        pid: A process in the namespace.
        enter: What comes before a command to run it there.
    """

    def __init__(self, folder: Path) -> None:
        enter = ["unshare", "--mount", "--propagation", "slave", "sh", "-c", _ENTER, "sh", str(build())]
        # It reads a pipe that nobody writes to: when this process ends, however it does, so does the namespace.
        self._holder = subprocess.Popen(enter, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == b"ready\n"
        self.pid = self._holder.pid
        self.enter = ("nsenter", "--target", str(self.pid), "--mount", "--")
        self.programs = folder / "programs"
        self.programs.mkdir(parents=True)
        for name, path in _PROGRAMS.items():
            program = self.programs / name
            program.write_text(f'#!/bin/sh\nexec {" ".join(self.enter)} {path} "$@"\n', "ascii")
            program.chmod(0o755)

    def path(self) -> str:
        """A PATH on which its programs come first, and `ml` next."""
        return f"{self.programs}:{Path(sys.executable).parent}:{os.environ['PATH']}"

    def end(self) -> None:
        """Let the namespace go; processes in it keep it until they end."""
        self._holder.communicate()


@pytest.fixture(scope="session")
def trixie() -> Iterator[Trixie]:
    """The programs of Debian trixie: ``trixie.programs / "podman"``."""
    need("trixie")
    try:
        made = Trixie(run_folder() / "trixie")
    except BuildError as error:
        missing("trixie", f"no tree of Debian trixie: {error}")
    yield made
    made.end()
