"""The second account of the test machine: an ordinary user who runs Podman without root.

The fixture creates it where the tests run as root and it is missing (``.ci/run`` does it beforehand): one account,
one home folder, one range of subordinate ids, and nothing else of the machine is touched.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.support import images
from tests.support.cache import one_at_a_time, write_new
from tests.support.engine import containers_conf, storage_conf, this_machine
from tests.support.leftovers import VARIABLE, run_folder, run_id
from tests.support.podman import FIVE, OWN, Podman
from tests.support.require import ROOTLESS_ACCOUNT, has_account, need

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.support.trixie import Trixie

HOME = Path("/home") / ROOTLESS_ACCOUNT
RUNTIME = Path("/run") / f"fetchml-{ROOTLESS_ACCOUNT}"
"""Its XDG_RUNTIME_DIR: one for all its sessions, since there its Podman finds its own processes."""
ROOTLESS_STORE = HOME / "containers"
_FIRST_ID, _IDS = 2_000_000, 65_536


class Account(NamedTuple):
    """The rootless account, its home folder, and its Podman."""

    name: str
    uid: int
    gid: int
    home: Path
    podman: Podman
    namespace: int = 0
    """A process in whose mount namespace its Podman is; 0 for ours."""

    def run(
        self, argv: Sequence[str], *, check: bool = True, timeout: float = 60, stdin: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a program as this account, in its home folder, with a clean environment; output is captured."""
        done = subprocess.run(
            [*self.podman.prefix, *argv],
            env=self.podman.env,
            cwd=self.home,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if check and done.returncode != 0:
            raise AssertionError(f"{list(argv)} ended with {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def own(self, path: Path) -> Path:
        """Give a file or a whole folder to this account, and return it."""
        subprocess.run(["chown", "-R", f"{self.uid}:{self.gid}", str(path)], check=True)
        return path


def create_account() -> None:
    """Create the account unless it is there: login by key only, with subordinate ids, configured for Podman."""
    with one_at_a_time("account"):
        if not has_account():
            # useradd says it copies no skeleton files where the home folder is left of an earlier account.
            subprocess.run(["useradd", "--create-home", "--shell", "/bin/bash", ROOTLESS_ACCOUNT], check=True)
            # The '!' that useradd writes locks the account for sshd; '*' is no password, yet not locked.
            subprocess.run(["usermod", "-p", "*", ROOTLESS_ACCOUNT], check=True)
        if f"\n{ROOTLESS_ACCOUNT}:" not in "\n" + Path("/etc/subuid").read_text("utf-8"):
            ids = f"{_FIRST_ID}-{_FIRST_ID + _IDS - 1}"
            argv = ["usermod", "--add-subuids", ids, "--add-subgids", ids, ROOTLESS_ACCOUNT]
            subprocess.run(argv, check=True)
        _prepare_home()
        _forget_the_dead()


def _prepare_home() -> None:
    """Write what its Podman needs, whatever environment it is started with, and its runtime folder."""
    record = pwd.getpwnam(ROOTLESS_ACCOUNT)
    config = HOME / ".config" / "containers"
    for folder in (HOME / ".config", config, ROOTLESS_STORE, RUNTIME):
        folder.mkdir(exist_ok=True)
        os.chown(folder, record.pw_uid, record.pw_gid)
    RUNTIME.chmod(0o700)
    write_new(config / "containers.conf", containers_conf(this_machine()))
    write_new(config / "storage.conf", storage_conf(str(ROOTLESS_STORE), str(RUNTIME / "containers")))


def _forget_the_dead() -> None:
    """Clear what a boot clears, where the machine was stopped with containers running and /run is on its disk.

    Podman looks for the user namespace of the account in the containers that it believes to run; where all of them
    are gone it refuses every command.
    """
    podman = rootless_podman()
    if "podman system migrate" not in podman.run("ps", check=False).stderr:
        return
    shutil.rmtree(RUNTIME)
    _prepare_home()
    podman.run("rm", "--all", "--force", "--time", "0")


def rootless_podman() -> Podman:
    """The account's Podman; its containers carry the id of this test run."""
    record = pwd.getpwnam(ROOTLESS_ACCOUNT)
    text = containers_conf(this_machine(), run_id=run_id())
    conf = write_new(run_folder() / "rootless-containers.conf", text)
    storage = HOME / ".config" / "containers" / "storage.conf"  # named, for sessions with another HOME
    settings = {
        "CONTAINERS_CONF": str(conf),
        "CONTAINERS_STORAGE_CONF": str(storage),
        "XDG_RUNTIME_DIR": str(RUNTIME),
    }
    env = {
        "HOME": str(HOME),
        "USER": record.pw_name,
        "LOGNAME": record.pw_name,
        "SHELL": "/bin/bash",
        "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
        "LANG": "C.UTF-8",
        VARIABLE: run_id(),
    }
    prefix = ("setpriv", f"--reuid={record.pw_uid}", f"--regid={record.pw_gid}", "--init-groups", "--")
    return Podman(prefix=prefix, env=env | settings, settings=settings, account=record.pw_name)


@pytest.fixture(scope="session")
def rootless(request) -> Account:
    """The rootless account, created if need be, its Podman proven to start a container.

    Images are loaded by the fixtures ``rootless_busybox``, ``rootless_python`` and so on. A test that is marked
    ``each_podman`` runs once more with the account's Podman 5; the others do not, since a login of the account does
    not lead into the namespace of `trixie`.
    """
    need("root", "podman")
    create_account()
    need("rootless")
    if getattr(request, "param", OWN) == FIVE:
        return request.getfixturevalue("rootless5")
    return _account(rootless_podman())


def _account(podman: Podman, namespace: int = 0) -> Account:
    record = pwd.getpwnam(ROOTLESS_ACCOUNT)
    return Account(record.pw_name, record.pw_uid, record.pw_gid, Path(record.pw_dir), podman, namespace)


@pytest.fixture(scope="session")
def rootless5(trixie: Trixie) -> Iterator[Account]:
    """The rootless account with Podman 5: a store and a runtime folder of this process, the images of the other."""
    create_account()
    own, folder = rootless_podman(), run_folder() / "rootless5"
    made = _account(own, trixie.pid)
    runtime = folder / "runtime"
    runtime.mkdir(parents=True)
    runtime.chmod(0o700)
    text = storage_conf(f"{folder}/store", f"{runtime}/containers", images=str(ROOTLESS_STORE))
    settings = {
        **own.settings,
        "CONTAINERS_STORAGE_CONF": str(write_new(folder / "storage.conf", text)),
        "XDG_RUNTIME_DIR": str(runtime),
    }
    made.own(folder)
    podman = Podman((*trixie.enter, *own.prefix), own.env | settings, settings, own.account, lender=own)
    yield made._replace(podman=podman)
    # It keeps the user namespace, and with it the folder, until it is told to end.
    with contextlib.suppress(FileNotFoundError):
        os.kill(int((runtime / "libpod/tmp/pause.pid").read_text("ascii")), signal.SIGKILL)


@pytest.fixture(scope="session")
def rootless_busybox(rootless: Account) -> str:
    """The busybox image in the rootless account's store."""
    need("busybox")
    return rootless.podman.load(images.BUSYBOX)


@pytest.fixture(scope="session")
def rootless_python(rootless: Account) -> str:
    """The Python 3.9 image in the rootless account's store."""
    need("image-python")
    return rootless.podman.load(images.PYTHON)


@pytest.fixture(scope="session")
def rootless_torch(rootless: Account) -> str:
    """The PyTorch image in the rootless account's store."""
    need("image-torch")
    return rootless.podman.load(images.TORCH)
