"""Selectors: what a word asks for, and which jobs that is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fetchml_core.errors import NotFoundError
from fetchml_core.jobs.job import Job, JobSpec
from fetchml_core.jobs.selectors import MAX_RANGE, Selector, choose, parse_selector


def job(number, user="anna", name="train"):
    """A queued job."""
    return Job(number, user, JobSpec(name, ("true",), "a" * 64), 0.0)


JOBS = [job(1), job(2, "bob"), job(3, name="eval-a"), job(4, "bob", "eval-b"), job(5)]


def chosen(*words, user="anna", jobs=JOBS):
    """The ids of the jobs that *words* name."""
    return [found.id for found in choose(map(parse_selector, words), jobs, user)]


@pytest.mark.parametrize(
    ("words", "ids"),
    [
        (["3"], [3]),
        (["03"], [3]),
        (["2-4"], [2, 3, 4]),
        (["4-900"], [4, 5]),
        (["last"], [5]),
        (["@"], [5]),
        (["@~0"], [5]),
        (["@~1"], [3]),
        (["@~2"], [1]),
        (["name:eval-*"], [3, 4]),
        (["name:TRAIN", "1"], None),
        (["name:train"], [1, 2, 5]),
        (["5", "1-2", "1"], [5, 1, 2]),
        ([], []),
        (["9"], None),
        (["6-9"], None),
        (["@~3"], None),
        (["1", "9"], None),
    ],
)
def test_choose(words, ids):
    """Each word finds its jobs, each job once, in the order asked; one that finds none is an error."""
    if ids is None:
        with pytest.raises(NotFoundError, match="job-unknown"):
            chosen(*words)
    else:
        assert chosen(*words) == ids


def test_last_counts_ones_own_jobs_only():
    """Somebody else's newer job is not my last one; ids and names reach everybody's."""
    assert chosen("last", user="bob") == [4]
    assert chosen("1", user="bob") == [1]
    with pytest.raises(NotFoundError):
        chosen("last", user="eve")


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
    + ["1" * 16, f"1-{MAX_RANGE + 1}", "@~" + "1" * 7, "42\n", "box1/42"],
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
