"""Rules of `server.tls`: certificate and key."""

from __future__ import annotations

from pathlib import Path

import pytest

from fetchml_core.config.rules.base import TlsPair
from tests.core.config.rules_support import machine, only, problems, told

DAY = 24 * 60 * 60.0
NOW = 1.8e9
TLS = "server:\n  tls:\n    enabled: true\n    cert_file: ssl/cert.pem\n    key_file: /etc/key.pem\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (TLS, []),
        ("server:\n  tls:\n    enabled: false\n", []),
        ("server:\n  tls:\n    enabled: true\n", ["cert_file", "key_file"]),
        ("server:\n  tls:\n    enabled: true\n    cert_file: a\n    key_file: ''\n", ["key_file"]),
    ],
)
def test_tls_without_files(text, expected):
    """Without certificate and key TLS cannot start: told at the switch, with or without a machine."""
    for on in (None, machine(tls_pair=lambda cert, key: TlsPair(not_after=NOW + 99 * DAY))):
        found = problems(text, on=on)

        assert [one.key for one in found] == [f"server.tls.{name}" for name in expected]
        assert all((one.code, one.severity, one.line) == ("tls-file-not-set", "error", 3) for one in found)


GOOD = {"not_before": NOW - DAY, "not_after": NOW + 90 * DAY}


@pytest.mark.parametrize(
    ("pair", "expected"),
    [
        (GOOD, []),
        ({"cert_problem": "does not exist"}, ["4 error tls-file-unusable"]),
        (GOOD | {"key_problem": "does not exist"}, ["5 error tls-file-unusable"]),
        (
            {"cert_problem": "is a directory", "key_problem": "does not exist", "matching": False},
            ["4 error tls-file-unusable", "5 error tls-file-unusable"],
        ),
        (GOOD | {"matching": False}, ["5 error tls-pair-differs"]),
        (GOOD | {"not_after": NOW}, ["4 error tls-expired"]),
        (GOOD | {"not_after": NOW + 14 * DAY - 1}, ["4 warning tls-expires-soon"]),
        (GOOD | {"not_after": NOW + 14 * DAY}, []),
        (GOOD | {"not_before": NOW + 1}, ["4 error tls-not-yet-valid"]),
        (GOOD | {"not_before": NOW}, []),
        (GOOD | {"key_mode": 0o640}, []),
        (GOOD | {"key_mode": 0o644}, ["5 warning tls-key-readable"]),
        ({"cert_problem": "does not exist", "key_problem": "is a directory", "key_mode": 0o644}, None),
    ],
)
def test_tls_files(pair, expected):
    """What the machine says about the two files, told at the key that names each."""
    asked = []

    def look(cert, key):
        asked.append((cert, key))
        return TlsPair(**pair)

    assert told(TLS, on=machine(tls_pair=look)) == (
        ["4 error tls-file-unusable", "5 error tls-file-unusable"] if expected is None else expected
    )
    assert asked == [(Path("/srv/fetchml/ssl/cert.pem"), Path("/etc/key.pem"))]


@pytest.mark.parametrize(("mode", "expected"), [(0o600, 0), (0o640, 1), (0o604, 1)])
def test_a_key_in_production(mode, expected):
    """In production a key is the account's alone."""
    pair = TlsPair(**GOOD, key_mode=mode)
    text = TLS + "security: {production_mode: true}\nauth: {enabled: true}\n"
    found = [
        one for one in problems(text, on=machine(tls_pair=lambda *_: pair)) if one.code != "auth-without-keys"
    ]

    assert [(one.code, one.severity, one.hint) for one in found] == [
        ("tls-key-readable", "error", "chmod 600 /etc/key.pem")
    ] * expected


@pytest.mark.parametrize(
    ("text", "on"),
    [(TLS, None), (TLS, machine()), (TLS.replace("true", "false"), machine(tls_pair=lambda *_: 1 / 0))],
)
def test_nothing_is_asked_in_vain(text, on):
    """Without a machine, without eyes for certificates, or with TLS off nothing is looked at."""
    assert told(text, on=on) == []


def test_words_about_certificates():
    """Dates, paths and commands are there to be used; a path cannot play with the terminal."""
    pair = TlsPair(not_before=0, not_after=NOW + 3.5 * DAY)
    soon = only(TLS, on=machine(tls_pair=lambda *_: pair))
    missing = TlsPair(cert_problem="does not exist")
    bad = only(TLS, on=machine(base=Path("/a b"), tls_pair=lambda *_: missing))
    odd = only(TLS, on=machine(base=Path("/a\x1b[31m"), tls_pair=lambda *_: missing))
    differs = only(TLS, on=machine(tls_pair=lambda *_: TlsPair(**GOOD, matching=False)))

    assert soon.message == "server.tls.cert_file: the certificate ends on 2027-01-18 20:00 UTC, in 3 days"
    assert bad.message == "server.tls.cert_file: '/a b/ssl/cert.pem' does not exist"
    assert bad.hint == "ls -l '/a b/ssl/cert.pem'"
    assert odd.hint == r"ls -l '/a\x1b[31m/ssl/cert.pem'"
    assert differs.message == "server.tls.key_file (line 5) is not the key of server.tls.cert_file (line 4)"
    assert [place.line for place in differs.also] == [4]
