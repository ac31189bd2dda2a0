"""Rules about what listens and who may connect."""

from __future__ import annotations

import pytest

from fetchml_core.config.rules.address import Address, BadAddressError, parse_address
from tests.core.config.rules_support import only, problems, told

# --- addresses ---


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        (":9101", "", 9101),
        ("0.0.0.0:9101", "0.0.0.0", 9101),
        ("box1.example.com:1", "box1.example.com", 1),
        ("my_host:65535", "my_host", 65535),
        ("[::1]:9101", "::1", 9101),
    ],
)
def test_addresses(text, host, port):
    """Host and port, each in its form."""
    assert parse_address(text) == Address(host, port)


def test_an_address_may_have_a_port_of_its_own():
    """Where a port is known the host alone is enough."""
    assert parse_address("redis", port=6379) == Address("redis", 6379)
    assert parse_address("redis:1", port=6379) == Address("redis", 1)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("9101", 'write ":9101"'),
        ("localhost", 'write "localhost:9101"'),
        ("::1", 'write "[::1]:9101"'),
        ("::1:99999", "a port is a number from 1 to 65535"),
        ("fe80::1:2:9101", 'write "[fe80::1:2:9101]:9101"'),
        ("http://box1:9101/", 'write "box1:9101"'),
        ("http://box1", ""),
        ("host:99999", "a port is a number from 1 to 65535"),
        ("host:0", "a port is a number from 1 to 65535"),
        (":abc", "a port is a number from 1 to 65535"),
        (":", "a port is a number from 1 to 65535"),
        (":٣", "a port is a number from 1 to 65535"),
        ("*:9101", 'write ":9101" for every address'),
        ("1.2.3.999:9101", ""),
        ("a b:9101", ""),
        ("a b", ""),
        ("box1 9101", 'write "box1:9101"'),
        ("[box1]:9101", ""),
        ("[1.2.3.4]:9101", ""),
        ("al:pw@box1:9101", "write host and port alone"),
    ],
)
def test_what_is_no_address(text, hint):
    """Each slip has its advice, as far as one can be given."""
    with pytest.raises(BadAddressError) as caught:
        parse_address(text)

    assert caught.value.hint == hint


def test_an_address_with_too_many_colons():
    """An IPv6 address needs brackets before a port can follow."""
    with pytest.raises(BadAddressError) as caught:
        parse_address("1:2:3:4:5:6:7:8:9101")

    assert caught.value.hint == 'write "[1:2:3:4:5:6:7:8]:9101"'


def test_a_number_where_a_host_is_enough():
    """A number alone is no host, and nobody knows which one was meant."""
    with pytest.raises(BadAddressError) as caught:
        parse_address("6379", port=6379)

    assert caught.value.hint == ""


@pytest.mark.parametrize(
    ("host", "loopback", "everywhere"),
    [
        ("", False, True),
        ("0.0.0.0", False, True),
        ("::", False, True),
        ("localhost", True, False),
        ("127.0.0.2", True, False),
        ("::1", True, False),
        ("192.168.1.7", False, False),
        ("box1", False, False),
    ],
)
def test_whose_address(host, loopback, everywhere):
    """Loopback, everywhere, or perhaps another machine's."""
    address = Address(host, 1)

    assert (address.loopback, address.everywhere, address.here) == (
        loopback,
        everywhere,
        loopback or everywhere,
    )


def test_a_bad_address_is_told():
    """The finding names key, value, what is wrong and what to write."""
    found = only("server:\n  address: '9101'\n")

    assert (found.code, found.line, found.column) == ("bad-address", 2, 12)
    assert found.message == "server.address: '9101' has no host and no colon"
    assert found.expected == "host:port, or :port for every address"
    assert found.hint == 'write ":9101"'


def test_an_address_that_holds_a_password_is_not_shown():
    """What is no address may be a secret."""
    found = problems("queue: {type: redis}\nredis:\n  addr: redis://:s3cret@redis:6379\n")

    assert [one.code for one in found] == ["bad-address"]
    assert "s3cret" not in repr(found)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/metrics", []),
        ("metrics", [("bad-path", 'write "/metrics"')]),
        ("http://box1/metrics", [("bad-path", 'write "/metrics"')]),
        ("/met rics", [("bad-path", 'write "/metrics"')]),
        ("/", [("path-clash", 'write "/metrics", or give the metrics a port of their own')]),
    ],
)
def test_path_of_the_metrics(path, expected):
    """It begins with / and does not hide the API."""
    found = problems(f"monitoring:\n  prometheus:\n    path: '{path}'\n")

    assert [(one.code, one.hint) for one in found] == expected
    assert all(one.line == 3 for one in found)


@pytest.mark.parametrize("more", ["port: 9102", "enabled: false"])
def test_metrics_of_their_own(more):
    """On a port of their own, or nowhere, metrics hide nothing."""
    assert told(f"monitoring: {{prometheus: {{path: '/', {more}}}}}") == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("server: {address: ':9101'}\nmonitoring: {prometheus: {port: 9101}}", []),
        ("server: {address: ':9101'}\nmonitoring: {prometheus: {port: 9102}}", []),
        ("queue: {type: redis}\nredis: {addr: 'localhost:9101'}", ["2 error port-clash"]),
        ("queue: {type: redis}\nredis: {addr: 'redis:9101'}", []),
        ("queue: {type: redis}\nredis: {addr: 'localhost'}", []),
        ("redis: {addr: 'localhost:9101'}", ["1 warning redis-not-used"]),
        ("database: {type: postgres, host: 127.0.0.1, port: 9101}", ["1 error port-clash"]),
        ("database: {type: postgres, host: 127.0.0.1}\nserver: {address: ':5432'}", ["0 error port-clash"]),
        ("database: {type: postgres, host: db, port: 9101}", []),
        (
            "queue: {type: redis}\nredis: {addr: 'localhost:9102'}\nmonitoring: {prometheus: {port: 9102}}",
            ["2 error port-clash"],
        ),
        (
            "queue: {type: redis}\nredis: {addr: ':9102'}\nmonitoring: {prometheus: {port: 9102, enabled: false}}",
            [],
        ),
        (
            "queue: {type: redis}\nredis: {addr: 'a b'}\nserver: {address: x}",
            ["2 error bad-address", "3 error bad-address"],
        ),
    ],
)
def test_ports(text, expected):
    """Door and metrics may share a port; Redis or a database of this machine may not have it too."""
    assert told(text) == expected


