"""The local transport: the same program and the same frames as over SSH, without SSH.

Layer 5. Standard input and output of the child are one end of a socket pair, because a shutdown of our end wakes a
reader in another thread, which closing a pipe would not.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
import tempfile
import threading
import time
from typing import IO, TYPE_CHECKING

from fetchml_core.errors import HostError, UnreachableError

from .base import STDERR_KEPT, RemoteCommand
from .plain import last_lines

if TYPE_CHECKING:
    from collections.abc import Mapping

PATIENCE_S = 2.0  # an agent whose input has ended gets this long, twice, before it is killed


class Child:
    """A program that talks through one socket; also carries the proxy of an SSH connection."""

    def __init__(self, argv: tuple[str, ...], environ: Mapping[str, str]) -> None:
        ours, theirs = socket.socketpair()
        self.socket = ours
        self._ending = threading.RLock()  # several threads may close it, or ask for its last words, at once
        self._words: str | None = None  # set when closed
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the child
        try:
            # A session of its own: Ctrl-C is for us, and nobody asks for a password on our terminal.
            self._process = subprocess.Popen(
                argv,
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=self._errors,
                env=dict(environ),
                start_new_session=True,
            )
        except OSError as error:
            ours.close()
            self._errors.close()
            raise HostError(
                "cannot-start",
                f"cannot start {argv[0]}: {error.strerror or error}",
                context=argv[0],
            ) from None
        finally:
            theirs.close()

    def last_words(self) -> str:
        """Return the last lines of its standard error, also after `close`."""
        with self._ending:
            if self._words is None:
                end = self._errors.seek(0, 2)
                self._errors.seek(max(0, end - STDERR_KEPT))
                return last_lines(self._errors.read())
            return self._words

    def close(self) -> None:
        """End its input, wait, then insist; idempotent, and done when any thread's call returns."""
        with self._ending:
            if self._words is None:
                self._end()
                self._words = self.last_words()
                self._errors.close()

    def _end(self) -> None:
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        for insist in (self._process.terminate, self._process.kill, lambda: None):
            try:
                self._process.wait(PATIENCE_S)
                break
            except subprocess.TimeoutExpired:
                insist()
        self.socket.close()


class LocalStream:
    """A `ByteStream` to a program on this machine."""

    def __init__(self, child: Child, facts: dict[str, str]) -> None:
        self.facts = facts
        self._child = child

    def read(self, size: int) -> bytes:
        """See `ByteStream.read`."""
        try:
            return self._child.socket.recv(size)
        except OSError:
            return b""

    def write(self, data: bytes) -> None:
        """See `ByteStream.write`."""
        try:
            self._child.socket.sendall(data)
        except OSError:
            raise UnreachableError(
                "connection-lost",
                "the local agent is gone",
                context=self.last_words(),
                hint="run the same command again",
            ) from None

    def close(self) -> None:
        """See `ByteStream.close`."""
        self._child.close()

    def last_words(self) -> str:
        """See `ByteStream.last_words`."""
        return self._child.last_words()


def open_local(command: RemoteCommand, *, environ: Mapping[str, str]) -> LocalStream:
    """Start *command* here.

    Raises:
        HostError: ``cannot-start``.
    """
    begin = time.monotonic()
    child = Child(command.argv, environ)
    spent = f"{(time.monotonic() - begin) * 1000:.1f}"
    return LocalStream(child, {"transport": "local", "host": "localhost", "start_ms": spent})
