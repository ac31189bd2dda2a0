"""Rules about the queue and about Redis, in both files."""

from __future__ import annotations

import pytest

from tests.core.config.rules_support import only, problems, told

API = "queue: {type: redis}\nredis:\n"
WORKER = "queue: {type: redis}\n"


@pytest.mark.parametrize(
    ("url", "hint"),
    [
        ("redis://redis:6379", None),
        ("redis://redis", None),
        ("redis://redis:6379/2", None),
        ("redis://redis:6379?db=2", None),
        ("rediss://:pw@redis:6379/0", None),
        ("unix:///run/redis.sock?db=1", None),
        ("redis:6379", "put redis:// before it, or name it redis.addr"),
        ("redis", "put redis:// before it, or name it redis.addr"),
        ("http://redis:6379", "write redis://, or rediss:// for TLS"),
        ("redis://redis:63790000", "write it like redis://redis:6379/0"),
        ("redis://redis:0", "write it like redis://redis:6379/0"),
        ("redis://redis/first", "write it like redis://redis:6379/0"),
        ("redis://:pa/ss@redis:6379", "write it like redis://redis:6379/0"),
        ("redis://[redis", "write it like redis://redis:6379/0"),
        ("s3cret pass", "write it like redis://redis:6379/0"),
        ("al:s3cret@redis:6379", "write it like redis://redis:6379/0"),
    ],
)
def test_urls(url, hint):
    """A URL has a scheme of Redis, a port and a database that are numbers; nothing of it is shown."""
    found = problems(f"{API}  url: '{url}'\n")

    expected = [] if hint is None else [("bad-redis-url", "error", 3, hint)]
    assert [(one.code, one.severity, one.line, one.hint) for one in found] == expected
    assert "s3cret" not in repr(found)


@pytest.mark.parametrize(
    ("lines", "differing"),
    [
        ("  url: redis://redis:6379\n  addr: redis:6379\n", []),
        ("  url: redis://redis\n  addr: redis\n", []),
        ("  url: redis://redis:6379\n  addr: other:6379\n", ["addr"]),
        ("  url: redis://redis:6379\n  addr: redis:6380\n", ["addr"]),
        ("  url: unix:///run/redis.sock\n  addr: redis\n", ["addr"]),
        ("  url: redis:///1\n  addr: localhost\n", []),
        ("  url: redis://:a@redis\n  password: a\n", []),
        ("  url: redis://:a%40b@redis\n  password: a@b\n", []),
        ("  url: redis://:a@redis\n  password: b\n", ["password"]),
        ("  url: redis://redis\n  password: b\n", ["password"]),
        ("  url: redis://redis\n  password: ''\n", []),
        ("  url: redis://redis/3\n  db: 3\n", []),
        ("  url: redis://redis\n  db: 0\n", []),
        ("  url: redis://redis/3\n", []),
        ("  url: redis://redis/3\n  db: 0\n", ["db"]),
        ("  url: redis://redis\n  db: 3\n", ["db"]),
        ("  url: unix:///run/redis.sock?db=1\n  db: 2\n", ["db"]),
        ("  url: redis://redis/1\n  addr: other\n  password: b\n  db: 2\n", ["addr", "password", "db"]),
        ("  addr: other\n  password: b\n  db: 2\n", []),
        ("  url: ''\n  addr: other\n", []),
    ],
)
def test_settings_agree(lines, differing):
    """The URL wins; whatever else names Redis must say the same, in both files."""
    flat = lines.replace("  ", "redis_")

    assert [one.key for one in problems(API + lines)] == [f"redis.{name}" for name in differing]
    assert [one.key for one in problems(WORKER + flat, "workers")] == [f"redis_{name}" for name in differing]


def test_a_disagreement_names_both_lines():
    """Both keys and lines, no value."""
    found = only(API + "  url: redis://:s3cret@redis\n  password: other\n")

    assert (found.code, found.severity, found.line) == ("redis-disagrees", "error", 4)
    assert (
        found.message == "redis.password (line 4) names another password than redis.url (line 3), which wins"
    )
    assert [place.line for place in found.also] == [3]
    assert "s3cret" not in repr(found)


