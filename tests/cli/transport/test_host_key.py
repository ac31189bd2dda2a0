"""verified_first: a host that is not known gets no login attempt, and the person gets the next step."""

import contextlib
import subprocess

import pytest
from paramiko.pkey import PKey

from fetchml_core.errors import DeniedError, UnreachableError
from tests.support.wait import poll_until

from .recording import RecordingServer


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """Host keys of two types, and others of the same types."""
    folder = tmp_path_factory.mktemp("keys")
    for name, kind in (("ed", "ed25519"), ("other", "ed25519"), ("rsa", "rsa")):
        argv = ["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", str(folder / name)]
        subprocess.run(argv, check=True, stdin=subprocess.DEVNULL)
    return {name: PKey.from_path(folder / name) for name in ("ed", "other", "rsa")}


@pytest.fixture
def record(keys, home):
    """Start recording servers; the client has a key to offer."""
    argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(home.ssh / "id_ed25519")]
    subprocess.run(argv, check=True, stdin=subprocess.DEVNULL)
    servers = []

    def start(*names):
        servers.append(RecordingServer(*(keys[name] for name in names)))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def line(server, key, marker=""):
    """A known_hosts line."""
    return f"{marker} [127.0.0.1]:{server.port} {key.get_name()} {key.get_base64()}\n".lstrip()


def refused(connect, server):
    """Connect, expect a refusal of the host key; check that nothing else was tried until we were gone."""
    with pytest.raises(UnreachableError) as caught:
        connect(host="127.0.0.1", port=server.port, program="print('run')")
    poll_until(lambda: server.served() == 1)
    assert server.tried == []
    return caught.value


def test_known_key_is_tried(record, keys, home, connect):
    """The recording server does record: with its key known, our key is offered to it."""
    server = record("ed")
    home.known_hosts.write_text(line(server, keys["ed"]), "ascii")

    with pytest.raises(DeniedError):
        connect(host="127.0.0.1", port=server.port)
    assert server.tried == ["publickey root"]


def test_unknown(record, keys, connect):
    """An unknown host: its fingerprint and the command that lets OpenSSH ask."""
    server = record("ed")
    error = refused(connect, server)

    assert error.code == "host-key-unknown"
    assert keys["ed"].fingerprint in error.context
    assert f"ssh -p {server.port} root@127.0.0.1 true" in error.hint
    assert f"ssh-keyscan -p {server.port} 127.0.0.1 >> " in error.hint


def test_changed(record, keys, home, connect):
    """A changed key: both fingerprints, file and line, and the command that removes the old one."""
    server = record("ed")
    home.known_hosts.write_text("# mine\n" + line(server, keys["other"]), "ascii")
    error = refused(connect, server)

    assert error.code == "host-key-changed"
    assert keys["ed"].fingerprint in error.context
    assert keys["other"].fingerprint in error.context
    assert f"{home.known_hosts}:2" in error.context
    assert f"ssh-keygen -R '[127.0.0.1]:{server.port}' -f {home.known_hosts}" in error.hint


def test_revoked(record, keys, home, connect):
    """A revoked key is refused although another line lists it."""
    server = record("ed")
    home.known_hosts.write_text(line(server, keys["ed"]) + line(server, keys["ed"], "@revoked"), "ascii")

    assert refused(connect, server).code == "host-key-revoked"


def test_certificate_authority(record, keys, home, connect):
    """A host known by a certificate authority only: said so, never taken for known."""
    server = record("ed")
    home.known_hosts.write_text(line(server, keys["other"], "@cert-authority"), "ascii")

    assert refused(connect, server).code == "host-certificate-unsupported"


def test_other_type(record, keys, home, connect):
    """A known host that suddenly has no key of the type we know is a changed host."""
    server = record("ed")
    home.known_hosts.write_text(line(server, keys["rsa"]), "ascii")

    assert refused(connect, server).code == "host-key-changed"


@pytest.mark.parametrize("known", ["ed", "rsa"])
def test_known_type_is_negotiated(record, keys, home, connect, known):
    """Of several host keys the one of a type that we know is asked for."""
    server = record("ed", "rsa")
    home.known_hosts.write_text(line(server, keys[known]), "ascii")

    with pytest.raises(DeniedError):
        connect(host="127.0.0.1", port=server.port)


def test_hosts_swapped(record, keys, home, connect):
    """Two known hosts that answer in each other's place are both refused."""
    one, two = record("ed"), record("other")
    home.known_hosts.write_text(line(one, keys["other"]) + line(two, keys["ed"]), "ascii")

    for server in (one, two):
        assert refused(connect, server).code == "host-key-changed"


def test_strict_checking_cannot_be_turned_off(record, home, connect):
    """StrictHostKeyChecking no in the user's configuration does not make us careless."""
    (home.ssh / "config").write_text("StrictHostKeyChecking no\nUserKnownHostsFile /dev/null\n", "ascii")

    assert refused(connect, record("ed")).code == "host-key-unknown"


def test_key_of_a_man_in_the_middle_is_never_saved(record, home, connect):
    """Nothing is learned from a refused host: the file stays as it was, and the second call is refused too."""
    server = record("ed")
    home.known_hosts.write_text("", "ascii")
    refused(connect, server)
    with contextlib.suppress(UnreachableError):
        connect(host="127.0.0.1", port=server.port)

    assert home.known_hosts.read_text("ascii") == ""
    assert server.tried == []
