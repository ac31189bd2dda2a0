"""The SSH transport: Fabric and paramiko behind a wrapper that checks who the host is.

Layer 5, imported only when a host is really connected to. Fabric alone accepts every host key and reads its own
configuration files; here the key is judged by `hostkeys` before anything secret is said, and `resolve` decides
everything that a configuration decides.

Invariants (tests of the same names): verified_first - no authentication is tried and no byte of ours is sent to a host
whose key was not found in a known_hosts file; bounded - connecting, greeting and login together take `timeout`
seconds and a little; nothing_left - a failed or closed connection leaves no thread and no process.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from typing import TYPE_CHECKING, Any

import fabric
from paramiko import Channel, SSHClient, SSHConfig, SSHException
from paramiko.client import MissingHostKeyPolicy
from paramiko.packet import Packetizer
from paramiko.ssh_exception import AuthenticationException
from paramiko.transport import Transport

from fetchml_core.errors import FetchError, UnreachableError

from . import hostkeys, trouble
from .base import STDERR_KEPT, RemoteCommand
from .identities import Identities
from .plain import last_lines, printable

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from paramiko.pkey import PKey

    from .dial import Dialled
    from .resolve import Resolved

KEEPALIVE_S = 15
WINDOW = 8 << 20  # bytes the host may send ahead: 8 MiB keep 100 MB/s at 80 ms of round trip
CLOSE_S = 3.0

# paramiko logs what we raise; without a handler Python would print it to standard error.
logging.getLogger("paramiko").addHandler(logging.NullHandler())


class KnownHostsPolicy(MissingHostKeyPolicy):
    """Accepts a host key that the known_hosts files list, and no other.

    paramiko asks a policy whenever its own (here: empty) list lacks the host, after the key exchange, which proved
    that the host holds the key, and before the first authentication.
    """

    def __init__(self, resolved: Resolved, keys: tuple[hostkeys.KnownKey, ...]) -> None:
        self._resolved = resolved
        self._keys = keys
        self.accepted = ""

    def missing_host_key(self, client: SSHClient, hostname: str, key: PKey) -> None:  # noqa: ARG002
        """Return if *key* is known; raise UnreachableError otherwise."""
        blob = key.asbytes()
        verdict = hostkeys.judge(self._keys, self._resolved.key_name, self._resolved.key_port, blob)
        if verdict.judgement is not hostkeys.Judgement.KNOWN:
            raise trouble.host_key_refused(self._resolved, verdict, blob)
        self.accepted = f"{key.get_name()} {hostkeys.fingerprint(blob)} ({verdict.lines[0].place})"


class Greeting(Packetizer):
    """Remembers the first line that a server says, which is all there is to show when it does not speak SSH."""

    first = ""

    def readline(self, timeout: float) -> str:
        """Read a line of the greeting."""
        line: str = super().readline(timeout)
        self.first = self.first or line.strip()
        return line


class StrictConnection(fabric.Connection):  # type: ignore[misc]  # fabric has no types
    """A Fabric connection that takes nothing from Fabric's own files and no host key on trust."""

    def __init__(self, resolved: Resolved, policy: KnownHostsPolicy, **connect: Any) -> None:
        # An empty SSH configuration and lazy=True: no file is read, no FABRIC_* variable counts.
        config = fabric.Config(lazy=True, ssh_config=SSHConfig())
        super().__init__(
            f"[{resolved.host}]" if ":" in resolved.host else resolved.host,
            user=resolved.user,
            port=resolved.port,
            config=config,
            forward_agent=False,
            connect_kwargs=connect,
        )
        self.client.set_missing_host_key_policy(policy)

    def derive_shorthand(self, host_string: str) -> dict[str, Any]:
        """Take the host as it is: ``user@host:port`` is not meant here."""
        return {"user": None, "host": host_string.strip("[]"), "port": None}

    def shut(self) -> None:
        """Close whatever is open, also after a failed `open`, which `close` leaves alone."""
        self.client.close()


class FabricStream:
    """A `ByteStream` to a program behind SSH."""

    def __init__(
        self, channel: Channel, connection: StrictConnection, dialled: Dialled, facts: dict[str, str]
    ) -> None:
        self.facts = facts
        self._channel = channel
        self._connection = connection
        self._dialled = dialled
        self._words = b""
        self._closed = False
        # Standard error shares the channel's window: unread, it would stop the stream.
        self._drain = threading.Thread(target=self._keep_last_words, name="ssh-stderr", daemon=True)
        self._drain.start()

    def read(self, size: int) -> bytes:
        """See `ByteStream.read`."""
        try:
            return self._channel.recv(size)
        except (OSError, SSHException, EOFError):  # to read is to write, too: it tells the host to send more
            return b""

    def write(self, data: bytes) -> None:
        """See `ByteStream.write`."""
        try:
            self._channel.sendall(data)
        except (OSError, SSHException, EOFError):
            raise UnreachableError(
                "connection-lost",
                f"the connection to {self.facts['host']} broke, or the program there ended",
                context=self.last_words(),
                hint="run the same command again",
            ) from None

    def close(self) -> None:
        """See `ByteStream.close`."""
        if self._closed:
            return
        self._closed = True
        with contextlib.suppress(OSError, SSHException, EOFError):
            self._channel.close()
        _within(CLOSE_S, self._connection.shut)
        self._dialled.close()
        self._drain.join(CLOSE_S)

    def last_words(self) -> str:
        """See `ByteStream.last_words`."""
        if self._channel.eof_received:  # all of it has come, but the thread that keeps it may be behind
            self._drain.join(CLOSE_S)
        return last_lines(self._words)

    def _keep_last_words(self) -> None:
        with contextlib.suppress(OSError, SSHException, EOFError):
            while chunk := self._channel.recv_stderr(STDERR_KEPT):
                self._words = (self._words + chunk)[-STDERR_KEPT:]


