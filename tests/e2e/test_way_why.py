"""Two jobs that do not fit together: the second waits, says for whom and for what, and then runs."""

from __future__ import annotations

import signal

import pytest


@pytest.mark.parametrize("pair", ["local-process", "local-rootful"])
def test_the_second_waits_for_the_first(way, pair):
    """`ml why` names the job that has what it needs, with numbers; a smaller one passes, a new worker agrees."""
    host = way(pair)
    host.ml.env["FETCH_ML_TOTAL_CPU"] = "2"
    host.configure(max_workers=3, resources={"podman_cpus": "2", "podman_memory": "64m"})
    first = host.submit("gate()\n", "--cpus", "0.75")
    host.until(first, "running")
    second = host.submit("print('my turn')\n", "--cpus", "1.5")
    blocker = f"needs 1.5 CPUs, 1.25 of 2 free: job {first} (local) has 0.75"

    assert f"waits      {blocker}" in host.ml.ok("why", str(second)).splitlines()
    (row,) = host.ml.json("status", str(second))["jobs"]
    assert (row["state"], row["why"]) == ("queued", blocker)
    small = host.submit("print('passes')\n", "--cpus", "0.5")
    host.ml.fails(0, "wait", str(small))

    host.end_worker(signal.SIGKILL)
    last = host.submit("print('last')\n", "--cpus", "1")
    host.ml.fails(0, "wait", str(last))
    assert host.ml.json("why", str(second))["blockers"][0]["holders"][0]["job"] == first
    assert host.ml.json("why", str(first))["holds"]["cpus"] == 0.75

    host.open(first)
    host.ml.fails(0, "wait", str(second))
    assert host.ml.ok("logs", str(second)) == "my turn\n"
    assert host.ml.ok("why", str(second)).splitlines()[1].split() == ["state", "succeeded"]


def test_more_than_the_host_has(way):
    """Refused at once, with what it has."""
    host = way("local-process", max_workers=1)
    done = host.ml.fails(2, "submit", str(host.script("pass\n")), "--gpus", "100000")

    assert "too-many-gpus: this host has " in done.stderr
    assert "--gpus 100000" in done.stderr
