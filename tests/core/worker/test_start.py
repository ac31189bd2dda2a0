"""What a worker says when it starts: overrides of the environment, and settings that nothing reads yet."""

from __future__ import annotations

import json
import os
import subprocess

import pytest

from fetchml_core.convert import from_data
from fetchml_core.hardware.inventory import Inventory
from fetchml_core.places import own_command
from fetchml_core.service.worker_info import worker_info
from tests.core.service.support import WORKER_FILE
from tests.support.wait import poll_until

IDLE = "prewarm_enabled: true\ndata_dir: active\nlogging:\n  file: own.log\n"


@pytest.fixture
def started(world):
    """Start worker processes on the base; return one with what it wrote to stderr, after it has ended."""

    def start(**environ):
        argv = own_command("fetchml_core.worker.main", "run", "--base", str(world.host.base.folder))
        process = subprocess.Popen(
            argv, env={**os.environ, **environ}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        poll_until(lambda: process.poll() is not None or worker_info(world.host).launcher)
        info = worker_info(world.host)
        process.terminate()
        return process, info, process.communicate(timeout=30)[1]

    return start


def test_active_overrides_are_told_once_on_stderr(world, started):
    """Each with its value, also where the log goes to a file; the worker runs."""
    (world.host.base.folder / "worker.yaml").write_text(WORKER_FILE + IDLE)

    _, info, said = started(FETCH_ML_GPU_COUNT="2", FETCH_ML_TOTAL_CPU="64", FETCH_ML_GPU_TYPE="")

    assert info.alive
    told = [line for line in said.splitlines() if "FETCH_ML_" in line]
    assert [line.partition(" overrides ")[0] for line in told] == [
        "note: FETCH_ML_GPU_COUNT=2",
        "note: FETCH_ML_TOTAL_CPU=64",
    ]


def test_what_the_host_has_is_in_the_record(world, started):
    """As it was found, with what was said about it; the log warns of a vendor that is not there."""
    (world.host.base.folder / "worker.yaml").write_text(
        WORKER_FILE + "gpu_vendor: apple\nlogging:\n  file: own.log\n"
    )

    process, _, _ = started(FETCH_ML_TOTAL_CPU="64", FETCH_ML_GPU_COUNT="2", FETCH_ML_GPU_SLOTS_PER_GPU="3")

    record = json.loads(world.host.base.worker_record.read_text())
    inventory = from_data(record["inventory"], Inventory)
    assert record["pid"] == process.pid
    assert (inventory.cpus, inventory.configured_vendor) == (64, "apple")
    assert [(gpu.uuid, gpu.slots) for gpu in inventory.gpus] == [("apple-0", 3), ("apple-1", 3)]
    assert inventory.how.keys() == {"cpus", "memory", "gpus"}
    log = (world.host.base.folder / "own.log").read_text()
    for warning in inventory.warnings:
        assert log.count(warning) == 1
    assert log.count("gpu_vendor is apple, and no such GPU was found: no /dev/metal") == 1


def test_nothing_is_told_without_overrides(started):
    """A quiet environment is a quiet start."""
    _, _, said = started()

    assert "overrides" not in said


@pytest.mark.parametrize(
    ("name", "value"), [("FETCH_ML_GPU_COUNT", "two"), ("FETCH_ML_GPU_TYPE", "x"), ("FETCHML_LOG_LEVEL", "x")]
)
def test_a_bad_value_stops_the_start(started, name, value):
    """Exit status 3, the variable is named, and the line that helps is there."""
    process, info, said = started(**{name: value})

    assert not info.alive
    assert process.returncode == 3
    assert f"environment variable {name}" in said
    assert "hint" in said


def test_settings_that_nothing_reads_are_told(world, started):
    """Those of both files: each in the log, and in the record that `ml show` reads."""
    base = world.host.base.folder
    (base / "worker.yaml").write_text(WORKER_FILE + IDLE)
    (base / "server.yaml").write_text("database:\n  host: db\n")

    _, info, _ = started()

    log = (base / "own.log").read_text()
    assert log.count("not active yet") == 2
    assert "server.yaml:2:9: database.host is not active yet" in log
    assert f"not active yet in {base / 'worker.yaml'}: data_dir, prewarm_enabled" in info.idle
    assert f"not active yet in {base / 'server.yaml'}: database.host" in info.idle


def test_a_file_without_such_settings_has_no_note(started):
    """Silence where there is nothing to say."""
    _, info, said = started()

    assert not info.idle
    assert "not active yet" not in said
