"""Identity and decision: ``decide(identity, action, owner)`` answers every question about rights.

    role         permissions (configuration reference)
    admin        everything
    researcher   jobs:read, jobs:create, jobs:update
    analyst      jobs:read
    user         none

A user has the union of what the roles grant, then the user's own map counts: true adds, an explicit false takes
away. A bare resource (``datasets``) stands for all actions on it. ``jobs:update`` and ``jobs:delete`` reach one's
own jobs; other people's need an admin.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from typing import Protocol

from attrs import field, frozen

from fetchml_core.errors import DeniedError

ROLES: dict[str, frozenset[str]] = {
    "admin": frozenset({"*"}),
    "researcher": frozenset({"jobs:read", "jobs:create", "jobs:update"}),
    "analyst": frozenset({"jobs:read"}),
    "user": frozenset(),
}
OWN_ONLY = frozenset({"jobs:update", "jobs:delete"})
LOCAL_USER = "local"


@frozen
class Identity:
    """Somebody, after the key was checked.

    Args:
        user: Name in ``auth.api_keys``; ``local`` where authentication is off.
        admin: May do everything.
        granted: Actions, resources or ``*``.
        denied: Actions or resources that an explicit false takes away.
    """

    user: str
    admin: bool = False
    granted: frozenset[str] = field(factory=frozenset)
    denied: frozenset[str] = field(factory=frozenset)


LOCAL = Identity(LOCAL_USER, admin=True)


class KeyEntry(Protocol):
    """A row of ``auth.api_keys``, as configuration has it."""

    @property
    def hash(self) -> str:
        """SHA-256 of the key, in hex."""
        ...

    @property
    def admin(self) -> bool:
        """Everything is allowed."""
        ...

    @property
    def roles(self) -> Iterable[str]:
        """Names of ROLES."""
        ...

    @property
    def permissions(self) -> Mapping[str, bool]:
        """The user's own map."""
        ...


@frozen
class Decision:
    """The answer, and the reason when it is no."""

    allowed: bool
    reason: str = ""


def identify(key: str, users: Mapping[str, KeyEntry]) -> Identity:
    """Return who holds *key*.

    Every stored hash is compared, in constant time, whether or not one has matched: the answer takes as long
    for a wrong key as for a right one.

    Raises:
        DeniedError: ``key-missing`` or ``key-unknown``, whatever the key looks like.
    """
    if not key:
        raise DeniedError(
            "key-missing",
            "this host asks for an API key, and the profile has none",
            hint='put it into the profile: [auth] api_key = "..."',
        )
    given = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest().encode("ascii")
    found: str | None = None
    for user, entry in users.items():
        if hmac.compare_digest(given, entry.hash.strip().lower().encode("utf-8", "replace")):
            found = user
    if found is None:
        raise DeniedError(
            "key-unknown",
            "this host does not know the API key",
            hint="compare the profile's api_key with the one you were given, or ask the host's admin",
        )
    return identity_of(found, users[found])


def identity_of(user: str, entry: KeyEntry) -> Identity:
    """Return the identity that *entry* describes."""
    granted = set().union(*(ROLES.get(role, frozenset()) for role in entry.roles))
    granted |= {name for name, value in entry.permissions.items() if value}
    denied = {name for name, value in entry.permissions.items() if not value}
    return Identity(user, entry.admin, frozenset(granted), frozenset(denied))


def decide(identity: Identity, action: str, owner: str | None = None) -> Decision:
    """Return whether *identity* may do *action*.

    Args:
        identity: Who asks.
        action: ``resource:verb``, as in ``jobs:create``.
        owner: Whose job it is, where there is one.
    """
    resource = action.partition(":")[0]
    names = {action, resource, "*"}
    if identity.admin:
        return Decision(True)
    if identity.denied & names:
        return Decision(False, f"{action} is denied to {identity.user}")
    if not identity.granted & names:
        return Decision(False, f"{identity.user} lacks {action}")
    foreign = owner is not None and owner != identity.user
    if foreign and action in OWN_ONLY and "*" not in identity.granted:
        return Decision(False, f"the job belongs to {owner}; others' jobs need an admin")
    return Decision(True)
