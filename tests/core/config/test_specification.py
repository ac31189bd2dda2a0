"""The schema has the keys, types and defaults of the configuration reference, and nothing else without a reason."""

from __future__ import annotations

import ast
import importlib
import inspect
import textwrap
from pathlib import Path

import pytest

from fetchml_core.config.environment import VARIABLES
from fetchml_core.config.findings import Report
from fetchml_core.config.load import parse
from fetchml_core.config.option import fields_of, walk
from fetchml_core.config.profile import Profile
from fetchml_core.config.server import ServerConfig
from fetchml_core.config.worker import WorkerConfig
from tests.core.config.specification import (
    ALIASES,
    ENVIRONMENT,
    OURS,
    PROFILE,
    SERVER_SAMPLES_ONLY,
    TABLES,
    UNSET,
    WORKER_SAMPLES_ONLY,
    WORKER_TABLES,
)
from tests.core.config.support import SAMPLES

ROOT = Path(__file__).parents[3]
TYPES = {"bool": "bool", "int": "int", "list": "array", "map": "map"}
IN_WORKER = {key: fact for key, fact in TABLES.items() if key.split(".")[0] in WORKER_TABLES}
EXPECTED = {
    ServerConfig: {**TABLES, **SERVER_SAMPLES_ONLY},
    WorkerConfig: {**IN_WORKER, **WORKER_SAMPLES_ONLY, **OURS},
    Profile: PROFILE,
}


def data_of(path):
    """A sample as plain data."""

    def plain(node):
        return (
            {key: plain(entry.node) for key, entry in node.value.items()}
            if isinstance(node.value, dict)
            else node.value
        )

    return plain(parse(path.read_text("utf-8"), Report(""), toml=path.suffix == ".toml"))


def schema(cls):
    """Key to type and default, in the reference's words."""
    facts = {}
    for key, field in walk(cls):
        default = list(field.default) if field.kind == "list" else field.default
        facts[".".join(key)] = (
            TYPES.get(field.kind, "string"),
            UNSET if default is None or default == "" else default,
        )
    return facts


@pytest.mark.parametrize("cls", EXPECTED, ids=lambda cls: cls.__name__)
def test_keys_types_and_defaults(cls):
    """No key is missing, none is extra, and each has the type and default of the reference."""
    assert schema(cls) == EXPECTED[cls]


def test_defaults_are_what_an_empty_file_gives():
    """A default in a record is the default that the schema tells."""
    for cls in EXPECTED:
        for key, field in walk(cls):
            if "*" in key:
                continue
            value = cls()
            for part in key:
                value = getattr(value, part)

            assert value == field.default


def test_aliases():
    """Other names of a key lead to it, and there are no further ones."""
    aliases = {
        ".".join((*key[:-1], field.option.alias)): ".".join(key)
        for key, field in walk(ServerConfig)
        if field.option.alias
    }

    assert aliases == ALIASES


def test_own_keys_carry_their_reason():
    """A key beyond the reference says why it exists; no other key does."""
    with_reason = {".".join(key) for cls in EXPECTED for key, field in walk(cls) if field.option.reason}

    assert with_reason == set(OURS)


def test_every_option_is_explained():
    """Each option has a help sentence, and an example where its default says nothing."""
    for cls in EXPECTED:
        for key, field in walk(cls):
            assert field.option.help.endswith("."), key
            assert (
                field.option.example
                or (field.default is not None and field.default != "")
                or field.option.choices
            ), key


def reader(name):
    """The syntax tree of what `module:qualname` names."""
    module, _, path = name.partition(":")
    found = importlib.import_module(module)
    for part in path.split("."):
        found = getattr(found, part)
    found = found.fget if isinstance(found, property) else found
    return ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(found))))


@pytest.mark.parametrize("cls", EXPECTED, ids=lambda cls: cls.__name__)
def test_readers_read(cls):
    """What `read_by` names can be imported, and the option's name is an attribute that it asks for."""
    for key, field in walk(cls):
        if field.option.read_by:
            asked = {
                node.attr
                for node in ast.walk(reader(field.option.read_by))
                if isinstance(node, ast.Attribute)
            }

            assert key[-1] in asked, f"{'.'.join(key)}: {field.option.read_by} does not read it"


