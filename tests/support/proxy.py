"""A bad network: a TCP forwarder in front of a server that can delay, stall, and cut at a chosen byte."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_CHUNK = 16384


class Proxy:
    """Forwards connections to one server; all switches may be changed at any time.

    Attributes:
        host, port: Where it listens.
        up, down: Bytes that passed to the server and from it, over all connections.
        delay_s: Seconds that every piece of data waits, in both directions.
        stalled: While set nothing passes, and nobody is told.
    """

    host = "127.0.0.1"

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self.up = self.down = 0
        self.delay_s = 0.0
        self.stalled = False
        self._cut_up: int | None = None
        self._cut_down: int | None = None
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._open = True
        self._server = socket.create_server((self.host, 0))
        self.port = int(self._server.getsockname()[1])
        self._spawn(self._accept)

    def cut_after(self, *, up: int | None = None, down: int | None = None) -> None:
        """Cut all connections once this many further bytes went up (to the server) or down; None: no limit."""
        with self._lock:
            self._cut_up = None if up is None else self.up + up
            self._cut_down = None if down is None else self.down + down

    def cut(self) -> None:
        """Break all connections now, with a reset, and take the limits away; new ones are served."""
        with self._lock:
            sockets, self._sockets = self._sockets, []
            self._cut_up = self._cut_down = None
        for sock in sockets:
            # Linger 0 turns the close into a reset, as a dying link does, not a polite end.
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()

    def close(self) -> None:
        """Stop listening, break all connections, end all threads."""
        self._open, self.stalled = False, False
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)  # wakes accept; close alone does not
        self._server.close()
        self.cut()
        for thread in self._threads:
            thread.join(5)

    def _spawn(self, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while self._open:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(self._target, timeout=10)
            except OSError:
                client.close()
                continue
            server.settimeout(None)
            for sock in (client, server):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self._sockets += [client, server]
            self._spawn(self._pump, client, server, True)
            self._spawn(self._pump, server, client, False)

    def _pump(self, source: socket.socket, sink: socket.socket, upward: bool) -> None:  # noqa: FBT001
        with contextlib.suppress(OSError):  # cut, or one end went away
            while data := source.recv(_CHUNK):
                if self.delay_s:
                    time.sleep(self.delay_s)
                while self.stalled:
                    time.sleep(0.02)
                allowed = self._allow(len(data), upward)
                sink.sendall(data[:allowed])
                if allowed < len(data):
                    self.cut()
                    return
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def _allow(self, size: int, upward: bool) -> int:  # noqa: FBT001
        """How many of *size* bytes may still pass this way; counts them."""
        with self._lock:
            limit, passed = (self._cut_up, self.up) if upward else (self._cut_down, self.down)
            allowed = size if limit is None else max(0, min(size, limit - passed))
            if upward:
                self.up += allowed
            else:
                self.down += allowed
            return allowed


@pytest.fixture
def proxy() -> Iterator[Callable[[str, int], Proxy]]:
    """Start forwarders: ``proxy(server.host, server.port)``."""
    proxies: list[Proxy] = []

    def start(host: str, port: int) -> Proxy:
        proxies.append(Proxy(host, port))
        return proxies[-1]

    yield start
    for each in proxies:
        each.close()
