"""Tables for people and for programs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fetchml_cli.output.table import (
    Cell,
    Column,
    Row,
    aligned,
    moment,
    shortened,
    span,
    state,
    tab_separated,
    text_width,
    write_table,
)
from tests.cli.support import fake_cli, text_of

COLUMNS = [
    Column("JOB", fixed=True, right=True),
    Column("NAME", cut=True),
    Column("GPU"),
    Column("STATE", fixed=True),
    Column("RUN", right=True),
    Column("WHERE/WHY", cut=True),
]
ROWS: list[Row] = [
    ["7", "bert-large", "", state("running"), span(185), "GPU 0,1"],
    [
        "42",
        "漢字-run",
        "",
        state("queued"),
        span(None),
        "waits for memory: needs 64 GiB, box1 has 12 GiB free",
    ],
]


def test_a_table_for_people():
    """Aligned, numbers to the right; the column without content is gone."""
    assert list(aligned(COLUMNS, ROWS, width=100)) == [
        "JOB  NAME        STATE      RUN  WHERE/WHY",
        "  7  bert-large  running  3m05s  GPU 0,1",
        " 42  漢字-run    queued          waits for memory: needs 64 GiB, box1 has 12 GiB free",
    ]


def test_a_fixed_column_stays_without_content():
    """The columns that everybody looks for are there even when empty."""
    assert next(aligned([Column("JOB"), Column("STATE", fixed=True)], [["7", ""]], width=80)) == "JOB  STATE"


def test_a_narrow_table_cuts_what_may_be_cut():
    """The widest column that may be cut gives way first; the others stay whole."""
    lines = list(aligned(COLUMNS, ROWS, width=60))

    assert lines[2] == " 42  漢字-run    queued          waits for memory: needs 64…"
    assert all(text_width(line) <= 60 for line in lines)


def test_a_very_narrow_table_keeps_ids_and_states():
    """No width makes a fixed column unreadable."""
    lines = list(aligned(COLUMNS, ROWS, width=20))

    assert [line.split()[0] for line in lines] == ["JOB", "7", "42"]
    assert "running" in lines[1]


def test_a_table_for_programs():
    """Every column of every row, tabs between, no header, times and spans in machine form."""
    rows: list[Row] = [["7", "bert", "", state("running"), span(185.7), moment(1_763_841_481, 1_763_850_000)]]

    assert list(tab_separated(rows)) == ["7\tbert\t\trunning\t185\t2025-11-22T19:58:01Z"]


@given(st.lists(st.lists(st.text(st.characters()), min_size=6, max_size=6), max_size=4), st.integers(20, 120))
def test_no_cell_breaks_the_table(rows, width):
    """Whatever a name holds, a row is one line and a cell one field, for people and for programs."""
    people = list(aligned(COLUMNS, rows, width=width))
    programs = list(tab_separated(rows))

    assert len(people) == (len(rows) + 1 if rows else 0)
    assert len(programs) == len(rows)
    assert all(line.count("\t") == 5 for line in programs)
    assert not {"\n", "\r", "\x1b"} & set("".join(people + programs))


def test_colour_on_a_terminal_only(tmp_path):
    """State words have colour on a terminal with colour, and nowhere else an escape is written."""
    shown = {}
    surroundings = {
        "colour": fake_cli(tmp_path, tty=True, colour=True),
        "plain": fake_cli(tmp_path, tty=True),
        "piped": fake_cli(tmp_path, colour=True),
    }
    for name, cli in surroundings.items():
        write_table(cli, COLUMNS, ROWS)
        shown[name] = text_of(cli.out)

    assert "\x1b[36mrunning\x1b[0m" in shown["colour"]
    assert "\x1b[1mJOB\x1b[0m" in shown["colour"]
    assert "\x1b" not in shown["plain"]
    assert shown["piped"].startswith("7\tbert-large\t\trunning\t185\tGPU 0,1\n")
    assert "\x1b" not in shown["piped"]


def test_colour_does_not_disturb_the_columns():
    """Without the escapes the coloured table is the plain one."""
    plain = list(aligned(COLUMNS, ROWS, width=60))
    coloured = "\n".join(aligned(COLUMNS, ROWS, width=60, colour=True))
    for code in ("\x1b[0m", "\x1b[1m", "\x1b[36m"):
        coloured = coloured.replace(code, "")

    assert coloured.splitlines() == plain


@pytest.mark.parametrize("tty", [True, False])
def test_without_rows_nothing_is_written(tmp_path, tty):
    """An empty table has no header either; the command says in words that there is nothing."""
    cli = fake_cli(tmp_path, tty=tty)
    write_table(cli, COLUMNS, [])

    assert text_of(cli.out) == ""


@pytest.mark.parametrize(
    ("text", "cells", "shown"),
    [
        ("abcdef", 6, "abcdef"),
        ("abcdef", 5, "abcd…"),
        ("漢字漢字", 5, "漢字…"),
        ("漢字漢字", 4, "漢…"),
        ("abc", 1, "…"),
        ("abc", 0, ""),
    ],
)
def test_shortened_counts_cells(text, cells, shown):
    """A wide character takes two cells and is never cut in half."""
    assert shortened(text, cells) == shown


@given(st.text(max_size=30), st.integers(0, 30))
def test_shortened_always_fits(text, cells):
    """The result never takes more cells than there are."""
    assert text_width(shortened(text, cells)) <= cells


def test_marks_take_no_room():
    """An accent that is a character of its own sits on its letter."""
    assert text_width("e\u0301") == 1


def test_a_cell_takes_numbers():
    """A count may be given as a number."""
    assert Cell(3).text == "3"
