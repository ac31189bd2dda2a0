"""A private sshd on the loopback, with keys, accounts and environment of its own.

Fixtures:

    ssh_key     the client's key pair (session)
    sshd        factory: ``sshd()`` logs in as root, ``sshd(rootless)`` as the rootless account; ends with the test

What is started through it carries ``FETCHML_TEST_SSHD``, so that ``stop`` ends detached agents and workers too.
Its sessions have a home folder of their own (``server.home``), where a test may put a noisy ``.bashrc``, and the
variables that make Podman work here.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.leftovers import VARIABLE as RUN_VARIABLE
from tests.support.leftovers import end_processes, run_folder, run_id
from tests.support.require import find_program, need
from tests.support.wait import free_port, poll_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tests.support.accounts import Account

VARIABLE = "FETCHML_TEST_SSHD"
PRIVSEP = Path("/run/sshd")

_CONFIG = """\
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/authorized_keys
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
LogLevel VERBOSE
PrintMotd no
MaxStartups 100
SetEnv {environment}
{extra}
"""


class Sshd:
    """One running server.

    Attributes:
        host: Its address.
        port: Its port.
        user: The account to log in as.
        identity: The client's private key, which it accepts.
        home: HOME of its sessions, empty at first.
        log: The file it logs to.
    """

    host = "127.0.0.1"

    def __init__(
        self, folder: Path, identity: Path, user: str, environment: Mapping[str, str], extra: str
    ) -> None:
        self.folder, self.identity, self.user, self.extra = folder, identity, user, extra
        self.port = free_port()
        self.id = uuid.uuid4().hex[:12]
        self.home = folder / "home"
        self.log = folder / "sshd.log"
        record = pwd.getpwnam(user)
        self.home.mkdir(mode=0o700)
        os.chown(self.home, record.pw_uid, record.pw_gid)
        shutil.copy(identity.with_suffix(".pub"), folder / "authorized_keys")
        own = {"HOME": str(self.home), VARIABLE: self.id, RUN_VARIABLE: run_id()}
        self.environment = own | dict(environment)
        self._process: subprocess.Popen[bytes] | None = None
        self._outlived: set[int] = set()
        make_key(folder / "host_key")

    @property
    def host_key(self) -> str:
        """The public host key: type and base64."""
        return " ".join((self.folder / "host_key.pub").read_text("ascii").split()[:2])

    @property
    def fingerprint(self) -> str:
        """Fingerprint of the host key, ``SHA256:…``."""
        argv = ["ssh-keygen", "-lf", str(self.folder / "host_key.pub")]
        return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split()[1]

    def known_hosts_line(self, port: int | None = None) -> str:
        """The line that makes a client trust it, seen at its own port or at a proxy's."""
        return f"[{self.host}]:{port or self.port} {self.host_key}\n"

    def start(self) -> Sshd:
        """Start it and wait until it listens."""
        environment = " ".join(f'"{name}={value}"' for name, value in self.environment.items())
        text = _CONFIG.format(port=self.port, folder=self.folder, environment=environment, extra=self.extra)
        config = self.folder / "sshd_config"
        config.write_text(text, "utf-8")
        program = find_program("sshd")
        assert program is not None
        argv = [program, "-D", "-f", str(config), "-E", str(self.log)]
        self._process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, cwd="/")
        poll_until(self._listens, f"sshd listens; {self.log.read_text('utf-8') if self.log.exists() else ''}")
        return self

    def stop(self) -> None:
        """End the server, its connections, and all that was started through it, detached or not."""
        self._end_server()
        self.cut()
        end_processes(VARIABLE, self.id)

    def refuse(self) -> None:
        """End the server alone: nobody answers at its port, its connections and what they started live on."""
        self._end_server()

    def restart(self) -> None:
        """Start it again at the same port with the same host key."""
        self._end_server()
        self.start()

    def change_host_key(self) -> None:
        """Restart it at the same port with another host key."""
        for name in ("host_key", "host_key.pub"):
            (self.folder / name).unlink()
        make_key(self.folder / "host_key")
        self.restart()

    def cut(self) -> int:
        """Break all its connections at once, as a failing network does; what they started is left alone.

        Returns: How many processes of sshd were ended.
        """
        pids = self._connections()
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        poll_until(lambda: not self._connections(), "the connections are gone")
        return len(pids)

    def connections(self) -> int:
        """How many clients are connected."""
        return len([pid for pid in self._connections() if _parent(pid) == self._pid])

    @property
    def _pid(self) -> int:
        return self._process.pid if self._process else -1

    def _connections(self) -> list[int]:
        """The sshd processes below the server: one or two per connection, and those that outlived it."""
        mine = {self._pid, *self._outlived}
        # A child's parent may be listed after it, so look until nothing new turns up.
        sshd = {pid: _parent(pid) for pid in _processes_named("sshd")}
        while new := {pid for pid, parent in sshd.items() if parent in mine and pid not in mine}:
            mine |= new
        return sorted((mine & sshd.keys()) - {self._pid})

    def _end_server(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._outlived |= set(self._connections())
            self._process.terminate()
            self._process.wait(10)

    def _listens(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise AssertionError(f"sshd ended with {self._process.returncode}: {self.log.read_text('utf-8')}")
        with socket.socket() as sock:
            return sock.connect_ex((self.host, self.port)) == 0


def make_key(path: Path) -> None:
    """Make an ed25519 key pair: *path* and *path*.pub."""
    argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", str(path)]
    subprocess.run(argv, check=True, stdin=subprocess.DEVNULL, capture_output=True)


def _processes_named(name: str) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):  # it ended meanwhile
            if entry.name.isdigit() and (entry / "comm").read_text("utf-8").strip() == name:
                found.append(int(entry.name))
    return found


def _parent(pid: int) -> int:
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[1])
    return -1


@pytest.fixture(scope="session")
def ssh_key() -> Path:
    """The client's private key; its public half lies beside it."""
    need("ssh")
    path = run_folder() / "client_key"
    make_key(path)
    return path


@pytest.fixture
def sshd(ssh_key, podman_environment) -> Iterator[Callable[..., Sshd]]:
    """Start servers: ``sshd(account=None, env={}, extra="")``.

    *account* is the ``rootless`` fixture's, root otherwise; *env* is added to the environment of its sessions;
    *extra* are further lines of its configuration, such as ``ForceCommand …``.
    """
    need("sshd")
    PRIVSEP.mkdir(mode=0o755, exist_ok=True)  # as the service does where there is systemd
    servers: list[Sshd] = []

    def start(account: Account | None = None, env: Mapping[str, str] | None = None, extra: str = "") -> Sshd:
        folder = run_folder() / f"sshd-{uuid.uuid4().hex[:8]}"
        folder.mkdir(mode=0o755)
        settings = account.podman.settings if account else podman_environment
        user = account.name if account else "root"
        server = Sshd(folder, ssh_key, user, {**settings, **(env or {})}, extra)
        servers.append(server)
        return server.start()

    yield start
    for server in servers:
        server.stop()
        shutil.rmtree(server.folder, ignore_errors=True)
