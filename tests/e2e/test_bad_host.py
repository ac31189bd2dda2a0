"""Hosts that cannot be reached, or are not the host we know: one message each, and no key ever leaves.

``API_KEY`` stands in the profile of every test; what a server could have read of it is looked at where it matters.
"""

from __future__ import annotations

import socket
import threading

import pytest

from tests.e2e.said import refused, script
from tests.support.sshd import make_key
from tests.support.wait import free_port

API_KEY = "key-that-must-not-leave-0123456789"


@pytest.fixture
def server(sshd, home, tmp_path):
    """A host that ``ml`` is set up for: its key is known, ours is accepted, the profile holds an API key."""
    one = sshd()
    home.connect(one, str(one.home / "base"), key=API_KEY)
    return one


@pytest.fixture(autouse=True)
def job(ml):
    """Something to submit."""
    script(ml, "print(1)")


def profile(home, **lines: object) -> None:
    """Write a profile with these lines of ``[server]`` and the API key."""
    text = "".join(f"{name} = {value!r}\n".replace("'", '"') for name, value in lines.items())
    home.profile(f'[server]\n{text}[auth]\napi_key = "{API_KEY}"\n[cli]\ndefault_timeout = 5\n')


def nothing_started(server) -> bool:
    """Whether no login succeeded and nothing of ours lies on the host."""
    return "Accepted" not in server.log.read_text("utf-8") and not list(server.home.iterdir())


def test_no_such_host(ml, home):
    """A name without an address."""
    profile(home, worker_host="no-such-host.invalid")

    done = ml.fails(6, "submit", "job")

    what, why, hint = done.stderr.splitlines()
    assert what == "error: host-not-found: no address is known for no-such-host.invalid"
    assert why.startswith("  context  ")  # in the resolver's words
    assert hint == "  hint     check worker_host in the profile, or add the host to ~/.ssh/config"


def test_closed_port(ml, home):
    """A port where nothing listens."""
    port = free_port()
    profile(home, worker_host="127.0.0.1", worker_user="alice", worker_port=port)

    refused(
        ml,
        6,
        ["submit", "job"],
        """
        error: connection-refused: nothing listens on 127.0.0.1 port <port>
          context  alice@127.0.0.1:<port>
          hint     check worker_port in the profile, and that sshd runs there
        """,
        port=port,
    )


def test_no_answer(ml, home):
    """A port that accepts and says nothing is given up after default_timeout."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        profile(home, worker_host="127.0.0.1", worker_user="alice", worker_port=port)
        text = (home.path / ".ml" / "config.toml").read_text("utf-8")
        home.profile(text.replace("default_timeout = 5", "default_timeout = 1"))

        refused(
            ml,
            6,
            ["status"],
            """
            error: ssh-timeout: alice@127.0.0.1:<port> accepts connections but did not greet within 1 s
              context  timed out
              hint     ssh -p <port> alice@127.0.0.1 true (or raise default_timeout)
            """,
            port=port,
        )


def test_wrong_port(ml, home):
    """A port where something else listens: what it says is shown."""
    with socket.create_server(("127.0.0.1", 0)) as web:
        port = web.getsockname()[1]
        heard: list[bytes] = []

        def answer() -> None:
            with web.accept()[0] as client:
                client.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\n")
                heard.append(client.recv(1000))

        thread = threading.Thread(target=answer)
        thread.start()
        profile(home, worker_host="127.0.0.1", worker_user="alice", worker_port=port)

        refused(
            ml,
            6,
            ["submit", "job"],
            """
            error: not-ssh: alice@127.0.0.1:<port> does not speak SSH
              context  it says: HTTP/1.0 400 Bad Request
              hint     check worker_port in the profile
            """,
            port=port,
        )
        thread.join(5)
    assert API_KEY.encode() not in b"".join(heard)


def test_key_that_is_refused(ml, home, server):
    """The host takes none of our keys: which were tried, and how to make it take one."""
    (home.ssh / "id_ed25519").unlink()
    (home.ssh / "id_ed25519.pub").unlink()
    make_key(home.ssh / "id_ed25519")

    refused(
        ml,
        4,
        ["submit", "job"],
        """
        error: ssh-key-refused: root@127.0.0.1:<port> does not accept your SSH key
          context  refused: <home>/.ssh/id_ed25519
          hint     ssh-copy-id -p <port> root@127.0.0.1
        """,
        port=server.port,
        home=home.path,
    )
    assert nothing_started(server)


def test_no_key_at_all(ml, home, server):
    """Without any key: how to make one."""
    (home.ssh / "id_ed25519").unlink()
    (home.ssh / "id_ed25519.pub").unlink()

    refused(
        ml,
        4,
        ["status"],
        """
        error: ssh-key-refused: root@127.0.0.1:<port> does not accept your SSH key
          context  no key could be offered
          hint     make a key with ssh-keygen -t ed25519, then ssh-copy-id -p <port> root@127.0.0.1
        """,
        port=server.port,
        home=home.path,
    )


def test_unknown_host_key(ml, home, server):
    """A host nobody has checked: its fingerprint, and nothing was sent to it."""
    home.known_hosts.unlink()

    refused(
        ml,
        6,
        ["submit", "job"],
        """
        error: host-key-unknown: the host key of root@127.0.0.1:<port> is not known; nothing was sent to it
          context  shown ssh-ed25519 <fingerprint>
          hint     compare it with the host's admin, then ssh -p <port> root@127.0.0.1 true (or ssh-keyscan -p <port> 127.0.0.1 >> <home>/.ssh/known_hosts)
        """,
        port=server.port,
        home=home.path,
    )
    assert nothing_started(server)


def test_changed_host_key(ml, home, server, proxy):
    """A host with another key than we know: both fingerprints; the way saw an SSH handshake and no more."""
    way = proxy(server.host, server.port)
    home.trust(server, way)
    profile(home, worker_host=server.host, worker_user=server.user, worker_port=way.port)
    known = server.fingerprint
    server.change_host_key()

    refused(
        ml,
        6,
        ["submit", "job"],
        """
        error: host-key-changed: the host key of root@127.0.0.1:<port> is not the one you know; nothing was sent to it
          context  shown ssh-ed25519 <shown>; known ssh-ed25519 <known> at <home>/.ssh/known_hosts:3
          hint     ask its admin whether the key was changed, then ssh-keygen -R '[127.0.0.1]:<port>' -f <home>/.ssh/known_hosts
        """,
        port=way.port,
        home=home.path,
        shown=server.fingerprint,
        known=known,
    )
    assert nothing_started(server)
    log = server.log.read_text("utf-8")
    assert "userauth" not in log
    assert "publickey" not in log
    assert way.up < 5000, "bytes: version line and key exchange"


def test_wrong_api_key(ml, home, server):
    """A key that the host does not know: 4, nothing queued, and neither the key nor its hash is shown."""
    base = server.home / "base"
    base.mkdir(mode=0o700)
    (base / "server.yaml").write_text(
        "auth:\n  enabled: true\n  api_keys:\n    alice:\n      hash: " + "0" * 64 + "\n      admin: true\n",
        "utf-8",
    )
    (base / "server.yaml").chmod(0o600)

    refused(
        ml,
        4,
        ["submit", "job"],
        """
        error: key-unknown: this host does not know the API key
          hint     compare the profile's api_key with the one you were given, or ask the host's admin
        """,
        base=base,
    )
    assert not list(base.rglob("job-*"))
