"""What a person did to a YAML file that gives no tree: the slip itself, where a parser only knows where it stumbled.

Layer 1, pure. A parser says that it met what it did not expect, often lines below the missing quote. Here the text
around is looked at as a person would: quotes and brackets that stay open, tabs, a missing colon, another format's
signs. No text of a value is told, as it may be a secret.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from .excerpt import is_open
from .findings import Place

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

#: How many lines are looked at above the one where the parser stumbled.
NEAR = 2000
#: Nobody writes a longer line by hand, and looking at it would take time.
LONGEST = 500
ANY_KEY = re.compile(r"""[ ]*(?:-[ ]+)*("[^"]*"|'[^']*'|[^\s:#"'\[{][^:#]*?)[ ]*:(?=[ \t]|$)""")
_NO_SPACE = re.compile(r"""[ ]*([A-Za-z_][\w-]*)(:)(?=[^\s/:\\])""", re.ASCII)
_EQUALS = re.compile(r"[ ]*([A-Za-z_][\w.-]*)[ \t]*(=)", re.ASCII)
_WORD = re.compile(r"[ ]*([A-Za-z_][\w-]*)(?=[ \t]|$)", re.ASCII)
TABLE = re.compile(r"[ \t]*\[\[?[\w. \t\"'-]+\]\]?[ \t]*(#.*)?")
PAIR = re.compile(r"""[ \t]*("[^"]*"|'[^']*'|[\w.-]+)[ \t]*=[ \t]*""", re.ASCII)
_ESCAPE = re.compile(r"""\\(?![0abtnvfre "/\\N_LP])""")
TOML_IN_YAML = "write it as YAML (key: value), or name it config.toml if it is a profile"
_AFTER_QUOTE = "end the value at its quote, or put a comma between two items of a list"
_CLOSING = {"[": "]", "{": "}"}
_SIGN = re.compile(r"""(?<![^\s\[{,:=-])["']|(?<![^\s\[{,])[\[{]|[\]}]|(?<!\S)\#""")
# From behind the opening quote to behind the closing one.
_QUOTED = {'"': re.compile(r'(?:[^"\\]|\\.)*"'), "'": re.compile(r"(?:[^']|'')*'(?!')")}


class Slip(NamedTuple):
    """What is wrong in the text, where, and how to mend it."""

    message: str
    place: Place
    hint: str


def yaml_slip(lines: Sequence[str], at: Place, begun: Place, said: str) -> Slip | None:
    """Return what a person did wrong in a YAML file.

    Args:
        lines: The file.
        at: Where the parser stumbled.
        begun: Where what it was reading began, if it knows.
        said: Its own words.
    """
    if not 1 <= at.line <= len(lines) + 1:
        return None
    last = min(at.line, len(lines))
    first = max(1, last - NEAR)
    if "escape" in said or "hex" in said:
        return _bad_escape(lines, begun.line or last, at.line)
    near = range(first, last + 1)
    if any(len(lines[number - 1]) > LONGEST for number in near):
        return None
    found = _toml_in_yaml(lines, near) or _tab(lines, near) or _open_end(lines, near)
    if found:
        return found
    above = _above(lines, last)
    looked_at = sorted({number for number in (begun.line, above, last) if 1 <= number <= len(lines)})
    for look in _YAML_LINE_SLIPS:
        for number in looked_at:
            if content(lines[number - 1]) and (slip := look(lines[number - 1], number)):
                return slip
    return _indentation(lines, last)


def content(line: str) -> str:
    """*line* without what is no content: blanks, a comment, an end of line."""
    text = line.strip()
    return "" if text.startswith("#") else text


def _above(lines: Sequence[str], number: int) -> int:
    """The number of the nearest line with content above line *number*, 0 where there is none."""
    return next((at for at in range(number - 1, max(0, number - NEAR), -1) if content(lines[at - 1])), 0)


def _tab(lines: Sequence[str], near: range) -> Slip | None:
    for number in near:
        line = lines[number - 1]
        indent = line[: len(line) - len(line.lstrip())]
        if "\t" in indent and content(line):
            place = Place(number, indent.index("\t") + 1)
            return Slip("a tab in the indentation", place, "use spaces: YAML takes no tab there")
    return None


