"""A disk that can lose its power: ext4 on a loop device, shut down without flushing its log, mounted again."""

from __future__ import annotations

import fcntl
import os
import struct
import subprocess
import uuid

import pytest

from tests.support.leftovers import run_folder
from tests.support.require import missing, need
from tests.support.wait import poll_until

SHUTDOWN = 0x8004587D  # EXT4_IOC_SHUTDOWN
NO_LOG_FLUSH = 2


class PowerDisk:
    """An ext4 file system that can lose its power."""

    def __init__(self, megabytes=64):
        name = uuid.uuid4().hex[:8]
        self.image, self.folder = run_folder() / f"{name}.img", run_folder() / f"power-{name}"
        self.folder.mkdir()
        # whoever comes while the disk is away must not write to the one below
        self._mount("-t", "tmpfs", "-o", "ro,size=4k", "tmpfs")
        with self.image.open("wb") as file:
            file.truncate(megabytes << 20)
        subprocess.run(["mkfs.ext4", "-q", "-m", "0", str(self.image)], check=True)

    def mount(self):
        """Give it power.

        A test beside this one may have copied all mounts into a namespace of its own, which keeps the file system
        that was shut down alive for as long as it lives: mounting again then finds that one.
        """
        poll_until(self._mounted_alive, "the disk that was shut down to be let go of", timeout=60)

    def _mount(self, *words):
        done = subprocess.run(
            ["mount", *words, str(self.folder)], capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            missing("root", f"root may not mount here: {done.stderr.strip()}")

    def _mounted_alive(self):
        self._mount("-o", "loop", str(self.image))
        try:
            (self.folder / ".alive").touch()
        except OSError:
            self.unmount()
            return False
        return True

    def cut(self):
        """Take the power away; what was not synced is gone."""
        self.shut_down()
        self.unmount()

    def shut_down(self):
        """Stop all writing to the device at once; whoever holds files open gets errors."""
        fd = os.open(self.folder, os.O_RDONLY)
        fcntl.ioctl(fd, SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))
        os.close(fd)

    def unmount(self, timeout=30):
        """Let go of it; the agent of a command that has just ended may hold it for a moment."""
        argv = ["umount", str(self.folder)]
        poll_until(
            lambda: subprocess.run(argv, capture_output=True, check=False).returncode == 0,
            "umount",
            timeout=timeout,
        )

    def remove(self):
        """Drop it, mounted or not."""
        while (
            subprocess.run(
                ["umount", "--lazy", str(self.folder)], check=False, capture_output=True
            ).returncode
            == 0
        ):
            pass
        self.image.unlink()
        self.folder.rmdir()


@pytest.fixture
def power_disk():
    """A file system of the test's own."""
    need("root")
    made = PowerDisk()
    made.mount()
    yield made
    made.remove()
