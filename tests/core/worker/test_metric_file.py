"""Metrics are copied while their job runs; a job that prints nothing costs its worker next to nothing."""

from __future__ import annotations

import os

from fetchml_core.service.show import last_metrics
from fetchml_core.worker.metric_file import MetricFile
from tests.core.queue.contract import FakeClock
from tests.support.effort import calls_of


def test_a_quiet_job_is_not_read_again(tmp_path):
    """Every job is looked at twice a second: without news no folder is listed and no file opened, whatever lies there."""
    control = tmp_path / "control"
    control.mkdir()
    for number in range(50):
        (control / f"log.{number}").write_bytes(b"\n")
    os.utime(control, (0, 0))
    metrics = MetricFile(tmp_path / "metrics", control, FakeClock())
    assert calls_of(metrics.collect) > 50
    assert calls_of(metrics.collect) < 20

    with (control / "log.49").open("ab") as log:
        log.write(b"FETCHML_METRIC loss=0.5\n")
    metrics.collect()

    assert [(one.key, one.value) for one in last_metrics(tmp_path / "metrics")] == [("loss", 0.5)]
    assert calls_of(metrics.collect) < 20
