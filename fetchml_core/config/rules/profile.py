"""Rules of a profile.

Layer 1, pure. Kept apart, as a client loads these alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from fetchml_core.config.findings import Finding, Key, show, show_key

from .active import not_active_yet
from .base import Rule, View, no_placeholders

if TYPE_CHECKING:
    from fetchml_core.config.profile import Profile

_HOST: Key = ("server", "worker_host")
_REFUSED = re.compile(r"""[\s'"`$\\;&<>|(){},/]|^-""")
_BRACKETS = re.compile(r"\[([^\[\]]*)\](?::([^:]*))?")


def host_is_a_host(view: View[Profile]) -> Iterator[Finding]:
    """User and port have keys of their own, and SSH takes no URL; what is left may be an alias of ~/.ssh/config."""
    host = view.config.server.worker_host
    problem, better = _host_problem(host)
    if problem:
        yield view.finding(
            "bad-host",
            _HOST,
            f"{show_key(_HOST)}: {show(host)} {problem}",
            expected="a host name, an address, or an alias of ~/.ssh/config",
            hint=f"write {better or 'the host alone, as in: ssh HOST'}",
        )


def _host_problem(text: str) -> tuple[str, str]:
    """What is wrong with a host and what to write; two empty texts for a right one."""
    rest = text.removeprefix("ssh://").rstrip("/") if text.startswith("ssh://") else text
    user, at, rest = rest.rpartition("@")
    host, port = rest, ""
    if match := _BRACKETS.fullmatch(rest):
        host, port = match[1], match[2] or ""
    elif rest.count(":") == 1:  # an IPv6 address has more
        host, _, port = rest.partition(":")
    fits = _fits(host) and (not at or _fits(user)) and (not port or (port.isascii() and port.isdigit()))
    if host == text:
        return ("", "") if fits or not text else ("is no host name", "")
    words = [f'worker_host = "{host}"']
    words += [f'worker_user = "{user}"'] if at else []
    words += [f"worker_port = {port}"] if port else []
    what = "is a URL" if "://" in text else "names a user too" if at else "names a port too"
    return (what if port or at or "://" in text else "is no host name"), " and ".join(words) if fits else ""


def _fits(text: str) -> bool:
    """Whether SSH takes *text* as the name of a host or user."""
    return bool(text) and len(text) <= 255 and text.isprintable() and not _REFUSED.search(text)


RULES: tuple[Rule[Profile], ...] = (no_placeholders, host_is_a_host, not_active_yet)
