"""The way to a host before any SSH is spoken: a TCP connection, or a proxy program.

Layer 5, standard library only, so that it runs while the SSH libraries are still being imported: by the time they are
there the host has sent its greeting.
"""

from __future__ import annotations

import contextlib
import socket
import sys
import time
from typing import TYPE_CHECKING

from . import hostkeys, trouble
from .local import Child
from .resolve import Resolved, resolve

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .target import Target

DEAD_AFTER_MS = 60_000  # data that stays unanswered for this long means that the link is gone


class Dialled:
    """An open way to a host, and what is known of the host's keys.

    Args:
        resolved: Where to.
        environ: For a proxy program.
        timeout: Seconds.
    """

    def __init__(self, resolved: Resolved, *, environ: Mapping[str, str], timeout: float) -> None:
        self.resolved = resolved
        self.keys = hostkeys.read(resolved.known_hosts)
        self._child = Child(resolved.proxy, environ) if resolved.proxy else None
        if self._child is not None:
            self.socket = self._child.socket
        else:
            self.socket = _connect(resolved, min(timeout, resolved.connect_timeout or timeout))
        self.timings: dict[str, str] = {}

    def last_words(self) -> str:
        """Return what the proxy said last."""
        return self._child.last_words() if self._child else ""

    def cut(self) -> None:
        """Wake whoever waits on the connection."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close it; idempotent."""
        if self._child is None:
            self.socket.close()
        else:
            self._child.close()


def dial(target: Target, *, environ: Mapping[str, str], timeout: float) -> Dialled:
    """Find out how to reach *target*, and connect.

    Raises:
        ConfigError: the target or the SSH configuration is invalid.
        UnreachableError: nobody answers there (codes in `trouble.not_connected`).
    """
    begin = time.monotonic()
    resolved = resolve(target, environ=environ, timeout=timeout)
    middle = time.monotonic()
    dialled = Dialled(resolved, environ=environ, timeout=timeout)
    dialled.timings["resolve_ms"] = f"{(middle - begin) * 1000:.1f}"
    dialled.timings["connect_ms"] = f"{(time.monotonic() - middle) * 1000:.1f}"
    return dialled


class PromptSocket(socket.socket):
    """A TCP connection that acknowledges at once.

    The host's sshd holds a second small packet back until the first is acknowledged, and our kernel would wait 40 ms with
    that: twice in a login, and once in every short answer.
    """

    def recv(self, size: int, flags: int = 0) -> bytes:
        """Receive; the kernel forgets the wish for prompt acknowledgements, so it is said each time."""
        if sys.platform == "linux":
            self.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        return super().recv(size, flags)


def _connect(resolved: Resolved, timeout: float) -> socket.socket:
    """Try all addresses of the host until one answers, within *timeout* seconds together."""
    end = time.monotonic() + timeout
    try:
        places = socket.getaddrinfo(resolved.host, resolved.port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise trouble.not_connected(resolved, error, timeout=timeout) from None
    last: OSError = TimeoutError()
    for family, kind, protocol, _, address in places:
        connection = PromptSocket(family, kind, protocol)
        try:
            connection.settimeout(max(0.001, end - time.monotonic()))
            connection.connect(address)
        except OSError as error:
            connection.close()
            last = error
        else:
            connection.settimeout(None)
            _tune(connection)
            return connection
    raise trouble.not_connected(resolved, last, timeout=timeout)


def _tune(connection: socket.socket) -> None:
    """Send small packets at once, and notice a dead link although nobody closes it."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if sys.platform == "linux":
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, DEAD_AFTER_MS)
