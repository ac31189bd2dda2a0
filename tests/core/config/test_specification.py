"""The schema has the keys, types and defaults of the configuration reference, and nothing else without a reason."""

from __future__ import annotations

import pytest

from fetchml_core.config.option import fields_of, walk
from fetchml_core.config.profile import Profile
from fetchml_core.config.server import ServerConfig
from fetchml_core.config.worker import WorkerConfig
from tests.core.config.specification import (
    ALIASES,
    OURS,
    PROFILE,
    SERVER_SAMPLES_ONLY,
    TABLES,
    UNSET,
    WORKER_SAMPLES_ONLY,
    WORKER_TABLES,
)

TYPES = {"bool": "bool", "int": "int", "list": "array", "map": "map"}
IN_WORKER = {key: fact for key, fact in TABLES.items() if key.split(".")[0] in WORKER_TABLES}
EXPECTED = {
    ServerConfig: {**TABLES, **SERVER_SAMPLES_ONLY},
    WorkerConfig: {**IN_WORKER, **WORKER_SAMPLES_ONLY, **OURS},
    Profile: PROFILE,
}


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


def test_readers_exist():
    """What `read_by` names can be imported."""
    import importlib

    for cls in EXPECTED:
        for _, field in walk(cls):
            if field.option.read_by:
                module, _, name = field.option.read_by.partition(":")

                assert hasattr(importlib.import_module(module), name)


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
