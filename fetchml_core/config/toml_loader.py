"""A TOML file as a tree of nodes.

Layer 1. The standard parser gives no places, so a scan of the lines finds them, best effort: it knows headers
and ``key = value`` lines, which is all that people write. Its costs are bounded before it runs: the parser is
quadratic in the parts of a dotted key, raises ValueError on giant integers and RecursionError on deep nesting.

Invariant (test of the same name): total: any text gives a tree or a `SourceError`.
"""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

from .findings import NOWHERE, Key, Place
from .node import MAX_DEPTH, MAX_KEYS, Entry, Node
from .source import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# A legitimate file has some hundred bytes; reading this much takes well below a second.
MAX_TOML = 256 << 10

_PART = r"""(?:[A-Za-z0-9_-]+|"[^"\n]*"|'[^'\n]*')"""
# Begins where a word begins: tried at every letter of a long word it would be quadratic itself.
_LONG_KEY = re.compile(rf"(?<![A-Za-z0-9_-]){_PART}(?:[ \t]*\.[ \t]*{_PART}){{{MAX_DEPTH}}}")
_KEY = rf"({_PART}(?:[ \t]*\.[ \t]*{_PART})*)"
_HEADER = re.compile(rf"[ \t]*\[\[?[ \t]*{_KEY}[ \t]*\]")
_PAIR = re.compile(rf"[ \t]*{_KEY}[ \t]*=[ \t]*")
# Where what the parser cannot read begins; both are looked for after it gave up.
_LONG_NUMBER = re.compile(r"(?<![0-9_])[0-9](?:_?[0-9]){4299}")
_NESTED = re.compile(rf"(?:[\[{{][^\[\]{{}}\n]*){{{MAX_DEPTH}}}")
_AT = re.compile(r" ?\(at (?:line (\d+), column (\d+)|end of document)\)$")


def parse_toml(text: str) -> Node:
    """Return the tree of *text*.

    Raises:
        SourceError: ``toml-syntax``, ``file-too-large``, ``too-deep`` or ``too-many-keys``.
    """
    if len(text) > MAX_TOML:
        raise SourceError("file-too-large", f"a TOML file here has at most {MAX_TOML >> 10} KiB")
    if _LONG_KEY.search(text):
        raise SourceError("too-deep", f"a key of more than {MAX_DEPTH} parts", _place_of(_LONG_KEY, text))
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib

    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _syntax_error(str(error), text) from None
    except RecursionError:
        place = _place_of(_NESTED, text)
        raise SourceError("too-deep", f"more than {MAX_DEPTH} levels", place) from None
    except (ValueError, OverflowError):
        message, place = "the file has a number that is too long to read", _place_of(_LONG_NUMBER, text)
        raise SourceError("toml-syntax", message, place) from None
    return _Builder(find_places(text)).node(data, ())


def _place_of(sought: re.Pattern[str], text: str) -> Place:
    match = sought.search(text)
    if match is None:
        return NOWHERE
    start = text.rfind("\n", 0, match.start()) + 1
    return Place(text.count("\n", 0, start) + 1, match.start() - start + 1)


def _syntax_error(said: str, text: str) -> SourceError:
    match = _AT.search(said)
    place = Place(text.count("\n") + 1, 1) if match else NOWHERE
    if match and match[1]:
        place = Place(int(match[1]), int(match[2]))
    words = _AT.sub("", said).encode("ascii", "backslashreplace").decode("ascii")
    from .toml_slips import toml_slip

    slip = toml_slip(text.split("\n"), place, said, key_lines)
    if slip is None:
        return SourceError("toml-syntax", f"this is no TOML: {words}", place)
    return SourceError("toml-syntax", slip.message, slip.place, hint=slip.hint)


def find_places(text: str) -> dict[Key, tuple[Place, Place]]:
    """Return the places of key and value of each line that looks like ``key = value``; headers count as both."""
    places: dict[Key, tuple[Place, Place]] = {}
    for key, at_key, at_value in _scan(text.split("\n")):
        places.setdefault(key, (at_key, at_value))
        for parts in range(1, len(key)):  # of a dotted key each part is a section
            places.setdefault(key[:parts], (at_key, at_key))
    return places


def key_lines(lines: Sequence[str]) -> Iterator[tuple[Key, int]]:
    """Yield the key of each line that looks like a header or ``key = value``, with the line's number."""
    for key, at_key, _ in _scan(lines):
        yield key, at_key.line


def _scan(lines: Sequence[str]) -> Iterator[tuple[Key, Place, Place]]:
    table: Key = ()
    for number, line in enumerate(lines, start=1):
        if header := _HEADER.match(line):
            table = _parts(header[1])
            place = Place(number, header.start(1) + 1)
            yield table, place, place
        elif pair := _PAIR.match(line):
            key, value = Place(number, pair.start(1) + 1), Place(number, pair.end() + 1)
            yield (*table, *_parts(pair[1])), key, value


def _parts(dotted: str) -> Key:
    return tuple(part.strip("\"'") for part in re.findall(_PART, dotted))


class _Builder:
    """Turns what the parser gave into nodes; its recursion ends at `MAX_DEPTH`."""

    def __init__(self, places: dict[Key, tuple[Place, Place]]) -> None:
        self._places = places
        self._count = 0

    def node(self, value: object, key: Key, place: Place = NOWHERE) -> Node:
        """The node of *value*; what has no place of its own stands where its parent does."""
        if len(key) > MAX_DEPTH:
            raise SourceError("too-deep", f"more than {MAX_DEPTH} levels", place)
        if isinstance(value, dict):
            return Node({name: self._entry(item, (*key, name), place) for name, item in value.items()}, place)
        if isinstance(value, list):
            return Node([self._counted(item, (*key, "[]"), place) for item in value], place)
        if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 10**18:
            return Node(f"{value:.0e}" if abs(value) < 10**300 else "a giant number", place)
        return Node(value, place)

    def _entry(self, value: object, key: Key, place: Place) -> Entry:
        at_key, at_value = self._places.get(key, (place, place))
        return Entry(at_key, self._counted(value, key, at_value))

    def _counted(self, value: object, key: Key, place: Place) -> Node:
        self._count += 1
        if self._count > MAX_KEYS:
            raise SourceError("too-many-keys", f"more than {MAX_KEYS} keys and items", place)
        return self.node(value, key, place)
