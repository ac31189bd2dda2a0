"""The JSON Schema of a kind of file, for editors and for tools that check files without us.

Layer 1, pure. Draft 7: what yaml-language-server, taplo and check-jsonschema all read. It accepts every file that the
loader accepts, and refuses what one value at a time can tell: keys, types, choices, ranges, units. What holds
across keys is checked by ``ml config validate`` alone. Everything stands in its place, without references, so that
an editor shows it where the cursor is.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import attrs

from fetchml_core.units import DURATION

from .findings import Key
from .option import fields_of
from .scalars import expected_of

if TYPE_CHECKING:
    from .kinds import FileKind
    from .option import Field

DRAFT = "http://json-schema.org/draft-07/schema#"
Schema = dict[str, Any]

# Where ${NAME} stands nobody knows the value before the file is loaded.
_REFERENCE = r"\$\{[A-Za-z_][A-Za-z0-9_]*\}"
_EMPTY = "^$"
_PATTERNS = {
    "duration": rf"^\s*{DURATION}\s*$",
    "size": r"^\s*[0-9]{1,15}(\.[0-9]{1,6})?\s*([kKmMgGtTpP][iI]?[bB]?|[iI][bB]?|[bB])\s*$",
    "cpus": r"^\s*[0-9]{1,4}(\.[0-9]{1,3})?\s*$",
}
_TYPES = {"bool": "boolean", "int": "integer"}


def json_schema(kind: FileKind[Any]) -> Schema:
    """Return the JSON Schema of files of *kind*."""
    return {
        "$schema": DRAFT,
        "$comment": 'Made by "python -m fetchml_cli.generate all". Do not edit.',
        "title": f"FetchML: {kind.title} ({kind.file})",
        **_record(kind.cls, (), null=not kind.toml),
    }


def schema_text(kind: FileKind[Any]) -> str:
    """Return the JSON Schema of *kind* as the text of its file."""
    return json.dumps(json_schema(kind), indent=2, ensure_ascii=True) + "\n"


def _record(cls: type[Any], key: Key, *, null: bool) -> Schema:
    """The schema of a section's content, without its words."""
    properties: Schema = {}
    pairs: list[Schema] = []
    fields = fields_of(cls)
    for name, field in fields.items():
        made = _field(field, (*key, name), null=null)
        properties[name] = made
        if alias := field.option.alias:
            properties[alias] = {**made, "description": f"Another name of {name}.", "deprecated": True}
            pairs.append({"not": {"type": "object", "required": [name, alias]}})
    required = [name for name, field in fields.items() if field.option.required]
    return {
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
        **({"required": required} if required else {}),
        **({"allOf": pairs} if pairs else {}),
    }


def _field(field: Field, key: Key, *, null: bool) -> Schema:
    about = field.option
    words: Schema = {"title": ".".join(key), "description": describe(field)}
    if field.default not in (None, "") and not about.secret:
        words["default"] = _plain(field.default)
    if about.example and not about.secret:
        words["examples"] = [example_value(field)]
    if about.deprecated:
        words["deprecated"] = True
    if about.secret:
        words["writeOnly"] = True
    return {**words, **_value(field, key, null=null and not about.required)}


def describe(field: Field) -> str:
    """Return what *field* does, with its unit, its variable, its fate, in a line of sentences."""
    about = field.option
    told = [about.help]
    if field.kind in {"duration", "size", "cpus"}:
        told.append(f"Takes {expected_of(field)}.")
    if about.unit:
        told.append(f"Unit: {about.unit}.")
    if about.env:
        told.append(f"The environment variable {about.env} overrides it.")
    if about.deprecated:
        told.append(f"Deprecated: {about.deprecated}.")
    elif field.kind != "section" and not about.read_by:
        told.append("Not active yet: nothing reads it so far.")
    return " ".join(told)


def example_value(field: Field) -> Any:
    """Return the example of *field* as a file's reader would have it."""
    text = field.option.example
    return json.loads(text) if field.kind in {"bool", "int", "list", "map"} else text


def _value(field: Field, key: Key, *, null: bool) -> Schema:
    """What the value of *field* may be."""
    about = field.option
    if field.kind == "section":
        return _or_empty(_record(field.item, key, null=null), null=null)
    if field.kind == "map":
        inner: Schema = {"type": "boolean"}
        if attrs.has(field.item):
            inner = _record(field.item, (*key, "*"), null=null)
        return _or_empty({"type": "object", "additionalProperties": inner}, null=null)
    if field.kind == "list":
        item = {"type": ["string", "integer"] if about.numbers else "string"}
        return _or_empty({"type": "array", "items": item}, null=null)
    if about.choices:
        other = {"type": _types("string", null=null), "pattern": f"{_EMPTY}|{_REFERENCE}"}
        return {"anyOf": [{"enum": list(about.choices)}, other]}
    return _scalar(field, null=null)


def _scalar(field: Field, *, null: bool) -> Schema:
    about = field.option
    if field.kind == "text" and not about.pattern:
        return {"type": _types("string", null=null)}
    made: Schema = {"type": _types(*filter(None, (_TYPES.get(field.kind), "string")), null=null)}
    if field.kind == "int":
        made |= {
            name: int(limit)
            for name, limit in (("minimum", about.ge), ("maximum", about.le))
            if limit is not None
        }
    ways = [_REFERENCE] if about.required else [_EMPTY, _REFERENCE]
    if about.pattern:
        ways += [f"^({about.pattern})$", *_PLACEHOLDERS]
    if field.kind in _PATTERNS:
        ways.append(_PATTERNS[field.kind])
    made["pattern"] = "|".join(ways)
    return made


def _types(*names: str, null: bool) -> str | list[str]:
    """The value of ``type``; an empty key of YAML is null."""
    every = [*names, *(["null"] if null else [])]
    return every if len(every) > 1 else every[0]


def _or_empty(made: Schema, *, null: bool) -> Schema:
    """*made*, or nothing: an empty text or an empty key leaves the default."""
    return {**made, "type": [made["type"], "string", *(["null"] if null else [])], "maxLength": 0}


def _plain(value: Any) -> Any:
    """A default as JSON has it."""
    if isinstance(value, tuple):
        return list(value)
    return str(value) if isinstance(value, str) else value


def _any_case(text: str) -> str:
    """*text* as a pattern that takes letters of either case: JSON Schema knows no flags."""
    return re.sub(r"[a-z]", lambda match: f"[{match[0].upper()}{match[0]}]", text)


# What `rules.base.is_placeholder` takes for a placeholder: a warning, not an error.
_PLACEHOLDERS = (
    _any_case("change") + "[_-]?" + _any_case("me"),
    _any_case("replace") + "[_-]" + _any_case("with"),
    "^<.*>$",
)
