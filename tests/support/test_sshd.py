"""The private sshd, the proxy and the client's home folder do what the tests build on."""

from __future__ import annotations

import socket
import subprocess
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.leftovers import processes_with
from tests.support.sshd import VARIABLE
from tests.support.wait import poll_until

if TYPE_CHECKING:
    from tests.support.home import Home
    from tests.support.sshd import Sshd


def ssh(
    home: Home, server: Sshd, command: str, port: int | None = None, **options: Any
) -> subprocess.CompletedProcess[str]:
    """Log in with OpenSSH's own client and run a command."""
    argv = ["ssh", "-F", "none", "-o", "BatchMode=yes", "-o", f"UserKnownHostsFile={home.known_hosts}"]
    argv += ["-o", "ConnectTimeout=10", "-i", str(home.ssh / "id_ed25519"), "-p", str(port or server.port)]
    argv += [f"{server.user}@{server.host}", command]
    options = {"capture_output": True, "text": True, "timeout": 30, "stdin": subprocess.DEVNULL} | options
    return subprocess.run(argv, check=False, **options)


@pytest.fixture
def server(sshd, home):
    """A server for root that the client trusts."""
    one = sshd()
    home.trust(one)
    home.use_key(one)
    return one


def test_root_logs_in(server, home):
    """A key and a known host are enough, and the session has a home folder of its own."""
    done = ssh(home, server, "id -u; pwd; echo $HOME")

    assert done.stdout.splitlines()[0] == "0", done.stderr
    assert done.stdout.splitlines()[2] == str(server.home)


def test_podman_works_in_a_session(server, home, image_busybox):
    """Podman on 'the host' needs no more than what the session's environment gives."""
    done = ssh(home, server, f"podman run --rm --network none --pull never {image_busybox} echo hi")

    assert done.stdout == "hi\n", done.stderr


def test_rootless_logs_in_and_runs_podman(sshd, home, rootless, rootless_busybox):
    """The rootless account logs in, and its Podman works in a session."""
    server = sshd(rootless)
    home.trust(server)
    home.use_key(server)

    argv = f"podman run --rm --userns=keep-id --network none --pull never {rootless_busybox} id -u"
    done = ssh(home, server, argv)

    assert done.stdout == f"{rootless.uid}\n", done.stderr


def test_unknown_host_is_refused(sshd, home):
    """Without a line in known_hosts nobody gets in."""
    server = sshd()
    home.use_key(server)

    assert "Host key verification failed" in ssh(home, server, "true").stderr


def test_changed_host_key_is_noticed(server, home):
    """After a change the port is the same, the key and its fingerprint are not."""
    port, before = server.port, server.fingerprint
    assert ssh(home, server, "true").returncode == 0

    server.change_host_key()

    assert server.port == port
    assert server.fingerprint != before
    assert "REMOTE HOST IDENTIFICATION HAS CHANGED" in ssh(home, server, "true").stderr


def test_cut_breaks_connections_only(server, home):
    """A cut ends the client's connection; what it had started detached lives until the server is stopped."""
    argv = ["ssh", "-F", "none", "-o", "BatchMode=yes", "-o", f"UserKnownHostsFile={home.known_hosts}"]
    argv += ["-i", str(home.ssh / "id_ed25519"), "-p", str(server.port), f"{server.user}@{server.host}"]
    command = "setsid sleep 1234 </dev/null >/dev/null 2>&1 & echo up; exec sleep 1235"
    with subprocess.Popen(
        [*argv, command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as client:
        assert client.stdout
        assert client.stdout.readline() == "up\n"
        assert server.connections() == 1

        assert server.cut() >= 1

        assert client.wait(10) == 255
    assert ssh(home, server, "echo again").stdout == "again\n"
    assert any("sleep 1234" in process.command for process in processes_with(VARIABLE, server.id))
    server.stop()
    assert processes_with(VARIABLE, server.id) == []


def test_refuse(server, home):
    """A server that was ended refuses, and comes back at the same port."""
    server.refuse()
    assert "refused" in ssh(home, server, "true").stderr

    server.restart()
    assert ssh(home, server, "true").returncode == 0


def test_proxy_cuts_after_n_bytes(server, home, proxy):
    """The link breaks in the middle of an upload, after the bytes that were asked for, and then works again."""
    link = proxy(server.host, server.port)
    home.trust(server, link)
    link.cut_after(up=200_000)

    done = ssh(home, server, "cat >/dev/null; echo all", port=link.port, stdin=None, input="x" * 1_000_000)

    assert done.returncode == 255
    assert link.up == 200_000
    assert ssh(home, server, "echo again", port=link.port).stdout == "again\n"


@pytest.fixture
def echo_server():
    """A server that answers every byte, for one connection."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        with listener, listener.accept()[0] as sock:
            while data := sock.recv(100):
                sock.sendall(data)

    thread = threading.Thread(target=serve)
    thread.start()
    yield listener.getsockname()
    thread.join(5)


def test_proxy_delays_and_stalls(echo_server, proxy):
    """Data waits as long as told; while stalled nothing passes and the connection stays open."""
    link = proxy(*echo_server)
    link.delay_s = 0.1
    with socket.create_connection((link.host, link.port), timeout=5) as sock:
        start = time.monotonic()
        sock.sendall(b"a")
        assert sock.recv(1) == b"a"
        assert time.monotonic() - start >= 0.2

        link.delay_s, link.stalled = 0, True
        sock.sendall(b"b")
        sock.settimeout(0.2)
        with pytest.raises(TimeoutError):
            sock.recv(1)

        link.stalled = False
        sock.settimeout(5)
        assert sock.recv(1) == b"b"
    poll_until(lambda: (link.up, link.down) == (2, 2), "the bytes are counted")
