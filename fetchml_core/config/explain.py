"""What is known about an option, a section or an environment variable, and how to find it by what a person types.

Layer 1, pure. A topic is an option or a section as it stands in one kind of file or, with the same meaning, in
several; what it says are the records of the schema. A part of a key that the file chooses itself, such as the name
of a user, is ``*``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

import attrs
from attrs import evolve, frozen

from .environment import VARIABLES, Variable, variable_named
from .findings import Key
from .json_schema import example_value
from .kinds import FileKind, all_kinds, by_any_name
from .option import Field, fields_of
from .reference import type_of
from .scalars import expected_of
from .written import Item, file_lines, lay_out, value_text

_PARTS = re.compile(r"""[^."']+|"[^"]*"|'[^']*'""")
_NAME = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
# What to call the part that a file chooses below these maps, and one to show; below all others it is a user.
_CHOSEN = {"per_plugin_limits": ("plugin", "jupyter")}
_USER = ("user", "alice")
# What an example needs beside it to be valid, and does not say with `required`.
_COMPANIONS: dict[Key, tuple[str, ...]] = {("server", "tls"): ("enabled", "cert_file", "key_file")}
# Another value than the default needs settings elsewhere: the example is the default.
_AS_DEFAULT: frozenset[Key] = frozenset(
    {("security", "production_mode"), ("database", "type"), ("queue", "type")}
)
NOT_ACTIVE = "not active yet: nothing reads it so far"


@frozen
class Topic:
    """An option or a section.

    Args:
        key: Its key.
        field: Its record.
        kinds: The kinds of file that have it.
        shown: Its key with a name in each place that the file chooses, for an example.
    """

    key: Key
    field: Field
    kinds: tuple[FileKind[Any], ...]
    shown: Key

    @property
    def name(self) -> str:
        """Its key as documentation writes it: ``auth.api_keys.<user>.hash``."""
        return name_of(self.key)

    @property
    def inside(self) -> type[Any] | None:
        """The class of what stands below it, or below each name in it; None where it is a value."""
        return self.field.item if self.field.kind == "section" or _is_map(self.field) else None


def name_of(key: Key) -> str:
    """Return *key* as documentation writes it."""
    return ".".join(f"<{_chosen(key[at - 1])[0]}>" if part == "*" else part for at, part in enumerate(key))


def topics() -> tuple[Topic, ...]:
    """Return every option and section of every kind of file, by kind; what kinds share comes once."""
    return _merged(topic for kind in all_kinds() for topic in topics_of(kind))


def topics_of(kind: FileKind[Any]) -> Iterator[Topic]:
    """Yield every option and section of *kind*, a section before what is in it."""
    return _walk(kind, kind.cls, (), ())


def find(word: str) -> tuple[Topic, ...]:
    """Return what *word* names: by its whole key, else by the end of it; empty: nothing.

    Args:
        word: A key with aliases and any names in it (``auth.apikeys.alice.hash``), or the last parts of one.
    """
    parts = tuple(part.strip("\"'") for part in _PARTS.findall(word))
    whole = _merged(_found(kind, kind.cls, parts, (), ()) for kind in all_kinds())
    return whole or by_ending(word)


def by_ending(word: str) -> tuple[Topic, ...]:
    """Return everything whose key ends with *word*."""
    parts = tuple(part.strip("\"'") for part in _PARTS.findall(word))
    return _merged(
        _found(kind, cls, parts, key, shown)
        for kind in all_kinds()
        for cls, key, shown in [(kind.cls, (), ()), *_sections(kind)]
    )


def find_variable(word: str) -> Variable | None:
    """Return the environment variable that *word* names: ``NAME``, ``$NAME`` or ``${NAME}``."""
    return variable_named(word.removeprefix("$").strip("{}"))


def nearest(word: str) -> str:
    """Return a key or variable that *word* may have meant, or the empty string."""
    import difflib

    def close(typed: str, known: Iterable[str]) -> str:
        return next(iter(difflib.get_close_matches(typed, list(known), n=1, cutoff=0.7)), "")

    if len(word) > 100:
        return ""
    if word.isupper() and (near := close(word, (variable.name for variable in VARIABLES))):
        return near
    word = word.lower()
    every = [topic.name for topic in topics()]
    section, _, last = word.rpartition(".")
    if not section:
        return close(word, (name.rpartition(".")[2] for name in every)) or close(word, every)
    beside = [one.name for topic in find(section) for one in members(topic)]
    by_last = {name.rpartition(".")[2]: name for name in beside}
    return by_last.get(close(last, by_last), "") or close(word, every)


def members(topic: Topic) -> tuple[Topic, ...]:
    """Return the options and sections right below *topic*."""
    if topic.inside is None:
        return ()
    key, shown = _below(topic.field, topic.key, topic.shown)
    return tuple(
        Topic((*key, name), field, topic.kinds, (*shown, name))
        for name, field in fields_of(topic.inside).items()
    )


def facts(topic: Topic) -> Iterator[tuple[str, str]]:
    """Yield what is known about *topic* beside its help: name and text, in the order to tell it."""
    field, about = topic.field, topic.field.option
    beyond = f"this key goes beyond the configuration reference: {about.reason}" if about.reason else ""
    yield "file", ", ".join(f"{kind.title} ({kind.file})" for kind in topic.kinds)
    yield "type", type_of(field)
    if field.kind == "section":
        told = [("note", beyond)]
    else:
        told = [
            ("values", values_of(field)),
            ("default", default_of(field)),
            ("unit", about.unit),
            ("variable", f"{about.env} overrides it" if about.env else ""),
            ("alias", about.alias),
            ("deprecated", about.deprecated),
            ("secret", "yes: its value is never shown" if about.secret else ""),
            ("note", beyond),
            ("read by", about.read_by or NOT_ACTIVE),
        ]
    yield from ((name, text) for name, text in told if text)


def values_of(field: Field) -> str:
    """Return the legal values of *field* in words; empty where its type says all."""
    if field.kind in {"text", "list", "map", "section"} and not field.option.choices:
        return ""
    words = expected_of(field)
    if field.kind == "duration" and field.option.ge is not None:
        words += f", at least {field.option.ge:g} s"
    return words


def default_of(field: Field) -> str:
    """Return the default of *field* in words."""
    if field.option.required:
        return "none: it must be written"
    return "unset" if field.default is None or field.default == "" else value_text(field.default)


def example_of(topic: Topic) -> Any:
    """Return a value to show for *topic*: its example, else one that differs from the default where that is easy."""
    field = topic.field
    if field.option.example:
        return example_value(field)
    if topic.key in _AS_DEFAULT:
        return field.default
    if field.kind == "bool":
        return not field.default
    return next((choice for choice in field.option.choices if choice != field.default), field.default)


def snippet(topic: Topic) -> list[str]:
    """Return lines of a valid file that uses *topic*, an option or a map of sections; of a section none."""
    if topic.field.kind == "section":
        return []
    kind, example = topic.kinds[0], example_of(topic)
    items = [Item(topic.shown, example)]
    if isinstance(example, dict):
        items = [Item((*topic.shown, name), value) for name, value in example.items()]
    if _is_map(topic.field):
        inside = [one for one in members(topic) if one.field.option.required] or members(topic)
        items = [Item(one.shown, example_of(one)) for one in inside]
    return lay_out(list(file_lines(_with_companions(topic, items), toml=kind.toml)))


def to_fields(topic: Topic) -> dict[str, Any]:
    """Return *topic* as plain data, for ``--json``."""
    field, about = topic.field, topic.field.option
    made: dict[str, Any] = {
        "key": topic.name,
        "kinds": [kind.name for kind in topic.kinds],
        "type": field.kind,
        "help": about.help,
        "keys": [one.name for one in members(topic)],
    }
    if field.kind == "section":
        return made
    unset = field.default is None or field.default == ""
    return made | {
        "values": values_of(field),
        "choices": about.choices,
        "least": about.ge,
        "most": about.le,
        "default": None if unset else field.default,
        "required": about.required,
        "unit": about.unit,
        "variable": about.env,
        "alias": about.alias,
        "deprecated": about.deprecated,
        "secret": about.secret,
        "example": "\n".join(snippet(topic)),
        "active": bool(about.read_by),
        "read_by": about.read_by,
    }


def variable_facts(variable: Variable) -> Iterator[tuple[str, str]]:
    """Yield what is known about an environment variable beside its help: name and text, in the order to tell it."""
    yield "type", type_of(variable.field)
    if values := values_of(variable.field):
        yield "values", values
    if variable.default:
        yield "default", variable.default
    yield "overrides", variable.overrides
    yield "read on", variable.side
    yield "read by", variable.read_by or NOT_ACTIVE
    if variable.example:
        yield "example", f"export {variable.name}={variable.example}"


def _is_map(field: Field) -> bool:
    """Whether *field* holds a section for each name that the file chooses."""
    return field.kind == "map" and attrs.has(field.item)


def _chosen(map_name: str) -> tuple[str, str]:
    return _CHOSEN.get(map_name, _USER)


def _below(field: Field, key: Key, shown: Key) -> tuple[Key, Key]:
    """The keys that what stands in *field* begins with."""
    if not _is_map(field):
        return key, shown
    return (*key, "*"), (*shown, _chosen(key[-1])[1])


def _walk(kind: FileKind[Any], cls: type[Any], key: Key, shown: Key) -> Iterator[Topic]:
    for name, field in fields_of(cls).items():
        topic = Topic((*key, name), field, (kind,), (*shown, name))
        yield topic
        if topic.inside is not None:
            yield from _walk(kind, topic.inside, *_below(field, topic.key, topic.shown))


def _sections(kind: FileKind[Any]) -> Iterator[tuple[type[Any], Key, Key]]:
    for topic in topics_of(kind):
        if topic.inside is not None:
            yield (topic.inside, *_below(topic.field, topic.key, topic.shown))


def _found(kind: FileKind[Any], cls: type[Any], parts: Key, key: Key, shown: Key) -> Topic | None:
    """What *parts* name, from the section *cls* on."""
    field = by_any_name(cls).get(parts[0]) if parts else None
    if field is None:
        return None
    key, shown, rest = (*key, field.name), (*shown, field.name), parts[1:]
    topic = Topic(key, field, (kind,), shown)
    if rest and field.kind == "map":  # whatever stands there is a name
        key, shown = _below(field, key, shown)
        if _is_map(field) and _NAME.fullmatch(rest[0]):
            shown = (*shown[:-1], rest[0])
        rest = rest[1:]
    if not rest:
        return topic
    return _found(kind, topic.inside, rest, key, shown) if topic.inside is not None else None


def _merged(found: Iterable[Topic | None]) -> tuple[Topic, ...]:
    """*found* without doubles: where several kinds of file mean the same by a key, it is one topic."""
    by_key: dict[Key, list[Topic]] = {}
    for topic in found:
        if topic is None:
            continue
        same = by_key.setdefault(topic.key, [])
        for at, one in enumerate(same):
            if one.field == topic.field:
                same[at] = evolve(one, kinds=(*one.kinds, *topic.kinds))
                break
        else:
            same.append(topic)
    return tuple(topic for same in by_key.values() for topic in same)


def _with_companions(topic: Topic, items: list[Item]) -> list[Item]:
    """*items* with those beside them that they need to be valid, in the order of the schema."""
    section = topic.key[:-1]
    beside = dict.fromkeys(_COMPANIONS.get(section, ()), None)
    found = {one.key[-1]: one for one in _siblings(topic)}
    needed = [name for name, one in found.items() if name in beside or one.field.option.required]
    if not needed:
        return items
    made: list[Item] = []
    for name, one in found.items():
        if name == topic.key[-1]:
            made += items
        elif name in needed:
            made.append(Item(one.shown, example_of(one)))
    return made


def _siblings(topic: Topic) -> tuple[Topic, ...]:
    """The options of the section that *topic* stands in, itself too."""
    for cls, key, _ in _sections(topic.kinds[0]):
        if key == topic.key[:-1]:
            return tuple(
                Topic((*key, name), field, topic.kinds, (*topic.shown[:-1], name))
                for name, field in fields_of(cls).items()
            )
    return ()
