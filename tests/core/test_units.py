"""Sizes and durations as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fetchml_core.errors import InputError
from fetchml_core.units import MAX_SIZE, format_cpus, format_duration, format_size, parse_duration, parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("4Gi", 4 << 30),
        ("16g", 16 << 30),
        ("512m", 512 << 20),
        ("512MB", 512 << 20),
        ("1.5GiB", 3 << 29),
        ("1k", 1024),
        ("2T", 2 << 40),
        ("0.5 m", 1 << 19),
        (" 7b ", 7),
        ("0m", 0),
    ],
)
def test_sizes(text, size):
    """Powers of 1024, letters of either case, with or without i and b."""
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text", ["", "x", "-1m", "1x", "1.m", ".5m", "1e3m", "1,5g", "١m", "1mm", "9" * 16, "9999999p"]
)
def test_no_sizes(text):
    """Refused with the value and a way to write it."""
    with pytest.raises(InputError, match="bad-size") as caught:
        parse_size(text)
    assert caught.value.context == text


def test_a_bare_number_needs_a_unit_where_one_is_asked_for():
    """Thirty of what?"""
    for text in ("30", "0.5"):
        with pytest.raises(InputError, match="size-without-unit"):
            parse_size(text)
    assert parse_size("30", unit_needed=False) == 30


@given(st.text(max_size=12))
def test_sizes_are_total(text):
    """Any text is a size within bounds, or refused."""
    try:
        assert 0 <= parse_size(text) <= MAX_SIZE
    except InputError as error:
        assert error.code in {"bad-size", "size-without-unit"}


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30m", 1800), ("1h30m", 5400), ("500ms", 0.5), ("0s", 0), ("1.5h", 5400), (" 2s ", 2)],
)
def test_durations(text, seconds):
    """Go's forms."""
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "-1s",
        "1",
        "30",
        "1 h",
        "m",
        "1y2",
        "9" * 30 + "h",
        "١s",
        "1h-30m",
        "inf",
        "nans",
        "1h 30m",
        "1h;rm30m",
        "+1h",
        "9" * 12 + "w",
    ],
)
def test_no_durations(text):
    """Refused; a bare number with the two ways it could be meant."""
    with pytest.raises(InputError) as caught:
        parse_duration(text)
    assert caught.value.code == (
        "duration-without-unit" if text.isdigit() and text.isascii() else "bad-duration"
    )


@given(st.text(max_size=12))
def test_durations_are_total(text):
    """Any text is a duration of at most some thirty years, or refused."""
    try:
        assert 0 <= parse_duration(text) < 10**9
    except InputError as error:
        assert error.code in {"bad-duration", "duration-without-unit"}


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (3 << 19, "1.5 MiB"),
        (5 << 30, "5.0 GiB"),
        (5 << 50, "5120.0 TiB"),
    ],
)
def test_sizes_for_people(size, text):
    """One unit, one decimal."""
    assert format_size(size) == text


@pytest.mark.parametrize(("cpus", "text"), [(1.0, "1 CPU"), (0.5, "0.5 CPUs"), (16.0, "16 CPUs")])
def test_cpus_for_people(cpus, text):
    """One is one."""
    assert format_cpus(cpus) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0s"),
        (0.9, "0s"),
        (59.9, "59s"),
        (60, "1m00s"),
        (192, "3m12s"),
        (3600, "1h00m"),
        (7500, "2h05m"),
        (86400 * 3 + 4 * 3600, "3d04h"),
    ],
)
def test_durations_for_people(seconds, text):
    """Two units at most."""
    assert format_duration(seconds) == text
