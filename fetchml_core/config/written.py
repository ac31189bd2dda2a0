"""Options and their values as the text of a file, YAML or TOML: what is explained, shown and started from.

Layer 1, pure. Texts are always in quotes, with the escapes that both formats know, so that a value never becomes
anything else. Two steps: `file_lines` gives one line for each section and option, `lay_out` puts their comments
in a column.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import zip_longest
from typing import Any

from attrs import frozen

from .findings import Key
from .node import resolve_plain

COLUMN = 44
_BARE = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*", re.ASCII)
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}


@frozen
class Item:
    """An option with the value to write."""

    key: Key
    value: Any
    comment: str = ""


@frozen
class Line:
    """A line of a file: an option, or the head of a section."""

    key: Key
    text: str
    comment: str = ""
    head: bool = False


def file_lines(
    items: Iterable[Item], *, toml: bool, about: Callable[[Key], str] = lambda _: ""
) -> Iterator[Line]:
    """Yield the lines of a file that says *items*.

    Args:
        items: Options; those of a section stand together.
        toml: Write TOML; YAML else.
        about: Gives the comment of a section's head.
    """
    yield from (_toml if toml else _yaml)(items, about)


def _yaml(items: Iterable[Item], about: Callable[[Key], str]) -> Iterator[Line]:
    before: Key = ()
    for item in items:
        section = item.key[:-1]
        same = _common(before, section)
        for depth in range(same, len(section)):
            key = section[: depth + 1]
            yield Line(key, f"{'  ' * depth}{_name(key[-1])}:", about(key), head=True)
        text = f"{'  ' * len(section)}{_name(item.key[-1])}: {value_text(item.value)}"
        yield Line(item.key, text, item.comment)
        before = section


def _toml(items: Iterable[Item], about: Callable[[Key], str]) -> Iterator[Line]:
    tables: dict[Key, list[Item]] = {(): []}  # what stands in no table comes first
    for item in items:
        tables.setdefault(item.key[:-1], []).append(item)
    for section, inside in tables.items():
        if section:
            yield Line(section, f"[{'.'.join(_name(part) for part in section)}]", about(section), head=True)
        for item in inside:
            yield Line(item.key, f"{_name(item.key[-1])} = {value_text(item.value)}", item.comment)


def lay_out(lines: Sequence[Line], *, prefix: str = "") -> list[str]:
    """Return *lines* as text, with *prefix* before each and the comments behind, in one column where they fit."""
    widest = max((len(line.text) for line in lines if line.comment and len(line.text) <= COLUMN), default=0)
    return [
        prefix + (f"{line.text:<{widest}}  # {line.comment}" if line.comment else line.text) for line in lines
    ]


def value_text(value: Any) -> str:
    """Return *value* as YAML and TOML both have it: a bool, a number, a text, a list of these or an empty map.

    None, which neither has, is the word unset.
    """
    if value is None:
        return "unset"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(value_text(item) for item in value)}]"
    return "{}" if value == {} else str(value)


def quoted(text: str) -> str:
    """Return *text* in double quotes; what cannot be seen is escaped."""
    return f'"{"".join(map(_escaped, text))}"'


def _escaped(letter: str) -> str:
    if letter in _ESCAPES:
        return _ESCAPES[letter]
    if letter.isprintable():
        return letter
    return f"\\u{ord(letter):04x}" if ord(letter) < 0x10000 else f"\\U{ord(letter):08x}"


def _name(part: str) -> str:
    return part if _BARE.fullmatch(part) and isinstance(resolve_plain(part), str) else quoted(part)


def _common(one: Key, other: Key) -> int:
    """How many parts *one* and *other* begin with in common."""
    return next((at for at, (a, b) in enumerate(zip_longest(one, other)) if a != b), len(one))
