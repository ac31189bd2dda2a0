"""One way from a client to a running job: a transport, a launcher, and what a person would type.

The pairs of `PAIRS` are parameters of one scenario, not copies of it. ``local-process`` is the embedded default on a
machine without Podman; every other pair has a ``worker.yaml``. A job waits for the test at a *gate*: a file in its
checkpoint folder, which host and container both see.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.account_ml import account_ml
from tests.support.wait import poll_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.accounts import Account
    from tests.support.ml import Ml
    from tests.support.proxy import Proxy
    from tests.support.sshd import Sshd

PAIRS = (
    "local-process",
    "local-rootful",
    "local-rootless",
    "fabric-process",
    "fabric-rootful",
    "fabric-rootless",
)
IMAGE = "docker.io/library/python:3.9-slim"

PRELUDE = """
import os, sys, time
def gate(name="gate"):
    path = os.path.join(os.environ["FETCHML_CHECKPOINT_DIR"], name)
    while not os.path.exists(path):
        time.sleep(0.02)
"""
"""Begins every script of these tests: ``gate()`` waits until the test lets the job go on."""


class Way:
    """A client, a host, and how one reaches the other.

    Attributes:
        pair: ``TRANSPORT-LAUNCHER``.
        ml: The client.
        base: The base folder on the host.
        account: The account on the host where it is not root.
    """

    def __init__(
        self,
        pair: str,
        ml: Ml,
        base: Path,
        *,
        account: Account | None = None,
        server: Sshd | None = None,
        proxy: Proxy | None = None,
    ) -> None:
        self.pair, self.ml, self.base, self.account = pair, ml, base, account
        self._server, self._proxy = server, proxy
        self.transport, self.launcher = pair.split("-")

    @property
    def server(self) -> Sshd:
        """The private sshd, over ``fabric``."""
        assert self._server is not None
        return self._server

    @property
    def proxy(self) -> Proxy:
        """The network between client and host, where one was asked for."""
        assert self._proxy is not None
        return self._proxy

    @property
    def contained(self) -> bool:
        """Whether jobs run in a container."""
        return self.launcher != "process"

    @property
    def data(self) -> Path:
        """Queue, blobs and jobs."""
        return self.base / "data"

    def write(self, name: str, text: str) -> Path:
        """Write a file of the base, for its owner alone."""
        self.base.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self.base / name
        path.write_text(textwrap.dedent(text), "utf-8")
        path.chmod(0o600)
        if self.account:
            self.account.own(self.base)
        return path

    def configure(self, **keys: Any) -> None:
        """Write ``worker.yaml``: what this pair needs, and *keys* on top."""
        settings: dict[str, Any] = {"worker_id": "box", "graceful_timeout": "2s", "podman_image": IMAGE}
        settings["launcher"] = "podman" if self.contained else "process"
        if not self.contained:  # nothing limits these: several fit on any machine at once
            settings["resources"] = {"podman_cpus": "0.25", "podman_memory": "256m"}
        if self.launcher == "rootless":  # cgroup v1 enforces no limits there
            settings["sandbox"] = {"limits": "best-effort"}
        self.write("worker.yaml", json.dumps(settings | keys))  # JSON is YAML

    def script(self, text: str, name: str = "train.py", folder: str = "tree") -> Path:
        """Write a job's script, with the prelude, into a tree of its own; returns the script."""
        path = self.ml.cwd / folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(PRELUDE + textwrap.dedent(text), "utf-8")
        if self.transport == "local" and self.account:
            self.account.own(self.ml.cwd)
        return path

    def submit(self, text: str, *words: str, folder: str = "tree") -> int:
        """Submit a script and return the job's id."""
        return int(self.ml.ok("submit", "-q", str(self.script(text, folder=folder)), *words))

    def show(self, job: int) -> dict[str, Any]:
        """What ``ml show --json`` says of a job."""
        shown: dict[str, Any] = self.ml.json("show", str(job))
        return shown

    def state(self, job: int) -> str:
        """The job's state."""
        return str(self.show(job)["job"]["state"])

    def until(self, job: int, *states: str, timeout: float = 30) -> None:
        """Wait until the job is in one of *states*."""
        poll_until(lambda: self.state(job) in states, f"job {job} is {' or '.join(states)}", timeout=timeout)

    def until_prints(self, job: int, text: str, timeout: float = 30) -> None:
        """Wait until the job has printed *text*."""
        log = self.attempt(job) / "control"
        poll_until(
            lambda: any(text.encode() in path.read_bytes() for path in log.glob("log*")),
            f"job {job} prints {text!r}",
            timeout=timeout,
        )

    def attempt(self, job: int, number: int = 1) -> Path:
        """The folder of one attempt, on the host."""
        return self.data / "jobs" / str(job) / str(number)

    def open(self, job: int, name: str = "gate") -> None:
        """Let a job pass its gate."""
        (self.data / "jobs" / str(job) / "checkpoint" / name).touch()

    def worker_pid(self) -> int:
        """The pid in the living worker's record."""
        return int(json.loads((self.base / "run" / "worker.json").read_bytes())["pid"])

    def end_worker(self, number: int = signal.SIGTERM) -> int:
        """Send the worker a signal and wait until it is gone; returns its pid."""
        pid = self.worker_pid()
        os.kill(pid, number)
        poll_until(lambda: not _lives(pid), f"worker {pid} has ended")
        return pid

    def blobs(self) -> set[str]:
        """Digests of the blobs the host has."""
        return {path.name for path in (self.data / "blobs").rglob("*") if path.is_file()}

    def blob_bytes(self) -> int:
        """How many bytes of whole blobs the host has."""
        files = [path for path in (self.data / "blobs").rglob("*") if path.is_file() and len(path.name) == 64]
        return sum(path.stat().st_size for path in files)

    def end(self) -> None:
        """End all jobs, so that no container outlives the test."""
        if not (self.data / "queue").exists():
            return
        done = self.ml.run("status", "-a", "--json")
        jobs = json.loads(done.stdout)["jobs"] if done.returncode == 0 else []
        running = [str(job["id"]) for job in jobs if not job["final"]]
        if running:
            self.ml.run("cancel", "--now", *running)
            self.ml.run("wait", "--timeout", "20s", *running)
        with contextlib.suppress(OSError, ValueError, AssertionError):
            self.end_worker()


