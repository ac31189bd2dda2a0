"""Choose the transport for a profile and open it.

Layer 5. Importing this module costs nothing; the SSH libraries are imported only for a host, and the connection is
dialled meanwhile.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Protocol

from .base import ByteStream, RemoteCommand
from .target import Target


class ServerProfile(Protocol):
    """What a profile says about its host; empty and 0 mean unset."""

    @property
    def worker_host(self) -> str:
        """Host name or alias; empty: this machine, without SSH."""
        ...

    @property
    def worker_user(self) -> str:
        """Account on the host."""
        ...

    @property
    def worker_port(self) -> int:
        """Port of its sshd."""
        ...


Opener = Callable[[ServerProfile, RemoteCommand, float, Mapping[str, str]], ByteStream]


def open_stream(
    server: ServerProfile,
    *,
    command: RemoteCommand,
    timeout: float,
    environ: Mapping[str, str],
    transport: str = "",
) -> ByteStream:
    """Start *command* on the profile's host and return the stream to it.

    Args:
        server: The ``[server]`` part of a profile.
        command: What to start.
        timeout: Seconds that connecting and logging in may take, each.
        environ: Our environment: HOME, PATH, SSH_AUTH_SOCK; all of it goes to a local program.
        transport: A row of `TRANSPORTS`; by default ``local`` without a host, else ``fabric``.

    Raises:
        ConfigError: host, user, port or the SSH configuration cannot be used.
        UnreachableError: the host is not there, or is not the one we know.
        DeniedError: ``ssh-key-refused``.
        HostError: ``cannot-start``.
    """
    name = transport or ("fabric" if server.worker_host else "local")
    return TRANSPORTS[name](server, command, timeout, environ)


def _open_local(
    _: ServerProfile, command: RemoteCommand, __: float, environ: Mapping[str, str]
) -> ByteStream:
    from .local import open_local

    return open_local(command, environ=environ)


def _open_fabric(
    server: ServerProfile, command: RemoteCommand, timeout: float, environ: Mapping[str, str]
) -> ByteStream:
    from .dial import Dialled, dial

    target = Target(server.worker_host, server.worker_user, server.worker_port or 0).checked()
    dialled: list[Dialled] = []
    failed: list[BaseException] = []

    def work() -> None:
        try:
            dialled.append(dial(target, environ=environ, timeout=timeout))
        except BaseException as error:  # noqa: BLE001 - raised again below
            failed.append(error)

    dialling = threading.Thread(target=work, name="dial", daemon=True)
    dialling.start()
    from . import fabric_ssh

    dialling.join()
    if failed:
        raise failed[0]
    return fabric_ssh.connect(dialled[0], command, timeout=timeout)


TRANSPORTS: dict[str, Opener] = {"local": _open_local, "fabric": _open_fabric}
"""Name to opener; ``openssh`` will be a further row."""
