"""Make typed records from a tree of nodes, noting everything that does not fit.

Layer 1, pure. Walks the schema and the tree together; whatever is wrong leaves the default in place and a finding
behind, so that one run finds all problems. The environment is an argument: ``${NAME}`` is expanded in texts
after parsing, so a value never becomes structure, and an option's own variable beats the file.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, TypeVar

import attrs

from .findings import NOWHERE, Key, Place, Report, Severity, show, show_key, show_kind
from .node import Entry, Node, resolve_plain
from .option import Field, fields_of
from .scalars import Problem, check_marks, check_scalar, expected_of, nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

T = TypeVar("T")
LONGEST_SWITCH = len("'false'")
_REFERENCE = re.compile(r"\$\$\{|\$\{([^}]*)\}?")
_GLUED = re.compile(r"([A-Za-z_][\w-]*)[:=](?=.)", re.ASCII)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_NOTHING = Node({})
_NO_FIELDS: dict[str, Field] = {}


class Structure:
    """One walk over one file.

    Args:
        report: Takes the findings.
        environ: The environment, for references and overrides.
        stranger: Tells where a top-level key belongs that another kind of file has, "" where none has it; asked
            only about keys that are unknown here.
    """

    def __init__(self, report: Report, environ: Mapping[str, str], stranger: Callable[[str], str]) -> None:
        self.report = report
        self.environ = environ
        self.stranger = stranger
        #: Place of the value of every option, and of every item of a list, that the file names and that fits.
        self.places: dict[Key, Place] = {}
        #: Those of them whose text names a variable: what counts does not stand in the file.
        self.references: set[Key] = set()
        self._toml = report.file.lower().endswith(".toml")
        #: The class and the tree of the whole file, for advice.
        self._file: tuple[type[Any], Node] | None = None
        #: Variables that overrode an option.
        self.overrides: list[str] = []

    def record(self, cls: type[T], node: Node, key: Key = ()) -> T:
        """Return a *cls* from the mapping *node*."""
        if not key:
            self._file = (cls, node)
        fields = fields_of(cls)
        entries = self._known(fields, self._mapping(node, key, fields), key)
        values: dict[str, Any] = {}
        for name, field in fields.items():
            entry = entries.get(name)
            below = (*key, name)
            if entry is not None and self._empty(field, entry, below):
                entry = None
            if field.kind == "section":
                values[name] = self.record(field.item, entry.node if entry else _NOTHING, below)
            elif field.option.env and self.environ.get(field.option.env):
                self._override(field, values)
            elif entry is not None:
                self._value(field, entry.node, below, values)
        return cls(**values)

    def _known(self, fields: dict[str, Field], entries: dict[str, Entry], key: Key) -> dict[str, Entry]:
        """*entries* under their proper names; an unknown key is a finding."""
        aliases = {field.option.alias: name for name, field in fields.items() if field.option.alias}
        known: dict[str, Entry] = {}
        for written, entry in entries.items():
            name = aliases.get(written, written)
            if name not in fields:
                self._unknown(written, entry, {**dict(zip(fields, fields, strict=True)), **aliases}, key)
            elif name in known:
                message = (
                    f"{show(written)} is another name of a key that stands in line {known[name].place.line}"
                )
                first = known[name].place
                self._problem(
                    "duplicate-key", message, entry.place, (*key, name), hint=f"keep {name}", also=(first,)
                )
            else:
                known[name] = entry
        return known

    def _unknown(self, written: str, entry: Entry, names: dict[str, str], key: Key) -> None:
        """Note an unknown key; *names*: what is known there, alias or not -> the proper name."""
        if self.report.full:
            return
        hint = self.stranger(written) if not key else ""
        if not hint and self._file is not None:
            from .advice import Asked, advise

            hint = advise(Asked(*self._file, (*key, written), entry.place, tuple(names), names, self._toml))
        place = f" in {show_key(key)}" if key else ""
        if glued := _GLUED.match(written):  # what follows may be a secret
            written, hint = f"{glued[0]}...", f"write {glued[1]}: with a space before the value"
        self._problem(
            "unknown-key", f"unknown key {show(written)}{place}", entry.place, (*key, written), hint=hint
        )

    def _mapping(self, node: Node, key: Key, fields: Mapping[str, Field] = _NO_FIELDS) -> dict[str, Entry]:
        if isinstance(node.value, dict):
            return node.value
        got = "a list" if isinstance(node.value, list) else "a single value"  # not shown: it may be a secret
        hint = _to_table(key, fields) if self._toml else _to_section(node, key, fields)
        wanted = f"{show_key(key)}: expected a section" if key else "expected keys with values"
        self._problem("wrong-type", f"{wanted}, got {got}", node.place, key, hint=hint)
        return {}

    def _empty(self, field: Field, entry: Entry, key: Key) -> bool:
        """Whether nothing stands behind a key, so that its default counts."""
        value = entry.node.value
        if value is not None and value != "":
            return False
        if value is None or field.kind in {"bool", "int"}:
            self._problem(
                "empty-value",
                f"nothing stands behind {show_key(key)}: the default counts",
                entry.place,
                key,
                severity="warning",
                expected=expected_of(field),
                hint="write its keys below it, or remove it"
                if field.kind in {"section", "map"}
                else "remove the key, or give it a value",
            )
        return True

    def _value(self, field: Field, node: Node, key: Key, values: dict[str, Any]) -> None:
        try:
            if field.kind == "list":
                values[field.name] = self._list(field, node, key)
            elif field.kind == "map":
                values[field.name] = self._map(field, node, key)
            else:
                value = expand(node.value, self.environ) if isinstance(node.value, str) else node.value
                if value == "":  # an empty variable
                    return
                values[field.name] = self._scalar(field, value, node.value)
                if value != node.value:
                    self.references.add(key)
        except Problem as problem:
            self._add(problem, node.place, key)
        else:
            self.places[key] = node.place

    def _scalar(self, field: Field, value: object, raw: object) -> Any:
        """Check *value*; when it is not *raw* it came from the environment and is not shown, as it may be secret."""
        if value is raw:
            checked = check_scalar(field, value)
            if isinstance(checked, str):
                check_marks(checked, secret=field.option.secret)
            return checked
        if field.kind in {"bool", "int"} and isinstance(value, str):
            value = resolve_plain(value)  # a reference can stand for a number in no other way
        try:
            return check_scalar(field, value)
        except Problem as problem:
            expected = problem.expected or expected_of(field)
            message = f"what {show(raw)} stands for is not {expected}"
            raise Problem(problem.code, message, expected) from None

    def _list(self, field: Field, node: Node, key: Key) -> tuple[str, ...]:
        if not isinstance(node.value, list):
            message = f"expected a list, got {show_kind(node.value)}"
            raise Problem("wrong-type", message, "a list", _to_list(node.value))
        items: list[str] = []
        for number, item in enumerate(node.value):
            found = self._item(field, item, (*key, str(number)))
            if found:
                below = (*key, str(len(items)))
                self.places[below] = item.place
            items.extend(found)
        return tuple(items)

    def _item(self, field: Field, node: Node, key: Key) -> list[str]:
        """The item as a list of one, of none when it does not fit."""
        value = node.value
        if field.option.numbers and type(value) is int:
            return [str(value)]
        try:
            if isinstance(value, str):
                if value:
                    check_marks(value, secret=False)
                return [expand(value, self.environ)]
            message = f"expected a text, got {show_kind(value)}"
            hint = "write one text an item" if isinstance(value, (dict, list)) else "put it in quotes"
            self._add(Problem("wrong-type", message, "a text", hint), node.place, key)
        except Problem as problem:
            self._add(problem, node.place, key)
        return []

    def _map(self, field: Field, node: Node, key: Key) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for name, entry in self._mapping(node, key).items():
            below = (*key, name)
            if attrs.has(field.item):
                self.places[below] = entry.place
                values[name] = self.record(field.item, entry.node, below)
            elif isinstance(entry.node.value, bool):
                self.places[below] = entry.place  # what is wrong with a permission is its name
                values[name] = entry.node.value
            elif not self.report.full:
                value = entry.node.value
                # A text may be a secret that stands here for want of the line above it.
                got = "a text" if isinstance(value, str) and len(value) > LONGEST_SWITCH else show_kind(value)
                self._problem(
                    "wrong-type",
                    f"{show_key(below)}: expected true or false, got {got}",
                    entry.node.place,
                    below,
                    hint="write true or false, without quotes",
                )
        return values

    def _override(self, field: Field, values: dict[str, Any]) -> None:
        """Take the value of an option from its own variable."""
        name = field.option.env
        try:
            values[field.name] = check_scalar(field, self.environ[name])
            self.overrides.append(name)
        except Problem as problem:
            self._problem(
                "bad-environment",
                f"environment variable {name}: {problem.message}",
                NOWHERE,
                (name,),
                expected=problem.expected,
                hint=problem.hint or f"unset {name}",
            )

    def _add(self, problem: Problem, place: Place, key: Key) -> None:
        if self.report.full:
            return
        message = f"{show_key(key)}: {problem.message}"
        self._problem(problem.code, message, place, key, expected=problem.expected, hint=problem.hint)

    def _problem(
        self,
        code: str,
        message: str,
        place: Place,
        key: Key,
        *,
        severity: Severity = "error",
        expected: str = "",
        hint: str = "",
        also: tuple[Place, ...] = (),
    ) -> None:
        self.report.add(
            code,
            message,
            place,
            severity=severity,
            key=show_key(key),
            expected=expected,
            hint=hint,
            also=also,
        )


def _to_table(key: Key, fields: Mapping[str, Field]) -> str:
    """What to write in TOML where a value stands instead of a section."""
    known = ", ".join(list(fields)[:4]) + (", …" if len(fields) > 4 else "")
    return f"write [{show_key(key)}] and below it its keys" + (f": {known}" if known else "")


def _to_section(node: Node, key: Key, fields: Mapping[str, Field]) -> str:
    """What to write where one value or a list stands instead of a section; the value itself is not told."""
    name, value = key[-1] if key else "", node.value
    if isinstance(value, list):
        return (
            "write its keys below it, without dashes"
            if fields
            else "write each as name: value, without dashes"
        )
    if (
        isinstance(value, str)
        and (match := re.match(r"([A-Za-z_]\w*)[ \t]*([:=])", value))
        and match[1] in fields
    ):
        return f"write {match[1]}: with a colon and a space before the value"
    kind = fields.get("type")
    if kind is not None and value in kind.option.choices:
        return f"write {name}: alone, and below it, indented, type: {value}"
    if isinstance(value, str) and value in fields:
        return f"write {value}: with a colon and a space before its value"
    if isinstance(value, bool) and "enabled" in fields:
        return f"write {name}: alone, and below it, indented, enabled: {show(value)}"
    known = ", ".join(list(fields)[:4]) + (", …" if len(fields) > 4 else "")
    return f"write its keys below it, indented: {known}" if fields else "write its names below it, indented"


def _to_list(value: object) -> str:
    """What to write where a text or a section stands instead of a list."""
    if isinstance(value, str) and value.startswith("-"):
        return "put a space after the dash"
    if isinstance(value, str):
        parts = [part.strip(" -") for part in value.split(",")]
        return f"write [{', '.join(show(part) for part in parts if part)}]"
    if isinstance(value, dict):
        return "write its items with a dash each, or in [ ]"
    return f"write [{show(value)}]"


def expand(text: str, environ: Mapping[str, str]) -> str:
    """Return *text* with each ``${NAME}`` replaced by its value; ``$${`` stands for ``${``.

    Raises:
        Problem: ``env-unset`` for a name without a value, ``bad-reference`` for what is no name.
    """

    def replace(match: re.Match[str]) -> str:
        if match[0] == "$${":
            return "${"
        name = match[1]
        if not match[0].endswith("}"):
            begun = re.match(r"\$\{\w*", match[0], re.ASCII)  # no more of it: a secret may follow
            shown = begun[0] if begun else "${"
            raise Problem(
                "bad-reference",
                f"'{shown}' is not closed",
                "${NAME}",
                "close it with }, or write $${ for a plain ${",
            )
        if not _NAME.fullmatch(name):
            raise Problem(
                "bad-reference", f"{show(match[0])} names no variable", "${NAME}", "write $${ for a plain ${"
            )
        if name not in environ:
            near = nearest(name, tuple(environ), cutoff=0.85)
            hint = f"did you mean ${{{near}}}?" if near else f"export {name}=…, or write the value"
            raise Problem("env-unset", f"environment variable {name} is not set", "", hint)
        return environ[name]

    return _REFERENCE.sub(replace, text) if "${" in text else text