def test_a_port_clash_names_both_lines():
    """Both keys, both lines, the port."""
    found = only("server:\n  address: ':9101'\nqueue: {type: redis}\nredis:\n  addr: localhost:9101\n")

    assert (
        found.message == "redis.addr (line 5) and server.address (line 2) both have port 9101 of this machine"
    )
    assert [place.line for place in found.also] == [2]


# --- who may connect ---


@pytest.mark.parametrize(
    ("entry", "hint"),
    [
        ("127.0.0.1", None),
        ("192.168.0.0/16", None),
        ("::1", None),
        ("fd00::/8", None),
        ("192.168.1.7/24", "did you mean 192.168.1.0/24, or 192.168.1.7 alone?"),
        ("192.168.1.0/16", "did you mean 192.168.0.0/16, or 192.168.1.0 alone?"),
        ("fd00::1/8", "did you mean fd00::/8, or fd00::1 alone?"),
        ("192.168.1", "did you mean 192.168.1.0/24?"),
        ("192.168.1.", "did you mean 192.168.1.0/24?"),
        ("192.168.*.*", "did you mean 192.168.0.0/16?"),
        ("10.*", "did you mean 10.0.0.0/8?"),
        ("192.168.001.007", "did you mean 192.168.1.7?"),
        (" 10.0.0.1", "did you mean 10.0.0.1?"),
        ("[::1]", "did you mean ::1?"),
        ("10.0.0.0/33", "the number after / is from 0 to 32"),
        ("fd00::/129", "the number after / is from 0 to 128"),
        ("10.0.0.1-10.0.0.9", "write one address or one network in each line, after a -"),
        ("10.0.0.1, 10.0.0.0/8", "write one address or one network in each line, after a -"),
        ("10", "write one address or one network in each line, after a -"),
        ("", "write one address or one network in each line, after a -"),
        ("localhost", "write 127.0.0.1"),
        ("box1.example.com", "names are not looked up: write the address"),
    ],
)
def test_whitelist(entry, hint):
    """Entries are addresses or networks; what else is meant is told where it can be."""
    found = problems(f"security:\n  ip_whitelist:\n    - 10.0.0.1\n    - '{entry}'\n")

    expected = [] if hint is None else [("bad-network", 4, 7, "security.ip_whitelist.1", hint)]
    assert [(one.code, one.line, one.column, one.key, one.hint) for one in found] == expected


@pytest.mark.parametrize("entry", ["0.0.0.0/0", "::/0"])
def test_a_whitelist_that_allows_all(entry):
    """A list that keeps nobody out looks like protection, and is none."""
    assert told(f"security:\n  ip_whitelist:\n    - '{entry}'\n") == ["3 warning whitelist-allows-all"]


def test_a_place_for_an_item_after_a_bad_one():
    """An item that does not fit does not shift the places of those that follow."""
    found = problems("security:\n  ip_whitelist:\n    - 10\n    - 10.0.0.1\n    - no-net\n")

    assert [(one.line, one.code) for one in found] == [(3, "wrong-type"), (5, "bad-network")]


@pytest.mark.parametrize(
    ("origin", "hint"),
    [
        ("http://localhost:3000", None),
        ("https://ml.example.com", None),
        ("https://[::1]:8443", None),
        ("https://ml.example.com/", "write https://ml.example.com"),
        ("https://ml.example.com/app?x", "write https://ml.example.com"),
        ("https://ml.example.com:443", "write https://ml.example.com"),
        ("http://ml.example.com:80", "write http://ml.example.com"),
        ("HTTPS://ML.example.com", "write https://ml.example.com"),
        ("localhost:3000", "write http://localhost:3000"),
        ("ml.example.com", "write https://ml.example.com"),
        ("ml example com", "write it like https://ml.example.com"),
        ("ftp://ml.example.com", "write it like https://ml.example.com"),
        ("https://al@ml.example.com", "write it like https://ml.example.com"),
        ("https://ml.example.com:99999", "write it like https://ml.example.com"),
        ("https://ml.example.com:0", "write it like https://ml.example.com"),
        ("https://ml.example.com:123456", "write it like https://ml.example.com"),
        ("https://*.example.com", "name each origin"),
    ],
)
def test_origins(origin, hint):
    """An origin is what a browser sends; nothing else ever matches."""
    found = problems(f"security:\n  allowed_origins:\n    - '{origin}'\n")

    expected = [] if hint is None else [("bad-origin", "error", 3, 7, hint)]
    assert [(one.code, one.severity, one.line, one.column, one.hint) for one in found] == expected


def test_any_origin():
    """A star is legal, and said."""
    assert told("security:\n  allowed_origins: ['*']\n") == ["2 warning origin-any"]
