"""Every option can be found and explained; its example is a file that can be used."""

from __future__ import annotations

import json

import attrs
import pytest

from fetchml_core.config import explain
from fetchml_core.config.environment import VARIABLES
from fetchml_core.config.kinds import all_kinds, kind_named
from fetchml_core.config.option import walk
from fetchml_core.config.validate import validate

TOPICS = [(kind, topic) for kind in all_kinds() for topic in explain.topics_of(kind)]
IDS = [f"{kind.name}-{topic.name}" for kind, topic in TOPICS]
# What the examples of secrets refer to.
ENVIRON = {"ML_API_KEY": "k3y", "DB_PASSWORD": "pw", "REDIS_PASSWORD": "pw"}


def names(word: str) -> list[str]:
    """The names of what *word* finds."""
    return [topic.name for topic in explain.find(word)]


def test_every_option_of_the_schema_is_a_topic():
    """The walk over topics misses nothing that the walk over options has."""
    for kind in all_kinds():
        known = {topic.key for topic in explain.topics_of(kind)}
        assert {key for key, _ in walk(kind.cls)} <= known


@pytest.mark.parametrize(("kind", "topic"), TOPICS, ids=IDS)
def test_every_topic_is_found_by_its_own_name(kind, topic):
    """What documentation writes, and what a file says, can be asked for."""
    for word in (topic.name, ".".join(topic.key), ".".join(topic.shown)):
        assert topic.key in {found.key for found in explain.find(word) if kind in found.kinds}


@pytest.mark.parametrize(("kind", "topic"), TOPICS, ids=IDS)
def test_every_example_is_a_valid_file_that_says_so(tmp_path, kind, topic):
    """The lines can be pasted into an empty file."""
    lines = explain.snippet(attrs.evolve(topic, kinds=(kind,)))
    assert bool(lines) == (topic.field.kind != "section")
    if not lines:
        return
    path = tmp_path / kind.file
    path.write_text("\n".join(lines), "utf-8")

    checked = validate(path, ENVIRON, kind=kind)

    assert [found for found in checked.findings if found.severity == "error"] == []
    assert any(key[: len(topic.shown)] == topic.shown for key in checked.loaded.places)


@pytest.mark.parametrize(("kind", "topic"), TOPICS, ids=IDS)
def test_every_option_tells_type_default_and_reader(kind, topic):
    """Nothing is left out, and what nothing reads is said to be not active yet."""
    told = dict(explain.facts(topic))

    assert topic.field.option.help
    assert kind.file in told["file"]
    if topic.field.kind != "section":
        assert {"type", "default", "read by"} <= set(told)
        assert ("not active yet" in told["read by"]) is not bool(topic.field.option.read_by)


@pytest.mark.parametrize(
    ("word", "found"),
    [
        ("auth.apikeys", ["auth.api_keys"]),
        ("auth.apikeys.[user].hash", ["auth.api_keys.<user>.hash"]),
        ("auth.api_keys.alice.hash", ["auth.api_keys.<user>.hash"]),
        ("auth.api_keys.'a.b'.hash", ["auth.api_keys.<user>.hash"]),
        ("auth.api_keys.*.roles", ["auth.api_keys.<user>.roles"]),
        ("auth.api_keys.alice", ["auth.api_keys"]),
        ("auth.api_keys.alice.permissions.jobs:read", ["auth.api_keys.<user>.permissions"]),
        ("logging.audit_log", ["logging.audit_file"]),
        ("podman_memory", ["resources.podman_memory"] * 2),
        ("rate_limit.burst_size", ["security.rate_limit.burst_size"]),
        (
            "max_gpus",
            [
                "scheduler.plugin_quota.per_plugin_limits.<plugin>.max_gpus",
                "scheduler.plugin_quota.user_overrides.<user>.max_gpus",
            ],
        ),
        (
            "scheduler.plugin_quota.per_plugin_limits.{plugin}.max_gpus",
            ["scheduler.plugin_quota.per_plugin_limits.<plugin>.max_gpus"],
        ),
        ("max_workers", ["max_workers"]),
        ("worker_host.more", []),
        ("", []),
        (".", []),
    ],
)
def test_a_key_is_found_as_people_type_it(word, found):
    """With aliases, names of their own, brackets, or only its end."""
    assert sorted(set(names(word))) == sorted(set(found))


def test_what_kinds_share_is_told_once_and_names_both():
    """One meaning in two files is one topic; two meanings are two."""
    (shared,) = explain.find("logging.level")

    assert [kind.name for kind in shared.kinds] == ["api", "worker"]
    assert [[kind.name for kind in topic.kinds] for topic in explain.find("auth")] == [["api"], ["profile"]]


def test_an_example_has_the_name_that_was_typed():
    """Who asks about bob sees bob."""
    (topic,) = explain.find("auth.api_keys.bob.admin")

    assert "    bob:" in explain.snippet(topic)


@pytest.mark.parametrize(
    ("word", "near"),
    [
        ("auth.api_kyes", "auth.api_keys"),
        ("auth.api_keys.bob.hsh", "auth.api_keys.<user>.hash"),
        ("podman_memry", "podman_memory"),
        ("server.worker_hots", "server.worker_host"),
        ("secruity.rate_limit.enabled", "security.rate_limit.enabled"),
        ("FETCHML_LOG_LEVL", "FETCHML_LOG_LEVEL"),
        ("AUTH.ENABLED", "auth.enabled"),
        ("zzzzzz", ""),
        ("x" * 5000, ""),
    ],
)
def test_a_slip_finds_the_nearest(word, near):
    """What was meant is named, or nothing."""
    assert names(word) == []
    assert explain.nearest(word) == near


@pytest.mark.parametrize("form", ["{}", "${}", "${{{}}}"])
def test_environment_variables_are_known_however_they_are_written(form):
    """As the shell writes them too."""
    for variable in VARIABLES:
        assert explain.find_variable(form.format(variable.name)) == variable
        assert {"type", "overrides", "read by"} <= dict(explain.variable_facts(variable)).keys()


def test_as_json_every_topic_is_plain_data():
    """Defaults, choices and ranges come as values, not as words."""
    port = next(topic for topic in explain.topics() if topic.name == "server.worker_port")
    told = explain.to_fields(port)

    assert (told["default"], told["least"], told["most"], told["type"]) == (22, 1, 65535, "int")
    assert json.dumps([explain.to_fields(topic) for topic in explain.topics()])


def test_secrets_are_marked_and_required_keys_said():
    """A hash is secret, and a user without one is refused."""
    (topic,) = explain.find("auth.api_keys.alice.hash")
    told = dict(explain.facts(topic))

    assert told["secret"].startswith("yes")
    assert told["default"] == "none: it must be written"


def test_members_of_a_section_stand_right_below_it():
    """A section lists its keys, those of a map with the name that is to be chosen."""
    kind = kind_named("api")
    sections = {topic.name: topic for topic in explain.topics_of(kind)}

    assert [one.name for one in explain.members(sections["server.tls"])] == [
        "server.tls.enabled",
        "server.tls.cert_file",
        "server.tls.key_file",
    ]
    assert explain.members(sections["auth.api_keys"])[0].name == "auth.api_keys.<user>.hash"
    assert explain.members(sections["auth.enabled"]) == ()
