"""Copies the metrics that a job prints into a file of their own, a JSON line each."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

from fetchml_core.clock import Clock
from fetchml_core.jobs.metrics import MetricReader
from fetchml_core.launcher.log import LogReader

MAX_METRIC_LINES = 200_000
MAX_COLLECTED = 8 << 20
"""How many bytes of a log are looked through for metrics before the runner looks at its job again."""


class MetricFile:
    """The metrics of one attempt.

    Args:
        path: Where they go.
        control: The attempt's control folder, with what it prints.
        clock: The machine's.
    """

    def __init__(self, path: Path, control: Path, clock: Clock) -> None:
        self._path = path
        self._output = LogReader(control, clock)
        self._reader = MetricReader()
        self._lines = 0

    def collect(self, most: int = MAX_COLLECTED) -> None:
        """Read what is new in the log, about *most* bytes of it: a job may print faster than anybody reads.

        Metrics are a comfort: a disk that is full does not stop the job.
        """
        while most > 0 and self._lines < MAX_METRIC_LINES:
            chunk = self._output.read(1 << 18)
            if not chunk.data:
                return
            most -= len(chunk.data)
            self._write(b"\n" + chunk.data if chunk.dropped else chunk.data)

    def _write(self, data: bytes) -> None:
        """Append the metrics of the lines that *data* completes."""
        lines = [
            json.dumps({"step": metric.step, "values": metric.values}) for metric in self._reader.feed(data)
        ]
        lines = lines[: MAX_METRIC_LINES - self._lines]
        if not lines:
            return
        with (
            contextlib.suppress(OSError),
            self._path.open("a" if self._lines else "w", encoding="utf-8") as file,
        ):
            file.write("\n".join(lines) + "\n")
        self._lines += len(lines)
