"""Where an unknown key belongs: a misspelling, another section, another level, another kind of file.

Layer 1, pure. Asked only when a key was not found; a file without slips never pays for it.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import attrs
from attrs import frozen

from .findings import Key, Place, show_key
from .node import Node
from .option import fields_of
from .scalars import nearest

if TYPE_CHECKING:
    from collections.abc import Mapping

#: So many known keys are told where no advice is better.
FEW = 8


@frozen
class Asked:
    """An unknown key.

    Args:
        cls: The class of the whole file.
        root: The whole file.
        key: The key as it was written, with the sections it stands in.
        place: Where it stands.
        known: What may stand there.
        by_any_name: What is written -> its proper name, for aliases.
        toml: Whether the file is TOML: no indentation says there where a key belongs.
    """

    cls: Any
    root: Node
    key: Key
    place: Place
    known: tuple[str, ...]
    by_any_name: Mapping[str, str]
    toml: bool = False


def advise(asked: Asked) -> str:
    """Return what to do about an unknown key, "" where nobody knows."""
    near = nearest(asked.key[-1], asked.known, cutoff=0.8)
    if near:
        return f"did you mean {asked.by_any_name.get(near, near)}?"
    looks = (_dotted, _of_names, _same_file, _elsewhere, _similar, _far, _known_here)
    return next(hint for look in looks if (hint := look(asked)))


def _dotted(asked: Asked) -> str:
    """``server.tls.enabled`` as one word."""
    parts = asked.key[-1].split(".")
    if len(parts) > 1 and _path_of(asked.cls, (*asked.key[:-1], *parts)):
        return f"write {': and below it, indented, '.join(parts)}:"
    return ""


def _same_file(asked: Asked) -> str:
    """A key of another section."""
    written, above = asked.key[-1], asked.key[:-1]
    ways = [path for path in _index(asked.cls).get(_plain(written), ()) if path[:-1] != above]
    return _of_ways(asked, ways) if ways else ""


def _similar(asked: Asked) -> str:
    """A key that is like a known one here, or has a word of it: ``hostname`` for ``worker_host``."""
    written = asked.key[-1]
    near = nearest(written, asked.known)
    words = [name for name in asked.known if (last := name.rpartition("_")[2]) in written and len(last) > 3]
    if not near and len(words) == 1:
        near = words[0]
    return f"did you mean {asked.by_any_name.get(near, near)}?" if near else ""


def _known_here(asked: Asked) -> str:
    names = sorted(set(asked.by_any_name.values()))
    shown = ", ".join(names[:FEW]) + (", …" if len(names) > FEW else "")
    return f"remove it; known here: {shown}"


def _of_names(asked: Asked) -> str:
    """A name that the file chooses, such as a user's, on the wrong level."""
    written, above = asked.key[-1], asked.key[:-1]
    part: Any = asked.cls
    node = asked.root
    for depth, name in enumerate(above):
        field = fields_of(part).get(_proper(part, name)) if attrs.has(part) else None
        if field is None:
            return ""
        entry = node.value.get(name) if isinstance(node.value, dict) else None
        node, part = (entry.node if entry else Node({})), field.item
        if field.kind == "map" and depth == len(above) - 2:
            inner = _below(asked, written)
            empty = inner is not None and (inner.value is None or isinstance(inner.value, dict))
            return f"indent it less, if it is a new name below {show_key(above[:-1])}" if empty else ""
        if field.kind == "map":
            return ""
    if not attrs.has(part):
        return ""
    inner = _below(asked, written)
    for field in fields_of(part).values():
        if field.kind == "map" and attrs.has(field.item) and inner is not None:
            known = fields_of(field.item)
            if isinstance(inner.value, dict) and inner.value and set(inner.value) <= set(known):
                return f"indent it below {show_key((*above, field.name))}:"
    return ""


def _proper(part: Any, written: str) -> str:
    """The proper name of what is *written* in a section, for aliases."""
    return next((field.name for field in fields_of(part).values() if field.option.alias == written), written)


def _below(asked: Asked, written: str) -> Node | None:
    """What stands behind the unknown key."""
    node = asked.root
    for name in (*asked.key[:-1], written):
        if not isinstance(node.value, dict):
            return None
        entry = node.value.get(name)
        if entry is None:
            return None
        node = entry.node
    return node


