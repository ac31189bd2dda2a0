"""G1: when `ml submit` has printed an id, the job and its code survive a power cut.

A real one: ext4 on a loop device is told to shut down without flushing its log, which is what a machine without power
does to it, then it is mounted again.
"""

from __future__ import annotations

import os

from fetchml_core.clock import Clock
from fetchml_core.jobs.states import State
from fetchml_core.places import Data
from fetchml_core.queue.native import NativeQueue
from fetchml_core.service.snapshot import load_manifest
from fetchml_core.snapshot.store import BlobStore
from fetchml_core.snapshot.workspace import materialise

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
