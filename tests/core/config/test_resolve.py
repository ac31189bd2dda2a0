"""Both files of a base lead to one queue, whoever reads them."""

from __future__ import annotations

from pathlib import Path

import pytest

from fetchml_core.config.load import load_server, load_worker
from fetchml_core.config.redis_url import show_url
from fetchml_core.config.resolve import QueueChoice, audit_file, data_root, resolve_queue
from fetchml_core.config.server import ServerConfig
from fetchml_core.config.shared import NativeQueue, QueueConfig
from fetchml_core.config.worker import WorkerConfig
from fetchml_core.errors import ConfigError
from tests.core.config.support import CONFIGS

BASE = Path("/base")


def server(tmp_path, text):
    """The api file with *text*, loaded; None for None."""
    if text is None:
        return None
    path = tmp_path / "server.yaml"
    path.write_text(text)
    return load_server(path, {})


def worker(tmp_path, text):
    """The worker file with *text*, loaded; None for None."""
    if text is None:
        return None
    path = tmp_path / "worker.yaml"
    path.write_text(text)
    return load_worker(path, {})


def native(path):
    """A queue section that names *path*."""
    return f"queue: {{type: native, native: {{data_dir: {path}}}}}\n"


SILENT = "data_dir: x\n"


@pytest.mark.parametrize(
    ("api", "work", "path"),
    [
        (None, None, "/base/data/queue"),
        (SILENT, None, "/base/data/queue"),
        (SILENT, SILENT, "/base/data/queue"),
        (None, "base_path: d\n", "/base/d/queue"),
        (None, "base_path: /d\n", "/d/queue"),
        (native("q"), None, "/base/q"),
        (None, native("q"), "/base/q"),
        (native("q"), "base_path: d\n", "/base/q"),
        (native("q"), SILENT, "/base/q"),
        (SILENT, native("/q"), "/q"),
        (native("q"), native("./x/../q"), "/base/q"),
        ("queue: {type: native}\n", native("q"), "/base/q"),
        ("queue: {type: ''}\n", native("q"), "/base/q"),
        (native("''"), "base_path: d\n", "/base/d/queue"),
        ("base_path: elsewhere\n", None, "/base/data/queue"),
    ],
)
def test_one_queue(tmp_path, api, work, path):
    """Where one file is silent the other counts; without a word it lies in the data folder."""
    choice = resolve_queue(server(tmp_path, api), worker(tmp_path, work), BASE)

    assert choice == QueueChoice("native", Path(path))


@pytest.mark.parametrize(
    ("api", "work", "values"),
    [
        (native("a"), native("b"), ("/base/a", "/base/b")),
        ("queue: {type: redis}\n", native("b"), ("redis", "native")),
        ("queue: {type: sqlite}\n", "queue: {type: redis}\n", ("sqlite", "redis")),
    ],
)
def test_disagreement(tmp_path, api, work, values):
    """Two different queues are an error that names both files and both values."""
    with pytest.raises(ConfigError) as caught:
        resolve_queue(server(tmp_path, api), worker(tmp_path, work), BASE)

    assert caught.value.code == "queue-disagrees"
    for file, value in zip(("server.yaml", "worker.yaml"), values, strict=True):
        assert f"{tmp_path / file}: {value}" in caught.value.context


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("queue: {type: sqlite}\n", "/base/data/queue.sqlite"),
        ("queue: {type: sqlite, sqlite_path: q.db, filesystem_path: f}\n", "/base/q.db"),
        ("queue: {type: filesystem}\n", "/base/data/queue-files"),
        ("queue: {type: filesystem, filesystem_path: /f, native: {data_dir: q}}\n", "/f"),
    ],
)
def test_each_type_has_its_place(tmp_path, text, path):
    """The key of its own type names where a queue lies; those of other types do not count."""
    choice = resolve_queue(server(tmp_path, text), worker(tmp_path, SILENT), BASE)

    assert choice == QueueChoice(text.split("type: ")[1].split("}")[0].split(",")[0], Path(path))