def _toml_in_yaml(lines: Sequence[str], near: range) -> Slip | None:
    """A table's header before any key, or ``key = "text"`` more often than ``key: text``."""
    tables = [n for n in near if TABLE.fullmatch(lines[n - 1]) and content(lines[n - 1])]
    pairs = [n for n in near if PAIR.match(lines[n - 1])]
    keys = [n for n in near if ANY_KEY.match(lines[n - 1])]
    if (tables or len(pairs) > 1) and not keys:
        return Slip(
            "this is TOML, in a file that is read as YAML", Place(min([*tables, *pairs]), 1), TOML_IN_YAML
        )
    return None


def _open_end(lines: Sequence[str], near: range) -> Slip | None:
    """The first quote or bracket that is not closed, or closed where it cannot be."""
    brackets: list[tuple[str, Place]] = []
    number, at = near[0], 0
    while number <= near[-1]:
        found = _SIGN.search(lines[number - 1], at)
        if found is None or found[0] == "#":
            if brackets and _key_follows(lines, number):
                break
            number, at = number + 1, 0
            continue
        sign, place, at = found[0], Place(number, found.start() + 1), found.end()
        if sign in _QUOTED:
            end = _end_of_quote(lines, place, sign, near[-1])
            if isinstance(end, Slip):
                return end
            number, at = end
        elif sign in _CLOSING:
            brackets.append((sign, place))
        elif brackets and _CLOSING[brackets.pop()[0]] != sign:
            return Slip(f"{sign} closes another bracket", place, "check the brackets")
    if not brackets:
        return None
    sign, place = brackets[0]
    return Slip(f"this {sign} is not closed", place, f"close it with {_CLOSING[sign]}")


def _key_follows(lines: Sequence[str], number: int) -> bool:
    """Whether the next line looks like an ordinary key of a block: a bracket that is still open was forgotten."""
    return (
        number < len(lines)
        and bool(ANY_KEY.match(lines[number]))
        and not lines[number].rstrip().endswith(",")
    )


def _end_of_quote(lines: Sequence[str], begin: Place, sign: str, last: int) -> tuple[int, int] | Slip:
    """Where the quoted text that begins at *begin* ends, or what is wrong with it."""
    at = begin.column
    for number in range(begin.line, last + 1):
        line = lines[number - 1]
        end = _QUOTED[sign].match(line, at)
        at = 0
        if end is None:
            continue
        rest = line[end.end() :].lstrip()
        if not rest or rest[0] in ":,]}#":
            return number, end.end()
        if number == begin.line:
            place = Place(number, end.end() + len(line[end.end() :]) - len(rest) + 1)
            return Slip("text follows a closing quote", place, _AFTER_QUOTE)
        break
    return not_closed(sign, begin)


def not_closed(sign: str, place: Place) -> Slip:
    """Return the slip of a quote that stays open."""
    return Slip("this quote is not closed", place, f"close it with {sign} at the end of the value")


def _bad_escape(lines: Sequence[str], first: int, last: int) -> Slip | None:
    for number in range(first, min(last, len(lines)) + 1):
        line = lines[number - 1]
        match = _ESCAPE.search(line, line.find('"') + 1)
        if match:
            hint = r"write / instead of \, or use single quotes"
            return Slip(r"in double quotes a \ starts an escape", Place(number, match.start() + 1), hint)
    return None


def _equals(line: str, number: int) -> Slip | None:
    match = _EQUALS.match(line)
    if match is None:
        return None
    return Slip(
        "= where YAML has a colon", Place(number, match.start(2) + 1), f"write {match[1]}: and the value"
    )


def _no_space(line: str, number: int) -> Slip | None:
    match = _NO_SPACE.match(line)
    if match is None or ANY_KEY.match(line):
        return None
    place = Place(number, match.start(2) + 1)
    return Slip("no space after the colon", place, f"write {match[1]}: with a space before the value")


def _no_colon(line: str, number: int) -> Slip | None:
    match = _WORD.match(line)
    if match is None or ANY_KEY.match(line):
        return None
    place = Place(number, match.start(1) + 1)
    hint = "write key: value, with a colon and a space between them"
    if is_open(match[1]):
        hint = f"write {match[1]}: with a colon"
    return Slip("a key without a colon", place, hint)


