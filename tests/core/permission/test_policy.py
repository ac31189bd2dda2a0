"""Who may do what: the whole matrix, written down here from the reference, not from the code."""

from __future__ import annotations

import hashlib
import hmac
import itertools

import pytest
from attrs import evolve, field, frozen
from hypothesis import given
from hypothesis import strategies as st

from fetchml_core.errors import DeniedError
from fetchml_core.permission.policy import LOCAL, ROLES, Identity, decide, identify, identity_of

ACTIONS = ("jobs:read", "jobs:create", "jobs:update", "jobs:delete", "queue:update", "experiments:read")
OWNERS = {"nobody": None, "own": "anna", "foreign": "bob"}
# The reference, "Role-Based Permissions", and design section 8: update and delete reach one's own jobs.
EVERYWHERE = {("jobs:read", owner) for owner in OWNERS} | {("jobs:create", owner) for owner in OWNERS}
ALLOWED = {
    "admin": set(itertools.product(ACTIONS, OWNERS)),
    "researcher": EVERYWHERE | {("jobs:update", "nobody"), ("jobs:update", "own")},
    "analyst": {("jobs:read", owner) for owner in OWNERS},
    "user": set(),
}


@frozen
class Entry:
    """A row of ``auth.api_keys``."""

    hash: str = ""
    admin: bool = False
    roles: tuple[str, ...] = ()
    permissions: dict[str, bool] = field(factory=dict)


def anna(*roles, admin=False, **permissions):
    """Anna's identity; ``__`` in a permission's name stands for the colon."""
    own = {name.replace("__", ":"): value for name, value in permissions.items()}
    return identity_of("anna", Entry("", admin, roles, own))


def may(identity, action, owner=None):
    """The answer alone."""
    return decide(identity, action, owner).allowed


def test_the_roles_are_those_of_the_reference():
    """A role without a row in this file's matrix fails here."""
    assert set(ROLES) == set(ALLOWED)


@pytest.mark.parametrize(("role", "action", "owner"), list(itertools.product(ALLOWED, ACTIONS, OWNERS)))
def test_the_matrix(role, action, owner):
    """Every role, action and owner."""
    decision = decide(anna(role), action, OWNERS[owner])

    assert decision.allowed == ((action, owner) in ALLOWED[role])
    assert bool(decision.reason) != decision.allowed


@pytest.mark.parametrize(
    ("roles", "action", "owner"), list(itertools.product(itertools.combinations(ALLOWED, 2), ACTIONS, OWNERS))
)
def test_roles_add_up(roles, action, owner):
    """Two roles allow what one of them allows."""
    expected = any((action, owner) in ALLOWED[role] for role in roles)

    assert may(anna(*roles), action, OWNERS[owner]) == expected


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("role", ["researcher", "analyst", "user"])
def test_an_explicit_false_denies(role, action):
    """The user's own map counts after the roles: its false takes away, its true gives."""
    resource = action.partition(":")[0]

    assert not may(evolve(anna(role), denied=frozenset({action})), action)
    assert not may(evolve(anna(role), denied=frozenset({resource})), action)
    assert may(identity_of("anna", Entry(roles=(role,), permissions={action: True})), action)


def test_false_wins_over_true():
    """A bare resource that is granted does not undo a denied action of it, nor the other way round."""
    assert not may(anna(jobs=True, jobs__read=False), "jobs:read")
    assert may(anna(jobs=True, jobs__read=False), "jobs:create")
    assert not may(anna(jobs=False, jobs__read=True), "jobs:read")


def test_a_bare_resource_grants_all_its_actions_and_no_other():
    """``experiments: true`` is every action on experiments; a resource with a longer name is another one."""
    identity = anna(experiments=True)

    assert may(identity, "experiments:read")
    assert may(identity, "experiments:anything")
    assert not may(identity, "experiments2:read")
    assert not may(identity, "jobs:read")