# Names that other things have too, so that meeting one tells nothing.
COMMON = {
    "address",
    "connection",
    "data_dir",
    "database",
    "db",
    "enabled",
    "host",
    "interval",
    "password",
    "path",
    "port",
}
COMMON |= {"bucket", "prefix", "secure", "timeout", "type", "url", "user", "username", "max_retries"}


def test_nothing_reads_on_the_sly():
    """An option that is marked not active yet in all files is no attribute that code beside the rules asks for."""
    asked = {
        node.attr: str(path)
        for path in (ROOT / "fetchml_core").rglob("*.py")
        if "config/rules" not in str(path)
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Attribute)
    }
    options = [(key[-1], bool(field.option.read_by)) for cls in EXPECTED for key, field in walk(cls)]
    idle = {name for name, read in options if not read} - {name for name, read in options if read} - COMMON

    assert {name: asked[name] for name in idle & asked.keys()} == {}


def test_default_of_a_key_that_only_samples_show():
    """It is the value that all samples with the key share, else off: no list or bool, nothing for the others."""
    samples = [data_of(path) for path in SAMPLES if path.parent.name == "workers"]
    for key, (kind, default) in WORKER_SAMPLES_ONLY.items():
        values = [value for data in samples for value in found(data, key.split("."))]
        shared = values[0] if values and all(value == values[0] for value in values) else None
        off = {"bool": False, "array": [], "map": {}}.get(kind, UNSET)

        assert values, f"no sample shows {key}"
        assert default == (off if shared in (None, "") else shared), key


def found(data, key):
    """The value at *key*, as a list of one, or of none."""
    for part in key:
        if not isinstance(data, dict) or part not in data:
            return []
        data = data[part]
    return [data]


def test_environment():
    """The variables, their defaults and the values that the reference lists; a reader asks for each by its name."""
    assert {
        one.name: (one.default or UNSET, ENVIRONMENT[one.name][1] and one.choices) for one in VARIABLES
    } == ENVIRONMENT
    for one in VARIABLES:
        if one.read_by:
            words = {node.value for node in ast.walk(reader(one.read_by)) if isinstance(node, ast.Constant)}
            names = {node.attr for node in ast.walk(reader(one.read_by)) if isinstance(node, ast.Attribute)}

            assert (
                one.name in words or "env" in names or one.name.removeprefix("FETCH_ML_").lower() in names
            ), one.name


def test_environment_and_options_agree():
    """A variable that overrides a key is the one that the key names, with the same values, and the other way round."""
    by_key = {one.key: one for one in VARIABLES if one.key}
    named = {".".join(key): field.option for cls in EXPECTED for key, field in walk(cls) if field.option.env}

    assert {key: one.name for key, one in by_key.items()} == {key: about.env for key, about in named.items()}
    assert {key: one.choices for key, one in by_key.items()} == {
        key: about.choices for key, about in named.items()
    }


def test_secrets_are_not_in_a_repr():
    """Printing a configuration, as a traceback would, shows no secret."""
    from fetchml_core.config.server import ApiKey, AuthConfig, RedisConfig

    config = ServerConfig(
        auth=AuthConfig(api_keys={"alice": ApiKey(hash="hush-hash")}),
        redis=RedisConfig(url="redis://:hush-url@h", password="hush-password"),
    )
    texts = repr(config) + repr(WorkerConfig(redis_password="hush", redis_url="hush"))

    assert "hush" not in texts


def test_sections_have_fields_of_their_own():
    """`fields_of` knows sections, maps and optional numbers."""
    fields = fields_of(WorkerConfig)

    assert fields["queue"].kind == "section"
    assert fields["max_workers"].optional
    assert fields_of(type(ServerConfig().auth))["api_keys"].kind == "map"
