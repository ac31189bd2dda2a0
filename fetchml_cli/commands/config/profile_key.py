"""Which option of the profile a person means: what ``ml config get`` and ``ml config set`` have in common.

Layer 7.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fetchml_core.errors import InputError, NotFoundError

if TYPE_CHECKING:
    from fetchml_core.config.option import Field

Options = dict[str, "Field"]


def find_option(word: str, verb: str) -> Field:
    """Return the option that *word* names: ``server.worker_host``.

    Args:
        word: What was typed.
        verb: What is to be done with it, for the next command to type: ``get`` or ``set``.

    Raises:
        NotFoundError: ``no-such-key``, with the nearest one.
        InputError: ``key-is-section``, with its keys.
    """
    options = _options()
    if word in options:
        return options[word]
    below = [key for key in options if key.startswith(f"{word}.")]
    if below:
        raise InputError(
            "key-is-section",
            f"this is a section; its keys: {', '.join(below)}",
            context=word,
            hint=f"ml config {verb} {below[0]}",
        )
    near = _near(word, list(options))
    raise NotFoundError(
        "no-such-key",
        "the profile has no such key",
        context=word[:80],
        hint=f"ml config {verb} {near}" if near else f"known: {', '.join(options)}",
    )


def _options() -> Options:
    from fetchml_core.config.option import walk
    from fetchml_core.config.profile import Profile

    return {".".join(key): field for key, field in walk(Profile)}


def _near(word: str, known: list[str]) -> str:
    """The one of *known* that was meant, "" where that cannot be told; its last part alone will do."""
    import difflib

    if len(word) > 64:
        return ""
    short = {key.rpartition(".")[2]: key for key in known}
    plain = word.lower().replace("-", "_")
    for names in ({key: key for key in known}, short):
        if plain in names:
            return names[plain]
        if near := difflib.get_close_matches(plain, list(names), n=1, cutoff=0.7):
            return names[near[0]]
    return ""
