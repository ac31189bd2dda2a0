"""Metrics: what counts as one, and that no way of cutting the output changes them."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fetchml_core.jobs.metrics import MAX_KEYS, MAX_LINE, PREFIX, Metric, MetricReader, parse_metric

keys = st.from_regex(r"[A-Za-z_][A-Za-z0-9_./-]{0,10}", fullmatch=True).filter(lambda key: key != "step")
numbers = st.floats(allow_nan=False, allow_infinity=False)
pieces = st.sampled_from(
    [
        PREFIX,
        PREFIX[:7],
        b"loss=0.5",
        b" ",
        b"\n",
        b"\r\n",
        b"step=3",
        b"acc=1e-3",
        b"x=nan",
        b"\xff",
        b"=",
        b"z" * 3000,
    ]
)
outputs = st.lists(pieces | st.binary(max_size=5), max_size=40).map(b"".join)


def naive(output):
    """The metrics of whole lines, without any cutting."""
    found = (parse_metric(line) for line in output.split(b"\n")[:-1])
    return [metric for metric in found if metric]


def cut(output, places):
    """Cut *output* at *places*."""
    marks = [0, *sorted(place % (len(output) + 1) for place in places), len(output)]
    return [output[begin:end] for begin, end in zip(marks, marks[1:], strict=False)]


@given(outputs, st.lists(st.integers(0, 10**6), max_size=20))
@example(PREFIX + b"a=1" + b" " * (MAX_LINE - len(PREFIX) - 3) + b"\n", [MAX_LINE])
@example(b"z" * (MAX_LINE + 1) + PREFIX + b"a=1\n" + PREFIX + b"b=2\n", [MAX_LINE + 1])
def test_chunking_never_changes_the_metrics(output, places):
    """Reads may be cut anywhere: the same metrics come in the same order."""
    reader = MetricReader()

    assert [metric for chunk in cut(output, places) for metric in reader.feed(chunk)] == naive(output)


@given(st.binary(max_size=20_000))
def test_the_reader_holds_at_most_one_line(output):
    """A job that prints no line end costs no memory."""
    reader = MetricReader()
    for start in range(0, len(output), 1000):
        list(reader.feed(output[start : start + 1000]))
        assert len(reader._rest) <= MAX_LINE


@given(st.dictionaries(keys, numbers, min_size=1, max_size=5), st.none() | st.integers(0, 2**50))
def test_what_a_job_prints_is_what_it_meant(values, step):
    """Keys, values and step come out as they were printed."""
    words = [f"{key}={value!r}" for key, value in values.items()]
    words += [f"step={step}"] if step is not None else []

    assert parse_metric(PREFIX + " ".join(words).encode()) == Metric(values, step)


@given(st.binary(max_size=80))
def test_total(line):
    """Any line is a metric with finite values that JSON can carry, or only text."""
    metric = parse_metric(PREFIX + line)
    if metric is not None:
        assert metric.values
        assert all(map(math.isfinite, metric.values.values()))
        json.dumps(metric.values, allow_nan=False)


@pytest.mark.parametrize(
    ("line", "metric"),
    [
        ("FETCHML_METRIC loss=0.25 step=7", Metric({"loss": 0.25}, 7)),
        ("FETCHML_METRIC loss=1\r\n", Metric({"loss": 1.0})),
        ("FETCHML_METRIC  a=1   b=2\t", Metric({"a": 1.0, "b": 2.0})),
        ("FETCHML_METRIC step=1.5", Metric({"step": 1.5})),
        ("FETCHML_METRIC a=1 a=2", Metric({"a": 2.0})),
        ("FETCHML_METRIC step=7", None),
        ("FETCHML_METRIC", None),
        ("FETCHML_METRIC ", None),
        (" FETCHML_METRIC a=1", None),
        ("FETCHML_METRICa=1", None),
        ("FETCHML_METRIC a=", None),
        ("FETCHML_METRIC =1", None),
        ("FETCHML_METRIC a", None),
        ("FETCHML_METRIC a=nan", None),
        ("FETCHML_METRIC a=1 b=inf", None),
        ("FETCHML_METRIC a=1_0", None),
        ("FETCHML_METRIC 1a=1", None),
        ("FETCHML_METRIC ä=1", None),
        ("FETCHML_METRIC a\x1b[31m=1", None),
        (f"FETCHML_METRIC {'k' * 64}=1", Metric({"k" * 64: 1.0})),
        (f"FETCHML_METRIC {'k' * 65}=1", None),
        (
            "FETCHML_METRIC " + " ".join(f"k{n}=1" for n in range(MAX_KEYS)),
            Metric({f"k{n}": 1.0 for n in range(MAX_KEYS)}),
        ),
        ("FETCHML_METRIC " + " ".join(f"k{n}=1" for n in range(MAX_KEYS + 1)), None),
        ("FETCHML_METRIC a=1" + " " * MAX_LINE, None),
    ],
)
def test_lines(line, metric):
    """The form that the design promises, and what is close to it."""
    assert parse_metric(line.encode()) == metric
