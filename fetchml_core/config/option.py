"""How an option of a configuration file is declared, and what can be asked about it.

Layer 1, pure. A file is an attrs class, a section of it a field that holds another one, an option a field made
by `option`, whose record lies in the field's metadata. Loading, checking, explaining and documenting read these
records and nothing else.
"""

from __future__ import annotations

import functools
import re
import types
import typing
from typing import Any, Literal, Union

import attrs
from attrs import frozen

from fetchml_core.errors import InputError
from fetchml_core.units import parse_duration, parse_size

if typing.TYPE_CHECKING:
    from collections.abc import Iterator

    from .findings import Key

Kind = Literal["bool", "int", "text", "duration", "size", "cpus", "list", "map", "section"]
_METADATA = "fetchml"


class Duration(str):
    """A time as the file has it (``1h30m``); the loader has checked it."""

    __slots__ = ()

    @property
    def seconds(self) -> float:
        """The time in seconds."""
        return parse_duration(self)


class Size(str):
    """A number of bytes as the file has it (``4Gi``); the loader has checked it."""

    __slots__ = ()

    @property
    def bytes(self) -> int:
        """The number of bytes."""
        return parse_size(self)


class Cpus(str):
    """A number of CPUs as Podman takes it (``2``, ``0.5``); the loader has checked it."""

    __slots__ = ()

    @property
    def number(self) -> float:
        """The number of CPUs."""
        return parse_cpus(self)


def parse_cpus(text: str) -> float:
    """Return the number of CPUs that *text* names, above 0.

    Raises:
        InputError: ``bad-cpus``.
    """
    count = float(text) if re.fullmatch(r"\d{1,4}(\.\d{1,3})?", text.strip(), re.ASCII) else 0.0
    if count <= 0:
        raise InputError(
            "bad-cpus", "this is no number of CPUs", context=text, hint='write it like "2" or "0.5"'
        )
    return count


@frozen
class Option:
    """What is known about one option or section.

    Args:
        help: What it does, in a sentence.
        unit: Unit of a bare number: ``s``, ``days``, ``requests/min``.
        env: The environment variable that overrides it.
        alias: Another name that files may use.
        secret: Its value is never shown.
        example: A value to show where the default says little.
        read_by: Attribute path of the code that reads it, ``module:name``; empty: not active yet.
        ge: Least value; of durations in seconds.
        le: Greatest value.
        numbers: Items of this list may be written as whole numbers too.
        choices: The legal texts.
        pattern: What a text must look like, for editors; the rule that refuses it says so in words.
        required: Whether a rule refuses the section without it.
        deprecated: What to use instead.
        reason: Why it exists although the configuration reference does not have it.
    """

    help: str
    unit: str = ""
    env: str = ""
    alias: str = ""
    secret: bool = False
    example: str = ""
    read_by: str = ""
    ge: float | None = None
    le: float | None = None
    numbers: bool = False
    choices: tuple[str, ...] = ()
    pattern: str = ""
    required: bool = False
    deprecated: str = ""
    reason: str = ""


def option(*, default: Any = "", help: str, **record: Any) -> Any:  # noqa: A002 - the name of the record's field
    """Declare an option; arguments beyond *default* are those of `Option`. A dict default is copied."""
    what = Option(help, **record)
    made = {"factory": dict} if default == {} else {"default": default}
    return attrs.field(**made, repr=not what.secret, metadata={_METADATA: what})


def section(cls: type[Any], help: str, **record: Any) -> Any:  # noqa: A002 - the name of the record's field
    """Declare a section, whose options are the fields of *cls*."""
    return attrs.field(factory=cls, metadata={_METADATA: Option(help, **record)})


def unread(*names: str) -> Any:
    """Return a field transformer for a section that two files share: here nothing reads the options *names*."""

    def transform(_: type[Any], fields: list[Any]) -> list[Any]:
        return [_not_read(field) if field.name in names else field for field in fields]

    return transform


def _not_read(field: Any) -> Any:
    return field.evolve(metadata={_METADATA: attrs.evolve(field.metadata[_METADATA], read_by="")})


@frozen
class Field:
    """An option or section of a class, with its type.

    Args:
        name: Its key in the file.
        kind: What its value is.
        optional: Whether None stands for unset.
        item: The class of a section, or of a map's values (attrs class or ``bool``).
        default: Value when the file is silent; None for sections.
        option: The record that `option` or `section` made.
    """

    name: str
    kind: Kind
    optional: bool
    item: Any
    default: Any
    option: Option


_SCALARS: dict[Any, Kind] = {
    bool: "bool",
    int: "int",
    str: "text",
    Duration: "duration",
    Size: "size",
    Cpus: "cpus",
}


def fields_of(cls: type[Any]) -> dict[str, Field]:
    """Return the options and sections of *cls* by key."""
    known: Any = cls  # mypy does not take every class for hashable
    return _fields_of(known)


@functools.cache
def _fields_of(cls: Any) -> dict[str, Field]:
    hints = typing.get_type_hints(cls)
    return {field.name: _field(field, hints[field.name]) for field in attrs.fields(cls)}


def _field(field: Any, hint: Any) -> Field:
    optional = typing.get_origin(hint) in {Union, types.UnionType}
    if optional:
        hint = next(part for part in typing.get_args(hint) if part is not type(None))
    origin = typing.get_origin(hint)
    kind: Kind
    if attrs.has(hint):
        kind = "section"
    elif origin is not None:
        kind = "map" if origin is dict else "list"
    else:
        kind = _SCALARS[hint]
    item = typing.get_args(hint)[-1] if kind == "map" else hint
    default = {} if kind == "map" else None if kind == "section" else field.default
    return Field(field.name, kind, optional, item, default, field.metadata[_METADATA])


def walk(cls: type[Any], prefix: Key = ()) -> Iterator[tuple[Key, Field]]:
    """Yield every option of *cls* and its sections with its key; ``*`` stands for a name that the file chooses."""
    for field in fields_of(cls).values():
        key = (*prefix, field.name)
        if field.kind == "section":
            yield from walk(field.item, key)
            continue
        yield key, field
        if field.kind == "map" and attrs.has(field.item):
            yield from walk(field.item, (*key, "*"))
