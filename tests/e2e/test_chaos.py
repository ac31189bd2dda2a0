"""Whatever dies on the host, each job ends once, with what truly happened to it, and nothing is left."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.e2e.chaos import Chaos
from tests.support.leftovers import VARIABLE
from tests.support.power import PowerDisk
from tests.support.require import need
from tests.support.wait import poll_until

SECONDS = float(os.environ.get("FETCHML_CHAOS", "20"))
INSIDE = "FETCHML_TEST_OWN_MOUNTS"
"""Set where the mounts are this test's own: its disk, and a boot id that changes."""


@pytest.fixture
def chaos(ml, podman_root, image_python):
    """A host that can lose everything."""
    disk = PowerDisk(megabytes=512)
    disk.mount()
    seed = int(os.environ.get("FETCHML_SEED", time.time()))
    logging.getLogger().info("seed %d", seed)
    made = Chaos(ml, disk, podman_root.env, image_python, seed)
    yield made
    logging.getLogger().info("the worker: %s", made.worker_log())
    made.end()
    disk.remove()


@pytest.mark.timeout(SECONDS * 3 + 900)
@pytest.mark.skipif(INSIDE in os.environ, reason="the other one runs")
def test_chaos():
    """Run the test below with mounts of its own, so that tests beside it keep the machine's boot id."""
    need("root", "podman")
    node = f"{Path(__file__)}::test_every_job_ends_once_whatever_dies"
    argv = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:xdist",
        "-o",
        "addopts=",
        node,
    ]
    done = subprocess.run(
        [
            "unshare",
            "--mount",
            "--propagation=private",
            *argv,
            "-o",
            f"timeout={SECONDS * 3 + 600}",
            "-o",
            "log_level=INFO",
        ],
        # a run of its own: what it finds left at its end must not be what the tests beside it are about to use
        env={name: value for name, value in os.environ.items() if name != VARIABLE} | {INSIDE: "1"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout


@pytest.mark.skipif(INSIDE not in os.environ, reason="it needs mounts of its own")
def test_every_job_ends_once_whatever_dies(chaos):
    """Worker, agents, conmon, launches and containers are killed, the disk is lost and found, the machine reboots."""
    chaos.run(SECONDS)
    jobs = chaos.settle(SECONDS + 240)

    tries = sum(len(job.attempts) for job in jobs)
    logging.getLogger().info("%d jobs, %d attempts, %s", len(jobs), tries, chaos.done)
    assert {job.id for job in jobs} >= set(chaos.accepted)
    assert {job.id: wrong for job in jobs if (wrong := chaos.wrong(job))} == {}
    poll_until(lambda: chaos.left() == [], "nothing is left", timeout=90)
    assert chaos.done.keys() >= {"lose_disk", "reboot"}, chaos.done
