"""Rules across keys: each a small function over a loaded configuration that yields what is wrong.

Layer 1, pure. A rule never changes a configuration. New rules are new functions in the tuples at the end.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import attrs
from attrs import frozen

from .findings import NOWHERE, Finding, Key, Place, Severity, show_key
from .option import fields_of

if TYPE_CHECKING:
    from .profile import Profile
    from .server import ServerConfig
    from .worker import WorkerConfig

T = TypeVar("T")
_PLACEHOLDER = re.compile(r"change[_-]?me|replace[_-]with|^<.*>$", re.IGNORECASE)
_HASH = re.compile(r"[0-9a-f]{64}", re.ASCII)
_OWN_NAMES = {"", "localhost", "127.0.0.1", "::1"}


@frozen
class View(Generic[T]):
    """What a rule sees.

    Args:
        config: The records.
        file: The file's name, for findings.
        places: The place of each value that the file names and that is not empty.
    """

    config: T
    file: str
    places: Mapping[Key, Place]

    def finding(
        self,
        code: str,
        key: Key,
        message: str,
        *,
        severity: Severity = "error",
        expected: str = "",
        hint: str = "",
        blocks_start: bool = False,
    ) -> Finding:
        """Return a finding at *key*, or at the nearest section above it that has a place."""
        place = self.places.get(key) or self.places.get(key[:-1], NOWHERE)
        return Finding(
            code,
            severity,
            message,
            self.file,
            place.line,
            place.column,
            show_key(key),
            expected,
            hint,
            blocks_start,
        )

    def line(self, key: Key) -> str:
        """Where *key* stands, in words."""
        return f"{show_key(key)} (line {self.places[key].line})" if key in self.places else show_key(key)


Rule = Callable[[View[T]], Iterator[Finding]]


def is_placeholder(text: str) -> bool:
    """Whether *text* is or holds what a sample says instead of a secret."""
    return bool(_PLACEHOLDER.search(text))


def secrets_of(record: Any, key: Key = ()) -> Iterator[tuple[Key, str]]:
    """Yield every secret text of *record* and its sections that is set, with its key."""
    for name, field in fields_of(type(record)).items():
        value, below = getattr(record, name), (*key, name)
        if field.kind == "section":
            yield from secrets_of(value, below)
        elif field.kind == "map" and attrs.has(field.item):
            for item, inner in value.items():
                yield from secrets_of(inner, (*below, item))
        elif field.option.secret and value:
            yield below, value


def no_placeholders(view: View[Any]) -> Iterator[Finding]:
    """A secret copied from a sample is known to everyone: no door may start with it."""
    for key, value in secrets_of(view.config):
        if is_placeholder(value):
            yield view.finding(
                "placeholder-secret",
                key,
                f"{show_key(key)} is a placeholder",
                severity="warning",
                hint="put the real value here, or ${NAME} to take it from the environment",
                blocks_start=True,
            )


def hashes_are_sha256(view: View[ServerConfig]) -> Iterator[Finding]:
    """A key can only match 64 lower-case hex digits."""
    for user, api_key in view.config.auth.api_keys.items():
        key = ("auth", "api_keys", user, "hash")
        if _HASH.fullmatch(api_key.hash) or is_placeholder(api_key.hash):
            continue
        expected = "64 hex digits, the SHA-256 of the API key"
        problem = f"is no SHA-256 hash ({len(api_key.hash)} characters)" if api_key.hash else "is missing"
        hint = 'printf %s "$KEY" | sha256sum'
        if _HASH.fullmatch(api_key.hash.lower()):
            problem, hint = "has upper-case letters", "write it in lower case"
        yield view.finding("bad-hash", key, f"{show_key(key)} {problem}", expected=expected, hint=hint)


def star_is_for_admins(view: View[ServerConfig]) -> Iterator[Finding]:
    """``"*"`` without ``admin: true`` says two things at once."""
    for user, api_key in view.config.auth.api_keys.items():
        if "*" in api_key.permissions and not api_key.admin:
            yield view.finding(
                "star-without-admin",
                ("auth", "api_keys", user, "permissions", "*"),
                f'{show_key(("auth", "api_keys", user))} has the permission "*", but not admin: true',
                hint='write admin: true, or name the permissions instead of "*"',
            )


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


def max_workers_agree(view: View[WorkerConfig]) -> Iterator[Finding]:
    """Two keys name the same number; where both are written they must be equal."""
    top, inner = ("max_workers",), ("resources", "max_workers")
    config = view.config
    if top in view.places and inner in view.places and config.max_workers != config.resources.max_workers:
        yield view.finding(
            "max-workers-disagree",
            top,
            f"{view.line(top)} is {config.max_workers}, but {view.line(inner)} is {config.resources.max_workers}",
            hint="remove one of them, or make them equal",
        )


def jobs_run_here(view: View[WorkerConfig]) -> Iterator[Finding]:
    """A worker starts jobs on its own host only."""
    if not view.config.local_mode and view.config.host not in _OWN_NAMES:
        yield view.finding(
            "remote-worker",
            ("host",),
            "local_mode is false and host is another machine: a worker runs jobs on its own host only",
            hint="run the worker on that machine, and set local_mode: true",
        )


SERVER_RULES: tuple[Rule[ServerConfig], ...] = (
    no_placeholders,
    hashes_are_sha256,
    star_is_for_admins,
    audit_paths_agree,
)
WORKER_RULES: tuple[Rule[WorkerConfig], ...] = (no_placeholders, max_workers_agree, jobs_run_here)
PROFILE_RULES: tuple[Rule[Profile], ...] = (no_placeholders,)
