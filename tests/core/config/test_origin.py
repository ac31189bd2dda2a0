"""Where values come from, and what may be seen of secrets."""

from __future__ import annotations

import pytest

from fetchml_core.config.findings import Report
from fetchml_core.config.kinds import all_kinds, kind_named
from fetchml_core.config.load import Loaded, is_toml, parse
from fetchml_core.config.node import Node
from fetchml_core.config.option import walk
from fetchml_core.config.origin import masked, settings_of, to_fields
from fetchml_core.config.validate import validate
from fetchml_core.config.written import Item, file_lines, lay_out, quoted
from tests.core.config.support import SAMPLES

HASH = "0123456789abcdef" * 4


def settings(tmp_path, text, kind="api", environ=None):
    """The settings of *text* by key."""
    known = kind_named(kind)
    path = tmp_path / known.file
    path.write_text(text, "utf-8")
    return _settings(path, known, environ)


def _settings(path, kind, environ):
    checked = validate(path, environ or {}, kind=kind, name=path.name)
    assert checked.loaded is not None, checked.findings
    root = parse("\n".join(checked.lines), Report(""), toml=is_toml(path, checked.kind))
    return {".".join(one.key): one for one in settings_of(checked.loaded, root, path.name)}


def test_each_value_tells_where_it_came_from(tmp_path):
    """File and line, the variable inside a value, the variable of the option, or the default."""
    text = 'base_path: "${DATA}/x"\nlogging:\n  level: info\n  file: a.log\n'
    found = settings(tmp_path, text, environ={"DATA": "/data", "FETCHML_LOG_LEVEL": "debug"})

    assert str(found["base_path"].origin) == "server.yaml:1 via ${DATA}"
    assert (found["base_path"].value, found["base_path"].written) == ("/data/x", "${DATA}/x")
    assert str(found["logging.level"].origin) == "environment FETCHML_LOG_LEVEL"
    assert (found["logging.level"].value, found["logging.level"].written) == ("debug", "info")
    assert str(found["logging.file"].origin) == "server.yaml:4"
    assert str(found["auth.enabled"].origin) == "default"
    assert found["auth.enabled"].written is None


def test_every_option_is_told_in_the_order_of_the_schema():
    """Without a file too; nothing is left out."""
    for kind in all_kinds():
        found = [one.key for one in settings_of(Loaded(kind.cls()), Node({}))]
        assert found == [key for key, _ in walk(kind.cls) if "*" not in key]


def test_names_that_the_file_chose_are_keys_and_aliases_are_not(tmp_path):
    """Users and permissions come one by one, under the proper name of the section."""
    text = f"auth:\n  enabled: true\n  apikeys:\n    al.ice:\n      hash: {HASH}\n      permissions:\n        jobs:read: true\n"
    found = settings(tmp_path, text)

    assert found["auth.api_keys.al.ice.permissions.jobs:read"].value is True
    assert str(found["auth.api_keys.al.ice.permissions.jobs:read"].origin) == "server.yaml:7"
    assert str(found["auth.api_keys.al.ice.admin"].origin) == "default"


def test_an_empty_text_is_what_the_file_says_and_nothing_behind_a_key_is_not(tmp_path):
    """``""`` switches off; ``key:`` leaves the default."""
    found = settings(tmp_path, 'redis:\n  password: ""\n  db:\n')

    assert str(found["redis.password"].origin) == "server.yaml:2"
    assert (str(found["redis.db"].origin), found["redis.db"].value) == ("default", 0)


def test_a_list_tells_the_variables_of_its_items(tmp_path):
    """Each of them, once."""
    text = 'security:\n  ip_whitelist: ["${NET}", "10.0.0.0/8", "${NET}"]\n'
    found = settings(tmp_path, text, environ={"NET": "192.168.0.0/16"})["security.ip_whitelist"]

    assert found.value == ["192.168.0.0/16", "10.0.0.0/8", "192.168.0.0/16"]
    assert str(found.origin) == "server.yaml:2 via ${NET}"


