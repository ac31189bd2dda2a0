"""Rules across keys: what is wrong although every value fits."""

from __future__ import annotations

import pytest

from fetchml_core.config.load import check, load_profile, load_server, require_startable
from fetchml_core.config.rules import is_placeholder
from fetchml_core.config.server import ServerConfig
from fetchml_core.errors import ConfigError
from tests.core.config.support import CONFIGS, check_text, told

HASH = "ab" * 32


def codes(tmp_path, text, kind="api"):
    """Code and severity of each finding."""
    return [(found.code, found.severity) for found in check_text(tmp_path, text, kind)[1]]


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


@pytest.mark.parametrize("name", ["multi-user", "prod", "homelab-secure"])
def test_no_door_starts_with_a_placeholder(name):
    """A file with a sample's secret loads, but no door may start with it."""
    loaded = load_server(CONFIGS / "api" / f"{name}.yaml", {})
    with pytest.raises(ConfigError) as caught:
        require_startable(loaded)

    assert (caught.value.code, caught.value.status) == ("placeholder-secret", 3)
    assert f"{name}.yaml:8:13" in caught.value.message


def test_a_file_without_placeholders_may_start():
    """What has no placeholder is handed through."""
    loaded = load_server(CONFIGS / "api" / "dev.yaml", {})

    assert require_startable(loaded) is loaded
    assert require_startable(load_profile(None, {})).config.auth.api_key == ""


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (HASH, None),
        ("abc", "bad-hash"),
        ("''", "bad-hash"),
        (HASH.upper(), "bad-hash"),
        (HASH + "0", "bad-hash"),
    ],
)
def test_hashes(tmp_path, value, code):
    """A hash is 64 lower-case hex digits; a missing one is no hash either."""
    found = check_text(tmp_path, f"auth:\n  api_keys:\n    al:\n      hash: {value}\n")[1]

    assert [one.code for one in found] == ([code] if code else [])


def test_a_user_without_a_hash_is_placed(tmp_path):
    """A user without a hash is named where the user stands."""
    found = check_text(tmp_path, "auth:\n  api_keys:\n    al:\n      admin: true\n")[1]

    assert told(found) == [("bad-hash", 3, 5)]


@pytest.mark.parametrize(("admin", "expected"), [("false", [("star-without-admin", "error")]), ("true", [])])
def test_star_is_for_admins(tmp_path, admin, expected):
    """All permissions without admin contradict each other."""
    text = f"auth:\n  api_keys:\n    al: {{hash: {HASH}, admin: {admin}, permissions: {{'*': true}}}}\n"

    assert codes(tmp_path, text) == expected


@pytest.mark.parametrize(
    ("audit", "named", "expected"),
    [
        ("{enabled: true, log_path: a}", "a", []),
        ("{enabled: true, log_path: a}", "''", []),
        ("{enabled: true}", "''", []),
        ("{enabled: true, log_path: a}", "b", [("audit-path-disagrees", "error")]),
        ("{enabled: true}", "b", [("audit-path-disagrees", "error")]),
        ("{log_path: a}", "''", [("audit-not-enabled", "warning")]),
        ("{enabled: false}", "b", [("audit-not-enabled", "warning")]),
    ],
)
def test_audit_paths(tmp_path, audit, named, expected):
    """One key decides where audit records go; another may only repeat it, and none counts while it is off."""
    text = f"security:\n  audit_logging: {audit}\nlogging:\n  audit_log: {named}\n"

    assert codes(tmp_path, text) == expected


def test_audit_paths_name_both_lines(tmp_path):
    """The disagreement is told with both lines."""
    text = "security:\n  audit_logging:\n    enabled: true\n    log_path: a\nlogging:\n  audit_log: b\n"
    found = check_text(tmp_path, text)[1][0]

    assert found.line == 6
    assert "(line 4)" in found.message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("max_workers: 2\nresources: {max_workers: 2}", []),
        ("max_workers: 2", []),
        ("max_workers: 2\nresources: {podman_cpus: '1'}", []),
        ("max_workers: 2\nresources: {max_workers: 1}", [("max-workers-disagree", "error")]),
        ("local_mode: false", []),
        ("local_mode: true\nhost: gpu7", []),
        ("local_mode: false\nhost: 127.0.0.1", []),
        ("local_mode: false\nhost: gpu7", [("remote-worker", "error")]),
    ],
)
def test_worker_rules(tmp_path, text, expected):
    """Two names of one number agree, and a worker runs jobs on its own host only."""
    assert codes(tmp_path, text, "workers") == expected


def test_a_rule_is_a_function(tmp_path):
    """A further rule is one more function over the view."""

    def always(view):
        yield view.finding("always", ("auth", "enabled"), "said always", severity="info")

    path = tmp_path / "server.yaml"
    path.write_text("auth:\n  enabled: true\n")
    loaded, findings = check(path, {}, ServerConfig, (always,))

    assert loaded.config.auth.enabled
    assert told(findings) == [("always", 2, 12)]
