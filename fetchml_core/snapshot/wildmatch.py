"""Translate one pattern of a .gitignore into a regular expression, as git matches it.

Layer 2, pure, client only. `man gitignore` gives the rules, git's wildmatch.c the corners; tests compare with
``git check-ignore``. Matching is by characters, where git's ``?`` matches one byte.

Why not a library: those at hand let a pattern match everything below what it names too, which git does not, and
lack named classes; here a pattern matches an entry itself and the walk does not enter what is ignored.
"""

from __future__ import annotations

import re

_CLASSES = {
    "alnum": "0-9A-Za-z",
    "alpha": "A-Za-z",
    "blank": " \\t",
    "cntrl": "\\x00-\\x1f\\x7f",
    "digit": "0-9",
    "graph": "!-~",
    "lower": "a-z",
    "print": " -~",
    "punct": "!-/:-@\\[-`{-~",
    "space": " \\t-\\r",
    "upper": "A-Z",
    "xdigit": "0-9A-Fa-f",
}
SPECIAL = frozenset("*?[\\")


class BadPatternError(ValueError):
    """A pattern that git takes as matching nothing."""


def translate(pattern: str) -> str:
    """Return a regular expression, for a full match, of *pattern*.

    Args:
        pattern: Without ``!``, without leading or trailing slash. ``**`` spans folders only where it fills a part.

    Raises:
        BadPatternError: it can match nothing.
    """
    parts: list[str] = []
    at = 0
    while at < len(pattern):
        character = pattern[at]
        if character == "*":
            regex, at = _stars(pattern, at)
        elif character == "?":
            regex, at = "[^/]", at + 1
        elif character == "[":
            regex, at = _bracket(pattern, at + 1)
        else:
            if character == "\\":
                at += 1
                if at == len(pattern):
                    raise BadPatternError(pattern)
            regex, at = re.escape(pattern[at]), at + 1
        parts.append(regex)
    return "".join(parts)


def _stars(pattern: str, at: int) -> tuple[str, int]:
    """Translate the run of stars at *at*; two or more that fill a part of the path span folders."""
    end = at
    while end < len(pattern) and pattern[end] == "*":
        end += 1
    # git compares what stands before the first special character by itself, so stars behind it start a part for it.
    starts = SPECIAL.isdisjoint(pattern[:at]) or pattern[at - 1] == "/"
    fills = starts and pattern[end : end + 1] in {"", "/"}
    if end - at < 2 or not fills:
        return "[^/]*", end
    return (".*", end) if end == len(pattern) else ("(?:.*/)?", end + 1)


def _bracket(pattern: str, at: int) -> tuple[str, int]:
    """Translate the bracket expression whose inside starts at *at*."""
    negated = pattern[at : at + 1] in {"!", "^"}
    at += negated
    items: list[str] = []
    first = True
    while first or pattern[at : at + 1] != "]":
        first = False
        if pattern.startswith("[:", at) and (end := pattern.find(":]", at)) > 0:
            if pattern[at + 2 : end] not in _CLASSES:
                raise BadPatternError(pattern)
            items.append(_CLASSES[pattern[at + 2 : end]])
            at = end + 2
            continue
        low, at = _member(pattern, at)
        high = low
        if pattern[at : at + 1] == "-" and pattern[at + 1 : at + 2] not in {"", "]"}:
            high, at = _member(pattern, at + 1)
        # A range that runs backwards is its first member alone.
        items.append(f"{_hex(low)}-{_hex(max(low, high))}")
    return f"(?!/)[{'^' if negated else ''}{''.join(items)}]", at + 1


def _member(pattern: str, at: int) -> tuple[str, int]:
    if pattern[at : at + 1] == "\\":
        at += 1
    if at >= len(pattern):
        raise BadPatternError(pattern)
    return pattern[at], at + 1


def _hex(character: str) -> str:
    return f"\\U{ord(character):08x}"
