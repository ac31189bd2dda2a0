"""Tables: aligned for people, tab-separated for programs.

Layer 6, pure but for `write_table`. Written here and not with rich, which takes longer to load than the whole
answer of a host takes to arrive.

* To a terminal: a bold header, columns two spaces apart, cut to the width with an ellipsis where a column allows
  it, state words in colour. A column in which no row has anything is left out, unless it is fixed; where the table
  is too wide, so is a spare one that says the same in every row.
* To anything else: every column of every row, in order, separated by tabs; no header, no colour, nothing cut,
  nothing left out, so that ``cut -f5`` means the same thing every time.

Cells are a stranger's words and go through `safe_text`, which leaves no tab or newline in them either.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from attrs import field, frozen

from fetchml_cli.output.safe import RESET, safe_text
from fetchml_cli.output.times import ago, rfc3339
from fetchml_core.units import format_duration

if TYPE_CHECKING:
    from fetchml_cli.cli import Cli

GAP = "  "
NARROWEST = 4  # cells that a column keeps when it is cut

STYLES = {
    "bold": "\x1b[1m",
    "dim": "\x1b[2m",
    "red": "\x1b[31m",
    "green": "\x1b[32m",
    "yellow": "\x1b[33m",
    "cyan": "\x1b[36m",
}
STATE_STYLES = {
    "held": "yellow",
    "starting": "cyan",
    "running": "cyan",
    "stopping": "yellow",
    "succeeded": "green",
    "failed": "red",
    "cancelled": "dim",
    "timed-out": "red",
    "lost": "red",
}


@frozen
class Column:
    """A column.

    Args:
        name: The header.
        fixed: Shown even if no row has anything in it.
        right: Aligned to the right, for numbers.
        cut: May be cut when the terminal is narrow.
        least: Cells that it keeps while another one that may be cut has more than its own.
        spare: Left out of a table that is too wide, where all rows that have something in it have the same.
    """

    name: str
    fixed: bool = False
    right: bool = False
    cut: bool = False
    least: int = NARROWEST
    spare: bool = False


@frozen
class Cell:
    """One value.

    Args:
        text: What people see.
        data: What programs see; the same where it is None.
        style: A name in `STYLES`, or "".
    """

    text: str = field(converter=str)
    data: str | None = None
    style: str = ""


def state(word: str) -> Cell:
    """Return the cell for a job's state."""
    return Cell(word, style=STATE_STYLES.get(word, ""))


def moment(seconds: float | None, now: float) -> Cell:
    """Return the cell for a point in time: relative for people, RFC 3339 for programs."""
    return Cell("") if seconds is None else Cell(ago(seconds, now), rfc3339(seconds))


def span(seconds: float | None) -> Cell:
    """Return the cell for a length of time: ``3m12s`` for people, whole seconds for programs."""
    return Cell("") if seconds is None else Cell(format_duration(seconds), str(max(0, int(seconds))))


Row = Sequence[Cell | str]


def write_table(cli: Cli, columns: Sequence[Column], rows: Sequence[Row]) -> None:
    """Write the table to stdout, for whoever reads there; without rows nothing is written."""
    if cli.out.tty:
        ellipsis = "…" if cli.out.unicode else "..."
        lines = aligned(columns, rows, width=cli.width, colour=cli.out.colour, ellipsis=ellipsis)
    else:
        lines = tab_separated(rows)
    cli.out.write("".join(f"{line}\n" for line in lines))


def tab_separated(rows: Sequence[Row]) -> Iterator[str]:
    """Yield a line for each row, for programs."""
    for row in rows:
        cells = (_cell(value) for value in row)
        yield "\t".join(safe_text(cell.text if cell.data is None else cell.data) for cell in cells)


def aligned(
    columns: Sequence[Column], rows: Sequence[Row], *, width: int, colour: bool = False, ellipsis: str = "…"
) -> Iterator[str]:
    """Yield the lines of the table for people, the header first.

    Args:
        columns: What is in the rows, in order.
        rows: As many cells each as there are columns.
        width: Cells of the terminal; a table that cannot be cut to it is wider.
        colour: Whether styles are written.
        ellipsis: What stands for text that was cut.
    """
    if not rows:
        return
    grid = [[_made_safe(value) for value in row] for row in rows]
    shown = [i for i, column in enumerate(columns) if column.fixed or any(row[i].text for row in grid)]
    headers = [Cell(column.name, style="bold") for column in columns]
    lines = [headers, *grid]
    for i in [i for i in shown if columns[i].spare and len({row[i].text for row in grid} - {""}) < 2]:
        if _excess(_natural(shown, lines), width) > 0:
            shown.remove(i)
    widths = _widths([columns[i] for i in shown], _natural(shown, lines), width)
    for row in lines:
        pieces = []
        for i, cells in zip(shown, widths, strict=True):
            text = shortened(row[i].text, cells, ellipsis)
            padding = " " * (cells - text_width(text))
            text = painted(text, row[i].style if colour else "")
            pieces.append(padding + text if columns[i].right else text + padding)
        yield GAP.join(pieces).rstrip()


def painted(text: str, style: str) -> str:
    """Return *text* in a style of `STYLES`; as it is for "" or without text."""
    return f"{STYLES[style]}{text}{RESET}" if style and text else text


def text_width(text: str) -> int:
    """Return how many cells of a terminal *text* takes: two for wide characters, none for marks."""
    if text.isascii():
        return len(text)
    return sum(_character_width(character) for character in text)


def shortened(text: str, cells: int, ellipsis: str = "…") -> str:
    """Return *text* cut to at most *cells* cells, with *ellipsis* where something is missing."""
    if text_width(text) <= cells:
        return text
    room = cells - len(ellipsis)
    if room < 0:
        return ellipsis[:cells]
    end = used = 0
    for end, character in enumerate(text):  # noqa: B007 - the index is the result
        used += _character_width(character)
        if used > room:
            break
    return text[:end] + ellipsis


def _character_width(character: str) -> int:
    if unicodedata.east_asian_width(character) in "WF":
        return 2
    return 0 if unicodedata.category(character) in {"Mn", "Me"} else 1


def _cell(value: Cell | str) -> Cell:
    return value if isinstance(value, Cell) else Cell(value)


def _made_safe(value: Cell | str) -> Cell:
    cell = _cell(value)
    return Cell(safe_text(cell.text), style=cell.style)


def _natural(shown: Sequence[int], lines: Sequence[Sequence[Cell]]) -> list[int]:
    """Return the cells that each of the *shown* columns needs."""
    return [max(text_width(row[i].text) for row in lines) for i in shown]


def _excess(widths: Sequence[int], width: int) -> int:
    return sum(widths) + len(GAP) * (len(widths) - 1) - width


def _widths(columns: Sequence[Column], natural: Sequence[int], width: int) -> list[int]:
    """Return the cells each column gets: what it needs, less what those that may be cut must give up.

    First down to what each keeps at least, who has most above that first; then down to its header.
    """
    headers = [
        max(NARROWEST, text_width(column.name)) if column.cut else cells
        for column, cells in zip(columns, natural, strict=True)
    ]
    kept = [max(column.least, cells) for column, cells in zip(columns, headers, strict=True)]
    widths = list(natural)
    for floors in (kept, headers):
        for _ in range(_excess(widths, width)):
            spare = [cells - floor for cells, floor in zip(widths, floors, strict=True)]
            if max(spare) <= 0:
                break
            widths[spare.index(max(spare))] -= 1
    return widths
