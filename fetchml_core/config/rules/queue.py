"""Rules about the queue and about Redis, for the api file and the worker file alike.

Layer 1, pure. The api file has a section `redis`, the worker file flat keys; what they mean is the same. A URL may
hold a password, so nothing of it is shown.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

from attrs import frozen

from fetchml_core.config.findings import Finding, Key, show_key

from .address import Address, address_of, check_address
from .network import REDIS_PORT

if TYPE_CHECKING:
    from urllib.parse import SplitResult

    from fetchml_core.config.server import ServerConfig
    from fetchml_core.config.shared import QueueConfig
    from fetchml_core.config.worker import WorkerConfig

    from .base import View

SCHEMES = ("redis", "rediss", "unix")
_TYPE: Key = ("queue", "type")
_PATHS: dict[str, Key] = {
    "native": ("queue", "native", "data_dir"),
    "sqlite": ("queue", "sqlite_path"),
    "filesystem": ("queue", "filesystem_path"),
}


@frozen
class _Redis:
    """The Redis settings of a file: their keys and values."""

    keys: dict[str, Key]
    url: str
    addr: str
    password: str
    db: int


def _redis(config: ServerConfig | WorkerConfig) -> _Redis:
    names = ("url", "addr", "password", "db")
    section: Any = getattr(config, "redis", None)
    if section is None:
        values: list[Any] = [getattr(config, f"redis_{name}") for name in names]
        return _Redis({name: (f"redis_{name}",) for name in names}, *values)
    keys: dict[str, Key] = {name: ("redis", name) for name in (*names, "max_connections")}
    return _Redis(keys, *(getattr(section, name) for name in names))


def redis_is_named_well(view: View[Any]) -> Iterator[Finding]:
    """Redis is named by a URL or by host and port, each in its form."""
    redis = _redis(view.config)
    yield from check_address(view, redis.keys["addr"], redis.addr, port=REDIS_PORT)
    key = redis.keys["url"]
    if key not in view.places or _split(redis.url) is not None:
        return
    scheme, colons, rest = redis.url.partition("://")
    problem, hint = "is no Redis URL", ""
    if not colons and "@" not in redis.url and address_of(redis.url, port=REDIS_PORT):
        problem, hint = "has no scheme", "put redis:// before it, or name it " + show_key(redis.keys["addr"])
    elif colons and scheme not in SCHEMES:
        problem, hint = "has another scheme", "write redis://, or rediss:// for TLS"
    elif colons and rest:
        problem = "has no number as port or database"
    yield view.finding(
        "bad-redis-url",
        key,
        f"{show_key(key)} {problem}",
        expected="redis://[:password@]host:port/database, rediss://… or unix://…",
        hint=hint or "write it like redis://redis:6379/0",
    )


def redis_settings_agree(view: View[Any]) -> Iterator[Finding]:
    """The URL wins, so whatever else names Redis must say the same."""
    redis = _redis(view.config)
    url = redis.keys["url"]
    parts = _split(redis.url) if url in view.places else None
    if parts is None:
        return
    addr = address_of(redis.addr, port=REDIS_PORT) if redis.addr else None
    differing = {
        "addr": addr is not None and addr != _address(parts),
        "password": redis.password not in {"", unquote(parts.password or "")},
        "db": redis.keys["db"] in view.places and redis.db != _database(parts),
    }
    for name in (name for name, differs in differing.items() if differs):
        key = redis.keys[name]
        what = {"addr": "host or port", "password": "password", "db": "database"}[name]
        yield view.finding(
            "redis-disagrees",
            key,
            f"{view.line(key)} names another {what} than {view.line(url)}, which wins",
            hint=f"remove {show_key(key)}, or make them equal",
            also=(url,),
        )


def redis_is_used(view: View[Any]) -> Iterator[Finding]:
    """Redis settings without a Redis queue do nothing."""
    redis, queue = _redis(view.config), view.config.queue
    written = view.written(*redis.keys.values())
    if queue.type == "redis" or not written:
        return
    told = ", ".join(show_key(key) for key in written)
    add = 'add the two lines "queue:" and "  type: redis"'
    if any(key[0] == "queue" for key in view.places):
        add = 'write "type: redis" in the section queue'
    yield view.finding(
        "redis-not-used",
        written[0],
        f"Redis is not used, as the queue is {queue.type}: {told} {'has' if len(written) == 1 else 'have'} no effect",
        severity="warning",
        hint=f"{add}; or remove the Redis settings",
        also=(*written[1:], _TYPE),
    )


def redis_is_named(view: View[WorkerConfig]) -> Iterator[Finding]:
    """A worker file that names no Redis leaves that to the api file, or to the default that nobody wrote."""
    config = view.config
    if config.queue.type == "redis" and not config.redis_url and not config.redis_addr:
        yield view.finding(
            "redis-missing",
            _TYPE,
            f"{view.line(_TYPE)} is redis, but nothing here says where Redis is",
            severity="warning",
            hint='add the line: redis_url: "redis://localhost:6379/0"',
        )


def queue_settings_are_used(view: View[Any]) -> Iterator[Finding]:
    """A path of another backend, or a fallback from a Redis that is not there, does nothing."""
    queue: QueueConfig = view.config.queue
    used = {queue.type}
    if queue.type == "redis" and queue.fallback_to_filesystem:
        used.add("filesystem")
    for kind, key in _PATHS.items():
        if key in view.places and kind not in used:
            yield view.finding(
                "queue-path-not-used",
                key,
                f"{view.line(key)} is not used, as the queue is {queue.type}",
                severity="warning",
                hint=f"write queue.type: {kind}, or remove {show_key(key)}",
                also=(_TYPE,),
            )
    fallback: Key = ("queue", "fallback_to_filesystem")
    if queue.fallback_to_filesystem and queue.type != "redis":
        yield view.finding(
            "fallback-not-used",
            fallback,
            f"{view.line(fallback)} has no effect: the queue is {queue.type}, not redis",
            severity="warning",
            hint=f"write queue.type: redis, or remove {show_key(fallback)}",
            also=(_TYPE,),
        )


def _split(url: str) -> SplitResult | None:
    """The parts of a Redis URL, None when it is none."""
    try:
        parts = urlsplit(url)
        port_fits = parts.port != 0  # asking for a port that is none raises
    except ValueError:
        return None
    if parts.scheme not in SCHEMES or "://" not in url:
        return None
    return parts if port_fits and _database(parts) is not None else None


def _address(parts: SplitResult) -> Address | None:
    """The address that a URL names, None for a socket in the file system."""
    if parts.scheme == "unix":
        return None
    return Address(parts.hostname or "localhost", parts.port or REDIS_PORT)


def _database(parts: SplitResult) -> int | None:
    """The database that a URL names, 0 where it names none, None where it is no number."""
    text = (parse_qs(parts.query).get("db") or [""])[0]
    if parts.scheme != "unix":
        text = text or parts.path.strip("/")
    if not text:
        return 0
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None
