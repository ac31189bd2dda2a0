"""The rule that holds for every key: what is switched on while no code reads it yet is said.

Layer 1, pure. A setting counts as switched on when the file names it and it is true or differs from its default;
of a section with a key `enabled` that key alone counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import attrs

from fetchml_core.config.findings import Finding, Key, show_key
from fetchml_core.config.option import Field, fields_of

if TYPE_CHECKING:
    from .base import View

_SAID = re.compile(" (?:is|are) not active yet")


def not_active_yet(view: View[Any]) -> Iterator[Finding]:
    """Whoever switches something on must hear that it has no effect yet."""
    for key, names in switched_on(view, view.config, ()):
        verb = "is" if len(names) == 1 else "are"
        told = ", ".join(show_key(name) for name in names)
        yield view.finding(
            "not-active-yet",
            key,
            f"{told} {verb} not active yet: nothing reads {'it' if verb == 'is' else 'them'} so far",
            severity="info",
        )


def idle_notes(findings: Iterable[Finding]) -> tuple[str, ...]:
    """Return what `not_active_yet` found as a line for each file, for those who are told again and again."""
    keys: dict[str, list[str]] = {}
    for found in findings:
        if found.code == "not-active-yet":
            keys.setdefault(found.file, []).append(_SAID.split(found.message)[0])
    return tuple(f"not active yet in {file}: {', '.join(names)}" for file, names in keys.items())


def switched_on(view: View[Any], record: Any, key: Key) -> Iterator[tuple[Key, list[Key]]]:
    """Yield, for each section, the key to point at and the keys that nothing reads."""
    fields = fields_of(type(record))
    enabled = fields.get("enabled")
    if enabled is not None and not record.enabled:
        return
    if enabled is not None and not enabled.option.read_by:
        if (*key, "enabled") in view.places:
            yield (*key, "enabled"), [key]
        return
    idle: list[Key] = []
    for name, field in fields.items():
        below, value = (*key, name), getattr(record, name)
        if field.kind == "section":
            yield from switched_on(view, value, below)
        elif field.kind == "map" and attrs.has(field.item) and field.option.read_by:
            for item, inner in value.items():
                yield from switched_on(view, inner, (*below, item))
        elif _is_on(field, value) and below in view.places:
            idle.append(below)
    if idle:
        yield idle[0], idle


def _is_on(field: Field, value: Any) -> bool:
    about = field.option
    return not about.read_by and not about.deprecated and value != field.default and value is not False
