"""What all rules share: placeholders, findings with their places, and a limit that hides no error."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest

from fetchml_core.config.findings import MAX_FINDINGS, Place, Report, show_path
from fetchml_core.config.kinds import api_kind, worker_kind
from fetchml_core.config.load import (
    check,
    check_tree,
    load_profile,
    load_server,
    parse,
    require_startable,
)
from fetchml_core.config.rules.active import idle_notes
from fetchml_core.config.rules.base import View, is_placeholder
from fetchml_core.config.server import ServerConfig
from fetchml_core.errors import ConfigError
from tests.core.config.rules_support import HASH, machine, problems
from tests.core.config.support import CONFIGS, told


@pytest.mark.parametrize(
    "text",
    [
        "CHANGE_ME_SHA256_ADMIN_USER_KEY",
        "change-me",
        "replace-with-sha256-of-your-api-key",
        "<your-api-key>",
        "redis://:CHANGE_ME_REDIS_PASSWORD@redis:6379",
    ],
)
def test_placeholders(text):
    """What the samples say instead of a secret is recognised."""
    assert is_placeholder(text)


@pytest.mark.parametrize("text", [HASH, "", "redis://redis:6379", "exchange", "a<b>c"])
def test_no_placeholders(text):
    """Ordinary values are not taken for placeholders."""
    assert not is_placeholder(text)


@pytest.mark.parametrize(
    ("text", "kind", "hint"),
    [
        (
            "auth: {enabled: true, api_keys: {al: {hash: CHANGE_ME}}}",
            "api",
            'put the output of: printf %s "$KEY" | sha256sum',
        ),
        (
            "[auth]\napi_key = '<key>'",
            "cli",
            "put the key that the host's admin gave you, or ${NAME} to take it from the environment",
        ),
        (
            "queue: {type: redis}\nredis: {password: CHANGE_ME}",
            "api",
            "put the real value here, or ${NAME} to take it from the environment",
        ),
    ],
)
def test_advice_about_placeholders(text, kind, hint):
    """Each kind of secret has its own way to be made."""
    assert [(one.code, one.hint) for one in problems(text, kind)] == [("placeholder-secret", hint)]


@pytest.mark.parametrize("name", ["multi-user", "prod", "homelab-secure"])
def test_no_door_starts_with_a_placeholder(name):
    """A file with a sample's secret loads, but no door may start with it; the first one is named."""
    path = CONFIGS / "api" / f"{name}.yaml"
    line = next(n for n, text in enumerate(path.read_text("utf-8").split("\n"), 1) if " hash: " in text)
    loaded = load_server(path, {})
    with pytest.raises(ConfigError) as caught:
        require_startable(loaded)

    assert (caught.value.code, caught.value.status) == ("placeholder-secret", 3)
    assert f"{name}.yaml:{line}:13" in caught.value.message


def test_a_file_without_placeholders_may_start():
    """What has no placeholder is handed through."""
    loaded = load_server(CONFIGS / "api" / "dev.yaml", {})

    assert require_startable(loaded) is loaded
    assert require_startable(load_profile(None, {})).config.auth.api_key == ""


def test_a_rule_is_a_function(tmp_path):
    """A further rule is one more function over the view."""

    def always(view):
        yield view.finding("always", ("auth", "enabled"), "said always", severity="info")

    path = tmp_path / "server.yaml"
    path.write_text("auth:\n  enabled: true\n")
    loaded, findings = check(path, {}, attrs.evolve(api_kind(), rules=(always,)))

    assert loaded.config.auth.enabled
    assert told(findings) == [("always", 2, 12)]


def test_the_place_of_a_finding():
    """A key has its own place, else that of the key near it, else that of its section, else none."""
    places = {("a",): Place(1, 2), ("b", "c"): Place(3, 4), ("d",): Place(5, 6)}
    view = View(ServerConfig(), "f", places)

    def place(key, **more):
        found = view.finding("x", key, "m", **more)
        return (found.line, found.column)

    assert place(("b", "c"), near=("a",)) == (3, 4)
    assert place(("b", "x"), near=("a",)) == (1, 2)
    assert place(("d", "x"), near=("n",)) == (5, 6)
    assert place(("x", "y")) == (0, 0)
    assert view.finding("x", ("a",), "m", also=(("d",), ("x",))).also == (Place(5, 6),)
    assert (view.line(("a",)), view.line(("x", "y"))) == ("a (line 1)", "x.y")
    assert view.written(("d",), ("x",), ("a",)) == [("a",), ("d",)]


def test_words_of_a_command():
    """A path in a command can be typed, and cannot play with the terminal."""
    assert [show_path("/a/b"), show_path("/a b"), show_path("/a'b"), show_path("/\x1b[m")] == [
        "/a/b",
        "'/a b'",
        "'/a'\"'\"'b'",
        r"'/\x1b[m'",
    ]


def test_warnings_hide_no_error():
    """However many placeholders come first, the one contradiction is found; there is a limit all the same."""
    users = "\n".join(f"    u{number}: {{hash: CHANGE_ME}}" for number in range(3 * MAX_FINDINGS))
    text = f"auth:\n  enabled: true\n  api_keys:\n{users}\nsecurity:\n  ip_whitelist: [nowhere]\n"
    found = problems(text)

    assert [one.code for one in found if one.severity == "error"] == ["bad-network"]
    assert len(found) == MAX_FINDINGS + 1


def test_rules_about_the_machine_need_one():
    """They stand in lists of their own, and say nothing where there is no machine."""
    for kind in (api_kind(), worker_kind()):
        view = View(kind.cls(), "f", {})
        assert kind.machine_rules
        assert [found for rule in kind.machine_rules for found in rule(view)] == []
        view = View(kind.cls(), "f", {}, machine=machine())
        assert [found for rule in kind.machine_rules for found in rule(view)] == []


def test_defaults_have_nothing_to_tell():
    """Without a file no rule of any kind finds anything."""
    for kind in ("api", "workers"):
        assert problems("{}", kind, on=machine()) == []


def test_what_is_not_active_yet():
    """What is switched on and read by nothing is an info, once for each section, and one line for each file."""
    text = "metrics: {enabled: true}\nsnapshot_store: {enabled: false, bucket: x}\nprewarm_enabled: true\n"
    _, findings = check_tree(parse(text, Report("f"), toml=False), Path("f"), Report("f"), {}, worker_kind())

    assert [(one.code, one.severity, one.line) for one in findings] == [
        ("not-active-yet", "info", 1),
        ("not-active-yet", "info", 3),
    ]
    assert idle_notes(findings) == ("not active yet in f: metrics, prewarm_enabled",)
    assert idle_notes([attrs.evolve(findings[0], code="other")]) == ()