def _second_colon(line: str, number: int) -> Slip | None:
    match = ANY_KEY.match(line)
    if match is None:
        return None
    value = line[match.end() :]
    second = re.match(r"""[ \t]*[^\s"'\[{|>#][^#]*?(:)(?=[ \t]|$)""", value)
    if second is None:
        return None
    place = Place(number, match.end() + second.start(1) + 1)
    return Slip("a second colon in one line", place, "put the value in quotes, or begin a new line")


_YAML_LINE_SLIPS: tuple[Callable[[str, int], Slip | None], ...] = (
    _equals,
    _no_space,
    _no_colon,
    _second_colon,
)


def _indentation(lines: Sequence[str], number: int) -> Slip | None:
    """A line that begins in a column where no line above allows it."""
    above = _above(lines, number)
    if not above or not content(lines[number - 1]):
        return None
    own, upper = _indent(lines[number - 1]), _indent(lines[above - 1])
    match = ANY_KEY.match(lines[above - 1])
    if own > upper and match and lines[above - 1][match.end() :].strip():
        message = f"indented deeper than line {above}, which has a value already"
        hint = f"{_indent_by({upper: above})}, or take the value away there"
        return _lost_indentation(lines, above, number) or Slip(message, Place(number, own + 1), hint)
    open_ones = _open_columns(lines, above)
    if own not in open_ones:
        return _between(lines, number, open_ones) if own < upper else None
    if content(lines[number - 1]).startswith("- ") == content(lines[open_ones[own] - 1]).startswith("- "):
        return None
    message = f"a list item and a key in one column (line {open_ones[own]})"
    hint = "indent the items of a list deeper than its key, and keep keys out of lists"
    return Slip(message, Place(number, own + 1), hint)


def _open_columns(lines: Sequence[str], above: int) -> dict[int, int]:
    """The indentations that line *above* and the sections around it have, deepest first, with a line of each."""
    found: dict[int, int] = {}
    least = _indent(lines[above - 1]) + 1
    for at in range(above, max(0, above - NEAR), -1):
        if content(lines[at - 1]) and _indent(lines[at - 1]) < least:
            least = _indent(lines[at - 1])
            found[least] = at
    return found


def _between(lines: Sequence[str], number: int, open_ones: Mapping[int, int]) -> Slip:
    """Line *number* is indented by none of the indentations above: it went astray, or one of those lines did."""
    own = _indent(lines[number - 1])
    parent = next((at for indent, at in open_ones.items() if indent < own), 0)
    if parent and (slip := _lost_indentation(lines, parent, number)):
        return slip
    odd = next((indent for indent in open_ones if indent % 2), 0)
    if odd and own % 2 == 0:
        message = f"indented by {odd} space{'' if odd == 1 else 's'}, unlike line {number} below it"
        return Slip(message, Place(open_ones[odd], odd + 1), _indent_by({own: number}))
    message = f"indented by {own} space{'' if own == 1 else 's'}, as no line above it"
    return Slip(message, Place(number, own + 1), _indent_by(open_ones))


def _lost_indentation(lines: Sequence[str], suspect: int, number: int) -> Slip | None:
    """Whether line *suspect* stands too far to the left, so that line *number* below does not fit."""
    before = _above(lines, suspect)
    if not before:
        return None
    own, right = _indent(lines[suspect - 1]), _indent(lines[number - 1])
    place = Place(suspect, own + 1)
    if _indent(lines[before - 1]) == own and content(lines[before - 1]).endswith(":"):
        message = f"not indented below line {before}, whose section it begins"
        return Slip(message, place, _indent_by({right: number}))
    if _indent(lines[before - 1]) == right and not content(lines[suspect - 1]).endswith(":"):
        message = f"indented less than lines {before} and {number} around it"
        return Slip(message, place, _indent_by({right: number}))
    return None


def _indent_by(ways: Mapping[int, int]) -> str:
    """Say by how much to indent: the two deepest of *ways*, indentation -> a line that has it."""
    told = [
        f"by {indent} space{'' if indent == 1 else 's'}, as line {at}" if indent else f"like line {at}"
        for indent, at in list(ways.items())[:2]
    ]
    return f"indent it {', or '.join(told)}"


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))
