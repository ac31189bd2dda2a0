"""What `security.production_mode` refuses.

Layer 1, pure: every load asks these rules, so that no door starts. A hash counts as a secret: it is a plain SHA-256
without salt, so whoever reads it can try keys at full speed. A placeholder, a ``${NAME}`` and an address without a
password are none.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from fetchml_core.config.findings import Finding, Key, show, show_path

from .address import address_of
from .base import View, holds_secret, secrets_of
from .network import restricts_addresses

if TYPE_CHECKING:
    from fetchml_core.config.server import ServerConfig

_MODE: Key = ("security", "production_mode")


def production_asks_for_keys(view: View[ServerConfig]) -> Iterator[Finding]:
    """Nobody gets in without a key."""
    if view.config.security.production_mode and not view.config.auth.enabled:
        yield view.finding(
            "production-without-auth",
            ("auth", "enabled"),
            f"{view.line(_MODE)} is true, but auth.enabled is not: everybody gets in, without a key",
            hint="set auth.enabled: true and add users to auth.api_keys, or set security.production_mode: false",
            near=_MODE,
            also=(_MODE,),
        )


def production_keeps_secrets(view: View[ServerConfig]) -> Iterator[Finding]:
    """A file that holds secrets is the account's alone."""
    if not view.config.security.production_mode or view.mode is None or not view.mode & 0o077:
        return
    written = dict(secrets_of(view.config))
    named = (key for key in view.written(*written) if key not in view.references)
    here = [key for key in named if holds_secret(key, written[key])]
    if here:
        more = f" and {len(here) - 1} more" if len(here) > 1 else ""
        yield view.finding(
            "production-file-readable",
            here[0],
            f"others can read this file (mode {view.mode:04o}), and it holds {view.line(here[0])}{more}",
            expected="mode 0600",
            hint=f"chmod 600 {show_path(view.file)}",
            also=(_MODE,),
        )


def production_is_closed(view: View[ServerConfig]) -> Iterator[Finding]:
    """What others can reach is encrypted, or open to named networks only."""
    config = view.config
    address = address_of(config.server.address)
    if (
        not config.security.production_mode
        or config.server.tls.enabled
        or address is None
        or address.loopback
    ):
        return
    key: Key = ("server", "address")
    if restricts_addresses(config.security.ip_whitelist):
        yield view.finding(
            "production-without-tls",
            key,
            f"{view.line(key)} is {show(config.server.address)} without TLS: keys travel in the clear",
            severity="warning",
            hint="set server.tls.enabled: true with cert_file and key_file, or leave encryption to a proxy before it",
            near=_MODE,
            also=(_MODE,),
        )
        return
    yield view.finding(
        "production-open",
        key,
        f"{view.line(_MODE)} is true, but {show(config.server.address)} is open to everybody, without TLS",
        hint='set server.tls.enabled: true, or name networks in security.ip_whitelist, or listen on "127.0.0.1:9101"',
        near=_MODE,
        also=(_MODE, ("security", "ip_whitelist")),
    )
