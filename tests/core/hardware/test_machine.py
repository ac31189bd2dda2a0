"""What the rules are told about this machine."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from fetchml_core.hardware.cpu import count_cpus
from fetchml_core.hardware.machine import filesystem_in, filesystem_of, machine_of
from fetchml_core.hardware.memory import total_memory

TABLE = b"""\
22 1 0:20 / / rw,relatime - ext4 /dev/sda1 rw
23 22 0:21 / /proc rw,nosuid - proc proc rw
24 22 0:22 / /tmp rw shared:1 master:2 - tmpfs tmpfs rw
25 24 0:23 / /tmp/disk rw - xfs /dev/sdb rw
26 22 0:24 / /my\\040data rw - btrfs /dev/sdc rw
27 22 0:25 / /over rw - ext4 /dev/sdd rw
28 27 0:26 / /over rw - tmpfs tmpfs rw
no line of this table
29 22 - short
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "ext4"),
        ("/data/x", "ext4"),
        ("/tmp", "tmpfs"),
        ("/tmp/x", "tmpfs"),
        ("/tmp/disk/x", "xfs"),
        ("/tmpx", "ext4"),
        ("/my data/x", "btrfs"),
        ("/over/x", "tmpfs"),
    ],
)
def test_the_longest_mount_point_counts(path, kind):
    """The mount nearest to a path holds it; of two at one place the later one."""
    assert filesystem_in(TABLE, Path(path)) == kind


def test_an_empty_table_tells_nothing():
    """Where nothing is known nothing is said."""
    assert filesystem_in(b"", Path("/x")) == ""


def test_a_file_system_is_looked_up(tmp_path):
    """Links are followed, as far as a path exists."""
    table = tmp_path / "mountinfo"
    table.write_bytes(TABLE)
    (tmp_path / "link").symlink_to("/tmp/disk")

    assert filesystem_of(tmp_path / "link" / "not there", mounts=table) == "xfs"
    assert filesystem_of(tmp_path, mounts=tmp_path / "none") == ""


def test_this_machine(tmp_path):
    """CPUs, memory, clock and file systems are those of this machine."""
    machine = machine_of(tmp_path, {})

    assert machine.cpus == count_cpus()[0] > 0
    assert machine.memory == total_memory()[0] > 64 << 20
    assert abs(machine.now - time.time()) < 60
    assert machine.filesystem(Path("/proc")) == "proc"
    assert (machine.tls_pair, machine.base) == (None, tmp_path)
    assert machine.path("a/../b") == tmp_path / "b"
    assert machine.path("/b") == Path("/b")


def test_a_relative_base(tmp_path, monkeypatch):
    """A base is absolute from here on."""
    monkeypatch.chdir(tmp_path)

    assert machine_of(Path("x"), {}).base == tmp_path / "x"


def test_the_environment_says_how_many_cpus(tmp_path):
    """FETCH_ML_TOTAL_CPU counts instead of what is found; loading the file reports a bad one."""
    assert machine_of(tmp_path, {"FETCH_ML_TOTAL_CPU": "96"}).cpus == 96
    assert machine_of(tmp_path, {"FETCH_ML_TOTAL_CPU": "many"}).cpus == count_cpus()[0]
