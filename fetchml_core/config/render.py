"""Tell a person everything that was found in a file, in the manner of a good compiler.

Layer 1, pure. Each finding is its severity, code and message, the place, the line itself with marks under the
trouble, what was expected and the fix; what is merely not active yet follows in one line each; the last line sums up.
A line is a list of spans, a style and a text each: whoever prints decides about colour. No text holds a control
character or a secret.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from .excerpt import excerpt
from .findings import Finding, Place, Severity

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .validate import Checked

Style = Literal["", "error", "warning", "info"]
Line = list[tuple[Style, str]]


def render(checked: Checked) -> list[Line]:
    """Return what there is to say about a file, line by line."""
    lines: list[Line] = []
    for found in checked.findings:
        if found.severity != "info":
            lines += [*_finding(found, checked.lines), []]
    infos = [found for found in checked.findings if found.severity == "info"]
    lines += [_info(found) for found in infos]
    if infos:
        lines.append([])
    lines.append(_summary(checked))
    return lines


def plain(line: Line) -> str:
    """Return *line* without colour."""
    return "".join(text for _, text in line)


def count(findings: Sequence[Finding], severity: Severity) -> int:
    """Return how many of *findings* have this severity."""
    return sum(1 for found in findings if found.severity == severity)


def printable(text: str) -> str:
    """Return *text*, a file's name perhaps, with what could harm a terminal spelt out."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)


def _finding(found: Finding, lines: Sequence[str]) -> Iterator[Line]:
    yield [(found.severity, found.severity), ("", f": {found.code}: {found.message}")]
    places = sorted({Place(found.line, found.column), *found.also})
    parts = {place: excerpt(lines, place) for place in places if place.line}
    gutter = max((len(str(place.line)) for place in parts), default=1)
    if found.where:
        yield [("", f"{' ' * gutter}--> {printable(found.where)}")]
    if any(parts.values()):
        yield [("", f"{' ' * gutter} |")]
    for place, part in parts.items():
        if part is None:
            continue
        main = place == (found.line, found.column)
        yield [("", f"{place.line:>{gutter}} | {part.text}".rstrip())]
        marks = ("^" if main else "-") * part.cells
        style: Style = found.severity if main else ""
        yield [("", f"{' ' * gutter} | {' ' * part.start}"), (style, marks)]
    rows = [("expected", found.expected), ("fix", found.hint)]
    shown = [
        (name, text) for name, text in rows if text and not (name == "expected" and text in found.message)
    ]
    width = max((len(name) for name, _ in shown), default=0)
    for name, text in shown:
        yield [("", f"{' ' * gutter} {name:<{width}}  {text}")]


def _info(found: Finding) -> Line:
    where = f" (line {found.line})" if found.line else ""
    return [(found.severity, found.severity), ("", f": {found.code}: {found.message}{where}")]


def _summary(checked: Checked) -> Line:
    errors, warnings = count(checked.findings, "error"), count(checked.findings, "warning")
    told = [
        f"{number} {word}{'' if number == 1 else 's'}"
        for number, word in ((errors, "error"), (warnings, "warning"))
        if number
    ]
    kind = f"{checked.kind.name} file ({checked.reason})" if checked.kind else "of no known kind"
    style: Style = "error" if errors else "warning" if warnings else ""
    return [("", f"{printable(checked.name)}: {kind}: "), (style, ", ".join(told) or "ok")]
