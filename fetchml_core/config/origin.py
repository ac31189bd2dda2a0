"""Every option of a loaded file with its value and where that came from; secrets are masked.

Layer 1, pure: a walk over the records and the tree of the file side by side.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import attrs
from attrs import frozen

from .findings import NOWHERE, Key, Place, show_key
from .option import Field, fields_of
from .rules.active import switched_on
from .rules.base import View

if TYPE_CHECKING:
    from .load import Loaded
    from .node import Entry, Node

MASK = "***"
_REFERENCE = re.compile(r"\$\$\{|\$\{([^}]*)\}")
_LOGIN = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://)(.*)@(.*)", re.DOTALL)
_NO_LOGIN = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://)([^@]*)", re.DOTALL)
_PART = r"(?:[A-Za-z0-9._-]|\$\{\w+\})"
_USER = re.compile(rf"({_PART}*):(.*)", re.DOTALL)
# What may follow a login and be shown: host, port and path. Anything else could be a password written wrongly.
_TARGET = re.compile(rf"({_PART}+(:[0-9]{{1,5}}|:\$\{{\w+\}})?)?(/(?:{_PART}|/)*)?")
_WHOLE_REFERENCE = re.compile(r"\$\{[A-Za-z_][A-Za-z0-9_]*\}")


@frozen
class Origin:
    """Where a value came from.

    Args:
        file: The file as it was named, if the value stands there.
        place: Where in the file.
        via: The environment variables that its ``${NAME}`` name.
        variable: The environment variable that overrides the option.
    """

    file: str = ""
    place: Place = NOWHERE
    via: tuple[str, ...] = ()
    variable: str = ""

    def __str__(self) -> str:
        if self.variable:
            return f"environment {self.variable}"
        if not self.file:
            return "default"
        via = ", ".join(f"${{{name}}}" for name in self.via)
        where = f"{self.file}:{self.place.line}" if self.place.line else self.file
        return f"{where} via {via}" if via else where


@frozen
class Setting:
    """An option with its value.

    Args:
        key: Its key, with the names that the file chose.
        field: Its record in the schema.
        value: What counts, a plain value, None or "" where it is unset; of a secret only what may be seen.
        origin: Where that came from.
        written: What the file says as it stands there, masked too; None: nothing.
        at: Where that stands.
        idle: Whether it is switched on, and nothing reads it so far.
    """

    key: Key
    field: Field
    value: Any
    origin: Origin
    written: Any = None
    at: Origin = Origin()
    idle: bool = False


def settings_of(loaded: Loaded[Any], root: Node, file: str = "") -> tuple[Setting, ...]:
    """Return every option of *loaded* in the order of the schema.

    Args:
        loaded: A configuration.
        root: The tree of its file; that of an empty file where there is none.
        file: What to call the file.
    """
    return tuple(_Walk(loaded, file).record(loaded.config, _entries(root), ()))


def masked(text: str, *, secret: bool = True) -> str:
    """Return what may be seen of *text*: a password inside a URL never, of a *secret* URLs and ``${NAME}`` only."""
    if not text or _WHOLE_REFERENCE.fullmatch(text):
        return text
    if login := _LOGIN.fullmatch(text):
        scheme, who, target = login.groups()
        if not _TARGET.fullmatch(target):
            return f"{scheme}{MASK}" if secret else f"{scheme}{MASK}@{target}"
        return f"{scheme}{_masked_login(who)}@{target}"
    if not secret:
        return text
    if (plain := _NO_LOGIN.fullmatch(text)) and _TARGET.fullmatch(plain[2]):
        return text
    return MASK


def _masked_login(who: str) -> str:
    """A user's name may be seen, a password not, unless a variable stands for it."""
    found = _USER.fullmatch(who)
    if found is None:
        return MASK
    password = found[2] if not found[2] or _WHOLE_REFERENCE.fullmatch(found[2]) else MASK
    return f"{found[1]}:{password}"


class _Walk:
    """One walk over one configuration."""

    def __init__(self, loaded: Loaded[Any], file: str) -> None:
        self._loaded = loaded
        self._file = file
        view: View[Any] = View(loaded.config, "", loaded.places)
        self._idle = {name for _, names in switched_on(view, loaded.config, ()) for name in names}

    def record(self, record: Any, entries: Mapping[str, Entry], key: Key) -> Iterator[Setting]:
        """Yield the options of *record*, which the file wrote as *entries*."""
        for name, field in fields_of(type(record)).items():
            value, below = getattr(record, name), (*key, name)
            entry = entries.get(name) or entries.get(field.option.alias)
            inside = _entries(entry.node) if entry else {}
            if field.kind == "section":
                yield from self.record(value, inside, below)
            elif field.kind == "map" and value and attrs.has(field.item):
                for item, inner in value.items():
                    yield from self.record(inner, _entries(inside[item].node), (*below, item))
            elif field.kind == "map" and value:
                for item, inner in value.items():
                    yield self._setting(field, inner, (*below, item), inside[item])
            else:
                yield self._setting(field, value, below, entry)

    def _setting(self, field: Field, value: Any, key: Key, entry: Entry | None) -> Setting:
        secret = field.option.secret
        written = None if entry is None else _plain(entry.node)
        at = Origin() if entry is None else Origin(self._file, entry.node.place, _names_in(written))
        counts = key in self._loaded.places or written == ""
        origin = at if entry is not None and counts else Origin()
        if field.option.env in self._loaded.overrides:
            origin = Origin(variable=field.option.env)
        elif secret and origin.via:
            value = written  # a secret that a variable stands for is not told
        return Setting(
            key,
            field,
            _seen(value, secret=secret),
            origin,
            _seen(written, secret=secret),
            at,
            key in self._idle or (key[-1] == "enabled" and key[:-1] in self._idle),
        )


def _entries(node: Node) -> Mapping[str, Entry]:
    return node.value if isinstance(node.value, dict) else {}


def _plain(node: Node) -> Any:
    """The value of *node* without places."""
    if isinstance(node.value, list):
        return tuple(_plain(item) for item in node.value)
    return {} if isinstance(node.value, dict) else node.value


def _names_in(value: Any) -> tuple[str, ...]:
    """The variables that the text or the texts of *value* refer to."""
    texts = value if isinstance(value, tuple) else (value,)
    found = (name for text in texts if isinstance(text, str) for name in _REFERENCE.findall(text))
    return tuple(dict.fromkeys(name for name in found if name))


def _seen(value: Any, *, secret: bool) -> Any:
    """*value* as it may be shown."""
    if isinstance(value, tuple):
        return [_seen(item, secret=secret) for item in value]
    if isinstance(value, str):
        return masked(str(value), secret=secret)
    return MASK if secret and value is not None else value


def to_fields(setting: Setting) -> dict[str, Any]:
    """Return *setting* as plain data, for ``--json``."""
    origin = setting.origin
    return {
        "key": show_key(setting.key),
        "value": setting.value,
        "written": setting.written,
        "origin": "environment" if origin.variable else "file" if origin.file else "default",
        "file": origin.file,
        "line": origin.place.line,
        "variables": list(origin.via) or ([origin.variable] if origin.variable else []),
        "secret": setting.field.option.secret,
        "active": bool(setting.field.option.read_by),
    }
