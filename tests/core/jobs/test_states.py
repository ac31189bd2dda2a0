"""The states of a job: the code does exactly what the table in the module says."""

from __future__ import annotations

import itertools

import pytest

from fetchml_core.errors import FetchError
from fetchml_core.jobs import states
from fetchml_core.jobs.states import ACTIVE, FINAL, State, Step, follow


def table() -> dict[tuple[State, Step], str]:
    """Read the table of the docstring: (state, step) -> cell, for every pair, empty cells included."""
    lines = [line[4:] for line in (states.__doc__ or "").splitlines() if line.startswith("    ")]
    head = lines[0]
    begins = {word: head.index(word) for word in head.split()}
    ends = dict(itertools.pairwise([*begins.values(), 200]))
    cells: dict[tuple[State, Step], str] = {}
    for line in lines[1:]:
        name = line.split()[0]
        if name == "(none)":
            continue
        for step in Step:
            begin = begins[step.value]
            cell = line[begin : ends[begin]].strip()
            for state in FINAL if name == "final" else [State(name)]:
                cells[state, step] = cell
    return cells


TABLE = table()


def test_the_table_has_every_state_and_step():
    """A new state or step without a row or column fails here."""
    assert set(TABLE) == set(itertools.product(State, Step))


@pytest.mark.parametrize(("state", "step"), list(itertools.product(State, Step)))
def test_follow_is_the_table(state, step):
    """Every state, step and outcome: the state that the table names, or a refusal that names both."""
    cell = TABLE[state, step]
    for outcome in (None, *State):
        if cell == "*":
            expected = outcome if outcome in FINAL else None
        elif cell == "(same)":
            expected = state
        else:
            expected = State(cell) if cell else None
        if expected is None:
            with pytest.raises(
                FetchError, match=f"illegal-step: a job that is {state.value} cannot {step.value}"
            ):
                follow(state, step, outcome)
        else:
            assert follow(state, step, outcome) is expected


def test_every_state_is_waiting_active_or_final():
    """The three groups share no state and miss none."""
    assert {State.QUEUED, State.HELD} | ACTIVE | FINAL == set(State)
    assert not ACTIVE & FINAL
    assert all(state.final == (state in FINAL) and state.active == (state in ACTIVE) for state in State)


def test_no_step_leads_out_of_a_final_state():
    """An ended job stays ended."""
    assert {(cell, step) for (state, step), cell in TABLE.items() if state in FINAL and cell} == {
        ("(same)", Step.STOP)
    }


def test_the_words_are_those_people_read():
    """States are written as in the design: one lower-case word, joined by a hyphen."""
    assert {state.value for state in FINAL} == {"succeeded", "failed", "cancelled", "timed-out", "lost"}
