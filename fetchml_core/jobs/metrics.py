"""Metrics that a job prints: ``FETCHML_METRIC key=value [key=value ...] [step=N]``, a line each.

Pure: lines in, records out. A line that does not fit is no error, it is only text.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

from attrs import frozen

PREFIX = b"FETCHML_METRIC "
MAX_LINE = 4096
MAX_KEYS = 100
_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]{0,63}", re.ASCII)


@frozen
class Metric:
    """One printed line: values by key, and the step they belong to."""

    values: dict[str, float]
    step: int | None = None


def parse_metric(line: bytes) -> Metric | None:
    """Return the metric that *line* holds, or None.

    Args:
        line: One line of output, with or without its end.
    """
    if not line.startswith(PREFIX) or len(line) > MAX_LINE:
        return None
    values: dict[str, float] = {}
    step = None
    for word in line[len(PREFIX) :].decode("utf-8", "replace").split():
        key, sign, text = word.partition("=")
        number = _number(text)
        if not sign or number is None or not _KEY.fullmatch(key):
            return None
        if key == "step" and number.is_integer():
            step = int(number)
        else:
            values[key] = number
    return Metric(values, step) if values and len(values) <= MAX_KEYS else None


def _number(text: str) -> float | None:
    """Return a finite number; nan and inf are kept out because JSON has no word for them."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) and "_" not in text else None


class MetricReader:
    """Finds metrics in output that arrives in pieces; holds at most one line of `MAX_LINE` bytes."""

    def __init__(self) -> None:
        self._rest = b""
        self._skipping = False

    def feed(self, data: bytes) -> Iterator[Metric]:
        """Yield the metrics of the lines that *data* completes."""
        *lines, rest = (self._rest + data).split(b"\n")
        for number, line in enumerate(lines):
            if number == 0 and self._skipping:
                self._skipping = False
                continue
            metric = parse_metric(line)
            if metric is not None:
                yield metric
        if len(rest) > MAX_LINE:
            rest, self._skipping = b"", True
        self._rest = rest