@pytest.mark.parametrize(
    ("text", "kind", "message", "hint"),
    [
        (
            "redis: {addr: redis, password: '', db: 0, max_connections: 5}",
            "api",
            "redis.addr, redis.db, redis.max_connections have no effect",
            'add the two lines "queue:" and "  type: redis"; or remove the Redis settings',
        ),
        (
            "redis_url: redis://redis\n",
            "workers",
            "redis_url has no effect",
            'add the two lines "queue:" and "  type: redis"; or remove the Redis settings',
        ),
        (
            "queue: {type: native}\nredis_addr: redis\n",
            "workers",
            "redis_addr has no effect",
            'write "type: redis" in the section queue; or remove the Redis settings',
        ),
    ],
)
def test_redis_that_is_not_used(text, kind, message, hint):
    """One warning for all settings, with the two lines to add."""
    found = only(text, kind)

    assert (found.code, found.severity) == ("redis-not-used", "warning")
    assert found.message == f"Redis is not used, as the queue is native: {message}"
    assert found.hint == hint


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("redis: {url: '', addr: '', password: ''}", "api"),
        ("redis_url: ''\nredis_password: ''\n", "workers"),
        ("redis:\n", "api"),
    ],
)
def test_empty_settings_are_unset(text, kind):
    """Empty texts are no settings."""
    assert not [one for one in problems(text, kind) if one.code != "empty-value"]


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ("", ["1 warning redis-missing"]),
        ("redis_addr: ''\n", ["1 warning redis-missing"]),
        ("redis_password: pw\n", ["1 warning redis-missing"]),
        ("redis_url: redis://redis\n", []),
        ("redis_addr: redis\n", []),
    ],
)
def test_a_worker_needs_a_redis(more, expected):
    """A worker file with a Redis queue says where Redis is, or leaves it to the api file, which has a default."""
    assert told(WORKER + more, "workers") == expected
    assert told("queue: {type: redis}\n") == []


@pytest.mark.parametrize("kind", ["api", "workers"])
@pytest.mark.parametrize(
    ("queue", "expected"),
    [
        ("{native: {data_dir: /data/q}}", []),
        ("{sqlite_path: /data/q}", ["1 warning queue-path-not-used"]),
        ("{type: sqlite, sqlite_path: /data/q}", []),
        ("{type: sqlite, native: {data_dir: /data/q}}", ["1 warning queue-path-not-used"]),
        ("{type: filesystem, filesystem_path: /data/q}", []),
        ("{type: redis, filesystem_path: /data/q}", ["1 warning queue-path-not-used"]),
        ("{type: redis, filesystem_path: /data/q, fallback_to_filesystem: true}", []),
        (
            "{type: redis, sqlite_path: /data/q, fallback_to_filesystem: true}",
            ["1 warning queue-path-not-used"],
        ),
        ("{fallback_to_filesystem: true}", ["1 warning fallback-not-used"]),
        (
            "{filesystem_path: /data/q, fallback_to_filesystem: true}",
            ["1 warning queue-path-not-used", "1 warning fallback-not-used"],
        ),
    ],
)
def test_queue_settings(kind, queue, expected):
    """A path of another backend and a fallback from nothing are told."""
    redis = "redis_addr: redis\n" if kind == "workers" and "redis" in queue else ""

    assert told(f"queue: {queue}\n{redis}", kind) == expected


@pytest.mark.parametrize("addr", ["redis:6379", "redis", "10.0.0.1:1", "[::1]:6379"])
def test_addresses(addr):
    """Host and port, or the host alone."""
    assert told(f"{API}  addr: '{addr}'\n") == []


@pytest.mark.parametrize(
    ("addr", "hint"),
    [
        ("redis 6379", 'write "redis:6379"'),
        ("!", 'write it like "redis:6379"'),
        ("redis://redis:6379", 'write "redis:6379"'),
        ("::1", 'write "[::1]:6379"'),
        ("redis:x", "a port is a number from 1 to 65535"),
    ],
)
def test_bad_addresses(addr, hint):
    """A URL, an address without brackets and a port that is none are told with what to write."""
    found = only(f"{API}  addr: '{addr}'\n")

    assert (found.code, found.hint) == ("bad-address", hint)
    assert found.expected == "host:port, or host for port 6379"
