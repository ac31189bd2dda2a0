"""Rules of `scheduler.plugin_quota`."""

from __future__ import annotations

import pytest

from tests.core.config.rules_support import HASH, only, problems, told

REFERENCE = """\
scheduler:
  plugin_quota:
    enabled: true
    total_gpus: 16
    per_user_gpus: 4
    per_user_services: 2
    per_plugin_limits:
      vllm:
        max_gpus: 8
        max_services: 4
      jupyter:
        max_gpus: 4
        max_services: 10
    user_overrides:
      admin:
        max_gpus: 8
        max_services: 5
        allowed_plugins: ["jupyter", "vllm"]
"""


def test_the_example_of_the_reference():
    """It has nothing to tell."""
    assert told(REFERENCE) == []


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (("per_user_gpus: 4", "per_user_gpus: 17"), ["5 warning quota-beyond-total"]),
        (("max_gpus: 8\n        max_services: 4", "max_gpus: 17"), ["9 warning quota-beyond-total"]),
        (("max_gpus: 8\n        max_services: 5", "max_gpus: 17"), ["16 warning quota-beyond-total"]),
        (("total_gpus: 16", "total_gpus: 8"), []),
        (("total_gpus: 16", "total_gpus: 0"), []),
        (("per_user_gpus: 4", "per_user_gpus: 0"), []),
        (('"vllm"]', '"vlm"]'), ["18 warning unknown-plugin"]),
        (('"vllm"]', '"tensorboard"]'), ["18 warning unknown-plugin"]),
        (("      vllm:", "      vllmm:"), ["8 warning unknown-plugin"]),
        (("      vllm:", "      tensorboard:"), []),
        (("enabled: true", "enabled: false"), ["4 warning quota-not-enabled"]),
        (("    enabled: true\n", ""), ["3 warning quota-not-enabled"]),
    ],
)
def test_changes_of_the_example(change, expected):
    """Each limit that cannot count, and each name that is not there, is told at its line."""
    text = REFERENCE.replace(*change)

    assert text != REFERENCE
    assert told(text) == expected


def test_a_limit_of_its_own_makes_a_plugin_known():
    """Whoever has limits may be allowed."""
    text = REFERENCE.replace("      vllm:", "      tensorboard:").replace('"vllm"]', '"tensorboard"]')

    assert told(text) == []


def test_words_about_quotas():
    """Both lines, both numbers; the nearest name and the known ones."""
    beyond = only(REFERENCE.replace("per_user_gpus: 4", "per_user_gpus: 17"))
    plugin = only(REFERENCE.replace('"vllm"]', '"vlm"]'))

    assert beyond.message == (
        "scheduler.plugin_quota.per_user_gpus (line 5) is 17, but scheduler.plugin_quota.total_gpus (line 4) is 16: "
        "it never counts"
    )
    assert plugin.hint == "did you mean vllm?"
    assert plugin.message == (
        "scheduler.plugin_quota.user_overrides.admin.allowed_plugins.1: 'vlm' is none of the plugins jupyter, vllm"
    )
    assert plugin.column == 38


def test_a_switch_alone_is_no_limit():
    """``enabled: false`` without limits is a decision, not a mistake."""
    assert told("scheduler: {plugin_quota: {enabled: false}}") == []


@pytest.mark.parametrize(
    ("user", "expected"), [("admin", []), ("amdin", ["did you mean admin?"]), ("somebody", ["known: admin"])]
)
def test_overrides_for_nobody(user, expected):
    """With authentication on an override names somebody who has a key."""
    auth = f"auth: {{enabled: true, api_keys: {{admin: {{hash: '{HASH}'}}}}}}\n"
    found = problems(auth + REFERENCE.replace("      admin:", f"      {user}:"))

    assert [one.hint for one in found] == expected
    assert all((one.code, one.line) == ("unknown-user", 16) for one in found)


def test_overrides_for_nobody_among_many():
    """Where there are too many names to tell, the list itself is named."""
    users = ", ".join(f"u{number}: {{hash: '{number:064x}'}}" for number in range(13))
    found = only(f"auth: {{enabled: true, api_keys: {{{users}}}}}\n" + REFERENCE)

    assert found.hint == "write a name of auth.api_keys"
