"""Rules of the api file: which there are, and those that belong to no larger subject.

Layer 1, pure. New rules are new functions in the tuples at the end.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from fetchml_core.config.findings import Finding, Key, show_key

from . import auth, network, production, queue, quota, surroundings, tls
from .active import not_active_yet
from .base import Rule, View, no_placeholders

if TYPE_CHECKING:
    from fetchml_core.config.server import ServerConfig

MOST_ROTATION_DAYS = 366
_SCHEMES = {"postgres": "postgres", "postgresql": "postgres", "mysql": "mysql", "sqlite": "sqlite"}


def audit_paths_agree(view: View[ServerConfig]) -> Iterator[Finding]:
    """Where audit records go is decided by one key; a second one may only repeat it."""
    audit, named = view.config.security.audit_logging, view.config.logging.audit_file
    decides, repeats = ("security", "audit_logging", "log_path"), ("logging", "audit_file")
    if audit.enabled and named and named != audit.log_path:
        yield view.finding(
            "audit-path-disagrees",
            repeats,
            f"{view.line(repeats)} differs from {view.line(decides)}, which decides where audit records go",
            hint=f"remove {show_key(repeats)}, or set both to one path",
            also=(decides,),
        )
    if audit.enabled:
        return
    for key, path in ((decides, audit.log_path), (repeats, named)):
        if path:
            yield view.finding(
                "audit-not-enabled",
                key,
                f"{show_key(key)} names an audit file, but audit logging is off: nothing is written",
                severity="warning",
                hint="set security.audit_logging.enabled: true, or remove the path",
            )


def keys_are_rotated(view: View[ServerConfig]) -> Iterator[Finding]:
    """A key that lives for years is as good as never replaced."""
    days = view.config.security.api_key_rotation_days
    if days > MOST_ROTATION_DAYS:
        key = ("security", "api_key_rotation_days")
        yield view.finding(
            "rotation-rarely",
            key,
            f"{show_key(key)} is {days}: a key may be older than a year",
            severity="warning",
            expected=f"1 to {MOST_ROTATION_DAYS} days",
            hint="write 90",
        )


def database_is_named(view: View[ServerConfig]) -> Iterator[Finding]:
    """A server needs an address, a file has none."""
    database = view.config.database
    kind: Key = ("database", "type")
    of_server: list[Key] = [
        ("database", name) for name in ("host", "port", "username", "password", "database")
    ]
    scheme = re.match(r"([a-z]+)(?:\+[a-z0-9]+)?:", database.connection)
    meant = _SCHEMES.get(scheme[1], "") if scheme else ""
    if meant and meant != database.type:
        key: Key = ("database", "connection")
        yield view.finding(
            "database-type-disagrees",
            key,
            f"{view.line(key)} names a {meant} database, but {view.line(kind)} is {database.type}",
            hint=f"write type: {meant}",
            also=(kind,),
        )
    elif database.type == "sqlite" and (written := view.written(*of_server)):
        told = ", ".join(map(show_key, written))
        yield view.finding(
            "database-not-used",
            written[0],
            f"the database is sqlite, a file: {told} {'has' if len(written) == 1 else 'have'} no effect",
            severity="warning",
            hint="write database.type: postgres or mysql, or remove what is for a server",
            also=(kind, *written[1:]),
        )
    elif database.type != "sqlite" and not database.connection and not database.host:
        yield view.finding(
            "database-missing",
            kind,
            f"{view.line(kind)} is {database.type}, but neither database.connection nor database.host names one",
            hint="add host: with the name of the database's machine",
        )


RULES: tuple[Rule[ServerConfig], ...] = (
    no_placeholders,
    auth.hashes_are_sha256,
    auth.hashes_differ,
    auth.somebody_gets_in,
    auth.roles_are_known,
    auth.admins_are_admins,
    auth.permissions_are_known,
    network.addresses_have_their_form,
    network.metrics_have_a_path,
    network.ports_do_not_clash,
    network.whitelist_names_networks,
    network.origins_are_origins,
    tls.tls_names_its_files,
    production.production_asks_for_keys,
    production.production_keeps_secrets,
    production.production_is_closed,
    audit_paths_agree,
    keys_are_rotated,
    database_is_named,
    queue.redis_is_named_well,
    queue.redis_settings_agree,
    queue.redis_is_used,
    queue.queue_settings_are_used,
    quota.quota_is_enabled,
    quota.quota_fits_the_total,
    quota.quota_names_plugins,
    quota.quota_names_users,
    surroundings.queue_survives_by_name,
    not_active_yet,
)
#: Those that ask the machine.
MACHINE_RULES: tuple[Rule[ServerConfig], ...] = (
    tls.tls_files_serve,
    surroundings.queue_survives,
    surroundings.jobs_fit_the_machine,
)