def connect(dialled: Dialled, command: RemoteCommand, *, timeout: float) -> FabricStream:
    """Greet the host, check its key, log in, start *command*.

    Args:
        dialled: The TCP connection or proxy; closed here when anything fails.
        command: What to start.
        timeout: Seconds that greeting and login may take.

    Raises:
        UnreachableError: one of the codes in `trouble`.
        DeniedError: ``ssh-key-refused``.
    """
    attempt = _Attempt(dialled, timeout)
    try:
        channel = attempt.run(command)
    except BaseException:
        _within(CLOSE_S, attempt.connection.shut)
        dialled.close()
        raise
    finally:
        attempt.identities.close()
    return FabricStream(channel, attempt.connection, dialled, attempt.facts())


class _Attempt:
    """One try to log in: the steps, their timings, and what an exception of each step means."""

    def __init__(self, dialled: Dialled, timeout: float) -> None:
        self._dialled = dialled
        self._resolved = resolved = dialled.resolved
        self._timeout = timeout
        self._end = time.monotonic() + timeout
        self._marks = {"begin": time.monotonic()}
        self.policy = KnownHostsPolicy(resolved, dialled.keys)
        self.identities = Identities(resolved, timeout=timeout)
        self.connection = StrictConnection(
            resolved,
            self.policy,
            sock=dialled.socket,
            timeout=timeout,
            banner_timeout=timeout,
            auth_timeout=timeout,
            channel_timeout=timeout,
            transport_factory=self._transport,
            auth_strategy=self.identities,
        )

    def _transport(self, sock: socket.socket, **options: Any) -> Transport:
        # Not paramiko's ServiceRequestingTransport: that polls every 100 ms, and for ever when the host hangs up.
        transport = Transport(sock, packetizer_class=Greeting, **options)
        security = transport.get_security_options()
        resolved = self._resolved
        security.key_types = hostkeys.preferred(
            self._dialled.keys, resolved.key_name, resolved.key_port, security.key_types
        )
        transport.handshake_timeout = self._timeout
        return transport

    def run(self, command: RemoteCommand) -> Channel:
        """Log in and start *command*."""
        watchdog = threading.Timer(self._timeout + 1, self._dialled.cut)
        watchdog.daemon = True
        watchdog.start()
        try:
            self.connection.open()
            self._marks["login"] = time.monotonic()
            transport = self.connection.client.get_transport()
            transport.set_keepalive(KEEPALIVE_S)
            channel: Channel = transport.open_session(window_size=WINDOW, timeout=self._timeout)
            channel.exec_command(command.shell)
        except AuthenticationException as error:
            raise self._not_logged_in(error) from None
        except (SSHException, OSError, EOFError) as error:
            raise self._not_connected(error) from None
        finally:
            watchdog.cancel()
        self._marks["started"] = time.monotonic()
        return channel

    def _not_logged_in(self, error: Exception) -> FetchError:
        """The host proved who it is, and let us not in."""
        transport = self.connection.client.get_transport()
        hung_up = transport is None or not transport.is_active()
        if hung_up and not self.identities.tried.refused:
            return self._lost(error)
        return trouble.key_refused(self._resolved, self.identities.tried, hung_up=hung_up)

    def _not_connected(self, error: Exception) -> FetchError:
        if self.policy.accepted:
            return self._lost(error)
        late = time.monotonic() >= self._end
        transport = self.connection.client.get_transport()
        greeting = transport.packetizer.first if transport is not None else ""
        self.connection.shut()  # a proxy ends now, and says why
        reason = "timed out" if late else str(error) or type(error).__name__
        words = self._dialled.last_words()
        return trouble.no_ssh(
            self._resolved, reason, timeout=self._timeout, greeting=greeting, proxy_words=words
        )

    def _lost(self, error: Exception) -> UnreachableError:
        where = trouble.place(self._resolved)
        return UnreachableError(
            "connection-lost",
            f"{where} ended the connection {'after' if 'login' in self._marks else 'during'} the login",
            context=printable(str(error) or type(error).__name__),
            hint=self._resolved.target.ssh_command("true"),
        )

    def facts(self) -> dict[str, str]:
        """Return what ``--debug`` shows."""
        transport = self.connection.client.get_transport()
        resolved, marks = self._resolved, self._marks
        facts = {
            "transport": "fabric",
            "host": resolved.host,
            "user": resolved.user,
            "port": str(resolved.port),
            "host_key": self.policy.accepted,
            "identity": self.identities.tried.accepted,
            "server": printable(str(transport.remote_version), limit=80),
            "cipher": str(transport.remote_cipher),
            **self._dialled.timings,
            "login_ms": _milliseconds(marks["begin"], marks["login"]),
            "start_ms": _milliseconds(marks["login"], marks["started"]),
        }
        if resolved.proxy:
            facts["proxy"] = " ".join(resolved.proxy)
        if resolved.notes:
            facts["notes"] = "; ".join(resolved.notes)
        return facts


def _milliseconds(begin: float, end: float) -> str:
    return f"{(end - begin) * 1000:.1f}"


def _within(seconds: float, work: Callable[[], None]) -> None:
    """Do *work*, which may hang on a dead link, but wait for it only so long."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(seconds)
