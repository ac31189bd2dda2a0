"""What a person is told when a host cannot be reached: one code per cause, the place, the next step."""

import contextlib
import errno
import socket
import threading
import time

import pytest

from fetchml_cli.transport.resolve import Resolved
from fetchml_cli.transport.target import Target
from fetchml_cli.transport.trouble import not_connected
from fetchml_core.errors import ConfigError, UnreachableError
from tests.support.wait import free_port

from .contract import ECHO


def error_of(connect, **where):
    """Connect and return the error."""
    with pytest.raises(UnreachableError) as caught:
        connect(program=ECHO, **where)
    assert caught.value.hint
    return caught.value


@pytest.fixture
def server():
    """Start TCP servers that answer every connection with *answer*, then keep it or close it."""
    sockets, threads = [], []

    def start(answer=b"", *, keep=True):
        listener = socket.create_server(("127.0.0.1", 0))
        sockets.append(listener)

        def serve():
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                client.sendall(answer)
                if keep:
                    sockets.append(client)
                else:
                    client.close()

        threads.append(threading.Thread(target=serve, daemon=True))
        threads[-1].start()
        return listener.getsockname()[1]

    yield start
    for each in sockets:
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
        each.close()
    for thread in threads:
        thread.join(5)


def test_wrong_port(connect):
    """Nothing listens there."""
    port = free_port()
    error = error_of(connect, host="127.0.0.1", port=port)

    assert error.code == "connection-refused"
    assert str(port) in error.message
    assert "worker_port" in error.hint


def test_unknown_name(connect):
    """No such host name."""
    error = error_of(connect, host="no-such-host.invalid")

    assert error.code == "host-not-found"
    assert "no-such-host.invalid" in error.message


def test_no_answer(connect, server):
    """A host that accepts the connection and then says nothing is given up after the timeout, not much later."""
    begin = time.monotonic()
    error = error_of(connect, host="127.0.0.1", port=server(), timeout=1)

    assert error.code == "ssh-timeout"
    assert time.monotonic() - begin < 30


def test_slow_drip(connect, server):
    """bounded: a greeting that never ends does not keep us."""
    begin = time.monotonic()
    error = error_of(connect, host="127.0.0.1", port=server(b"SSH-2.0-x\r\n" + b"\0" * 3), timeout=1)

    assert error.code == "ssh-timeout"
    assert time.monotonic() - begin < 30


@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x1b]0;evil\x07\n" * 200, bytes(range(256)) * 99]
)
def test_not_ssh(connect, server, answer):
    """Another service at that port: said so, and what it sent cannot reach the terminal."""
    error = error_of(connect, host="127.0.0.1", port=server(answer, keep=False))

    assert error.code == "not-ssh"
    assert str(error).replace("\n", "").isprintable()


def test_hangs_up(connect, server):
    """A host that closes at once, as sshd does when it is overloaded."""
    error = error_of(connect, host="127.0.0.1", port=server(keep=False))

    assert error.code == "connection-lost"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (OSError(errno.EHOSTUNREACH, "No route to host"), "no-route"),
        (OSError(errno.ENETUNREACH, "Network is unreachable"), "no-route"),
        (TimeoutError(), "connect-timeout"),
        (OSError(errno.ETIMEDOUT, "Connection timed out"), "connect-timeout"),
        (OSError(errno.EACCES, "Permission denied"), "cannot-connect"),
    ],
)
def test_no_way_there(error, code):
    """What cannot be provoked on a test machine: each cause has its code and a next step."""
    target = Target("box1", "alice", 2222)
    told = not_connected(Resolved(target, "box1", 2222, "alice", "box1", 2222, ()), error, timeout=3)

    assert told.code == code
    assert told.hint


@pytest.mark.parametrize(
    "host", ["-oProxyCommand=touch x", "a b", "a\nb", "$(id)", "`id`", "a;b", "x" * 300, "\x1b[2J"]
)
def test_hostile_host(connect, host):
    """A host name that could be an option, a command or an escape sequence is refused before any program sees it."""
    with pytest.raises(ConfigError) as caught:
        connect(host=host)
    assert caught.value.code == "bad-host"
    assert caught.value.context.isprintable()


@pytest.mark.parametrize("user", ["-x", "a b", "root@evil`", "a'b"])
def test_hostile_user(connect, user):
    """The same for the user name."""
    with pytest.raises(ConfigError) as caught:
        connect(host="localhost", user=user)
    assert caught.value.code == "bad-user"


def test_broken_configuration(connect, home):
    """A mistake in ~/.ssh/config is shown as OpenSSH tells it."""
    (home.ssh / "config").write_text("Nonsense yes\n", "ascii")

    with pytest.raises(ConfigError) as caught:
        connect(host="localhost")
    assert caught.value.code == "ssh-config-invalid"
    assert "nonsense" in caught.value.context.lower()