def random_files(folder: Path, count: int, size: int) -> None:
    """Fill a folder with files that no compression makes smaller."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        (folder / f"data-{number:02}.bin").write_bytes(os.urandom(size))


def _lives(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[0] not in "ZX"
    return False


def _path_without_podman(folder: Path) -> str:
    """A PATH with all that this machine has but Podman."""
    folder.mkdir()
    for name in ("/usr/bin", "/usr/sbin"):
        for entry in os.scandir(name):
            if entry.name != "podman":
                with contextlib.suppress(FileExistsError):
                    (folder / entry.name).symlink_to(entry.path)
    return f"{Path(sys.executable).parent}:{folder}"


@pytest.fixture
def way(request, ml, home, tmp_path) -> Iterator[Callable[..., Way]]:
    """Open ways: ``way(pair)``, one of `PAIRS`; its jobs and worker end with the test.

    ``network=True`` puts a proxy between client and host, which can cut and count. Other keywords are keys of
    ``worker.yaml``; without any, ``local-process`` has no such file at all.
    """
    opened: list[Way] = []

    def open_way(pair: str, *, network: bool = False, **keys: Any) -> Way:
        transport, launcher = pair.split("-")
        rootless = launcher == "rootless"
        account = request.getfixturevalue("rootless") if rootless else None
        if launcher != "process":
            request.getfixturevalue("rootless_python" if rootless else "image_python")
        client, server, between = ml, None, None
        if transport == "fabric":
            server = request.getfixturevalue("sshd")(account)
            if network:
                between = request.getfixturevalue("proxy")(server.host, server.port)
            base = server.home / "ml"
            home.connect(server, str(base), through=between)
        else:
            if account:
                client = account_ml(account)
            base = client.home.path / ".ml" / "local"
        if pair == "local-process":
            client.env["PATH"] = _path_without_podman(tmp_path / "bin")
        made = Way(pair, client, base, account=account, server=server, proxy=between)
        if keys or pair != "local-process":
            made.configure(**keys)
        opened.append(made)
        return made

    yield open_way
    for made in opened:
        made.end()
        if made.ml is not ml:
            made.ml.end()
            shutil.rmtree(made.ml.cwd.parent, ignore_errors=True)
