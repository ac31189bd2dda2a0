"""Addresses as people write them: ``host:9101``, ``:9101``, ``[::1]:9101``.

Layer 1, pure. Nothing is looked up: a name stands for another machine unless it is one that every machine has.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from fetchml_core.config.findings import Finding, Key, show, show_key

if TYPE_CHECKING:
    from .base import View

EXPECTED = "host:port, or :port for every address"
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,252}[A-Za-z0-9])?", re.ASCII)


class Address(NamedTuple):
    """A host, empty for every address of this machine, and a port."""

    host: str
    port: int

    @property
    def loopback(self) -> bool:
        """Whether nobody but this machine itself can reach it."""
        if self.host == "localhost":
            return True
        found = to_ip(self.host)
        return found is not None and found.is_loopback

    @property
    def everywhere(self) -> bool:
        """Whether it stands for every address of this machine."""
        found = to_ip(self.host)
        return not self.host or (found is not None and found.is_unspecified)

    @property
    def here(self) -> bool:
        """Whether it is one of this machine's for sure."""
        return self.loopback or self.everywhere


class BadAddressError(ValueError):
    """A text that is no address: what is wrong with it, and what to write."""

    def __init__(self, problem: str, hint: str = "") -> None:
        super().__init__(problem)
        self.problem = problem
        self.hint = hint


def to_ip(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return the IP address that *text* is, None where it is none."""
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def parse_address(text: str, *, port: int = 0) -> Address:
    """Return the address that *text* names.

    Args:
        text: The text.
        port: The port that counts where none is named; 0: one must be.

    Raises:
        BadAddressError: it is none.
    """
    _refuse_strange(text, port)
    host, colon, number = text.rpartition(":")
    if not colon:
        if port and is_host(text):
            return Address(text, port)
        if is_host(text):
            raise BadAddressError("has no port", f'write "{text}:9101"')
        joined = ":".join(text.split())
        hint = f'write "{joined}"' if ":" in joined and is_address(joined) else ""
        raise BadAddressError("is no host name", hint)
    if not (number.isascii() and number.isdigit() and 1 <= int(number[:6]) <= 65535):
        raise BadAddressError(f"has the port {show(number)}", "a port is a number from 1 to 65535")
    if host.startswith("[") and host.endswith("]") and ":" in host and to_ip(host[1:-1]):
        return Address(host[1:-1], int(number))
    if host and not is_host(host):
        hint = f'write ":{number}" for every address' if host == "*" else ""
        raise BadAddressError(f"has the host {show(host)}, which is no name and no address", hint)
    if ":" in host:
        raise BadAddressError("has an IPv6 address without brackets", f'write "[{host}]:{number}"')
    return Address(host, int(number))


def _refuse_strange(text: str, port: int) -> None:
    """Raise for what is often written where an address is meant."""
    if "@" in text:
        raise BadAddressError("names a user or a password", "write host and port alone")
    if "://" in text:
        rest = text.split("://", 1)[1].strip("/")
        raise BadAddressError("has a scheme", f'write "{rest}"' if is_address(rest, port=port) else "")
    if text.isascii() and text.isdigit():
        raise BadAddressError("has no host and no colon", f'write ":{text}"' if not port else "")
    if to_ip(text) and ":" in text:
        raise BadAddressError("is an IPv6 address without a port", f'write "[{text}]:{port or 9101}"')


def is_address(text: str, *, port: int = 0) -> bool:
    """Whether `parse_address` takes *text*."""
    try:
        parse_address(text, port=port)
    except BadAddressError:
        return False
    return True


def is_host(text: str) -> bool:
    """Whether *text* is an IP address or can be a host's name; ``999.1.1.1`` can be neither."""
    if re.fullmatch(r"[0-9.]+", text):
        return to_ip(text) is not None
    return to_ip(text) is not None or _NAME.fullmatch(text) is not None


def check_address(view: View[Any], key: Key, text: str, *, port: int = 0) -> Iterator[Finding]:
    """Yield what is wrong with the address *text* that stands at *key*."""
    if not text:
        return
    try:
        parse_address(text, port=port)
    except BadAddressError as error:
        expected = EXPECTED if not port else f"host:port, or host for port {port}"
        shown = "the value" if "@" in text else show(text)  # it may hold a password
        yield view.finding(
            "bad-address",
            key,
            f"{show_key(key)}: {shown} {error.problem}",
            expected=expected,
            hint=error.hint or f'write it like "{"redis" if port else "localhost"}:{port or 9101}"',
        )


def address_of(text: str, *, port: int = 0) -> Address | None:
    """Return the address *text*, None where it is none: another rule says so."""
    try:
        return parse_address(text, port=port)
    except BadAddressError:
        return None
