"""Container images, made without a registry: each is a tar of a root folder that Podman imports.

    name      image                                   made of
    busybox   localhost/fetchml-busybox               one static program and its links
    none      localhost/fetchml-none                  one static C program: neither Python nor a shell
    python    docker.io/library/python:3.9-slim       Debian bullseye with Python 3.9
    torch     localhost/fetchml-torch                 Debian bookworm with Python 3.11, NumPy and PyTorch

The tars lie in the cache folder and are built once per machine; ``prepare`` does it beforehand. The python image carries the name that the shipped configuration asks for, which to Podman is
just a local tag.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tests.support.cache import cache_folder, one_at_a_time

if TYPE_CHECKING:
    from collections.abc import Callable

_BUILD_TIMEOUT = 900
_APPLETS = "sh cat echo env false grep head id kill ln ls mkdir mv printf pwd rm seq sleep stat sync tail test touch true wc"
_JUNK = ["usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/info", "usr/share/zoneinfo"]
_JUNK += ["var/lib/apt/lists", "var/cache/apt", "var/log/bootstrap.log", "root/.cache"]
_C_PROGRAM = '#include <unistd.h>\nint main(void) { write(1, "static\\n", 7); return 0; }\n'


class BuildError(Exception):
    """An image could not be built; the text is the end of what the failed program printed."""


class Image(NamedTuple):
    """One image: the name Podman knows it by, and how its root folder is filled."""

    key: str
    tag: str
    fill: Callable[[Path], None]
    version: int = 1

    def tar(self) -> Path:
        """Where its tar lies, built or not."""
        return cache_folder() / f"{self.key}-{self.version}.tar"

    def built(self) -> bool:
        """Whether the tar is there."""
        return self.tar().exists()

    def build(self) -> Path:
        """Build the tar unless it is there.

        Returns: Its path, readable by every account of the machine.
        Raises: BuildError with the last lines of what failed.
        """
        with one_at_a_time(f"image-{self.key}"):
            if not self.built():
                self._create()
        return self.tar()

    def _create(self) -> None:
        with tempfile.TemporaryDirectory(dir=cache_folder(), prefix=f"{self.key}-") as scratch:
            root, tar = Path(scratch, "root"), Path(scratch, "image.tar")
            root.mkdir(mode=0o755)
            self.fill(root)
            drop_junk(root)
            _run("tar", "-C", str(root), "--sort=name", "--numeric-owner", "-cf", str(tar), ".")
            tar.chmod(0o644)
            tar.rename(self.tar())


def _run(*argv: str, env: dict[str, str] | None = None) -> None:
    try:
        done = subprocess.run(
            argv,
            capture_output=True,
            text=True,
            timeout=_BUILD_TIMEOUT,
            check=False,
            env=env and os.environ | env,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BuildError(f"{argv[0]}: {error}") from error
    if done.returncode != 0:
        tail = "\n".join((done.stdout + done.stderr).splitlines()[-15:])
        raise BuildError(f"{' '.join(argv)} ended with {done.returncode}:\n{tail}")


def _busybox(root: Path) -> None:
    for folder in ("bin", "tmp", "etc", "proc", "sys", "dev"):
        (root / folder).mkdir()
    (root / "tmp").chmod(0o1777)
    shutil.copy2("/bin/busybox", root / "bin/busybox")
    for name in _APPLETS.split():
        (root / "bin" / name).symlink_to("busybox")


def _none(root: Path) -> None:
    for folder in ("tmp", "proc", "sys", "dev"):
        (root / folder).mkdir()
    source = root / "hello.c"
    source.write_text(_C_PROGRAM, "ascii")
    _run("gcc", "-static", "-Os", "-o", str(root / "hello"), str(source))
    source.unlink()


def drop_junk(root: Path) -> None:
    """Remove what no program in the tree needs."""
    for junk in _JUNK:
        shutil.rmtree(root / junk, ignore_errors=True)


def debian(root: Path, suite: str, *packages: str) -> None:
    """Install a small Debian with these packages in an empty folder.

    Raises:
        BuildError: With the last lines of what failed.
    """
    argv = ["debootstrap", "--variant=minbase", f"--include={','.join(packages)}", suite, str(root)]
    _run(*argv, env={"DEBIAN_FRONTEND": "noninteractive"})


def _python(root: Path) -> None:
    debian(root, "bullseye", "python3-minimal", "libpython3-stdlib")


def _torch(root: Path) -> None:
    debian(root, "bookworm", "python3-minimal", "libpython3-stdlib")
    target = str(root / "usr/lib/python3/dist-packages")
    # Named by version, not by whichever Python runs this: the wheel must fit the image.
    wheel = ["--only-binary=:all:", "--python-version", "3.11", "--implementation", "cp", "--no-compile"]
    quiet = ["--quiet", "--no-cache-dir", "--disable-pip-version-check", "--root-user-action=ignore"]
    _run(sys.executable, "-m", "pip", "install", *quiet, *wheel, "--target", target, "torch==2.13.0", "numpy")
    for junk in ("include", "share"):
        shutil.rmtree(Path(target, "torch", junk), ignore_errors=True)
    # A container's root is read-only: without this every start would compile PyTorch anew.
    newer = r"py31[2-9]"  # PyTorch ships test files in the syntax of later Pythons
    packages = "/usr/lib/python3/dist-packages"
    _run("chroot", str(root), "python3", "-m", "compileall", "-q", "-j", "2", "-x", newer, packages)


BUSYBOX = Image("busybox", "localhost/fetchml-busybox:latest", _busybox)
NONE = Image("none", "localhost/fetchml-none:latest", _none)
PYTHON = Image("python", "docker.io/library/python:3.9-slim", _python)
TORCH = Image("torch", "localhost/fetchml-torch:latest", _torch, version=2)
ALL = {image.key: image for image in (BUSYBOX, NONE, PYTHON, TORCH)}
