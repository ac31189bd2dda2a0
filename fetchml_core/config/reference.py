"""What the reference tells about every option: neutral records, made from the schema, and the page in Markdown.

Layer 1, pure. The manual pages of section 5 are made from the same records.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import attrs
from attrs import frozen

from .environment import VARIABLES
from .findings import Key
from .kinds import all_kinds
from .option import Field, fields_of

if TYPE_CHECKING:
    from .environment import Variable
    from .kinds import FileKind

NOT_ACTIVE = "not active yet"
_NAMES = {
    "api_keys": "<user>",
    "per_plugin_limits": "<plugin>",
    "user_overrides": "<user>",
    "permissions": "<name>",
}
_WORDS = {"int": "number", "cpus": "CPUs", "list": "list of texts"}


@frozen
class Entry:
    """One option, in words.

    Args:
        key: Its full name, ``auth.api_keys.<user>.hash``.
        type: What its value is.
        default: What counts while it is unset; empty: nothing does.
        values: Choices, range and unit of its values; empty: any.
        help: What it does.
        env: The variable that overrides it.
        example: A value, as a file has it; of a secret none.
        read_by: The code that reads it, or `NOT_ACTIVE`.
        alias: Another name of it.
        deprecated: What to use instead.
        reason: Why it exists although the configuration reference does not have it.
        secret: Whether its value is never shown.
    """

    key: str
    type: str
    default: str
    values: str
    help: str
    env: str = ""
    example: str = ""
    read_by: str = NOT_ACTIVE
    alias: str = ""
    deprecated: str = ""
    reason: str = ""
    secret: bool = False


@frozen
class Part:
    """A top-level section of a file; `name` is empty for the options that stand in none."""

    name: str
    help: str
    entries: tuple[Entry, ...]


def parts_of(kind: FileKind[Any]) -> tuple[Part, ...]:
    """Return the sections of a kind of file with their options, those that stand in none first."""
    fields = fields_of(kind.cls).values()
    loose = tuple(entry(field, (field.name,)) for field in fields if field.kind != "section")
    named = tuple(
        Part(field.name, field.option.help, tuple(_entries(field.item, (field.name,))))
        for field in fields
        if field.kind == "section"
    )
    return ((Part("", "Options that stand in no section.", loose),) if loose else ()) + named


def _entries(cls: type[Any], key: Key) -> Iterator[Entry]:
    for field in fields_of(cls).values():
        below = (*key, field.name)
        if field.kind == "section":
            yield from _entries(field.item, below)
            continue
        yield entry(field, below)
        if field.kind == "map" and attrs.has(field.item):
            yield from _entries(field.item, (*below, _NAMES.get(field.name, "<name>")))


def entry(field: Field, key: Key) -> Entry:
    """Return what there is to tell about the option *field* at *key*."""
    about = field.option
    return Entry(
        key=".".join(key),
        type=type_of(field),
        default=default_of(field),
        values=values_of(field),
        help=about.help,
        env=about.env,
        example="" if about.secret else about.example,
        read_by=about.read_by or NOT_ACTIVE,
        alias=about.alias,
        deprecated=about.deprecated,
        reason=about.reason,
        secret=about.secret,
    )


def type_of(field: Field) -> str:
    """Return the type of *field* in words."""
    if field.kind == "map":
        inner = "section" if attrs.has(field.item) else "true or false"
        return f"{inner} by {_NAMES.get(field.name, '<name>')[1:-1]}"
    return _WORDS.get(field.kind, field.kind)


def default_of(field: Field) -> str:
    """Return the default of *field* as a file has it, empty where nothing counts."""
    if field.default in (None, "", (), {}):
        return ""
    return str(field.default).lower() if field.kind == "bool" else str(field.default)


def values_of(field: Field) -> str:
    """Return the legal values of *field* in words: choices, or range and unit; empty: any of its type."""
    about = field.option
    if about.choices:
        return "one of " + ", ".join(about.choices)
    if field.kind == "duration":
        return f"{about.ge:g}s or longer" if about.ge is not None else ""
    bounds = ""
    if about.ge is not None:
        bounds = f"{about.ge:g} " + ("or more" if about.le is None else f"to {about.le:g}")
    return f"{bounds} ({about.unit})" if bounds and about.unit else bounds or about.unit


# --- the page ---------------------------------------------------------------------------------------------------

_HEAD = """<!-- Made by "python -m fetchml_cli.generate all". Do not edit. -->
# Configuration reference

Every option of the three kinds of file, made from the schema that checks them. How files are found, written and
checked is told in [configuration.md](configuration.md); `ml config explain KEY` shows one option of this page.

