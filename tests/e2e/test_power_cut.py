"""G1: when `ml submit` has printed an id, the job and its code survive a power cut.

A real one: ext4 on a loop device is told to shut down without flushing its log, which is what a machine without power
does to it, then it is mounted again.
"""

from __future__ import annotations

import fcntl
import os
import struct
import subprocess
import uuid

import pytest

from fetchml_core.clock import Clock
from fetchml_core.jobs.states import State
from fetchml_core.places import Data
from fetchml_core.queue.native import NativeQueue
from fetchml_core.service.snapshot import load_manifest
from fetchml_core.snapshot.store import BlobStore
from fetchml_core.snapshot.workspace import materialise
from tests.support.leftovers import run_folder
from tests.support.require import missing, need
from tests.support.wait import poll_until

SHUTDOWN = 0x8004587D  # EXT4_IOC_SHUTDOWN
NO_LOG_FLUSH = 2
ROUNDS = 5


class Disk:
    """An ext4 file system that can lose its power."""

    def __init__(self):
        name = uuid.uuid4().hex[:8]
        self.image, self.folder = run_folder() / f"{name}.img", run_folder() / f"power-{name}"
        self.folder.mkdir()
        with self.image.open("wb") as file:
            file.truncate(64 << 20)
        subprocess.run(["mkfs.ext4", "-q", "-m", "0", str(self.image)], check=True)

    def mount(self):
        """Give it power."""
        argv = ["mount", "-o", "loop", str(self.image), str(self.folder)]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            missing("root", f"root may not mount a loop device here: {done.stderr.strip()}")

    def cut(self):
        """Take the power away; what was not synced is gone."""
        fd = os.open(self.folder, os.O_RDONLY)
        fcntl.ioctl(fd, SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))
        os.close(fd)
        self.unmount()

    def unmount(self):
        """Let go of it; the agent of a command that has just ended may hold it for a moment."""
        argv = ["umount", str(self.folder)]
        poll_until(
            lambda: subprocess.run(argv, capture_output=True, check=False).returncode == 0, 10, "umount"
        )


@pytest.fixture
def disk():
    """A file system of the test's own."""
    need("root")
    made = Disk()
    made.mount()
    yield made
    subprocess.run(["umount", "--lazy", str(made.folder)], check=False, capture_output=True)
    made.image.unlink()
    made.folder.rmdir()


def test_printed_id_survives_a_power_cut(ml, home, disk, tmp_path):
    """Job, snapshot and every byte of its code are there after the cut, round after round."""
    base = disk.folder / "base"
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
        disk.cut()
        disk.mount()

        assert printed == str(number)
        job = NativeQueue(base / "data" / "queue", Clock()).get(number)
        assert job.state is State.QUEUED
        store = BlobStore(Data(base / "data").blobs)
        copy = tmp_path / f"copy{number}"
        materialise(load_manifest(store, job.spec.snapshot), store, copy)
        for path in ("train.py", "data/file"):
            assert (copy / path).read_bytes() == (tree / path).read_bytes()
