"""A YAML file as a tree of nodes, read more strictly than YAML allows.

Layer 1. Works on the parser's events, so no constructor of PyYAML ever runs: an event that is an alias, an
anchor, a merge key or a tag is a problem, scalars follow `node.resolve_plain`, a key that stands twice is named
with both lines. Limits are checked while events arrive, before anything grows. PyYAML's C parser is used where
it was compiled in; a bare host has the pure one, and tests run both.

Invariant (test of the same name): total: any text gives a tree or a `SourceError`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .findings import NOWHERE, Place, Report, show
from .node import MAX_DEPTH, MAX_KEYS, PURE_BYTES, PURE_KEYS, Entry, Node, resolve_plain
from .source import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from yaml import Event

# What PyYAML says, and what a person does about it; the first that fits counts.
_ADVICE = (
    ("alias", 'a word that starts with * needs quotes: "*"', 'put it in quotes: "*"'),
    ("anchor", "a word that starts with & needs quotes", 'put it in quotes: "&…"'),
    ("that cannot start any token", "a text cannot start with this character", "put the text in quotes"),
    ("directive", "a line cannot start with %", "put the text in quotes"),
    (
        "expected <block end>",
        "this does not fit what stands above",
        "check the indentation, and the line above",
    ),
    (
        "did not find expected '-' indicator",
        "this does not fit what stands above",
        "check the indentation, and the line above",
    ),
    (
        "did not find expected key",
        "this does not fit what stands above",
        "check the indentation, and the line above",
    ),
    (
        "mapping values are not allowed",
        "a colon that does not fit here",
        "check the indentation; quote a text with a colon",
    ),
)

_LINE_ENDS = ("\r\n", "\r", "\x85", "\u2028", "\u2029")
_ABSENT = "remove the file to have the defaults"
_QUOTE = "write the value out; a text that starts with {} needs quotes"


def parse_yaml(text: str, report: Report, *, pure: bool = False) -> Node:
    """Return the tree of *text*; keys that stand twice are noted in *report*.

    Args:
        text: A YAML document.
        report: Takes the problems that do not keep us from reading on.
        pure: Use PyYAML's Python parser even where it has a compiled one.

    Raises:
        SourceError: ``yaml-syntax``, ``yaml-feature``, ``too-deep``, ``too-many-keys`` or ``file-empty``.
    """
    import yaml

    compiled = None if pure else getattr(yaml, "CSafeLoader", None)
    if compiled is None and len(text) > PURE_BYTES:
        raise SourceError(
            "file-too-large", f"longer than {PURE_BYTES >> 10} KiB, and PyYAML has no C parser here"
        )
    loader: Any = compiled or yaml.SafeLoader
    try:
        events = iter(loader(text).get_event, None)
        return _Builder(events, report, MAX_KEYS if compiled else PURE_KEYS).document()
    except yaml.MarkedYAMLError as error:
        raise _syntax_error(error, text) from None
    except yaml.YAMLError as error:  # the reader's: a character that YAML forbids
        position = getattr(error, "position", 0)
        raise SourceError(
            "control-character", "the file has a character that YAML forbids", _offset(text, position)
        ) from None
    except (ValueError, RecursionError, OverflowError) as error:
        raise SourceError("yaml-syntax", f"this cannot be read: {show(str(error))}") from None


def split_lines(text: str) -> list[str]:
    """Return the lines of *text* as YAML counts them."""
    return one_line_end(text).split("\n")


def one_line_end(text: str) -> str:
    """Return *text* with a plain newline for each way to end a line that YAML knows."""
    for end in _LINE_ENDS:
        text = text.replace(end, "\n")
    return text


def _syntax_error(error: Any, text: str) -> SourceError:
    from .yaml_slips import yaml_slip

    said = f"{error.context or ''} {error.problem or ''}"
    place = _mark(error.problem_mark or error.context_mark)
    slip = yaml_slip(split_lines(text), place, _mark(error.context_mark), said)
    if slip is not None:
        return SourceError("yaml-syntax", slip.message, slip.place, hint=slip.hint)
    for words, message, hint in _ADVICE:
        if words in said:
            return SourceError("yaml-syntax", message, place, hint=hint)
    words = said.strip().encode("ascii", "backslashreplace").decode("ascii")
    return SourceError("yaml-syntax", f"this is no YAML: {words}", place)


def _mark(mark: Any) -> Place:
    return Place(mark.line + 1, mark.column + 1) if mark is not None else NOWHERE


def _offset(text: str, position: object) -> Place:
    if not isinstance(position, int) or not 0 <= position <= len(text):
        return NOWHERE
    return Place(text.count("\n", 0, position) + 1, position - text.rfind("\n", 0, position))


class _Builder:
    """Turns events into nodes; its recursion ends at `MAX_DEPTH`."""

    def __init__(self, events: Iterator[Event], report: Report, most: int) -> None:
        self._events: Iterator[Any] = events
        self._report = report
        self._most = most
        self._left = most
        from yaml import events as known

        self._scalar = known.ScalarEvent
        self._starts = known.MappingStartEvent, known.SequenceStartEvent
        self._ends = known.MappingEndEvent, known.SequenceEndEvent

    def document(self) -> Node:
        """The one document of the stream."""
        next(self._events)  # stream start
        started = next(self._events)
        if type(started).__name__ != "DocumentStartEvent":
            raise SourceError("file-empty", "the file has nothing but comments", hint=_ABSENT)
        root = self._node(next(self._events), 0)
        next(self._events)  # document end
        after = next(self._events)
        if type(after).__name__ == "DocumentStartEvent":
            place = _mark(after.start_mark)
            raise SourceError("yaml-feature", "a second document begins here; a file has one", place)
        if root.value is None:
            raise SourceError("file-empty", "the file says nothing", hint=_ABSENT)
        return root

    def _node(self, event: Any, depth: int) -> Node:
        mark = event.start_mark
        place = Place(mark.line + 1, mark.column + 1)
        if type(event) is self._scalar and event.anchor is None and event.tag is None:
            return Node(event.value if event.style else resolve_plain(event.value), place)
        if type(event).__name__ == "AliasEvent":
            raise SourceError("yaml-feature", "aliases (*) are not read", place, hint=_QUOTE.format("*"))
        if event.anchor is not None:
            raise SourceError("yaml-feature", "anchors (&) are not read", place, hint=_QUOTE.format("&"))
        if event.tag is not None:
            raise SourceError("yaml-feature", "tags (!) are not read", place, hint=_QUOTE.format("!"))
        if depth >= MAX_DEPTH:
            raise SourceError("too-deep", f"more than {MAX_DEPTH} levels", place)
        if type(event) is self._starts[0]:
            return self._mapping(place, depth)
        return self._sequence(place, depth)

    def _sequence(self, place: Place, depth: int) -> Node:
        items: list[Node] = []
        end = self._ends[1]
        for event in self._events:
            if type(event) is end:
                break
            items.append(self._node(event, depth + 1))
            self._count(event)
        return Node(items, place)

    def _mapping(self, place: Place, depth: int) -> Node:
        entries: dict[str, Entry] = {}
        end = self._ends[0]
        for event in self._events:
            if type(event) is end:
                break
            key, at = self._key(event)
            entry = Entry(at, self._node(next(self._events), depth + 1))
            if entries.setdefault(key, entry) is not entry:
                self._duplicate(key, entries[key].place, at)
            self._count(event)
        return Node(entries, place)

    def _key(self, event: Any) -> tuple[str, Place]:
        if type(event) in self._starts:
            raise SourceError("yaml-feature", "a key must be a word", _mark(event.start_mark))
        at = self._node(event, MAX_DEPTH).place
        if event.value == "<<" and not event.style:
            raise SourceError("yaml-feature", "merge keys (<<) are not read", at, hint="write the values out")
        return event.value, at

    def _count(self, event: Any) -> None:
        self._left -= 1
        if self._left < 0:
            place = _mark(event.start_mark)
            raise SourceError("too-many-keys", f"more than {self._most} keys and items", place)

    def _duplicate(self, key: str, first: Place, second: Place) -> None:
        self._report.add(
            "duplicate-key",
            f"{show(key)} stands here and in line {first.line}",
            second,
            key=show(key),
            expected="each key once",
            hint=f"keep one of lines {first.line} and {second.line}",
            also=(first,),
        )
