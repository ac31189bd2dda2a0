"""The SSH transport keeps the contract, and finds its way by the user's SSH configuration."""

import shutil
import subprocess
import threading

import pytest

from fetchml_core.errors import DeniedError, UnreachableError
from tests.support.wait import poll_until

from .contract import ECHO, ByteStreamContract, read_all


class TestFabric(ByteStreamContract):
    """See the contract."""

    @pytest.fixture
    def start(self, reachable, connect):
        """Start a Python program on the host."""
        return lambda program: connect(reachable, program)


def test_facts_name_host_key_and_identity(reachable, connect, home):
    """`ml status --debug` can show which host key was accepted, by which line, and with which key we logged in."""
    facts = connect(reachable, ECHO).facts

    assert reachable.fingerprint in facts["host_key"]
    assert f"{home.known_hosts}:1" in facts["host_key"]
    assert facts["identity"] == str(home.ssh / "id_ed25519")


def test_alias(sshd, home, connect):
    """An alias of ~/.ssh/config gives address, port and user."""
    server = sshd()
    home.trust(server)
    home.use_key(server)
    home.host("box1", server)

    assert read_all(connect(host="box1", user="", program="print('here')"), 5) == b"here\n"


def test_identity_file_of_the_configuration(sshd, home, connect):
    """IdentityFile with IdentitiesOnly is offered under whatever name it has."""
    server = sshd()
    home.trust(server)
    shutil.copy(server.identity, home.path / "work key")
    (home.ssh / "config").write_text('Host *\n  IdentityFile "~/work key"\n  IdentitiesOnly yes\n', "utf-8")

    assert connect(server, ECHO).facts["identity"] == str(home.path / "work key")


def test_agent(sshd, home, connect, environ):
    """A key that only the SSH agent holds is used."""
    server = sshd()
    home.trust(server)
    environ["SSH_AUTH_SOCK"] = str(home.path / "agent.sock")
    agent = subprocess.Popen(
        ["ssh-agent", "-D", "-a", environ["SSH_AUTH_SOCK"]],
        stdout=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
    )
    try:
        poll_until((home.path / "agent.sock").exists)
        subprocess.run(["ssh-add", "-q", str(server.identity)], env=environ, check=True, capture_output=True)

        assert connect(server, ECHO).facts["identity"].endswith("(agent)")
    finally:
        agent.terminate()
        agent.wait(5)


def test_jump(sshd, home, connect):
    """ProxyJump goes through the hop, whose own host key OpenSSH checks, and the target's key is checked by us."""
    hop, target = sshd(), sshd()
    home.trust(hop)
    home.trust(target)
    home.use_key(target)
    home.host("hop", hop)
    home.host("box", target)
    with (home.ssh / "config").open("a") as file:
        file.write(f"  ProxyJump hop\nHost *\n  UserKnownHostsFile {home.known_hosts}\n")
        file.write(f"  IdentityFile {home.ssh}/id_ed25519\n")
    stream = connect(host="box", user="", program=ECHO)
    stream.write(b"through")

    assert read_all(stream, 7) == b"through"
    assert "-W" in stream.facts["proxy"]
    stream.close()
    poll_until(lambda: hop.connections() == 0)


def test_jump_that_fails(sshd, home, connect):
    """A hop that does not let us through is named, with what OpenSSH said."""
    target = sshd()
    home.host("box", target)
    with (home.ssh / "config").open("a") as file:
        file.write("  ProxyJump 127.0.0.1:1\n")

    with pytest.raises(UnreachableError) as caught:
        connect(host="box", user="", program=ECHO)
    assert caught.value.code == "proxy-failed"
    assert "refused" in caught.value.context


def test_link_that_dies(reachable, home, proxy, connect):
    """When the network breaks, a waiting read ends, and writing says connection-lost."""
    link = proxy(reachable.host, reachable.port)
    home.trust(reachable, link)
    stream = connect(reachable, ECHO, port=link.port)
    stream.write(b"x")
    assert stream.read(1) == b"x"
    link.cut()

    assert stream.read(1) == b""
    with pytest.raises(UnreachableError) as caught:
        stream.write(b"y")
    assert caught.value.code == "connection-lost"


def test_nothing_left(reachable, home, connect):
    """After a close, and after a refused connection, no thread of ours lives and the host sees no connection."""
    before = set(threading.enumerate())
    connect(reachable, ECHO).close()
    home.known_hosts.write_text("", "ascii")
    with pytest.raises(UnreachableError):
        connect(reachable, ECHO)

    poll_until(lambda: set(threading.enumerate()) <= before)
    poll_until(lambda: reachable.connections() == 0)


def test_key_refused(sshd, home, connect, tmp_path):
    """A key that the host does not know is 'authentication' (exit status 4) and names the keys that were tried."""
    server = sshd()
    home.trust(server)
    _new_key(home.ssh / "id_ed25519")

    with pytest.raises(DeniedError) as caught:
        connect(server, ECHO)
    assert caught.value.code == "ssh-key-refused"
    assert str(home.ssh / "id_ed25519") in caught.value.context
    assert caught.value.hint == f"ssh-copy-id -p {server.port} root@127.0.0.1"


def test_locked_key(sshd, home, connect):
    """A key with a passphrase is never asked for: the next step is ssh-add."""
    server = sshd()
    home.trust(server)
    _new_key(home.ssh / "id_ed25519", passphrase="secret")

    with pytest.raises(DeniedError) as caught:
        connect(server, ECHO)
    assert caught.value.hint == f"ssh-add {home.ssh / 'id_ed25519'}"


def test_no_key_at_all(sshd, home, connect):
    """Without any key the message says how to get one."""
    server = sshd()
    home.trust(server)

    with pytest.raises(DeniedError) as caught:
        connect(server, ECHO)
    assert "no key could be offered" in caught.value.context
    assert "ssh-keygen" in caught.value.hint


def test_too_many_keys(sshd, home, connect):
    """A host that hangs up after too many keys is not called unreachable without a hint at IdentitiesOnly."""
    server = sshd(extra="MaxAuthTries 2")
    home.trust(server)
    names = [home.ssh / f"key{number}" for number in range(4)]
    for name in names:
        _new_key(name)
    (home.ssh / "config").write_text("".join(f"IdentityFile {name}\n" for name in names), "utf-8")

    with pytest.raises((DeniedError, UnreachableError)) as caught:
        connect(server, ECHO)
    assert "IdentitiesOnly" in caught.value.hint


def _new_key(path, passphrase=""):
    argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-f", str(path)]
    subprocess.run(argv, check=True, stdin=subprocess.DEVNULL, capture_output=True)
