"""The chaos itself; `test_chaos` runs it in a mount namespace of its own."""

from __future__ import annotations

import logging
import os
import time

import pytest

from tests.e2e.chaos import Chaos
from tests.support.power import PowerDisk
from tests.support.wait import poll_until

SECONDS = float(os.environ.get("FETCHML_CHAOS", "20"))


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


def test_every_job_ends_once(chaos):
    """Worker, agents, conmon, launches and containers are killed, the disk is lost and found, the machine reboots."""
    chaos.run(SECONDS)
    jobs = chaos.settle(SECONDS + 240)

    tries = sum(len(job.attempts) for job in jobs)
    logging.getLogger().info("%d jobs, %d attempts, %s", len(jobs), tries, chaos.done)
    assert {job.id for job in jobs} >= set(chaos.accepted)
    assert {job.id: wrong for job in jobs if (wrong := chaos.wrong(job))} == {}
    poll_until(lambda: chaos.left() == [], "nothing is left", timeout=90)
    assert chaos.done.keys() >= {"lose_disk", "reboot"}, chaos.done
