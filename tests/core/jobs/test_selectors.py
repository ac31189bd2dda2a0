"""Selectors: what a word asks for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fetchml_core.errors import NotFoundError
from fetchml_core.jobs.selectors import MAX_RANGE, Selector, parse_selector


@pytest.mark.parametrize(
    "word",
    [
        "",
        "x",
        "-1",
        "--now",
        "4-",
        "-4",
        "4-3",
        "@~",
        "@1",
        "@~-1",
        "LAST",
        "name:",
        "name",
        "1 2",
        "1.0",
        "٣",
        "²",
    ]
    + ["1" * 16, f"1-{MAX_RANGE + 1}", "@~" + "1" * 5, "42\n", "box1/42"],
)
def test_a_word_that_is_no_form_finds_nothing(word):
    """What has no form names no job: status 5, and the word is shown."""
    with pytest.raises(NotFoundError) as caught:
        parse_selector(word)

    assert caught.value.context == word
    assert "ml status" in caught.value.hint


@given(st.text(max_size=20))
def test_total(word):
    """Any text is a selector with exactly one field, or names no job."""
    try:
        found = parse_selector(word)
    except NotFoundError:
        return
    assert sum(value is not None for value in (found.ids, found.back, found.name)) == 1
    assert found.word == word


@given(st.integers(0, 10**15 - 1), st.integers(0, MAX_RANGE - 1))
def test_ranges(first, more):
    """Both ends are meant; a range is never longer than MAX_RANGE."""
    assert parse_selector(f"{first}").ids == range(first, first + 1)
    if first + more < 10**15:
        assert parse_selector(f"{first}-{first + more}") == Selector(
            f"{first}-{first + more}", ids=range(first, first + more + 1)
        )