def _of_ways(asked: Asked, ways: list[Key]) -> str:
    """The key exists in this kind of file, but elsewhere: by its level or by its path."""
    above = asked.key[:-1]
    places = _sections(asked.root, asked.cls)
    inner = [way for way in ways if way[: len(above)] == above]
    if above and len(inner) == 1 and inner[0][:-1] not in places and not asked.toml:
        return f"write {': and below it, indented, '.join(inner[0][len(above) :])}:"
    before = [way for way in ways if places.get(way[:-1], Place(1 << 30)) <= asked.place]
    # What a slip took from the section right above it is meant most likely.
    near = max(before, key=lambda way: places[way[:-1]], default=())
    if near and (hint := _by_level(asked, near, places[near[:-1]].line)):
        return hint
    shown = [show_key(way) for way in ways[:3]]
    return f"did you mean {' or '.join(shown)}{', or that of another section' if len(ways) > 3 else ''}?"


def _by_level(asked: Asked, way: Key, line: int) -> str:
    """How to move the key to *way*, whose section begins in *line* above it; "" where that is not a matter of level."""
    above, section = asked.key[:-1], way[:-1]
    if not section and asked.toml and fields_of(asked.cls)[way[0]].kind == "section":
        return f"write [{way[0]}] in a line of its own, and its keys below"
    if not section:
        return f"it belongs to no section: {'write it above the first one' if asked.toml else 'do not indent it'}"
    if asked.toml:
        return f"it belongs below [{show_key(section)}] (line {line})"
    if above[: len(section)] == section:
        return f"it belongs below {show_key(section)}: (line {line}): indent it less"
    return f"indent it below {show_key(section)}: (line {line})" if section[: len(above)] == above else ""


def _elsewhere(asked: Asked) -> str:
    """The key of another kind of file."""
    from .kinds import all_kinds

    written = _plain(asked.key[-1])
    best: tuple[int, str] | None = None
    for kind in all_kinds():
        cls: Any = kind.cls
        ways = _index(cls).get(written, ()) if cls is not asked.cls else ()
        same = [way for way in ways if way[:-1] == asked.key[:-1]]
        if not (same or (ways and len(asked.key) == 1) or len(ways) == 1 or _top(ways)):
            continue
        depth = 0 if same else min(map(len, ways))
        if best is None or depth < best[0]:
            best = depth, f"this key belongs in {kind.title} ({kind.file})"
    return best[1] if best else ""


def _top(ways: tuple[Key, ...]) -> bool:
    """Whether one of *ways* is a key of no section: such names are rarely common words."""
    return any(len(way) == 1 and "_" in way[0] for way in ways)


def _far(asked: Asked) -> str:
    """A misspelt key of another section."""
    index = _index(asked.cls)
    near = nearest(_plain(asked.key[-1]), tuple(index), cutoff=0.85)
    return _of_ways(asked, list(index[near])) if near else ""


def _plain(name: str) -> str:
    """*name* as it is looked up: case and hyphens do not count."""
    return name.lower().replace("-", "_")


@functools.cache
def _index(cls: Any) -> dict[str, tuple[Key, ...]]:
    """Every option and section of *cls* by its own name; what stands below names that a file chooses is left out."""
    found: dict[str, tuple[Key, ...]] = {}

    def visit(part: Any, above: Key) -> None:
        for field in fields_of(part).values():
            key = (*above, field.name)
            for name in {field.name, field.option.alias} - {""}:
                found[name] = (*found.get(name, ()), key)
            if field.kind == "section":
                visit(field.item, key)

    visit(cls, ())
    return found


def _path_of(cls: Any, key: Key) -> Key:
    """*key* by its proper names if *cls* has such an option, else nothing."""
    path: Key = ()
    part: Any = cls
    for name in key:
        if not attrs.has(part):
            return ()
        field = fields_of(part).get(name)
        if field is None:
            return ()
        path, part = (*path, name), field.item
    return path


def _sections(root: Node, cls: Any) -> dict[Key, Place]:
    """Where the sections of *cls* that a file has begin; an empty one counts too."""
    found: dict[Key, Place] = {(): Place(1, 1)}

    def visit(node: Node, part: Any, above: Key) -> None:
        if not isinstance(node.value, dict):
            return
        for field in fields_of(part).values():
            entry = node.value.get(field.name)
            if field.kind == "section" and entry is not None:
                below = (*above, field.name)
                found[below] = entry.place
                visit(entry.node, field.item, below)

    visit(root, cls, ())
    return found
