"""What a person did to a TOML file that gives no tree, as `yaml_slips` tells it of YAML.

Layer 1, pure. No text of a value is told, as it may be a secret.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from .findings import Key, Place
from .yaml_slips import ANY_KEY, LONGEST, NEAR, PAIR, TABLE, Slip, content, not_closed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

CURLY = "\u201c\u201d\u201e\u201f\u2018\u2019\u201a\u201b\u00ab\u00bb"
YAML_IN_TOML = (
    "write it as TOML (key = value below [section]), or name it .yaml if it is an api or worker file"
)


def toml_slip(
    lines: Sequence[str],
    at: Place,
    said: str,
    key_lines: Callable[[Sequence[str]], Iterable[tuple[Key, int]]],
) -> Slip | None:
    """Return what a person did wrong in a TOML file.

    Args:
        lines: The file.
        at: Where the parser stumbled; `NOWHERE`: at the end.
        said: Its own words.
        key_lines: Finds the keys of the lines.
    """
    number = min(at.line or len(lines), len(lines))
    if number < 1 or len(lines) > NEAR or max(map(len, lines)) > LONGEST:
        return None
    line = lines[number - 1]
    if slip := _yaml_in_toml(lines):
        return slip
    if "overwrite" in said or "twice" in said or "mutate" in said:
        return _twice(key_lines(lines), lines, number)
    if "Unescaped" in said or "hex" in said or "escape" in said.lower():
        place = Place(number, line.find("\\") + 1)
        return Slip(
            r"in double quotes a \ starts an escape", place, r"write / instead of \, or use single quotes"
        )
    return _toml_open(lines, number) or _toml_line(line, number, at)


def _yaml_in_toml(lines: Sequence[str]) -> Slip | None:
    keys = [n for n, line in enumerate(lines, 1) if ANY_KEY.match(line) and content(line)]
    others = [n for n, line in enumerate(lines, 1) if PAIR.match(line) or TABLE.fullmatch(line.rstrip("\r"))]
    if len(keys) > 1 and not others:
        return Slip("this is YAML, in a file that is read as TOML", Place(keys[0], 1), YAML_IN_TOML)
    return None


def _twice(keys: Iterable[tuple[Key, int]], lines: Sequence[str], number: int) -> Slip | None:
    """A key or a table that stands twice, with both lines."""
    seen: dict[tuple[str, ...], int] = {}
    for key, at in keys:
        if key in seen and at >= number - 1:
            first = seen[key]
            column = len(lines[at - 1]) - len(lines[at - 1].lstrip(" \t[")) + 1
            what = ".".join(key)
            message = f"{what if what.isprintable() and what.isascii() else 'this key'} stands here and in line {first}"
            return Slip(message, Place(at, column), f"keep one of lines {first} and {at}")
        seen.setdefault(key, at)
    return None


def _toml_open(lines: Sequence[str], number: int) -> Slip | None:
    """A quote or a list that a line above, or this one, leaves open."""
    for at in range(max(1, number - NEAR), number + 1):
        match = PAIR.match(lines[at - 1])
        if match is None:
            continue
        value = lines[at - 1][match.end() :].rstrip()
        place = Place(at, match.end() + 1)
        quote = value[:1]
        closed = rf"{quote}([^{quote}\\]|\\.)*{quote}"
        if quote in {'"', "'"} and value[:3] != quote * 3 and not re.match(closed, value):
            return not_closed(quote, place)
        if quote == "[" and _unbalanced(lines, at, number, match.end()):
            return Slip("this [ is not closed", place, "close it with ]")
    return None


def _unbalanced(lines: Sequence[str], first: int, last: int, begin: int) -> bool:
    """Whether a list that begins in line *first* is still open where the parser stumbled."""
    text = "\n".join([lines[first - 1][begin:], *lines[first:last]])
    bare = re.sub(r"""#[^\n]*|"([^"\\\n]|\\.)*"|'[^'\n]*'""", "", text)
    head = re.split(r"\n[ \t]*[\w.\"'-]+[ \t]*=", bare)[0]
    return head.count("[") > head.count("]")


def _toml_line(line: str, number: int, at: Place) -> Slip | None:
    text = line.strip()
    begin = len(line) - len(line.lstrip()) + 1
    if text.startswith("["):
        if not re.match(r"\[[^\]]*\]", text):
            return Slip("this [ is not closed", Place(number, begin), "close it with ]")
        return Slip("a table's name cannot be read", Place(number, begin), "write it like [server]")
    pair = PAIR.match(line)
    if pair is None:
        return _toml_no_pair(line, number, begin)
    key, value = pair[1], line[pair.end() :].strip()
    place = Place(number, pair.end() + 1)
    if not value or value.startswith("#"):
        return Slip(f"nothing stands behind {key} =", Place(number, pair.end()), 'write "" for an empty text')
    return _toml_value(key, value, place, at)


def _toml_value(key: str, value: str, place: Place, at: Place) -> Slip:
    """What is wrong with a *value* that stands at *place*."""
    if value[0] in CURLY:
        return Slip("curly quotes", place, 'use straight ones: "')
    word = re.split(r"[\s#]", value)[0]
    if word.lower() in {"true", "yes", "on", "false", "no", "off"}:
        meant = "true" if word.lower() in {"true", "yes", "on"} else "false"
        return Slip("a switch is true or false, in small letters", place, f"write {key} = {meant}")
    if value[0].isdigit():
        message = "neither a number nor a text in quotes"
        return Slip(message, place, "write a number without a leading 0, or put a text in quotes")
    if value[0] in "\"'[{":
        return Slip(
            "text follows the end of the value",
            Place(place.line, max(at.column, 1)),
            "one key = value a line",
        )
    return Slip("a text without quotes", place, f'put it in quotes: {key} = "…"')


def _toml_no_pair(line: str, number: int, begin: int) -> Slip | None:
    colon = re.match(r"""[ \t]*("[^"]*"|'[^']*'|[\w.-]+)[ \t]*(:)[ \t]*(.*)""", line, re.ASCII)
    if colon is None:
        return Slip("a key without =", Place(number, begin), "write key = value")
    place = Place(number, colon.start(2) + 1)
    if not colon[3].strip():
        return Slip("a section ends in no colon here", place, f"write [{colon[1]}]")
    return Slip("a colon where TOML has =", place, f"write {colon[1]} = and the value")
