"""The words that name jobs: ``42``, ``40-44``, ``last``, ``@``, ``@~1``, ``name:glob``.

Parsing is pure and knows no queue; `fetchml_core.service.select` looks the jobs up.
"""

from __future__ import annotations

import re

from attrs import frozen

from fetchml_core.errors import NotFoundError

MAX_RANGE = 10_000
_RANGE = re.compile(r"(\d{1,15})-(\d{1,15})", re.ASCII)
_BACK = re.compile(r"@(?:~(\d{1,4}))?", re.ASCII)


@frozen
class Selector:
    """What one word asks for: exactly one field is set.

    Args:
        ids: Job ids, in order.
        back: The newest job of the user is 0, the one before it 1.
        name: A shell-style pattern over names.
        word: The word itself, for messages.
    """

    word: str
    ids: range | None = None
    back: int | None = None
    name: str | None = None


def parse_selector(word: str) -> Selector:
    """Return what *word* asks for.

    Raises:
        NotFoundError: ``job-unknown``: no such form, so no such job.
    """
    if word.isascii() and word.isdigit() and len(word) <= 15:
        return Selector(word, ids=range(int(word), int(word) + 1))
    if match := _RANGE.fullmatch(word):
        first, last = int(match[1]), int(match[2])
        if first <= last < first + MAX_RANGE:
            return Selector(word, ids=range(first, last + 1))
    if word == "last":
        return Selector(word, back=0)
    if match := _BACK.fullmatch(word):
        return Selector(word, back=int(match[1] or 0))
    if word.startswith("name:") and len(word) > len("name:"):
        return Selector(word, name=word.removeprefix("name:"))
    raise unknown(word)


def unknown(word: str) -> NotFoundError:
    """Return the error for a word that names no job."""
    return NotFoundError(
        "job-unknown",
        "no such job",
        context=word,
        hint="ml status -a lists jobs; a job is named 42, 40-44, last, @~1 or name:PATTERN",
    )
