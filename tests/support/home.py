"""A client's home folder of its own: keys, known hosts, ssh configuration, profiles of ``ml``."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, NamedTuple

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.proxy import Proxy
    from tests.support.sshd import Sshd


class Home(NamedTuple):
    """HOME of the client, at *path*."""

    path: Path

    @property
    def ssh(self) -> Path:
        """Its ``.ssh`` folder."""
        return self.path / ".ssh"

    @property
    def known_hosts(self) -> Path:
        """The file of the host keys it trusts."""
        return self.ssh / "known_hosts"

    def trust(self, server: Sshd, through: Proxy | None = None) -> None:
        """Know a server's host key, at its own port and, if named, at the port of a proxy before it."""
        with self.known_hosts.open("a", encoding="ascii") as file:
            file.write(server.known_hosts_line())
            if through:
                file.write(server.known_hosts_line(through.port))

    def use_key(self, server: Sshd) -> None:
        """Hold the key that a server accepts, under the name that every client looks for."""
        key = self.ssh / "id_ed25519"
        for source, target in (
            (server.identity, key),
            (server.identity.with_suffix(".pub"), key.with_suffix(".pub")),
        ):
            shutil.copy(source, target)
        key.chmod(0o600)

    def host(self, alias: str, server: Sshd) -> None:
        """Give a server a name in the ssh configuration."""
        lines = f"Host {alias}\n  HostName {server.host}\n  Port {server.port}\n  User {server.user}\n"
        with (self.ssh / "config").open("a", encoding="utf-8") as file:
            file.write(lines)

    def profile(self, text: str, name: str = "") -> Path:
        """Write ``~/.ml/config.toml``, or with a name ``~/.ml/config-NAME.toml``."""
        path = self.path / ".ml" / (f"config-{name}.toml" if name else "config.toml")
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, "utf-8")
        path.chmod(0o600)
        return path

    def connect(
        self, server: Sshd, base: str, *, name: str = "", key: str = "", through: Proxy | None = None
    ) -> None:
        """Trust a server, hold its key, and write a profile for it; *base* is the folder on the host."""
        self.trust(server, through)
        self.use_key(server)
        port = through.port if through else server.port
        lines = ["[server]", f'worker_host = "{server.host}"', f'worker_user = "{server.user}"']
        lines += [f'worker_base = "{base}"', f"worker_port = {port}"]
        if key:
            lines += ["[auth]", f'api_key = "{key}"']
        self.profile("\n".join([*lines, ""]), name)


@pytest.fixture
def home(tmp_path) -> Home:
    """An empty home folder for the client."""
    path = tmp_path / "home"
    (path / ".ssh").mkdir(parents=True, mode=0o700)
    path.chmod(0o700)
    return Home(path)