@pytest.mark.parametrize(
    ("api", "work", "url"),
    [
        ("", "", "redis://localhost:6379"),
        ("redis: {url: 'rediss://:s3cret@r:6380/2'}\n", "", "rediss://:s3cret@r:6380/2"),
        ("redis: {url: 'redis://a', addr: 'a:6379'}\n", "", "redis://a"),
        ("redis: {addr: 'a:1', password: 'p/@', db: 3}\n", "", "redis://:p%2F%40@a:1/3"),
        ("redis: {password: s3cret}\n", "", "redis://:s3cret@localhost:6379/0"),
        ("", "redis_url: 'redis://b:1/4'\n", "redis://b:1/4"),
        ("", "redis_addr: 'b:1'\nredis_password: s3cret\nredis_db: 5\n", "redis://:s3cret@b:1/5"),
        ("redis: {addr: 'b:1'}\n", "redis_addr: 'b:1'\n", "redis://b:1/0"),
    ],
)
def test_redis_is_found(tmp_path, api, work, url):
    """A URL wins over parts, parts make one; where one file is silent the other counts."""
    kind = "queue: {type: redis}\n"
    choice = resolve_queue(server(tmp_path, kind + api), worker(tmp_path, kind + work), BASE)

    assert (choice.type, choice.url, choice.fallback) == ("redis", url, False)
    assert "s3cret" not in repr(choice) + choice.label
    assert choice.label.startswith(("redis://", "rediss://"))


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("queue: {type: redis, fallback_to_filesystem: true}\n", "/base/data/queue-fallback"),
        ("queue: {type: redis, fallback_to_filesystem: true, filesystem_path: f}\n", "/base/f"),
    ],
)
def test_the_fallback_has_its_place(tmp_path, text, path):
    """Either file may ask for the fallback; it lies in a folder of its own, or where the files say."""
    more = "redis: {max_connections: 3}\n"
    choice = resolve_queue(server(tmp_path, text + more), worker(tmp_path, SILENT), BASE)

    assert (choice.fallback, choice.path, choice.connections) == (True, Path(path), 3)
    assert resolve_queue(None, worker(tmp_path, text), BASE).fallback


def test_two_passwords_disagree_and_are_not_shown(tmp_path):
    """That the files name one server with two passwords is said without either."""
    with pytest.raises(ConfigError, match="the password or an option is not") as caught:
        resolve_queue(
            server(tmp_path, "queue: {type: redis}\nredis: {url: 'redis://:s3cret@r:1/0'}\n"),
            worker(tmp_path, "redis_addr: 'r:1'\nredis_password: hunter2\n"),
            BASE,
        )

    assert caught.value.code == "queue-disagrees"
    assert "redis://r:1/0" in caught.value.context
    assert "s3cret" not in str(caught.value) + caught.value.context
    assert "hunter2" not in str(caught.value) + caught.value.context


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://", "redis://localhost:6379/0"),
        ("redis://user:s3cret@[::1]:7/2", "redis://[::1]:7/2"),
        ("rediss://r?db=4&ssl_ca_certs=/x", "rediss://r:6379/4"),
        ("unix:///run/redis.sock?db=2&password=s3cret", "unix:///run/redis.sock?db=2"),
    ],
)
def test_a_url_is_shown_without_secrets(url, shown):
    """Scheme, place and database stay, as they tell one queue from another."""
    assert show_url(url) == shown


def test_records_without_a_file():
    """Plain records work like loaded files."""
    named = WorkerConfig(base_path="d", queue=QueueConfig(native=NativeQueue(data_dir="q")))

    assert resolve_queue(ServerConfig(), WorkerConfig(base_path="d"), BASE).path == Path("/base/d/queue")
    assert resolve_queue(ServerConfig(), named, BASE).path == Path("/base/q")
    assert resolve_queue(ServerConfig(queue=QueueConfig(type="redis")), None, BASE).type == "redis"


def test_the_development_files_agree():
    """The samples for development resolve to the queue they name."""
    api = load_server(CONFIGS / "api" / "dev.yaml", {})
    work = load_worker(CONFIGS / "workers" / "dev-local.yaml", {})

    assert resolve_queue(api, work, BASE).path == Path("/base/data/dev/queue")
    assert data_root(work, BASE) == Path("/base/data/dev/experiments")
    assert audit_file(api, BASE) == Path("/base/data/dev/logs/fetchml-audit.log")


def test_data_root_without_a_worker_file():
    """Without a worker file, or a word in it, data lies in `data`."""
    assert data_root(None, BASE) == Path("/base/data")
    assert data_root(WorkerConfig(), BASE) == Path("/base/data")


def test_audit_file(tmp_path):
    """Audit records go nowhere while it is off, and to the base when no path is named."""
    assert audit_file(None, BASE) is None
    assert audit_file(server(tmp_path, SILENT), BASE) is None
    enabled = server(tmp_path, "security: {audit_logging: {enabled: true}}\n")
    assert audit_file(enabled, BASE) == Path("/base/audit.log")
