"""What survives a power cut: a job whose id `ml submit` has printed, with its code (G1), and what a job has left that succeeded.

A real one: ext4 on a loop device is told to shut down without flushing its log, which is what a machine without power
does to it, then it is mounted again.
"""

from __future__ import annotations

import json
import os
import signal

from fetchml_core.clock import Clock
from fetchml_core.jobs.states import State
from fetchml_core.places import Data
from fetchml_core.queue.native import NativeQueue
from fetchml_core.service.snapshot import load_manifest
from fetchml_core.snapshot.store import BlobStore
from fetchml_core.snapshot.workspace import materialise
from tests.support.small import SMALL

ROUNDS = 5


def test_printed_id_survives_a_power_cut(ml, home, power_disk, tmp_path):
    """Job, snapshot and every byte of its code are there after the cut, round after round."""
    base = power_disk.folder / "base"
    base.mkdir()
    # a worker would hold the disk: this one cannot start, so the jobs stay queued
    (base / "worker.yaml").write_text("launcher: podman\n")
    os.sync()
    home.profile(f'[server]\nworker_base = "{base}"\n')
    ml.env["PATH"] = "/nowhere"
    for number in range(1, ROUNDS + 1):
        tree = tmp_path / f"tree{number}"
        tree.mkdir()
        (tree / "train.py").write_text(f"print({number})\n")
        (tree / "data").mkdir()
        (tree / "data" / "file").write_bytes(os.urandom(100_000))
        printed = ml.ok("submit", str(tree), "-q").strip()
        power_disk.cut()
        power_disk.mount()

        assert printed == str(number)
        job = NativeQueue(base / "data" / "queue", Clock()).get(number)
        assert job.state is State.QUEUED
        store = BlobStore(Data(base / "data").blobs)
        copy = tmp_path / f"copy{number}"
        materialise(load_manifest(store, job.spec.snapshot), store, copy)
        for path in ("train.py", "data/file"):
            assert (copy / path).read_bytes() == (tree / path).read_bytes()


def test_results_survive_a_power_cut(ml, home, power_disk, tmp_path):
    """Who saw a job succeed finds its results after the cut, all of them, and what it printed."""
    base = power_disk.folder / "base"
    base.mkdir(mode=0o700)
    (base / "worker.yaml").write_text(f"launcher: process\n{SMALL}")
    home.profile(f'[server]\nworker_base = "{base}"\n')
    script = tmp_path / "tree" / "train.sh"
    script.parent.mkdir()
    script.write_text(
        "mkdir $FETCHML_RESULTS/more; echo made | tee $FETCHML_RESULTS/one $FETCHML_RESULTS/more/two\n"
    )
    ml.ok("submit", "-q", "--wait", str(script))
    worker = json.loads((base / "run" / "worker.json").read_bytes())["pid"]
    power_disk.shut_down()
    os.kill(worker, signal.SIGKILL)
    power_disk.unmount()
    power_disk.mount()

    assert NativeQueue(base / "data" / "queue", Clock()).get(1).state is State.SUCCEEDED
    places = Data(base / "data").attempt(1, 1)
    found = [places.results / "one", places.results / "more" / "two", places.control / "log"]
    assert [path.read_text() for path in found] == ["made\n"] * 3