def test_what_is_switched_on_and_not_active_yet_is_marked(tmp_path):
    """The key itself, or ``enabled`` of its section."""
    text = "snapshot_store:\n  enabled: true\n  bucket: jobs\ndata_dir: d\nmax_workers: 2\n"
    found = settings(tmp_path, text, "worker")

    assert {key for key, one in found.items() if one.idle} == {"snapshot_store.enabled", "data_dir"}


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("", ""),
        ("hunter2", "***"),
        ("${REDIS_PASSWORD}", "${REDIS_PASSWORD}"),
        ("${A}hunter2", "***"),
        ("redis://:hunter2@redis:6379/0", "redis://:***@redis:6379/0"),
        ("redis://:${PW}@redis:6379/0", "redis://:${PW}@redis:6379/0"),
        ("redis://:hunter2${PW}@redis:6379/0", "redis://:***@redis:6379/0"),
        ("redis://user:hunter2@redis", "redis://user:***@redis"),
        ("redis://hunter2@redis", "redis://***@redis"),
        ("redis://:hun@ter2@redis:6379", "redis://:***@redis:6379"),
        ("redis://:hun/ter2@redis", "redis://:***@redis"),
        ("redis://:hun?ter#2@redis", "redis://:***@redis"),
        ("redis://localhost:6379", "redis://localhost:6379"),
        ("redis://:hunter2", "***"),
        ("redis://:12345", "***"),
        ("redis://host?password=hunter2", "***"),
        ("postgres://u:p@db/x?password=hunter2", "postgres://***"),
        ("u:hunter2@tcp(db:3306)/x", "***"),
        ("host=db password=hunter2", "***"),
    ],
)
def test_what_may_be_seen_of_a_secret(text, seen):
    """A URL without its password and a reference; of anything else nothing."""
    assert masked(text) == seen


def test_a_password_in_a_url_is_masked_whatever_the_option():
    """An address that should hold no password may hold one; other texts are shown."""
    assert masked("https://me:hunter2@minio:9000", secret=False) == "https://me:***@minio:9000"
    assert masked("just a text", secret=False) == "just a text"


def test_no_secret_of_any_sample_is_told():
    """Neither what stands there nor what a variable stands for."""
    for path in SAMPLES:
        found = _settings(path, None, {"REDIS_PASSWORD": "hunter2"})
        told = repr([to_fields(one) for one in found.values()])
        assert "CHANGE_ME" not in told, path
        assert "hunter2" not in told, path
        assert "api-key>" not in told, path


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_what_is_shown_is_a_file_with_the_same_meaning(path):
    """Written out and read again, every value is the same."""
    toml = path.suffix == ".toml"
    found = _settings(path, None, {"REDIS_PASSWORD": "hunter2"})
    items = [Item(one.key, one.value) for one in found.values() if one.value is not None]
    report = Report("")

    root = parse("\n".join(lay_out(list(file_lines(items, toml=toml)))), report, toml=toml)

    assert report.sorted() == ()
    for item in items:
        assert plain(at(root, item.key)) == item.value, item.key


def at(node, key):
    """The node of *key* below *node*."""
    for part in key:
        node = node.value[part].node
    return node


def plain(node):
    """The value of a node."""
    return [plain(item) for item in node.value] if isinstance(node.value, list) else node.value


@pytest.mark.parametrize(
    "text", ['a"b', "a\\b", "a\nb", "\x00\x1b[31m", "\u202e\ufeff", "\U0001f600\U000e0001", "# no", "true"]
)
@pytest.mark.parametrize("toml", [True, False])
def test_any_text_comes_back_as_it_was(text, toml):
    """Quoted, it is the same text in both formats, and nothing in it can move a cursor."""
    line = ("a = " if toml else "a: ") + quoted(text)

    root = parse(line, Report(""), toml=toml)

    assert root.value["a"].node.value == text
    assert line.isprintable()


def test_keys_that_are_no_words_are_quoted():
    """``*``, ``jobs:read``, ``true`` and a name with a dot."""
    items = [Item(("m", name), 1) for name in ("*", "jobs:read", "true", "a.b", "", "plain-1")]
    for toml in (True, False):
        text = "\n".join(lay_out(list(file_lines(items, toml=toml))))
        root = parse(text, Report(""), toml=toml)
        assert list(root.value["m"].node.value) == ["*", "jobs:read", "true", "a.b", "", "plain-1"]


def test_json_says_it_all_in_plain_data(tmp_path):
    """For scripts: key, value, origin, line, variables."""
    found = settings(tmp_path, 'redis:\n  url: "redis://:${PW}@r"\n', environ={"PW": "hunter2"})

    assert to_fields(found["redis.url"]) == {
        "key": "redis.url",
        "value": "redis://:${PW}@r",
        "written": "redis://:${PW}@r",
        "origin": "file",
        "file": "server.yaml",
        "line": 2,
        "variables": ["PW"],
        "secret": True,
        "active": bool(found["redis.url"].field.option.read_by),
    }
