"""Small disks that fill up."""

from __future__ import annotations

import contextlib
import subprocess
import uuid
from typing import TYPE_CHECKING

import pytest

from tests.support.leftovers import run_folder
from tests.support.require import missing, need

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def small_filesystem() -> Iterator[Callable[..., Path]]:
    """Mount file systems: ``small_filesystem(size="1m", inodes=None)`` returns the folder; unmounted after the test.

    *size* is tmpfs's (``64k``, ``1m``), *inodes* how many files and folders fit, the root folder included. *at* is an
    empty folder of the test to mount it on.
    """
    need("root")
    mounted: list[Path] = []

    def mount(size: str = "1m", inodes: int | None = None, at: Path | None = None) -> Path:
        folder = at or run_folder() / f"disk-{uuid.uuid4().hex[:8]}"
        folder.mkdir(exist_ok=True)
        options = f"size={size},mode=0755" + (f",nr_inodes={inodes}" if inodes else "")
        argv = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            folder.rmdir()
            missing("root", f"root may not mount here: {done.stderr.strip()}")
        mounted.append(folder)
        return folder

    yield mount
    for folder in reversed(mounted):
        # Lazily: a process that a failed test left in it must not keep the mount.
        subprocess.run(["umount", "--lazy", str(folder)], check=True, capture_output=True)
    for folder in set(mounted):
        folder.rmdir()


def fill(disk: Path, what: str) -> Path:
    """Leave no space, or no inodes, on a small disk; return the folder to remove to have it back."""
    ballast = disk / "ballast"
    ballast.mkdir()
    with contextlib.suppress(OSError), (ballast / "space").open("wb", buffering=0) as file:
        while what == "space" and file.write(bytes(1 << 12)):
            pass
    with contextlib.suppress(OSError):
        for number in range(10_000 if what == "inodes" else 0):
            (ballast / str(number)).touch()
    return ballast
