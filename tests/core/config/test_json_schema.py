"""The JSON Schemas take what the loader takes, and refuse what one value at a time can tell.

Checked with `jsonschema`, the library under check-jsonschema; draft 7 is what editors read.
"""

from __future__ import annotations

import copy
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft7Validator

from fetchml_core.config.findings import Report, errors_of
from fetchml_core.config.json_schema import describe, example_value, json_schema
from fetchml_core.config.kinds import all_kinds, kind_named
from fetchml_core.config.load import check_tree, parse
from fetchml_core.config.node import Entry, Node
from fetchml_core.config.option import walk
from fetchml_core.config.rules.base import is_placeholder
from tests.core.config.support import CONFIGS

FOLDERS = {"api": "api", "workers": "worker", "cli": "profile"}
SAMPLES = {path: FOLDERS[folder] for folder in FOLDERS for path in sorted((CONFIGS / folder).iterdir())}
SCHEMAS = {kind.name: json_schema(kind) for kind in all_kinds()}
VALIDATORS = {name: Draft7Validator(schema) for name, schema in SCHEMAS.items()}
ENVIRON = {"REDIS_PASSWORD": "x", "SET": "1"}
HASH = "ab" * 32


def plain(node):
    """A tree as JSON has it."""
    if isinstance(node.value, dict):
        return {key: plain(entry.node) for key, entry in node.value.items()}
    return [plain(item) for item in node.value] if isinstance(node.value, list) else node.value


def tree(value):
    """The tree of what JSON has."""
    if isinstance(value, dict):
        return Node({key: Entry(tree(inner).place, tree(inner)) for key, inner in value.items()})
    return Node([tree(item) for item in value] if isinstance(value, list) else value)


def data_of(path):
    """A sample as JSON has it."""
    return plain(parse(path.read_text("utf-8"), Report(""), toml=path.suffix == ".toml"))


def codes(value, kind):
    """The codes of the loader's errors about *value*."""
    _, findings = check_tree(tree(value), None, Report(""), ENVIRON, kind_named(kind))
    return {found.code for found in errors_of(findings)}


def refused(value, kind):
    """What the schema says about *value*."""
    return [f"{list(error.path)}: {error.message[:200]}" for error in VALIDATORS[kind].iter_errors(value)]


DATA = {path: data_of(path) for path in SAMPLES}


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_is_a_schema(name):
    """The metaschema of its draft has nothing against it."""
    Draft7Validator.check_schema(SCHEMAS[name])


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_every_sample_is_valid(path):
    """What we ship pleases the editor that opens it."""
    assert refused(DATA[path], SAMPLES[path]) == []


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_every_sample_names_its_schema(path):
    """The first line leads an editor to the schema of the file's own kind, and that file exists."""
    first = path.read_text("utf-8").split("\n")[0]
    start = "# yaml-language-server: $schema=" if path.suffix == ".yaml" else "#:schema "

    assert first.startswith(start)
    assert (path.parent / first.removeprefix(start)).resolve() == CONFIGS / "schema" / f"{SAMPLES[path]}.json"
    assert (CONFIGS / "schema" / f"{SAMPLES[path]}.json").is_file()


