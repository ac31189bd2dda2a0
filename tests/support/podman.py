"""Real Podman for tests: a private store, the settings this machine needs, and images that are there already.

Fixtures (all of session scope, safe in parallel: what is built or imported is guarded by a lock and kept):

    containers_conf   path of the containers.conf in force; also exported as CONTAINERS_CONF
    podman_root       ``Podman`` of the root account: this machine's own
    podman5_root      the Podman 5 of Debian trixie
    image_busybox, image_python, image_torch, image_none    the image's name, loaded in ``podman_root``

A test that is marked ``each_podman`` runs once more with the Podman 5 of Debian trixie as its ``podman_root``.
``FETCHML_PODMAN=5`` (or ``own``) names the one that all tests get.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.support import images
from tests.support.cache import cache_folder, one_at_a_time, write_new
from tests.support.engine import containers_conf as conf_text
from tests.support.engine import storage_conf, this_machine
from tests.support.leftovers import run_folder, run_id
from tests.support.require import has, is_root, missing, need

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.trixie import Trixie

RUN_ROOT = "/run/fetchml-tests"
VARIABLE = "FETCHML_PODMAN"
OWN, FIVE = "own", "5"
NAMES = {OWN: "podman", FIVE: "podman5"}


class Podman(NamedTuple):
    """A Podman that works here: call ``run``, or start programs that use Podman with ``env``."""

    prefix: tuple[str, ...]
    """What comes before ``podman`` to become the account, empty for our own."""
    env: dict[str, str]
    """A complete environment, with ``settings`` in it."""
    settings: dict[str, str]
    """The variables that make Podman work here; a private sshd sets them for its sessions."""
    account: str
    lender: Podman | None = None
    """Whose images it uses, where it has none of its own."""

    def run(
        self, *args: str, check: bool = True, timeout: float = 60, stdin: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run ``podman ARGS`` and capture what it prints.

        Args:
            *args: Its arguments.
            check: Raise AssertionError with stdout and stderr where it ends with another status than 0.
            timeout: Seconds.
            stdin: Its input; none by default.
        """
        argv = [*self.prefix, "podman", *args]
        done = subprocess.run(
            argv,
            env=self.env,
            cwd="/",  # a private folder of root is no place for another account
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
        )
        if check and done.returncode != 0:
            raise AssertionError(f"{' '.join(argv)} ended with {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def load(self, image: images.Image) -> str:
        """Have an image in this store: built and imported once, then only looked up.

        Returns: Its name. Skips the calling test (or fails it, see ``require``) where it cannot be built.
        """
        if self.lender is not None:
            return self.lender.load(image)
        try:
            tar = image.build()
        except images.BuildError as error:
            part = f"image-{image.key}" if image.key in ("python", "torch") else "podman"
            missing(part, f"no image {image.key}: {error}")
        # The stamp is another name of the same image; a rebuilt tar has another one.
        stamp = f"localhost/fetchml-stamp/{image.key}:{image.version}-{tar.stat().st_mtime_ns}"
        with one_at_a_time(f"import-{self.account}-{image.key}"):
            if self.run("image", "exists", stamp, check=False).returncode != 0:
                self.run("import", "--quiet", *_changes(image), str(tar), stamp, timeout=300)
                self._forget_others(image, stamp)
            self.run("tag", stamp, image.tag)
        return image.tag

    def _forget_others(self, image: images.Image, stamp: str) -> None:
        """Remove earlier builds of an image, which may be large; one that is in use stays."""
        form = ("--filter", f"reference={stamp.rpartition(':')[0]}", "--format", "{{.Repository}}:{{.Tag}}")
        for name in self.run("images", *form).stdout.split():
            if name != stamp:
                self.run("rmi", name, check=False)


def _changes(image: images.Image) -> list[str]:
    changes = ["ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]
    if image.key in ("python", "torch"):
        changes.append('CMD ["python3"]')
    return [word for change in changes for word in ("--change", change)]


def root_podman() -> Podman:
    """The root account's Podman, with its settings written where every account may read them."""
    folder = run_folder()
    engine = conf_text(this_machine(), run_id=run_id(), tmp_dir=f"{RUN_ROOT}/libpod")
    conf = write_new(folder / "containers.conf", engine)
    storage = write_new(
        folder / "storage.conf", storage_conf(str(cache_folder() / "store"), f"{RUN_ROOT}/storage")
    )
    settings = {"CONTAINERS_CONF": str(conf), "CONTAINERS_STORAGE_CONF": str(storage)}
    return Podman(prefix=(), env=os.environ | settings, settings=settings, account="root")


@pytest.fixture(scope="session")
def podman5_root(trixie: Trixie) -> Podman:
    """Rootful Podman 5, with a store of this process and the images of `root_podman`."""
    need("root", "podman")
    folder, own = run_folder() / "podman5", root_podman()
    folder.mkdir(exist_ok=True)
    runc = str(trixie.programs / "runc")
    engine = conf_text(this_machine(), run_id=run_id(), tmp_dir=f"{folder}/libpod", runc=runc)
    storage = storage_conf(f"{folder}/store", f"{folder}/run", images=str(cache_folder() / "store"))
    settings = {
        "CONTAINERS_CONF": str(write_new(folder / "containers.conf", engine)),
        "CONTAINERS_STORAGE_CONF": str(write_new(folder / "storage.conf", storage)),
        "PATH": trixie.path(),
    }
    return Podman(prefix=(), env=os.environ | settings, settings=settings, account="root", lender=own)


def pytest_configure(config: pytest.Config) -> None:
    """Make the mark known."""
    config.addinivalue_line("markers", "each_podman: run with this machine's Podman and with Podman 5")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that has the mark, and uses Podman with or without root, with both."""
    marked = metafunc.definition.get_closest_marker("each_podman") is not None
    which = [wanted()] if VARIABLE in os.environ else [OWN, FIVE]
    for fixture in ("podman_in_force", "rootless"):
        if marked and fixture in metafunc.fixturenames:
            metafunc.parametrize(fixture, which, indirect=True, ids=[NAMES[one] for one in which])


def wanted() -> str:
    """Which Podman a test gets that has no mark."""
    name = os.environ.get(VARIABLE, OWN)
    if name not in (OWN, FIVE):
        raise pytest.UsageError(f"{VARIABLE} is {name}; known: {OWN}, {FIVE}")
    return name


@pytest.fixture(scope="session")
def podman_in_force(request) -> Iterator[Podman | None]:
    """The root account's Podman, its settings exported; None where there is none."""
    name = getattr(request, "param", wanted())
    if not (is_root() and has("podman")):
        yield None
        return
    podman = root_podman() if name == OWN else request.getfixturevalue("podman5_root")
    with pytest.MonkeyPatch.context() as patch:
        for variable, value in podman.settings.items():
            patch.setenv(variable, value)
        yield podman


@pytest.fixture(scope="session")
def podman_environment(podman_in_force: Podman | None) -> dict[str, str]:
    """The variables that make the root account's Podman work here; empty where there is none."""
    return podman_in_force.settings if podman_in_force else {}


@pytest.fixture(scope="session")
def podman_root(podman_in_force: Podman | None) -> Podman:
    """Rootful Podman with a store of its own; every program that a test starts uses the same."""
    need("root", "podman")
    assert podman_in_force is not None
    return podman_in_force


@pytest.fixture(scope="session")
def containers_conf(podman_root: Podman) -> Path:
    """The containers.conf that makes Podman run here."""
    return Path(podman_root.settings["CONTAINERS_CONF"])


@pytest.fixture(scope="session")
def image_busybox(podman_root: Podman) -> str:
    """An image with ``/bin/sh`` and a few commands, and no Python."""
    need("busybox")
    return podman_root.load(images.BUSYBOX)


@pytest.fixture(scope="session")
def image_none(podman_root: Podman) -> str:
    """An image with neither Python nor a shell: ``/hello`` prints ``static``."""
    need("gcc")
    return podman_root.load(images.NONE)


@pytest.fixture(scope="session")
def image_python(podman_root: Podman) -> str:
    """``docker.io/library/python:3.9-slim`` as the shipped configuration names it: Python 3.9, nothing else."""
    need("image-python")
    return podman_root.load(images.PYTHON)


@pytest.fixture(scope="session")
def image_torch(podman_root: Podman) -> str:
    """An image with Python 3.11, NumPy and PyTorch (CPU)."""
    need("image-torch")
    return podman_root.load(images.TORCH)