def test_jobs_as_a_resource_still_keeps_to_ones_own():
    """All actions on jobs are not all jobs."""
    identity = anna(jobs=True)

    assert may(identity, "jobs:delete", "anna")
    assert not may(identity, "jobs:delete", "bob")
    assert "bob" in decide(identity, "jobs:delete", "bob").reason


def test_a_star_is_everything():
    """``*`` reaches other people's jobs as admin does; its false denies everything."""
    star = identity_of("anna", Entry(permissions={"*": True}))

    assert all(may(star, action, owner) for action in ACTIONS for owner in OWNERS.values())
    assert not any(may(anna("researcher", **{"*": False}), action) for action in ACTIONS)


def test_admin_is_everything_whatever_the_map_says():
    """``admin: true`` stands above the map."""
    assert all(may(anna(admin=True, **{"*": False}), action, "bob") for action in ACTIONS)
    assert LOCAL.admin


def test_an_unknown_role_grants_nothing():
    """A typing mistake in a role opens no door."""
    assert not any(may(anna("Admin", "root", ""), action) for action in ACTIONS)


@given(
    st.sets(st.sampled_from(list(ALLOWED)[1:])),
    st.dictionaries(st.sampled_from([*ACTIONS, "jobs"]), st.booleans()),
)
def test_a_false_never_gives(roles, permissions):
    """Whatever else holds, turning a true into a false allows nothing new."""
    entry = Entry(roles=tuple(roles), permissions=permissions)
    for name in permissions:
        less = evolve(entry, permissions={**permissions, name: False})
        for action, owner in itertools.product(ACTIONS, OWNERS.values()):
            assert may(identity_of("anna", less), action, owner) <= may(
                identity_of("anna", entry), action, owner
            )


# --- keys ---


def sha(key):
    """The hash as the admin writes it."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


USERS = {name: Entry(sha(f"{name}-key")) for name in ("anna", "bob", "eve")} | {"dave": Entry("CHANGE_ME_Ü")}


@pytest.mark.parametrize("user", ["anna", "bob", "eve"])
def test_a_key_names_its_user(user):
    """Each key is its owner's; hashes may be upper-case or have blanks around."""
    assert identify(f"{user}-key", USERS).user == user
    odd = {name: evolve(entry, hash=f" {entry.hash.upper()}\n") for name, entry in USERS.items()}
    assert identify(f"{user}-key", odd).user == user


@pytest.mark.parametrize(
    "key", ["wrong", "anna-key ", "ANNA-KEY", "\0", "\ud800", "a" * 100_000, "CHANGE_ME_Ü", sha("anna-key")]
)
def test_any_other_key_is_unknown(key):
    """Whatever its shape: one answer, which repeats neither key nor hash."""
    with pytest.raises(DeniedError, match="key-unknown") as caught:
        identify(key, USERS)

    assert key not in str(caught.value) or key == "\0"
    assert caught.value.status == 4


def test_no_key_is_told_where_to_put_one():
    """An empty key is compared with nothing, not even with the hash of nothing."""
    with pytest.raises(DeniedError, match="key-missing") as caught:
        identify("", {"nobody": Entry(sha(""))})

    assert "api_key" in caught.value.hint


@pytest.mark.parametrize("key", ["anna-key", "eve-key", "wrong"])
def test_every_hash_is_compared(key, mocker):
    """A key that matches first takes as many comparisons as one that matches last or never."""
    spy = mocker.spy(hmac, "compare_digest")
    try:
        identify(key, USERS)
    except DeniedError:
        pass

    assert spy.call_count == len(USERS)
    assert [call.args[1] for call in spy.call_args_list] == [
        entry.hash.lower().encode("utf-8") for entry in USERS.values()
    ]


def test_nobody_is_known_where_no_key_is_listed():
    """Authentication without users lets nobody in."""
    with pytest.raises(DeniedError, match="key-unknown"):
        identify("x", {})


def test_an_identity_has_no_key():
    """What goes to use cases and logs does not hold the key or its hash."""
    shown = repr(identify("anna-key", USERS))

    assert sha("anna-key") not in shown
    assert "anna-key" not in shown
    assert identify("anna-key", USERS) == Identity("anna")
