"""A configuration file as a tree: plain values, each with the place where it stands.

Layer 1, pure. Both loaders make it, `structure` reads it; limits that hold for any format are here.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from .findings import NOWHERE, Place

MAX_BYTES = 8 << 20
MAX_DEPTH = 16
MAX_KEYS = 200_000
# The pure parser takes about ten times as long: a bare host reads less, so that no file makes it work for long.
PURE_BYTES = 2 << 20
PURE_KEYS = 50_000

Value = object
_INT = re.compile(r"[-+]?(0|[1-9][0-9]{0,17})", re.ASCII)
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]+)?", re.ASCII)
_WORDS: dict[str, bool | None] = {
    "": None,
    "~": None,
    "null": None,
    "Null": None,
    "NULL": None,
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "False": False,
    "FALSE": False,
}


class Node(NamedTuple):
    """One value of a file.

    Args:
        value: ``str``, ``int``, ``float``, ``bool``, None, a list of nodes or a dict of entries by key; anything
            else (a TOML date) fits no option.
        place: Where it begins.
    """

    value: Value
    place: Place = NOWHERE


class Entry(NamedTuple):
    """A key of a mapping with its place, and what it names."""

    place: Place
    node: Node


def resolve_plain(text: str) -> str | int | float | bool | None:
    """Return what an unquoted scalar is, by the core schema of YAML 1.2 and a little stricter.

    ``on``, ``no``, ``22:22`` and ``2024-01-01`` are text. ``010``, ``0x10`` and numbers of more than 18 digits
    are text too, so that they are an error where a number is meant: programs do not agree on them.
    """
    if text in _WORDS:
        return _WORDS[text]
    if text[0] in "+-.0123456789" and len(text) < 400:
        if _INT.fullmatch(text):
            return int(text)
        if _FLOAT.fullmatch(text):
            return float(text) if not text.lstrip("+-").isdigit() else text
    return text
