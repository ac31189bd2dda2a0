"""Rules of `scheduler.plugin_quota`: limits that contradict each other or name what is not there.

Layer 1, pure. 0 is unlimited, and all limits must hold: one above the total never counts.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING

from fetchml_core.config.findings import Finding, Key, show, show_key
from fetchml_core.config.scalars import did_you_mean, nearest

if TYPE_CHECKING:
    from fetchml_core.config.server import ServerConfig

    from .base import View

PLUGINS = ("jupyter", "vllm")
_QUOTA: Key = ("scheduler", "plugin_quota")
_LIMITS: Key = (*_QUOTA, "per_plugin_limits")
_OVERRIDES: Key = (*_QUOTA, "user_overrides")
#: Advice looks at so many names, and is given for so many findings: a long file must not take long.
_ADVICE = 50


def quota_is_enabled(view: View[ServerConfig]) -> Iterator[Finding]:
    """Limits that are not enforced look as if they were."""
    if view.config.scheduler.plugin_quota.enabled:
        return
    depth = len(_QUOTA)
    limits = [key for key in view.places if key[:depth] == _QUOTA and key != (*_QUOTA, "enabled")]
    for key in view.written(*limits)[:1]:
        yield view.finding(
            "quota-not-enabled",
            key,
            f"{show_key(key)} is a limit, but {show_key(_QUOTA)}.enabled is not true: nothing is enforced",
            severity="warning",
            hint=f"set {show_key(_QUOTA)}.enabled: true, or remove the limits",
            also=((*_QUOTA, "enabled"),),
        )


def quota_fits_the_total(view: View[ServerConfig]) -> Iterator[Finding]:
    """A limit above that of all plugins together never counts."""
    quota = view.config.scheduler.plugin_quota
    total: Key = (*_QUOTA, "total_gpus")
    limits: list[tuple[Key, int]] = [((*_QUOTA, "per_user_gpus"), quota.per_user_gpus)]
    limits += [
        ((*_LIMITS, name, "max_gpus"), plugin.max_gpus) for name, plugin in quota.per_plugin_limits.items()
    ]
    limits += [
        ((*_OVERRIDES, name, "max_gpus"), user.max_gpus) for name, user in quota.user_overrides.items()
    ]
    for key, limit in limits:
        if quota.total_gpus and limit > quota.total_gpus:
            yield view.finding(
                "quota-beyond-total",
                key,
                f"{view.line(key)} is {limit}, but {view.line(total)} is {quota.total_gpus}: it never counts",
                severity="warning",
                hint=f"write {quota.total_gpus} or less, or raise {show_key(total)}",
                also=(total,),
            )


def quota_names_plugins(view: View[ServerConfig]) -> Iterator[Finding]:
    """A misspelt plugin has no limit, and nobody may use it."""
    quota = view.config.scheduler.plugin_quota
    for name in quota.per_plugin_limits:
        if name not in PLUGINS and nearest(name, PLUGINS):
            yield _unknown_plugin(view, (*_LIMITS, name), name, PLUGINS)
    known = {*PLUGINS, *quota.per_plugin_limits}
    names = list(dict.fromkeys([*PLUGINS, *quota.per_plugin_limits]))[:_ADVICE]
    for user, override in quota.user_overrides.items():
        for number, name in enumerate(override.allowed_plugins):
            if name not in known:
                key = (*_OVERRIDES, user, "allowed_plugins", str(number))
                yield _unknown_plugin(view, key, name, names)


def _unknown_plugin(
    view: View[ServerConfig], key: Key, name: str, known: tuple[str, ...] | list[str]
) -> Finding:
    return view.finding(
        "unknown-plugin",
        key,
        f"{show_key(key)}: {show(name)} is none of the plugins {', '.join(known)}",
        severity="warning",
        expected=f"a plugin of FetchML, or one with limits in {show_key(_LIMITS)}",
        hint=did_you_mean(name, known) or f"write one of {show_key(_LIMITS)}",
    )


def quota_names_users(view: View[ServerConfig]) -> Iterator[Finding]:
    """An override for nobody is a misspelt name."""
    auth = view.config.auth
    if not auth.enabled:
        return
    unknown = (
        user for user in view.config.scheduler.plugin_quota.user_overrides if user not in auth.api_keys
    )
    names = list(auth.api_keys)[:_ADVICE]
    for user in itertools.islice(unknown, _ADVICE):
        key = (*_OVERRIDES, user)
        yield view.finding(
            "unknown-user",
            key,
            f"{show_key(key)}: auth.api_keys has no user {show(user)}",
            severity="warning",
            hint=did_you_mean(user, names) or "write a name of auth.api_keys",
        )
