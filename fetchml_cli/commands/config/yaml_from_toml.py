"""A TOML file as YAML, loss-free: the same keys, values, order and comments.

Layer 7, pure. Two steps: the file becomes a tree in which every comment hangs on a key, the tree is written down.
A key gets the comments above it and the one behind it. What stands above a header belongs to the header back to
the last blank line; what is before that belongs to the section that ends there.

Every text is quoted, so that no reader takes ``no``, ``22:22`` or ``010`` for something else; a number is written
so that YAML 1.1 and 1.2 read the same. The result is read back before it is returned.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from collections import Counter
from typing import TYPE_CHECKING, Any

import tomlkit
from attrs import define, field
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import AbstractTable, AoT, Array, Comment, InlineTable, Null, Table, Whitespace

from fetchml_core.config.findings import Report
from fetchml_core.config.source import SourceError
from fetchml_core.config.toml_loader import parse_toml
from fetchml_core.config.written import quoted
from fetchml_core.config.yaml_loader import parse_yaml
from fetchml_core.errors import ConfigError

from .toml_edit import is_moderate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fetchml_core.config.node import Node

_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}", re.ASCII)
# What a reader of YAML 1.1 or 1.2 takes for something else than a text, in any case of its letters.
_WORDS = {"true", "false", "yes", "no", "on", "off", "y", "n", "null"}
_LONGEST_INT = 10**18  # beyond it the loaders take a number for a text
_SCHEMA = re.compile(r"#:schema[ \t]+(\S+)[ \t]*")  # how a TOML file names its schema for editors
# A comment may hold what YAML forbids or takes for the end of a line.
_NOT_IN_COMMENTS = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
_TOKEN = re.compile(
    r'"""(?:\\.|[^\\])*?"""(?:"{0,2})'
    r"|'''.*?'''(?:'{0,2})"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'[^'\n]*'"
    r"|(#[^\n]*)",
    re.DOTALL,
)


@define
class _Entry:
    """A key or an item of a list.

    Args:
        before: Own-line comments above it, "" for a blank line.
        value: A written scalar or flow list, a section, or a list of items.
        comment: The one behind it.
        inside: Own-line comments at the end of its section or list.
        after: Own-line comments below it that belong to the same section.
    """

    before: list[str] = field(factory=list)
    value: str | dict[str, _Entry] | list[_Entry] = ""
    comment: str = ""
    inside: list[str] = field(factory=list)
    after: list[str] = field(factory=list)


def to_yaml(text: str) -> str:
    """Return the TOML file *text* as YAML.

    Raises:
        ConfigError: ``cannot-migrate``: it is no TOML, or a value has no counterpart; the context names the line.
    """
    text = text.replace("\r\n", "\n")
    try:
        root = parse_toml(text)
    except SourceError as error:
        raise _refused(error.message, error.place.line, error.hint) from None
    if not is_moderate(text, root):
        raise _refused("the file is too long or too deeply nested for a worker file")
    _check_values(root)
    try:
        document = tomlkit.parse(text)
    except TOMLKitError as error:
        raise _refused(str(error)) from None
    tree = _Reader()
    lines = tree.read(document)
    written = "\n".join([line.rstrip() for line in lines]) + "\n"
    _check_result(text, root, written)
    return written


def _refused(message: str, line: int = 0, hint: str = "") -> ConfigError:
    return ConfigError(
        "cannot-migrate",
        message,
        context=f"line {line}" if line else "",
        hint=hint or "write the YAML by hand",
    )


def _check_values(node: Node) -> None:
    """Refuse what YAML has not, or has in a way that programs do not agree on; no option takes any of it."""
    value = node.value
    if isinstance(value, dict):
        for entry in value.values():
            _check_values(entry.node)
    elif isinstance(value, list):
        for item in value:
            _check_values(item)
    elif isinstance(value, (dt.date, dt.time)):
        raise _refused("no option takes a date or a time", node.place.line, "put it in quotes")
    elif isinstance(value, float) and not math.isfinite(value):
        raise _refused("no option takes inf or nan", node.place.line, "remove the key")


def _check_result(text: str, root: Node, written: str) -> None:
    """Read *written* back: it must say what *root* says, and have every comment of *text*."""
    report = Report("")
    try:
        again = plain(parse_yaml(written, report))
    except SourceError as error:
        raise _refused(f"its YAML could not be read: {error.message}") from None
    if report.sorted() or again != plain(root):
        raise _refused("a value (a giant number?) would not be the same in YAML")
    missing = Counter(comments(text)) - Counter(comments(written))
    if missing:
        raise _refused(f"a comment would be lost: {next(iter(missing))}")


def plain(node: Node) -> object:
    """Return the value of *node* without places; bools, numbers and texts stay apart when compared."""
    value = node.value
    if isinstance(value, dict):
        return [(key, plain(entry.node)) for key, entry in value.items()]
    if isinstance(value, list):
        return tuple(plain(item) for item in value)
    return (type(value).__name__, value)


def comments(text: str) -> list[str]:
    """Return the comments of TOML *text*, or of YAML that `to_yaml` wrote, as they are written in YAML."""
    return [_clean(found[1]) for found in _TOKEN.finditer(text) if found[1]]


def _clean(comment: str) -> str:
    if schema := _SCHEMA.fullmatch(comment):
        return f"# yaml-language-server: $schema={schema[1]}"
    return _NOT_IN_COMMENTS.sub(lambda found: ascii(found[0])[1:-1], comment).rstrip()


class _Reader:
    """Hangs the comments of a document on its keys; one walk in the order of the file."""

    def __init__(self) -> None:
        self._pending: list[str] = []
        self._last: _Entry | None = None
        self._open = False  # whether `_last` is a section that goes on

    def read(self, document: Any) -> list[str]:
        """Return the lines of YAML."""
        root: dict[str, _Entry] = {}
        self._section(document, root)
        end = list(self._pending)
        self._pending = []
        if end and end[0] and self._last is not None:
            (self._last.inside if self._open else self._last.after).extend(end)
            end = []
        while end and not end[-1]:
            end.pop()
        return [*(_lines(root, "") if root else ["{}"]), *end]

    def _section(self, container: Any, section: dict[str, _Entry]) -> None:
        for key, item in container.body:
            if key is None:
                self._aside(item)
            elif isinstance(item, AoT):
                self._tables(section, key, item)
            elif isinstance(item, Table):
                self._table(section, key, item)
            else:
                entry = self._entry(section, key.key)
                entry.comment = _clean(item.trivia.comment)
                if isinstance(item, InlineTable):
                    inner: dict[str, _Entry] = {}
                    entry.value = inner
                    self._section(item.value, inner)
                elif isinstance(item, Array):
                    _fill_list(entry, item, key.key)
                else:
                    entry.value = _scalar(item, key.key)
                self._last, self._open = entry, False

    def _aside(self, item: Any) -> None:
        """Keep a comment or blank lines for the next key."""
        if isinstance(item, Whitespace):
            self._pending += [""] * item.s.count("\n")
        elif isinstance(item, Comment):
            self._pending += [""] * item.trivia.indent.count("\n") + [_clean(item.trivia.comment)]

    def _table(self, section: dict[str, _Entry], key: Any, item: Any) -> None:
        """A header or a dotted key; one that names a section again goes on with it."""
        if not key.is_dotted():
            self._end_section()
        entry = self._entry(section, key.key)
        if isinstance(entry.value, str):
            entry.value = {}
        assert isinstance(entry.value, dict)  # noqa: S101 - TOML knows no other
        self._behind(entry, item.trivia.comment)
        self._last, self._open = entry, True
        self._section(item.value, entry.value)

    def _tables(self, section: dict[str, _Entry], key: Any, item: Any) -> None:
        self._end_section()
        entry = self._entry(section, key.key)
        tables: list[_Entry] = []
        entry.value = tables
        for number, table in enumerate(item.body):
            if number:
                self._end_section()
            inner: dict[str, _Entry] = {}
            element = _Entry(self._take() if number else [], inner, _clean(table.trivia.comment))
            tables.append(element)
            self._last, self._open = element, True
            self._section(table.value, inner)

    def _entry(self, section: dict[str, _Entry], key: str) -> _Entry:
        if key not in section:
            section[key] = _Entry(self._take())
        return section[key]

    def _take(self) -> list[str]:
        taken, self._pending = self._pending, []
        return taken

    def _behind(self, entry: _Entry, comment: str) -> None:
        comment = _clean(comment)
        if comment and entry.comment:
            self._pending.append(comment)
        elif comment:
            entry.comment = comment

    def _end_section(self) -> None:
        """A header follows: what stands above its last blank line is the end of the section before it."""
        if self._last is None or "" not in self._pending:
            return
        blank = len(self._pending) - 1 - self._pending[::-1].index("")
        above = self._pending[:blank]
        if any(above):
            self._pending = self._pending[blank:]
            (self._last.inside if self._open else self._last.after).extend(above)


def _fill_list(entry: _Entry, array: Any, name: str) -> None:
    """Put the items of *array* into *entry*: on one line, or with a line each where comments or tables are in it."""
    parts = [part for group in array._value for part in group]  # noqa: SLF001 - its places are told nowhere else
    values = [part for part in parts if not isinstance(part, (Whitespace, Comment, Null))]
    items: list[_Entry] = []
    pending: list[str] = []
    behind: _Entry | None = entry
    for part in parts:
        if isinstance(part, Null):
            continue
        if isinstance(part, Whitespace):
            behind = None if "\n" in part.s else behind
        elif isinstance(part, Comment):
            comment = _clean(part.trivia.comment)
            own_line = behind is None or "\n" in part.trivia.indent or behind.comment
            if behind is None or own_line:
                pending.append(comment)
            else:
                behind.comment = comment
            behind = None
        else:
            behind = _Entry(pending)
            pending = []
            items.append(behind)
            _fill_item(behind, part, name)
    entry.inside = pending
    commented = pending or any(item.before or item.comment for item in items)
    nested = any(isinstance(value, AbstractTable) for value in values)
    nested = nested or any(
        isinstance(value, Array) and not isinstance(item.value, str)
        for value, item in zip(values, items, strict=True)
    )
    if commented or nested:
        entry.value = items
    else:
        entry.value = f"[{', '.join(str(item.value) for item in items)}]"


def _fill_item(entry: _Entry, item: Any, name: str) -> None:
    if isinstance(item, AbstractTable):
        reader = _Reader()
        inner: dict[str, _Entry] = {}
        entry.value = inner
        reader._section(item.value, inner)  # noqa: SLF001 - its own class
    elif isinstance(item, Array):
        _fill_list(entry, item, name)
    else:
        entry.value = _scalar(item, name)


def _lines(section: dict[str, _Entry], pad: str) -> Iterator[str]:
    for key, entry in section.items():
        yield from _own_lines(entry.before, pad)
        yield from _value_lines(entry, f"{pad}{_key(key)}:", pad)
        yield from _own_lines(entry.after, pad)


def _items(items: list[_Entry], pad: str) -> Iterator[str]:
    for item in items:
        yield from _own_lines(item.before, pad)
        if not isinstance(item.value, dict) or not item.value or item.comment:
            yield from _value_lines(item, f"{pad}-", pad)
            continue
        first, *rest = [*_lines(item.value, pad + "  "), *_own_lines(item.inside, pad + "  ")]
        if first.strip().startswith("#") or not first.strip():
            yield from (f"{pad}-", first)
        else:
            yield f"{pad}- {first.lstrip()}"
        yield from rest
        yield from _own_lines(item.after, pad)


def _value_lines(entry: _Entry, head: str, pad: str) -> Iterator[str]:
    """The line with *head*, and those below it."""
    behind = f" {entry.comment}" if entry.comment else ""
    value = entry.value
    if isinstance(value, str) or not value:
        yield f"{head} {value or ('{}' if isinstance(value, dict) else '[]')}{behind}"
    else:
        yield head + behind
        yield from _lines(value, pad + "  ") if isinstance(value, dict) else _items(value, pad + "  ")
    yield from _own_lines(entry.inside, pad + "  ")


def _own_lines(lines: list[str], pad: str) -> Iterator[str]:
    return (pad + line if line else "" for line in lines)


def _key(key: str) -> str:
    if _PLAIN_KEY.fullmatch(key) and key.lower() not in _WORDS:
        return key
    return quoted(key)


def _scalar(item: Any, name: str) -> str:
    value = item.unwrap()
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, int) and abs(value) >= _LONGEST_INT:
        raise ConfigError(
            "cannot-migrate",
            "no option takes a number of so many digits",
            context=quoted(name),
            hint="put it in quotes",
        )
    text = repr(value)
    return text.replace("e", ".0e") if "e" in text and "." not in text else text  # YAML 1.1: 1e+16 is a text
