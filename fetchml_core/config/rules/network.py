"""Rules about what listens and who may connect.

Layer 1, pure.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from fetchml_core.config.findings import Finding, Key, show, show_key

from .address import Address, address_of, check_address

if TYPE_CHECKING:
    from fetchml_core.config.server import ServerConfig

    from .base import View

REDIS_PORT = 6379
DATABASE_PORTS = {"postgres": 5432, "mysql": 3306}
_ADDRESS: Key = ("server", "address")
_METRICS: Key = ("monitoring", "prometheus")
_WHITELIST: Key = ("security", "ip_whitelist")
_ORIGINS: Key = ("security", "allowed_origins")
_ORIGIN = re.compile(r"(https?)://([a-z0-9._-]+|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?", re.ASCII | re.IGNORECASE)
_PART_OF_ADDRESS = re.compile(r"(\d{1,3}(?:\.\d{1,3}){0,2})(?:(?:\.\*)+|\.)?", re.ASCII)
_DEFAULT_PORTS = {"http": "80", "https": "443"}


# --- what listens ---


def addresses_have_their_form(view: View[ServerConfig]) -> Iterator[Finding]:
    """What the door listens on is an address."""
    yield from check_address(view, _ADDRESS, view.config.server.address)


def metrics_have_a_path(view: View[ServerConfig]) -> Iterator[Finding]:
    """Metrics stand below a path of their own."""
    prometheus = view.config.monitoring.prometheus
    key, path = (*_METRICS, "path"), prometheus.path
    if not re.fullmatch(r"/[^\s?#]*", path):
        yield view.finding(
            "bad-path",
            key,
            f"{show_key(key)}: {show(path)} is no path",
            expected="a path that begins with /",
            hint=f'write "/{path.strip("/")}"' if re.fullmatch(r"[\w./-]+", path) else 'write "/metrics"',
        )
        return
    address = address_of(view.config.server.address)
    shared = address is not None and address.port == prometheus.port
    if prometheus.enabled and shared and not path.strip("/"):
        yield view.finding(
            "path-clash",
            key,
            f"{show_key(key)} is {show(path)}: the metrics would hide the API, both listen on port {prometheus.port}",
            hint='write "/metrics", or give the metrics a port of their own',
            also=(_ADDRESS,),
        )


def ports_do_not_clash(view: View[ServerConfig]) -> Iterator[Finding]:
    """Redis or a database on this machine cannot have the door's port; door and metrics may share one."""
    config = view.config
    listeners = [(_ADDRESS, address_of(config.server.address))]
    if config.monitoring.prometheus.enabled:
        listeners.append(((*_METRICS, "port"), Address("", config.monitoring.prometheus.port)))
    others: list[tuple[Key, Address | None]] = []
    if config.queue.type == "redis":
        others.append((("redis", "addr"), address_of(config.redis.addr, port=REDIS_PORT)))
    if config.database.type != "sqlite" and config.database.host:
        port = config.database.port or DATABASE_PORTS[config.database.type]
        others.append((("database", "port"), Address(config.database.host, port)))
    yield from find_clashes(view, listeners, others)


def find_clashes(
    view: View[Any], listeners: list[tuple[Key, Address | None]], others: list[tuple[Key, Address | None]]
) -> Iterator[Finding]:
    """Yield an error for each of *others* that runs on this machine and has the port of one of *listeners*."""
    for key, other in others:
        for listener, own in listeners:
            if own is None or other is None or not other.here or own.port != other.port:
                continue
            yield view.finding(
                "port-clash",
                key,
                f"{view.line(key)} and {view.line(listener)} both have port {own.port} of this machine",
                hint="give one of them another port",
                also=(listener,),
            )
            break


# --- who may connect ---