# Kind, file, and where the schema must object.
BAD = [
    ("api", {"atuh": {}}, []),
    ("api", {"auth": []}, ["auth"]),
    ("api", {"auth": {"enabled": "false"}}, ["auth", "enabled"]),
    ("api", {"auth": {"enabled": 1}}, ["auth", "enabled"]),
    ("api", {"auth": {"api_keys": {"a": {"admin": True}}}}, ["auth", "api_keys", "a"]),
    ("api", {"auth": {"api_keys": {"a": {"hash": "ab" * 31}}}}, ["auth", "api_keys", "a", "hash"]),
    ("api", {"auth": {"api_keys": {"a": {"hash": "AB" * 32}}}}, ["auth", "api_keys", "a", "hash"]),
    ("api", {"auth": {"api_keys": {"a": {"hash": ""}}}}, ["auth", "api_keys", "a", "hash"]),
    ("api", {"auth": {"api_keys": {"a": None}}}, ["auth", "api_keys", "a"]),
    (
        "api",
        {"auth": {"api_keys": {"a": {"hash": HASH, "roles": "admin"}}}},
        ["auth", "api_keys", "a", "roles"],
    ),
    (
        "api",
        {"auth": {"api_keys": {"a": {"hash": HASH, "permissions": {"jobs:read": "yes"}}}}},
        ["auth", "api_keys", "a", "permissions", "jobs:read"],
    ),
    ("api", {"auth": {"api_keys": {}, "apikeys": {}}}, ["auth"]),
    ("api", {"monitoring": {"prometheus": {"port": 0}}}, ["monitoring", "prometheus", "port"]),
    ("api", {"monitoring": {"prometheus": {"port": 65536}}}, ["monitoring", "prometheus", "port"]),
    ("api", {"monitoring": {"prometheus": {"port": "9101"}}}, ["monitoring", "prometheus", "port"]),
    ("api", {"monitoring": {"health_checks": {"interval": 30}}}, ["monitoring", "health_checks", "interval"]),
    (
        "api",
        {"monitoring": {"health_checks": {"interval": "30"}}},
        ["monitoring", "health_checks", "interval"],
    ),
    ("api", {"resources": {"podman_memory": "4"}}, ["resources", "podman_memory"]),
    ("api", {"resources": {"podman_memory": "4 gigs"}}, ["resources", "podman_memory"]),
    ("api", {"resources": {"podman_cpus": 2}}, ["resources", "podman_cpus"]),
    ("api", {"resources": {"podman_cpus": "two"}}, ["resources", "podman_cpus"]),
    ("api", {"queue": {"type": "sqllite"}}, ["queue", "type"]),
    ("api", {"queue": {"type": 5}}, ["queue", "type"]),
    ("api", {"security": {"ip_whitelist": "127.0.0.1"}}, ["security", "ip_whitelist"]),
    ("api", {"security": {"ip_whitelist": [1]}}, ["security", "ip_whitelist", 0]),
    ("worker", {"gpu_visible_devices": [0.5]}, ["gpu_visible_devices", 0]),
    ("worker", {"gpu_vendor": "nvida"}, ["gpu_vendor"]),
    ("worker", {"heartbeat_interval": "1 minute"}, ["heartbeat_interval"]),
    ("worker", {"poll_interval_seconds": 1.5}, ["poll_interval_seconds"]),
    ("worker", {"sandbox": {"network": "host"}}, ["sandbox", "network"]),
    ("profile", {"server": {"worker_port": 70000}}, ["server", "worker_port"]),
    ("profile", {"cli": {"default_timeout": 0}}, ["cli", "default_timeout"]),
    ("profile", {"cli": {"verbose": "no"}}, ["cli", "verbose"]),
]


@pytest.mark.parametrize(("kind", "value", "where"), BAD, ids=lambda part: json.dumps(part)[:60])
def test_slips_are_refused(kind, value, where):
    """The schema objects at the right place, and so does the loader."""
    assert [list(error.absolute_path) for error in VALIDATORS[kind].iter_errors(value)] == [where]
    assert codes(value, kind)


GOOD = [
    ("api", {}),
    ("api", {"auth": None, "server": ""}),
    ("api", {"auth": {"enabled": None, "apikeys": {"a": {"hash": HASH}}}}),
    ("api", {"auth": {"api_keys": {"a": {"hash": "${SET}"}}}}),
    ("api", {"auth": {"api_keys": {"a": {"hash": "Change-Me"}}}}),
    ("api", {"logging": {"audit_log": ""}}),
    ("worker", {"max_workers": "${SET}", "task_lease_duration": "${SET}h", "gpu_vendor": ""}),
    ("worker", {"gpu_visible_devices": [0, "GPU-1"], "sandbox": {"network": "${SET}"}}),
    ("worker", {"resources": {"podman_memory": "1.5 GiB", "podman_cpus": "0.5"}, "queue": {"native": None}}),
    ("profile", {"server": {"worker_host": "", "worker_port": 22}}),
]


@pytest.mark.parametrize(("kind", "value"), GOOD, ids=lambda part: json.dumps(part)[:60])
def test_what_the_loader_takes_is_taken(kind, value):
    """Aliases, empty keys, placeholders and references to the environment are no slips."""
    assert refused(value, kind) == []
    assert codes(value, kind) <= {"bad-hash", "bad-choice"}  # what ${SET} stands for, no schema knows


KEYS = {name: dict(walk(kind_named(name).cls)) for name in SCHEMAS}


