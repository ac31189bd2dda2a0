"""Rules of a profile."""

from __future__ import annotations

import pytest

from fetchml_cli.transport.target import Target
from fetchml_core.errors import FetchError
from tests.core.config.rules_support import only, problems


def profile(host):
    """A profile with *host*."""
    return f"[server]\nworker_host = {host!r}\n"


@pytest.mark.parametrize(
    "host", ["", "localhost", "box1.example.com", "my_box", "10.0.0.7", "::1", "fe80::1%eth0", "box*1"]
)
def test_hosts(host):
    """Names, addresses and aliases are left alone."""
    assert problems(profile(host), "cli") == []


@pytest.mark.parametrize(
    ("host", "problem", "hint"),
    [
        ("al@box1", "names a user too", 'write worker_host = "box1" and worker_user = "al"'),
        ("box1:22", "names a port too", 'write worker_host = "box1" and worker_port = 22'),
        (
            "al@box1:2222",
            "names a user too",
            'write worker_host = "box1" and worker_user = "al" and worker_port = 2222',
        ),
        ("ssh://box1", "is a URL", 'write worker_host = "box1"'),
        (
            "ssh://al@box1:22/",
            "is a URL",
            'write worker_host = "box1" and worker_user = "al" and worker_port = 22',
        ),
        ("[::1]:22", "names a port too", 'write worker_host = "::1" and worker_port = 22'),
        ("[::1]", "is no host name", 'write worker_host = "::1"'),
        ("box1:", "is no host name", 'write worker_host = "box1"'),
        ("box1:ssh", "names a port too", "write the host alone, as in: ssh HOST"),
        ("@box1", "names a user too", "write the host alone, as in: ssh HOST"),
        ("https://box1", "is a URL", "write the host alone, as in: ssh HOST"),
        ("-oProxyCommand=x", "is no host name", "write the host alone, as in: ssh HOST"),
        ("box 1", "is no host name", "write the host alone, as in: ssh HOST"),
        ("box1/x", "is no host name", "write the host alone, as in: ssh HOST"),
        ("$(id)@box1", "names a user too", "write the host alone, as in: ssh HOST"),
        ("x" * 256, "is no host name", "write the host alone, as in: ssh HOST"),
    ],
)
def test_what_is_no_host(host, problem, hint):
    """User and port have keys of their own; what SSH would refuse, or read as an option, is refused here."""
    found = only(profile(host), "cli")

    assert (found.code, found.severity, found.line) == ("bad-host", "error", 2)
    assert found.message.endswith(problem)
    assert found.hint == hint


@pytest.mark.parametrize(
    "host", ["box1", "-x", "a b", "a/b", "a;b", "a'b", "a$b", "a{b", "é", "x" * 256, "a,b", "a\\b"]
)
def test_what_the_transport_refuses_the_rule_refuses(host):
    """No profile passes that no connection could be opened with."""
    try:
        Target(host).checked()
    except FetchError:
        assert only(f"[server]\nworker_host = '''{host}'''\n", "cli").code == "bad-host"
