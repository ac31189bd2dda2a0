"""Rules of `auth`: API keys, roles and permissions.

Layer 1, pure. Each rule is linear in the number of users. No hash is ever shown.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from fetchml_core.config.findings import Finding, Key, show, show_key
from fetchml_core.config.scalars import did_you_mean, nearest
from fetchml_core.permission.policy import ROLES

from .base import View, is_placeholder

if TYPE_CHECKING:
    from fetchml_core.config.server import ApiKey, ServerConfig

ACTIONS = ("read", "create", "update", "delete")
RESOURCES = ("jobs", "experiments", "datasets", "jupyter", "vllm")
_PAIRS = tuple(f"{resource}:{action}" for resource in RESOURCES for action in ACTIONS)
_KNOWN = f"{', '.join(RESOURCES)}, each alone or with :{', :'.join(ACTIONS)}"
_HASH = re.compile(r"[0-9a-f]{64}", re.ASCII)
_KEYS: Key = ("auth", "api_keys")


def hashes_are_sha256(view: View[ServerConfig]) -> Iterator[Finding]:
    """A key can only match 64 lower-case hex digits."""
    for user, api_key in view.config.auth.api_keys.items():
        key = (*_KEYS, user, "hash")
        if _HASH.fullmatch(api_key.hash) or is_placeholder(api_key.hash):
            continue
        expected = "64 hex digits, the SHA-256 of the API key"
        problem = f"is no SHA-256 hash ({len(api_key.hash)} characters)" if api_key.hash else "is missing"
        hint = 'printf %s "$KEY" | sha256sum'
        if _HASH.fullmatch(api_key.hash.strip().lower()):
            problem, hint = "has upper-case letters or blanks", "write it in lower case, without blanks"
        yield view.finding("bad-hash", key, f"{show_key(key)} {problem}", expected=expected, hint=hint)


def hashes_differ(view: View[ServerConfig]) -> Iterator[Finding]:
    """One API key of two users tells nobody which of them asks."""
    owners: dict[str, Key] = {}
    for user, api_key in view.config.auth.api_keys.items():
        key = (*_KEYS, user, "hash")
        if not _HASH.fullmatch(api_key.hash):
            continue
        first = owners.setdefault(api_key.hash, key)
        if first != key:
            yield view.finding(
                "duplicate-hash",
                key,
                f"{view.line(key)} is that of {view.line(first)}: two users with one API key",
                hint=f"make {show(user)} a key of their own, and write its hash",
                also=(first,),
            )


def somebody_gets_in(view: View[ServerConfig]) -> Iterator[Finding]:
    """Authentication without keys shuts everybody out; keys without authentication shut nobody out."""
    auth = view.config.auth
    if auth.enabled and not auth.api_keys:
        yield view.finding(
            "auth-without-keys",
            ("auth", "enabled"),
            "auth.enabled is true, but auth.api_keys has nobody: nobody gets in",
            severity="warning",
            hint='add a user to auth.api_keys; its hash is the output of: printf %s "$KEY" | sha256sum',
        )
    if auth.api_keys and not auth.enabled:
        yield view.finding(
            "keys-not-used",
            _KEYS,
            "auth.api_keys has users, but auth.enabled is not true: everybody gets in, without a key",
            severity="warning",
            hint="set auth.enabled: true, or remove auth.api_keys",
            also=(("auth", "enabled"),),
        )


def roles_are_known(view: View[ServerConfig]) -> Iterator[Finding]:
    """A role that nobody knows grants nothing: whoever has it was meant to have more."""
    for user, api_key in view.config.auth.api_keys.items():
        for number, role in enumerate(api_key.roles):
            if role in ROLES:
                continue
            key = (*_KEYS, user, "roles", str(number))
            yield view.finding(
                "unknown-role",
                key,
                f"{show_key(key[:-1])}: there is no role {show(role)}",
                expected=f"one of {', '.join(ROLES)}",
                hint=did_you_mean(role, tuple(ROLES)),
                near=key[:-1],
            )


def admins_are_admins(view: View[ServerConfig]) -> Iterator[Finding]:
    """``admin: true`` makes an admin; what only looks so, and what an admin's entry cannot take away, is said."""
    for user, api_key in view.config.auth.api_keys.items():
        entry = (*_KEYS, user)
        if "*" in api_key.permissions and not api_key.admin:
            yield view.finding(
                "star-without-admin",
                (*entry, "permissions", "*"),
                f'{show_key(entry)} has the permission "*", but not admin: true',
                hint='write admin: true, or name the permissions instead of "*"',
                also=((*entry, "admin"),),
            )
        elif "admin" in api_key.roles and not api_key.admin:
            yield view.finding(
                "role-without-admin",
                (*entry, "roles", str(api_key.roles.index("admin"))),
                f"{show_key(entry)} has the role admin, but not admin: true: the role alone lets it do everything",
                severity="warning",
                hint="write admin: true, or take the role away",
                also=((*entry, "admin"),),
            )
        denied = [name for name, value in api_key.permissions.items() if not value]
        if api_key.admin and denied:
            yield view.finding(
                "deny-without-effect",
                (*entry, "permissions", denied[0]),
                f"{show_key((*entry, 'permissions', denied[0]))} is false, but admin: true allows everything",
                severity="warning",
                hint="write admin: false, or remove the permission",
                also=((*entry, "admin"),),
            )


def permissions_are_known(view: View[ServerConfig]) -> Iterator[Finding]:
    """A misspelt permission grants nothing, and a misspelt ``false`` denies nothing."""
    for user, api_key in view.config.auth.api_keys.items():
        for name in api_key.permissions:
            yield from _check_permission(view, user, api_key, name)


def _check_permission(view: View[ServerConfig], user: str, entry: ApiKey, name: str) -> Iterator[Finding]:
    resource, colon, action = name.partition(":")
    legal = re.fullmatch(r"[a-z][a-z0-9_-]*", resource, re.ASCII) and (not colon or action in ACTIONS)
    if name == "*" or (resource in RESOURCES and legal):
        return
    key = (*_KEYS, user, "permissions", name)
    hint = _permission_hint(name, legal=bool(legal))
    if legal and not hint and entry.permissions[name]:  # of a part that we do not know, perhaps a plugin's
        yield view.finding(
            "unknown-permission",
            key,
            f"{show_key(key)}: nothing here asks for the permission {show(name)}",
            severity="warning",
            hint=f"known: {_KNOWN}",
        )
        return
    yield view.finding(
        "unknown-permission",
        key,
        f"{show_key(key)}: there is no permission {show(name)}",
        expected=f'resource, resource:action (action: {", ".join(ACTIONS)}) or "*"',
        hint=hint or f"known: {_KNOWN}",
    )


@functools.lru_cache(maxsize=1024)
def _permission_hint(name: str, *, legal: bool) -> str:
    """What to write instead of the permission *name*, "" where that cannot be told."""
    resource, colon, action = name.partition(":")
    if name in ROLES:
        return "write admin: true beside it" if name == "admin" else f"write roles: [{name}]"
    if resource in RESOURCES and action in {"*", "", "all"}:
        return f"write {resource}: it stands for every action"
    near = nearest(resource, RESOURCES) if legal else nearest(name, _PAIRS)
    if not near:
        return ""
    return f"did you mean {near}{colon}{action}?" if legal else f"did you mean {near}?"
