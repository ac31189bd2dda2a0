"""Rules of `auth`: who has a key, which roles and which permissions."""

from __future__ import annotations

import pytest

from tests.core.config.rules_support import HASH, OTHER, only, problems, told
from tests.support.effort import calls_of

KNOWN = (
    "known: jobs, experiments, datasets, jupyter, vllm, each alone or with :read, :create, :update, :delete"
)


def user(**entry):
    """A file with one user, whose entry is *entry*, a line each from line 5 on."""
    lines = [f"      {key}: {value}" for key, value in ({"hash": HASH} | entry).items()]
    return "\n".join(["auth:", "  enabled: true", "  api_keys:", "    al:", *lines])


@pytest.mark.parametrize(
    ("value", "code", "hint"),
    [
        (HASH, None, ""),
        ("abc", "bad-hash", 'printf %s "$KEY" | sha256sum'),
        ("''", "bad-hash", 'printf %s "$KEY" | sha256sum'),
        (HASH + "0", "bad-hash", 'printf %s "$KEY" | sha256sum'),
        (HASH.upper(), "bad-hash", "write it in lower case, without blanks"),
        (f"' {HASH}'", "bad-hash", "write it in lower case, without blanks"),
        ("CHANGE_ME", "placeholder-secret", 'put the output of: printf %s "$KEY" | sha256sum'),
    ],
)
def test_hashes(value, code, hint):
    """A hash is 64 lower-case hex digits; a missing one is no hash either."""
    found = problems(user(hash=value))

    assert [(one.code, one.hint) for one in found] == ([(code, hint)] if code else [])


def test_a_user_without_a_hash_is_placed():
    """A user without a hash is named where the user stands."""
    found = only("auth:\n  enabled: true\n  api_keys:\n    al:\n      admin: true\n")

    assert (found.code, found.line, found.column) == ("bad-hash", 4, 5)


def test_two_users_with_one_key():
    """The second is told, with both lines and without the hash; a third hash is nobody's business."""
    text = (
        f"auth:\n  enabled: true\n  api_keys:\n    al: {{hash: {HASH}}}\n    bo: {{hash: {OTHER}}}\n"
        f"    cy:\n      hash: {HASH}\n    di: {{hash: abc}}\n    ed: {{hash: abc}}\n"
    )
    found, *rest = problems(text)

    assert (found.code, found.severity, found.line) == ("duplicate-hash", "error", 7)
    assert found.message == (
        "auth.api_keys.cy.hash (line 7) is that of auth.api_keys.al.hash (line 4): two users with one API key"
    )
    assert [place.line for place in found.also] == [4]
    assert [one.code for one in rest] == ["bad-hash", "bad-hash"]
    assert HASH not in repr([found, *rest])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("auth:\n  enabled: true", ["2 warning auth-without-keys"]),
        ("auth:\n  enabled: false", []),
        (f"auth:\n  enabled: false\n  api_keys:\n    al: {{hash: {HASH}}}", ["4 warning keys-not-used"]),
        (f"auth:\n  api_keys:\n    al: {{hash: {HASH}}}", ["3 warning keys-not-used"]),
        (user(), []),
    ],
)
def test_somebody_gets_in(text, expected):
    """Authentication without a key shuts all out, keys without authentication let all in: both are said."""
    assert told(text) == expected


@pytest.mark.parametrize(
    ("roles", "expected"),
    [
        ("[researcher, analyst, user]", []),
        ("[user, reseacher]", [("6 error", "did you mean researcher?")]),
        ("[Analyst]", [("6 error", "did you mean analyst?")]),
        ("[viewer]", [("6 error", "known: admin, researcher, analyst, user")]),
    ],
)
def test_roles(roles, expected):
    """A role that nobody knows grants nothing: an error, with the nearest name."""
    found = problems(user(roles=roles))

    assert [(f"{one.line} {one.severity}", one.hint) for one in found] == expected
    assert all(one.code == "unknown-role" for one in found)


def test_a_role_is_pointed_at():
    """The caret is under the role itself, not under its list."""
    found = only(user(roles="[user, reseacher]"))

    assert (found.line, found.column, found.key) == (6, 21, "auth.api_keys.al.roles.1")
    assert found.message == "auth.api_keys.al.roles: there is no role 'reseacher'"


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"admin": "true", "permissions": "{'*': true}"}, []),
        ({"admin": "false", "permissions": "{'*': true}"}, ["7 error star-without-admin"]),
        ({"permissions": "{'*': false}"}, ["6 error star-without-admin"]),
        ({"admin": "true", "roles": "[admin]"}, []),
        ({"roles": "[user, admin]"}, ["6 warning role-without-admin"]),
        ({"admin": "true", "permissions": "{'jobs:delete': false}"}, ["7 warning deny-without-effect"]),
        ({"permissions": "{'jobs:delete': false}"}, []),
    ],
)
def test_admins(entry, expected):
    """Only ``admin: true`` makes an admin, and nothing takes away from one."""
    assert told(user(**entry)) == expected


@pytest.mark.parametrize(
    ("name", "severity", "hint"),
    [
        ("jobs:read", None, ""),
        ("jobs", None, ""),
        ("experiments", None, ""),
        ("jupyter:create", None, ""),
        ("jobs:raed", "error", "did you mean jobs:read?"),
        ("Jobs:Read", "error", "did you mean jobs:read?"),
        ("jobs.read", "error", "did you mean jobs:read?"),
        ("job:read", "error", "did you mean jobs:read?"),
        ("job", "error", "did you mean jobs?"),
        ("jobs:*", "error", "write jobs: it stands for every action"),
        ("jobs:", "error", "write jobs: it stands for every action"),
        ("jobs:submit", "error", KNOWN),
        ("admin", "error", "write admin: true beside it"),
        ("researcher", "error", "write roles: [researcher]"),
        ("models:read", "warning", KNOWN),
        ("tensorboard", "warning", KNOWN),
        ("*:read", "error", KNOWN),
    ],
)
def test_permissions(name, severity, hint):
    """A misspelt permission is an error with the right one; a part that we do not know is a warning."""
    found = problems(user(permissions=f"{{'{name}': true}}"))

    assert [(one.code, one.severity, one.hint) for one in found] == (
        [("unknown-permission", severity, hint)] if severity else []
    )


def test_a_false_that_denies_nothing():
    """What denies nothing leaves a right that was to be taken away: an error even where no name is near."""
    assert told(user(permissions="{'models:read': false}")) == ["6 error unknown-permission"]


def long_file(users):
    """A file with so many users, each with something that the rules look at, and a half of them with a mistake."""
    lines = ["auth:", "  enabled: true", "  api_keys:"]
    for number in range(users):
        role, right = ("analyst", "jobs:read") if number % 2 else ("analist", "jobs:raed")
        lines.append(
            f"    user{number}: {{hash: {number:064x}, roles: [{role}], permissions: {{'{right}': true}}}}"
        )
    lines += ["scheduler:", "  plugin_quota:", "    enabled: true", "    user_overrides:"]
    lines += [
        f"      user{number}x: {{max_gpus: 1, allowed_plugins: [vlm{number}]}}" for number in range(users)
    ]
    return "\n".join(lines)


def test_rules_stay_linear():
    """Four times the users take four times the work."""

    def effort(users):
        text = long_file(users)
        return calls_of(lambda: problems(text))

    effort(10)  # what is read once in a process

    assert effort(1200) < effort(300) * 4 * 1.2
