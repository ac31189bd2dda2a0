"""The table of what differs between versions of Podman, and what is decided by it."""

from __future__ import annotations

import pytest

from fetchml_core.launcher.spec import Capabilities
from fetchml_core.launcher.versions import CHANGES, Traits, parse_version, traits_of


def test_the_rows_are_in_order():
    """Later rows win, so a row below one of a newer version would be wrong."""
    assert [row[0] for row in CHANGES] == sorted(row[0] for row in CHANGES)


@pytest.mark.parametrize(
    ("version", "traits"),
    [
        ("3.4.4", Traits(cdi=False, rootless_network="slirp4netns")),
        ("4.3.1", Traits(cdi=True, rootless_network="slirp4netns")),
        ("4.10.0-rhel", Traits(cdi=True, rootless_network="slirp4netns")),
        ("5.4.2", Traits(cdi=True, rootless_network="pasta")),
        ("12.0", Traits(cdi=True, rootless_network="pasta")),
    ],
)
def test_what_a_version_can_do(version, traits):
    """Versions are compared as numbers; one newer than all rows has the last."""
    assert traits_of(parse_version(version)) == traits


@pytest.mark.parametrize("text", ["podman", "5", "v5.1"])
def test_no_version(text):
    """What is no version is not taken for an old one."""
    with pytest.raises(ValueError, match=text):
        parse_version(text)


@pytest.mark.parametrize(
    ("fields", "network"),
    [
        ({"launcher": "process"}, ""),
        ({"launcher": "podman"}, "bridge"),
        ({"launcher": "podman", "rootless": True}, "slirp4netns"),
        ({"launcher": "podman", "rootless": True, "traits": traits_of((5, 0))}, "pasta"),
    ],
)
def test_how_a_network_is_reached(fields, network):
    """By account and version."""
    assert Capabilities(**fields).network == network