def whitelist_names_networks(view: View[ServerConfig]) -> Iterator[Finding]:
    """Each entry is an address or a network; one with host bits set could mean either."""
    for number, entry in enumerate(view.config.security.ip_whitelist):
        key = (*_WHITELIST, str(number))
        try:
            network = ipaddress.ip_network(entry, strict=True)
        except ValueError:
            yield view.finding(
                "bad-network",
                key,
                f"{show_key(_WHITELIST)}: {show(entry)} is no address and no network",
                expected="an address such as 192.168.1.7, or a network such as 192.168.1.0/24",
                hint=_network_hint(entry),
                near=_WHITELIST,
            )
            continue
        if network.prefixlen == 0:
            yield view.finding(
                "whitelist-allows-all",
                key,
                f"{show_key(_WHITELIST)}: {show(entry)} allows every address",
                severity="warning",
                hint="name the networks that may connect",
                near=_WHITELIST,
            )


def restricts_addresses(entries: tuple[str, ...]) -> bool:
    """Whether a whitelist keeps anybody out."""
    prefixes = [entry.rpartition("/")[2] for entry in entries]
    return bool(prefixes) and "0" not in prefixes


def _network_hint(entry: str) -> str:
    """What may be meant by *entry*, "" where that cannot be told."""
    text = entry.strip().strip("[]")
    if text == "localhost":
        return "write 127.0.0.1"
    if ":" not in text:
        text = re.sub(r"\b0+(?=\d)", "", text)
    if (match := _PART_OF_ADDRESS.fullmatch(text)) and "." in text:
        parts = match[1].split(".")
        text = ".".join([*parts, *["0"] * (4 - len(parts))]) + f"/{8 * len(parts)}"
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        return _no_network_hint(text)
    address = text.partition("/")[0]
    alone = f", or {address} alone" if address != str(network.network_address) else ""
    return f"did you mean {network.with_prefixlen.removesuffix('/32').removesuffix('/128')}{alone}?"


def _no_network_hint(text: str) -> str:
    """What to write instead of *text*, which is no network however one reads it."""
    if "/" in text and not re.search(r"[,\s]", text):
        return f"the number after / is from 0 to {128 if ':' in text else 32}"
    if re.fullmatch(r"[A-Za-z0-9._-]*[A-Za-z][A-Za-z0-9._-]*", text):
        return "names are not looked up: write the address"
    return "write one address or one network in each line, after a -"


def origins_are_origins(view: View[ServerConfig]) -> Iterator[Finding]:
    """A browser sends ``scheme://host[:port]``; nothing else ever matches."""
    for number, origin in enumerate(view.config.security.allowed_origins):
        key = (*_ORIGINS, str(number))
        if origin == "*":
            yield view.finding(
                "origin-any",
                key,
                f'{show_key(_ORIGINS)}: "*" lets every web site call with a visitor\'s browser',
                severity="warning",
                hint="name the origins that may call",
                near=_ORIGINS,
            )
            continue
        problem, hint = _origin_problem(origin)
        if problem:
            yield view.finding(
                "bad-origin",
                key,
                f"{show_key(_ORIGINS)}: {show(origin)} {problem}",
                expected="scheme://host or scheme://host:port, as browsers send it",
                hint=hint or "write it like https://ml.example.com",
                near=_ORIGINS,
            )


def _origin_problem(origin: str) -> tuple[str, str]:
    """What is wrong with *origin* and what to write; two empty texts for a right one."""
    if "*" in origin:
        return "has a *, which stands for nothing here", "name each origin"
    match = _ORIGIN.match(origin)
    if match is None:
        if "://" in origin:
            return "is no origin", ""
        scheme = "http" if re.match(r"localhost|127\.", origin) else "https"
        whole = _ORIGIN.fullmatch(f"{scheme}://{origin.strip()}")
        return "has no scheme", f"write {whole[0]}" if whole else ""
    rest = origin[match.end() :]
    scheme, host, port = match[1].lower(), match[2].lower(), match[3]
    right = f"{scheme}://{host}" + (f":{port}" if port and port != _DEFAULT_PORTS[scheme] else "")
    if (port and not 1 <= int(port) <= 65535) or (rest and rest[0] not in "/?#"):
        return "is no origin", ""
    if right == origin:
        return "", ""
    return ("has a path" if rest else "is not what browsers send"), f"write {right}"
