"""What production mode refuses; each refusal stops every load."""

from __future__ import annotations

import pytest

from fetchml_core.config.findings import InvalidConfigError
from fetchml_core.config.load import load_server
from tests.core.config.rules_support import HASH, machine, only, told

#: A file that production takes; line 1 is the switch.
SAFE = (
    "security: {production_mode: true}\n"
    "server: {address: '127.0.0.1:9101'}\n"
    f"auth: {{enabled: true, api_keys: {{al: {{hash: '{HASH}'}}}}}}\n"
)


def test_a_safe_file():
    """Authentication, a loopback address and a private file are enough."""
    assert told(SAFE, mode=0o600) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "security: {production_mode: true}\nserver: {address: 'localhost:1'}",
            ["1 error production-without-auth"],
        ),
        (
            "security: {production_mode: true}\nauth:\n  enabled: false\nserver: {address: 'localhost:1'}",
            ["3 error production-without-auth"],
        ),
        ("auth: {enabled: false}", []),
    ],
)
def test_authentication(text, expected):
    """Production without authentication is refused, at the switch that is off."""
    assert told(text) == expected


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666])
def test_a_file_that_others_read(mode):
    """A hash in a file that others can read is told with the mode and the command."""
    found = only(SAFE, mode=mode)

    assert (found.code, found.severity, found.line) == ("production-file-readable", "error", 3)
    assert found.message == (
        f"others can read this file (mode {mode:04o}), and it holds auth.api_keys.al.hash (line 3)"
    )
    assert found.hint == "chmod 600 server.yaml"


@pytest.mark.parametrize("mode", [None, 0o600, 0o400, 0o700])
def test_a_file_of_ones_own(mode):
    """A private file, or one whose mode is not known, is no finding."""
    assert told(SAFE, mode=mode) == []


@pytest.mark.parametrize(
    ("secret", "holds"),
    [
        ("redis: {password: pw}", True),
        ("redis: {password: '${PW}'}", False),
        ("redis: {password: 'x${PW}'}", False),
        ("redis: {password: CHANGE_ME}", False),
        ("redis: {password: ''}", False),
        ("redis: {url: 'redis://redis:6379'}", False),
        ("redis: {url: 'redis://:pw@redis:6379'}", True),
        ("redis: {url: 'redis://:${PW}@redis:6379'}", False),
        ("database: {connection: data/fetchml.sqlite}", False),
        ("database: {type: postgres, connection: 'postgres://al:pw@db/x'}", True),
        ("database: {type: postgres, connection: 'host=db password=pw'}", True),
        ("database: {type: mysql, connection: 'al:pw@tcp(db)/x'}", True),
        ("database: {type: mysql, connection: 'al@tcp(db:3306)/x'}", False),
        ("auth: {enabled: true, api_keys: {al: {hash: CHANGE_ME}}}", False),
        ("auth: {enabled: true, api_keys: {al: {hash: '${AL}'}}}", False),
    ],
)
def test_which_texts_are_secrets(secret, holds):
    """A password is one; a placeholder, a reference, a path and an address are none."""
    text = "security: {production_mode: true}\nserver: {address: 'localhost:1'}\n" + secret
    codes = [line.split()[2] for line in told(text, mode=0o644, environ={"PW": "pw", "AL": HASH})]

    assert ("production-file-readable" in codes) == holds


def test_several_secrets():
    """The first is named, the others are counted."""
    found = only(SAFE + "redis: {password: pw}\nqueue: {type: redis}\n", mode=0o644)

    assert found.message.endswith("it holds auth.api_keys.al.hash (line 3) and 1 more")


def test_elsewhere_a_file_may_be_read():
    """Without production mode nobody asks for the mode."""
    assert told(SAFE.replace("true}", "false}", 1), mode=0o644) == []


@pytest.mark.parametrize(
    ("address", "whitelist", "expected"),
    [
        ("127.0.0.1:9101", "[]", []),
        ("[::1]:9101", "[]", []),
        (":9101", "[]", ["2 error production-open"]),
        ("0.0.0.0:9101", "[]", ["2 error production-open"]),
        ("box1:9101", "[]", ["2 error production-open"]),
        (":9101", "[192.168.0.0/16]", ["2 warning production-without-tls"]),
        (":9101", "[10.0.0.0/8, '0.0.0.0/0']", ["1 warning whitelist-allows-all", "2 error production-open"]),
        ("9101x", "[]", ["2 error bad-address"]),
    ],
)
def test_open_doors(address, whitelist, expected):
    """Whom others can reach has TLS, or at least a list of networks that keeps somebody out."""
    text = SAFE.replace("127.0.0.1:9101", address).replace("true}", f"true, ip_whitelist: {whitelist}}}", 1)

    assert told(text, mode=0o600) == expected


def test_the_default_address_is_open():
    """An address that nobody wrote counts too; the switch is pointed at."""
    assert told(SAFE.replace("server: {address: '127.0.0.1:9101'}", "#"), mode=0o600) == [
        "1 error production-open"
    ]


def test_tls_closes_the_door():
    """With TLS an address may be open."""
    tls = "server: {tls: {enabled: true, cert_file: a, key_file: b}}"

    assert told(SAFE.replace("server: {address: '127.0.0.1:9101'}", tls), mode=0o600, on=machine()) == []


def test_every_load_is_stopped(tmp_path):
    """A door that loads the file does not start; private, it does."""
    path = tmp_path / "server.yaml"
    path.write_text(SAFE)
    path.chmod(0o644)
    with pytest.raises(InvalidConfigError) as caught:
        load_server(path, {})

    assert [found.code for found in caught.value.findings if found.severity == "error"] == [
        "production-file-readable"
    ]
    path.chmod(0o600)
    assert load_server(path, {}).config.security.production_mode
