"""A job that prints without end costs the host its share of the log, and nobody memory."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from fetchml_core.launcher.spec import LOG_LIMIT

LINES_MB = int(os.environ.get("FETCHML_OUTPUT_MB", "40"))
LONG_LINE = 100 << 20
MOST_GROWTH = 64 << 20
FLOOD = f"""
def peak():
    for line in open("/proc/%d/status" % os.getppid()):
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024

before = peak()
out = sys.stdout.buffer
out.write(b"the first line\\n")
block = b"FETCHML_METRIC loss=0.125\\n" * (1 << 15)
for _ in range(0, {LINES_MB} << 20, len(block)):
    out.write(block)
for _ in range(0, {LONG_LINE}, 1 << 20):
    out.write(b"x" * (1 << 20))
out.write(b"\\ninit grew by %d\\nthe last line\\n" % (peak() - before))
"""
"""In a file of lines, each a metric, then one line without end; `init.py` is the parent of the job."""


def peak(pid: int) -> int:
    """The most memory that a process has held, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text("utf-8")
    return int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) * 1024


@pytest.mark.parametrize("pair", ["local-process", "local-rootful"])
def test_output_without_end(way, pair):
    """#15: what is kept is within 1 % of the cap, the beginning and the end of it, the cut is marked, and memory stays."""
    host = way(pair)
    host.ml.ok("worker", "start")
    small = host.submit("print('warm', flush=True)")
    host.ml.ok("wait", str(small))
    before = peak(host.worker_pid())
    job = host.submit(FLOOD)
    host.ml.ok("wait", str(job), timeout=240)
    kept = sum(path.stat().st_size for path in (host.attempt(job) / "control").glob("log*"))

    assert LOG_LIMIT * 7 // 8 - LOG_LIMIT // 100 <= kept <= LOG_LIMIT * 1.01
    printed = host.ml.ok("logs", str(job), timeout=120)
    first, *_ = lines = printed.splitlines()
    assert (first, lines[-1]) == ("the first line", "the last line")
    outcome = host.show(job)["job"]["attempts"][-1]["outcome"]
    assert f"\n[fetchml: {outcome['log_dropped']} bytes of output dropped here]\n" in printed
    assert outcome["log_dropped"] == outcome["log_bytes"] - kept
    assert (outcome["log_bytes"] > LONG_LINE + (LINES_MB << 20), outcome["log_problem"]) == (True, None)

    assert int(lines[-2].removeprefix("init grew by ")) < MOST_GROWTH
    assert peak(host.worker_pid()) - before < MOST_GROWTH
