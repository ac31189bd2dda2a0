"""Change one option in the text of a TOML file and leave every other byte as it is.

Layer 7, pure. tomlkit keeps comments, order and blank lines; what it does not keep (the line ends of a file from
Windows, a comment that belongs to the next section) is seen to here. Each result is read by the standard parser and
must say what was meant, so a corner that nobody thought of is an error and never a damaged file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import Table

from fetchml_core.config.source import SourceError
from fetchml_core.config.toml_loader import parse_toml

if TYPE_CHECKING:
    from fetchml_core.config.node import Node

Value = bool | int | str
Key = tuple[str, str]
# tomlkit takes time by the square of both and more; an ordinary file has a hundredth of this.
MAX_LENGTH = 32 << 10
MAX_LEVELS = 6
_NOTHING_LEFT = "# nothing is set: the defaults count\n"


class EditError(Exception):
    """The file is written in a way that cannot be edited."""


def is_moderate(text: str, root: Node) -> bool:
    """Whether tomlkit reads TOML *text*, whose tree is *root*, in no more than about a second."""
    return len(text) <= MAX_LENGTH and _levels(root) <= MAX_LEVELS


def _levels(node: Node) -> int:
    value = node.value
    below = [entry.node for entry in value.values()] if isinstance(value, dict) else value
    return 1 + max(map(_levels, below), default=0) if isinstance(below, list) else 0


def set_value(text: str, key: Key, value: Value) -> str:
    """Return TOML *text* with the option *key* (section, name) set to *value*.

    A section that is missing comes last; an option that is missing comes after the last one of its section.

    Raises:
        EditError: the section is no section.
    """
    return _edited(text, key, value)


def remove_value(text: str, key: Key) -> str:
    """Return TOML *text* without the option *key*; its section stays.

    Raises:
        EditError: the section is no section.
    """
    return _edited(text, key, None)


def _edited(text: str, key: Key, value: Value | None) -> str:
    windows = 0 < text.count("\n") == text.count("\r\n")
    old = text.replace("\r\n", "\n") if windows else text
    try:
        if not is_moderate(old, parse_toml(old)):
            raise EditError
        new = _edit(old, key, value)
        if _sections(new) != _expected(old, key, value):
            raise EditError
    except (TOMLKitError, SourceError, TypeError, ValueError, KeyError, AttributeError) as error:
        raise EditError from error
    if not new.strip():  # an empty file is an error, as it is likely an accident
        new = _NOTHING_LEFT
    return new.replace("\n", "\r\n") if windows else new


def _edit(text: str, key: Key, value: Value | None) -> str:
    section, name = key
    document = tomlkit.parse(text)
    if document.as_string() != text:
        raise EditError
    if value is None:
        if section in document and name in document[section]:
            del document[section][name]
    elif section not in document:
        document[section] = {name: value}
    else:
        _put(document[section], name, value)
    return document.as_string()


def _put(table: Any, name: str, value: Value) -> None:
    """Set *name* in *table*; a new one goes before the comments and blank lines at the end, which are the next section's."""
    if name in table or not isinstance(table, Table):
        table[name] = value
        return
    body = table.value.body
    count = next((number for number in range(len(body), 0, -1) if body[number - 1][0] is not None), 0)
    tail = body[count:]
    del body[count:]
    table[name] = value
    if count:
        made: Any = table.value.item(name)
        made.trivia.indent = body[count - 1][1].trivia.indent
    body.extend(tail)


def _expected(old: str, key: Key, value: Value | None) -> dict[str, Any]:
    section, name = key
    data = _sections(old)
    inner = data.pop(section, {})
    inner.pop(name, None)
    if value is not None:
        inner[name] = value
    return data | ({section: inner} if inner else {})


def _sections(text: str) -> dict[str, Any]:
    """What *text* says, without empty sections: the last dotted key takes its section with it, a header stays."""
    data: dict[str, Any] = _plain(parse_toml(text))
    return {name: value for name, value in data.items() if value != {}}


def _plain(node: Node) -> Any:
    if isinstance(node.value, dict):
        return {name: _plain(entry.node) for name, entry in node.value.items()}
    return [_plain(item) for item in node.value] if isinstance(node.value, list) else node.value
