"""The words of manual pages as roff, the language of man: text is always printed, never obeyed.

Layer 8, pure. A page has no date, so that the same program always gives the same page.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

from fetchml_core import __version__

Pairs = Iterable[tuple[str, str]]
AGAIN = "python -m fetchml_cli.generate all"


def roff(text: str) -> str:
    """Return *text* for a line of running text: nothing in it is taken for a command of roff."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-").replace("^", "\\(ha").replace("~", "\\(ti")
    escaped = escaped.replace("`", "\\(ga")
    return "\n".join(f"\\&{line}" if line.startswith((".", "'")) else line for line in escaped.splitlines())


def page(name: str, number: int, summary: str, synopsis: str, *sections: tuple[str, str]) -> str:
    """Return a whole page.

    Args:
        name: Its name.
        number: The section of the manual that it belongs to.
        summary: What its subject is, a sentence.
        synopsis: How it is typed, or where it lies; roff.
        sections: Titles and texts, roff; one without text is left out.
    """
    parts = [
        f'.\\" Made by "{AGAIN}". Do not edit.',
        f'.TH {roff(name.upper())} {number} "" "FetchML {__version__}" "FetchML"',
        f".SH NAME\n{roff(name)} \\- {roff(summary[0].lower() + summary[1:].rstrip('.'))}",
        f".SH SYNOPSIS\n{synopsis}",
    ]
    parts += [f".SH {title}\n{text}" for title, text in sections if text]
    return "\n".join(parts) + "\n"


def paragraphs(texts: Iterable[str]) -> str:
    """Return running text."""
    return "\n.PP\n".join(lines(text) for text in texts)


def lines(text: str) -> str:
    """Break running text into short source lines; roff joins them again."""
    # broken before it is escaped: a hyphen is no place to break, and a line never begins with a lone escape
    wrapped = textwrap.wrap(" ".join(text.split()), 70, break_on_hyphens=False, break_long_words=False)
    return "\n".join(roff(line) for line in wrapped)


def definitions(pairs: Pairs) -> str:
    """Return a list of terms with their meanings."""
    return "\n".join(f".TP\n.B {roff(term)}\n{lines(text)}" for term, text in pairs)


def see(*names: str, number: int = 1) -> str:
    """Return references to other pages of section *number*; a name may bring its own: ``ml-profile(5)``."""
    shown = [name if name.endswith(")") else f"{name}({number})" for name in names]
    return ",\n".join(f".BR {roff(name.partition('(')[0])} ({name.partition('(')[2]}" for name in shown)