def schema_of(kind, key):
    """The part of a schema about an option."""
    schema = SCHEMAS[kind]
    for part in key:
        schema = schema["additionalProperties"] if part == "*" else schema["properties"][part]
    return schema


@pytest.mark.parametrize("kind", KEYS)
def test_every_option_is_there(kind):
    """Each option is found where it stands in a file, with its meaning and its default."""
    for key, field in KEYS[kind].items():
        schema = schema_of(kind, key)

        assert schema["description"] == describe(field)
        assert schema["title"] == ".".join(key)
        if field.default not in (None, "") and not field.option.secret:
            assert schema["default"] == (list(field.default) if field.kind == "list" else field.default)
        assert schema.get("deprecated", False) == bool(field.option.deprecated)


@pytest.mark.parametrize("kind", KEYS)
def test_every_example_is_right(kind):
    """An example passes schema and loader."""
    for key, field in KEYS[kind].items():
        if not field.option.example:
            continue
        value = example_value(field)
        for part in reversed(key):
            value = {"x" if part == "*" else part: value}
            if part == "*" and "api_keys" in key:
                value["x"] = {"hash": HASH, **value["x"]}

        assert refused(value, kind) == [], key
        assert codes(value, kind) <= {"env-unset", "remote-worker", "queue-missing"}, key


def test_secrets_are_marked_and_never_exemplified():
    """An editor may hide them, and none is offered for copying."""
    secret = [(kind, key, field) for kind in KEYS for key, field in KEYS[kind].items() if field.option.secret]

    assert secret
    for kind, key, field in secret:
        schema = schema_of(kind, key)
        assert schema["writeOnly"], key
        assert not {"default", "examples"} & schema.keys(), key
        assert field.option.example == "" or field.option.example not in json.dumps(SCHEMAS[kind]), key


@pytest.mark.parametrize(
    "text", ["CHANGE_ME", "change-me-now", "Replace-With-it", "<hash>", "changeme", "x" * 64]
)
def test_placeholders_are_known_to_both(text):
    """What a rule takes for a placeholder, the schema lets pass; and nothing else."""
    value = {"auth": {"api_keys": {"a": {"hash": text}}}}

    assert (refused(value, "api") == []) == is_placeholder(text)


# --- one slip in a sample: schema and loader agree ----------------------------------------------------------

SLIPS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 70000),
    st.sampled_from([0.5, [], {}, [1], [None], [""], ["x"], {"x": 1}, {"x": True}, [[]]]),
    st.sampled_from(["", "yes", "30m", "30", "1h30m", "-5m", "4Gi", "4 Gi", "4x", "2", "0", "0.5", "1e3"]),
    st.sampled_from(
        ["none", "nvidia", "native", "redis", "info", "${SET}", "${SET}m", "CHANGE_ME", HASH, "a b"]
    ),
)
# What a schema could tell of one value alone.
SINGLE = {"unknown-key", "wrong-type", "bad-choice", "bad-hash", "bad-duration", "duration-without-unit"}
SINGLE |= {"bad-size", "size-without-unit", "duplicate-key"}


def paths(value, before=()):
    """Every path into a tree of plain data."""
    for key, inner in value.items():
        yield (*before, key)
        if isinstance(inner, dict):
            yield from paths(inner, (*before, key))


@st.composite
def slipped(draw):
    """A sample with one slip: another value, or another key."""
    path = draw(st.sampled_from(list(SAMPLES)))
    value = copy.deepcopy(DATA[path])
    *above, last = draw(st.sampled_from(list(paths(value))))
    inner = value
    for part in above:
        inner = inner[part]
    if draw(st.booleans()):
        slip = draw(SLIPS)
        inner[last] = "" if slip is None and SAMPLES[path] == "profile" else slip  # TOML has no null
    else:
        name = draw(st.sampled_from([last + "s", last[:-1], last.upper(), "hash", "enabled", "apikeys"]))
        inner[name] = inner.pop(last)
    return SAMPLES[path], value


@settings(max_examples=1500, deadline=None)
@given(slipped())
def test_schema_and_loader_agree(case):
    """A file that the schema refuses the loader refuses; and what one value tells, the schema refuses as well."""
    kind, value = case
    said, found = refused(value, kind), codes(value, kind)

    if said:
        assert found, said
    elif "${" not in json.dumps(value):
        assert not found & SINGLE, found
