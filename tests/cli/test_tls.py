"""What is told about real certificate and key files."""

from __future__ import annotations

import datetime as dt
import os

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from fetchml_cli.tls import MAX_BYTES, tls_pair
from fetchml_core.config.kinds import api_kind
from fetchml_core.config.rules.base import Machine, TlsPair
from fetchml_core.config.validate import validate

DAY = 24 * 60 * 60.0
NOW = 1_800_000_000.0
GARBAGE = "-----BEGIN {0}-----\nbm90aGluZw==\n-----END {0}-----\n"


def make_key():
    """A private key."""
    return ec.generate_private_key(ec.SECP256R1())


def key_pem(key, *, passphrase=None):
    """Its file."""
    how = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, how)


def cert_pem(key, *, begin=-DAY, end=90 * DAY, name="box1"):
    """A certificate for *key*; it holds from *begin* to *end*, in seconds from NOW."""
    who = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    at = [dt.datetime.fromtimestamp(NOW + offset, dt.timezone.utc) for offset in (begin, end)]
    builder = x509.CertificateBuilder().subject_name(who).issuer_name(who).public_key(key.public_key())
    builder = builder.serial_number(7).not_valid_before(at[0]).not_valid_after(at[1])
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)


@pytest.fixture(scope="module")
def key():
    """One key for all tests."""
    return make_key()


@pytest.fixture
def pair(tmp_path):
    """Write two files and look at them."""

    def look(cert, key, mode=0o600):
        paths = tmp_path / "cert.pem", tmp_path / "key.pem"
        for path, data in zip(paths, (cert, key), strict=True):
            if data is not None:
                path.write_bytes(data.encode() if isinstance(data, str) else data)
        if key is not None:
            paths[1].chmod(mode)
        return tls_pair(*paths)

    return look


def test_a_pair_that_serves(pair, key):
    """A right pair has no problem, its dates and the mode of its key."""
    assert pair(cert_pem(key), key_pem(key), 0o640) == TlsPair(
        not_before=NOW - DAY, not_after=NOW + 90 * DAY, key_mode=0o640
    )


def test_a_chain_begins_with_the_leaf(pair, key):
    """Of several certificates the first counts."""
    chain = cert_pem(key, end=DAY) + cert_pem(make_key(), name="root")

    found = pair(chain, key_pem(key))

    assert found.matching
    assert found.not_after == NOW + DAY


def test_a_chain_in_the_wrong_order(pair, key):
    """A root in front is taken for the leaf, as a door does: it does not match."""
    assert not pair(cert_pem(make_key(), name="root") + cert_pem(key), key_pem(key)).matching


def test_another_key(pair, key):
    """A key of another certificate does not match, and neither file is blamed."""
    found = pair(cert_pem(key), key_pem(make_key()))

    assert (found.cert_problem, found.key_problem, found.matching) == ("", "", False)


def test_both_in_one_file(tmp_path, key):
    """Certificate and key may stand in one file."""
    path = tmp_path / "both.pem"
    path.write_bytes(cert_pem(key) + key_pem(key))

    assert tls_pair(path, path).matching


def test_a_passphrase(pair, key):
    """A key that asks for a passphrase cannot serve, and is not taken for damaged."""
    found = pair(cert_pem(key), key_pem(key, passphrase=b"secret"))

    assert found.key_problem.startswith("is protected by a passphrase")
    assert found.cert_problem == ""


@pytest.mark.parametrize(
    ("cert", "problem"),
    [
        (None, "does not exist"),
        ("", "is no PEM certificate"),
        (b"\xff\xfe\x00", "is no PEM certificate"),
        (GARBAGE.format("CERTIFICATE"), "is a damaged PEM certificate, or of a kind that is not known"),
        ("-----BEGIN CERTIFICATE-----\n", "is a damaged PEM certificate, or of a kind that is not known"),
        (GARBAGE.format("PRIVATE KEY"), "holds a key, no certificate"),
        ("x" * (MAX_BYTES + 1), "is longer than 1024 KiB"),
    ],
)
def test_certificates_that_cannot_be_used(pair, key, cert, problem):
    """Whatever is no certificate is told in words that follow the file's name; the key is looked at all the same."""
    found = pair(cert, key_pem(key))

    assert (found.cert_problem, found.key_problem) == (problem, "")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (None, "does not exist"),
        ("", "is no PEM private key"),
        (GARBAGE.format("PRIVATE KEY"), "is a damaged PEM private key, or of a kind that is not known"),
        (
            GARBAGE.format("OPENSSH PRIVATE KEY"),
            "is a damaged PEM private key, or of a kind that is not known",
        ),
        (GARBAGE.format("CERTIFICATE"), "holds a certificate, no key"),
    ],
)
def test_keys_that_cannot_be_used(pair, key, text, problem):
    """Whatever is no private key is told, and the certificate's dates are there all the same."""
    found = pair(cert_pem(key), text)

    assert (found.cert_problem, found.key_problem) == ("", problem)
    assert found.not_after == NOW + 90 * DAY


def test_what_is_no_file(tmp_path, key):
    """A folder and a FIFO are told, and nothing waits."""
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "key.pem").write_bytes(key_pem(key))

    assert tls_pair(tmp_path, tmp_path / "key.pem").cert_problem == "is a directory"
    assert tls_pair(tmp_path / "fifo", tmp_path / "key.pem").cert_problem == "is no regular file"


def test_what_cannot_be_read(tmp_path, pair, key):
    """A key that belongs to somebody else is told with the system's words."""
    pair(cert_pem(key), key_pem(key), 0)
    root = os.geteuid() == 0
    if root:  # which can read everything
        os.seteuid(65534)
    try:
        found = tls_pair(tmp_path / "cert.pem", tmp_path / "key.pem")
    finally:
        if root:
            os.seteuid(0)

    assert found.key_problem == "cannot be read: Permission denied"


@pytest.mark.parametrize(
    ("begin", "end", "expected"),
    [
        (-DAY, 90 * DAY, []),
        (-DAY, 14 * DAY, []),
        (-DAY, 14 * DAY - 1, [("tls-expires-soon", "warning")]),
        (-2 * DAY, 0, [("tls-expired", "error")]),
        (1, 90 * DAY, [("tls-not-yet-valid", "error")]),
    ],
)
def test_dates_of_real_files(tmp_path, key, begin, end, expected):
    """The rules and these files together: relative paths are taken from the base."""
    (tmp_path / "cert.pem").write_bytes(cert_pem(key, begin=begin, end=end))
    (tmp_path / "key.pem").write_bytes(key_pem(key))
    (tmp_path / "key.pem").chmod(0o600)
    text = "server:\n  tls:\n    enabled: true\n    cert_file: cert.pem\n    key_file: key.pem\n"
    (tmp_path / "server.yaml").write_text(text, "utf-8")
    machine = Machine(tmp_path, 8, NOW, lambda path: "ext4", tls_pair=tls_pair)

    found = validate(tmp_path / "server.yaml", {}, kind=api_kind(), machine=machine).findings

    assert [(one.code, one.severity) for one in found if one.severity != "info"] == expected