A default of - means unset: nothing counts, or what the meaning says. *Read by* names the code that reads an option;
*not active yet* means that the option is checked and has no effect so far. Whoever switches such an option on hears
it from `ml config validate`, in the worker's log and from `ml show`.
"""
TYPES = (
    ("bool", "`true` or `false`, nothing else"),
    ("number", "a whole number, without quotes"),
    ("text", "any text; an empty one means unset"),
    ("duration", "`30m`, `1h30m`, `500ms`; a bare number is refused"),
    ("size", "`4Gi`, `512m`, `16g`: powers of 1024; a bare number is refused"),
    ("CPUs", 'a number of CPUs in quotes: `"2"`, `"0.5"`'),
    ("list of texts", '`["a", "b"]`'),
    ("section by name", "a section for each name that you choose"),
)


def reference_page() -> str:
    """Return the reference in Markdown."""
    lines = [_HEAD, *_table(("Type", "Written as"), TYPES), ""]
    for kind in all_kinds():
        lines += _kind(kind)
    lines += ["## Environment variables", "", *_environment()]
    return "\n".join(lines).rstrip("\n") + "\n"


def _kind(kind: FileKind[Any]) -> Iterator[str]:
    parts = parts_of(kind)
    every = [one for part in parts for one in part.entries]
    idle = sum(1 for one in every if one.read_by == NOT_ACTIVE)
    yield f"## {kind.title[0].upper()}{kind.title[1:]}: `{kind.file}`\n"
    yield f"{len(every)} options, {idle} of them not active yet.\n" if idle else f"{len(every)} options.\n"
    for part in parts:
        yield (
            f"### `{part.name}`\n\n{part.help}\n" if part.name else f"### Without a section\n\n{part.help}\n"
        )
        yield from _table(
            ("Key", "Type", "Default", "Values", "Meaning", "Read by"), (_row(one) for one in part.entries)
        )
        yield ""
    yield from _notes("Other names", ("Name", "Means"), _aliases(every))
    yield from _notes(
        "Deprecated",
        ("Key", "Instead"),
        ((f"`{one.key}`", one.deprecated) for one in every if one.deprecated),
    )
    reasons = [(f"`{one.key}`", one.reason) for one in every if one.reason]
    yield from _notes("Our own options", ("Key", "Why it exists"), reasons)


def _row(one: Entry) -> tuple[str, ...]:
    meaning = one.help
    if one.example:
        meaning += f" Example: `{one.example}`."
    if one.env:
        meaning += f" Overridden by {one.env}."
    if one.secret:
        meaning += " Secret: never shown."
    default = f"`{one.default}`" if one.default else "-"
    reader = one.read_by if one.read_by == NOT_ACTIVE else f"`{one.read_by}`"
    return f"`{one.key}`", one.type, default, one.values, meaning, reader


def _aliases(every: Iterable[Entry]) -> Iterator[tuple[str, str]]:
    for one in every:
        if one.alias:
            above = one.key.rpartition(".")[0]
            yield f"`{above}.{one.alias}`", f"`{one.key}`"


def _notes(title: str, head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    rows = list(rows)
    if rows:
        yield f"### {title}\n"
        yield from _table(head, rows)
        yield ""


def _environment() -> Iterator[str]:
    yield "A flag beats the environment, the environment beats a file, a file beats the default. An empty variable is unset."
    yield "One with a value that is not legal is an error that names it (exit status 3). A worker says at its start which of"
    yield "those on the host are set. Nothing of the environment crosses SSH.\n"
    yield from _table(
        ("Variable", "Read on", "Legal values", "Overrides", "Default", "Meaning", "Read by"),
        (_variable_row(one) for one in VARIABLES),
    )


def _variable_row(one: Variable) -> tuple[str, ...]:
    reader = f"`{one.read_by}`" if one.read_by else NOT_ACTIVE
    return (
        f"`{one.name}`",
        one.side,
        one.expected,
        f"`{one.overrides}`" if one.key else one.overrides,
        f"`{one.default}`" if one.default else "-",
        one.help,
        reader,
    )


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield "|" + "---|" * len(head)
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |"


def tell_variable(one: Variable) -> str:
    """Return what there is to tell about a variable in running text."""
    told = [one.help, f"Legal: {one.expected}."] if one.choices or one.type == "int" else [one.help]
    told.append(f"Overrides {one.overrides}.")
    if not one.read_by:
        told.append(f"{NOT_ACTIVE.capitalize()}.")
    return " ".join(told)
