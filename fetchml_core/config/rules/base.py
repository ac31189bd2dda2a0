"""What every rule shares: what it sees of a file and of the machine, and the rules that hold for every kind of file.

Layer 1, pure. A rule is a small function over a loaded configuration that yields what is wrong; it never changes
anything. It looks across keys: what one value must be is said in the schema. `machine` is None where a file is
loaded to be used; rules that ask the machine stand in a list of their own, which only validation runs.
"""

from __future__ import annotations

import os.path
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar

import attrs
from attrs import frozen

from fetchml_core.config.findings import NOWHERE, Finding, Key, Place, Severity, show_key
from fetchml_core.config.option import fields_of

T = TypeVar("T")
_PLACEHOLDER = re.compile(r"change[_-]?me|replace[_-]with|^<.*>$", re.IGNORECASE)
#: Addresses and connection strings are secret as far as they hold a password.
_MAY_HOLD = ("url", "redis_url", "connection")
_PASSWORD = re.compile(r"(^|//)[^/@:]*:[^@]+@|password\s*=\s*\S", re.IGNORECASE)


@frozen
class Machine:
    """What rules may ask of the machine that is to use a file.

    Args:
        base: The folder that relative paths are taken from.
        cpus: Its CPUs, as a worker there counts them.
        now: Seconds since 1970.
        filesystem: Names the type of the file system that a path lies on or would lie on: ``tmpfs``, ``ext4``;
            empty where that is not known.
        memory: Its memory, in bytes; 0 where it is not known.
        tls_pair: Looks at a certificate file and a key file; None where nothing here can.
    """

    base: Path
    cpus: float
    now: float
    filesystem: Callable[[Path], str]
    memory: int = 0
    tls_pair: Callable[[Path, Path], TlsPair] | None = None

    def path(self, written: str) -> Path:
        """Return the file or folder that a file's text names."""
        return Path(os.path.normpath(self.base / written))


@frozen
class TlsPair:
    """What was found in a certificate file and a key file.

    Args:
        cert_problem: Why the certificate cannot be used, to follow its name (``does not exist``); empty: it can.
        key_problem: Why the key cannot be used, likewise.
        matching: Whether they belong together.
        not_before: When the certificate begins to hold, in seconds since 1970.
        not_after: When it ends.
        key_mode: The mode of the key's file.
    """

    cert_problem: str = ""
    key_problem: str = ""
    matching: bool = True
    not_before: float = 0.0
    not_after: float = 0.0
    key_mode: int = 0o600


@frozen
class View(Generic[T]):
    """What a rule sees.

    Args:
        config: The records.
        file: The file's name, for findings.
        places: The place of each value, and of each item of a list, that the file names and that is not empty.
        references: Keys whose value the environment gave, by ``${NAME}``.
        mode: The file's mode, None where it is not known.
        machine: The machine that is to use it, None where nothing may be asked of it.
    """

    config: T
    file: str
    places: Mapping[Key, Place]
    references: Collection[Key] = ()
    mode: int | None = None
    machine: Machine | None = None

    def finding(  # noqa: PLR0913 - a finding has many parts, each with its name
        self,
        code: str,
        key: Key,
        message: str,
        *,
        severity: Severity = "error",
        expected: str = "",
        hint: str = "",
        blocks_start: bool = False,
        near: Key = (),
        also: tuple[Key, ...] = (),
    ) -> Finding:
        """Return a finding at *key*, or at the nearest section above it that has a place.

        Args:
            code: Its stable name.
            key: What is wrong.
            message: What is wrong, in words.
            severity: How bad that is.
            expected: What is legal.
            hint: What to type.
            blocks_start: Whether no door may start with it.
            near: The key to point at where *key* has no place.
            also: Other keys that have to do with it.
        """
        places = self.places
        place = places.get(key) or places.get(near) or places.get(key[:-1], NOWHERE)
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
            tuple(places[other] for other in also if other in places),
        )

    def line(self, key: Key) -> str:
        """Where *key* stands, in words."""
        return f"{show_key(key)} (line {self.places[key].line})" if key in self.places else show_key(key)

    def written(self, *keys: Key) -> list[Key]:
        """Return those of *keys* that the file names, in the order of the file."""
        return sorted((key for key in keys if key in self.places), key=lambda key: self.places[key])


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


def holds_secret(key: Key, text: str) -> bool:
    """Whether the secret option *key* really holds one: a placeholder is none, nor an address without a password."""
    if is_placeholder(text):
        return False
    return key[-1] not in _MAY_HOLD or bool(_PASSWORD.search(text))


_HINTS = {
    "hash": 'put the output of: printf %s "$KEY" | sha256sum',
    "api_key": "put the key that the host's admin gave you, or ${NAME} to take it from the environment",
}
_ANY_HINT = "put the real value here, or ${NAME} to take it from the environment"


def no_placeholders(view: View[Any]) -> Iterator[Finding]:
    """A secret copied from a sample is known to everyone: no door may start with it."""
    for key, value in secrets_of(view.config):
        if is_placeholder(value):
            yield view.finding(
                "placeholder-secret",
                key,
                f"{show_key(key)} is a placeholder",
                severity="warning",
                hint=_HINTS.get(key[-1], _ANY_HINT),
                blocks_start=True,
            )
