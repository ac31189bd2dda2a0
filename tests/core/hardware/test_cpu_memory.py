"""CPUs and memory, as affinity and control groups of every kind leave them."""

from __future__ import annotations

import os
import subprocess
import sys as python

import pytest

from fetchml_core.hardware.cpu import count_cpus, parse_cpu_list, parse_cpu_max
from fetchml_core.hardware.memory import total_memory

from .trees import plant, proc, sys, v2

GIB = 1 << 30
V1 = "9:memory:/a/b\n4:cpu,cpuacct:/a/b\n1:name=systemd:/a\n0::/ignored"


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("0", {0}),
        ("0-3", {0, 1, 2, 3}),
        ("0-1,4,6-7", {0, 1, 4, 6, 7}),
        ("0, 2", {0, 2}),
        ("", set()),
        ("all", set()),
        ("3-", set()),
        ("0-1,x", set()),
    ],
)
def test_lists_of_cpus(text, numbers):
    """The kernel's form; what is none names no processor."""
    assert parse_cpu_list(text) == numbers


@pytest.mark.parametrize(
    ("text", "cpus"),
    [
        ("max 100000", None),
        ("150000 100000", 1.5),
        ("200000 50000", 4.0),
        ("", None),
        ("x y", None),
        ("1 0", None),
        ("0 100000", None),
        ("-1 100000", None),
    ],
)
def test_quotas(text, cpus):
    """``max`` is no limit, and what cannot be read is none either."""
    assert parse_cpu_max(text) == cpus


def test_no_limits(tmp_path):
    """All processors that are there, all memory."""
    tree = v2(tmp_path, {"a/cpu.max": "max 100000", "a/memory.max": "max"})
    root = proc(tmp_path, groups="0::/a")

    assert count_cpus(root, tree) == (8, "8 online")
    assert total_memory(root, tree) == (16 * GIB, f"MemTotal of {root}/meminfo")


def test_affinity(tmp_path):
    """A mask leaves some; processors that it names and that are not there do not count."""
    assert count_cpus(proc(tmp_path, allowed="0-2"), sys(tmp_path)) == (
        3,
        "3 of 8 online, by the affinity mask",
    )
    assert count_cpus(proc(tmp_path, allowed="0-127"), sys(tmp_path)) == (8, "8 online")
    assert count_cpus(proc(tmp_path, allowed="1-2"), tmp_path / "none") == (2, "2 online")


def test_version_2(tmp_path):
    """The own group's quota and limit."""
    tree = v2(tmp_path, {"user/job/cpu.max": "150000 100000", "user/job/memory.max": 2 * GIB})
    root = proc(tmp_path, groups="0::/user/job")

    assert count_cpus(root, tree) == (1.5, f"the quota in {tree}/fs/cgroup/user/job/cpu.max; 8 online")
    assert total_memory(root, tree) == (2 * GIB, f"the limit in {tree}/fs/cgroup/user/job/memory.max")


def test_nested_groups(tmp_path):
    """The tightest of all groups around the process counts, wherever it is."""
    tree = v2(
        tmp_path,
        {
            "a/cpu.max": "200000 100000",
            "a/memory.max": 4 * GIB,
            "a/b/cpu.max": "max 100000",
            "a/b/memory.max": "max",
            "a/b/c/cpu.max": "300000 100000",
            "a/b/c/memory.max": 8 * GIB,
        },
    )
    root = proc(tmp_path, groups="0::/a/b/c")

    assert count_cpus(root, tree) == (2, f"the quota in {tree}/fs/cgroup/a/cpu.max; 8 online")
    assert total_memory(root, tree) == (4 * GIB, f"the limit in {tree}/fs/cgroup/a/memory.max")


def test_a_quota_beyond_the_mask(tmp_path):
    """The mask counts where it is the tighter one."""
    tree = v2(tmp_path, {"a/cpu.max": "400000 100000"})

    assert count_cpus(proc(tmp_path, groups="0::/a", allowed="3"), tree)[0] == 1


@pytest.mark.parametrize("folder", ["cpu,cpuacct", "cpu"])
def test_version_1(tmp_path, folder):
    """Each controller has a tree of its own, under its own name or that of the pair; groups around count too."""
    tree = sys(
        tmp_path,
        {
            f"fs/cgroup/{folder}/cpu.cfs_quota_us": -1,
            f"fs/cgroup/{folder}/a/cpu.cfs_quota_us": 250000,
            f"fs/cgroup/{folder}/a/cpu.cfs_period_us": 100000,
            f"fs/cgroup/{folder}/a/b/cpu.cfs_quota_us": -1,
            f"fs/cgroup/{folder}/a/b/cpu.cfs_period_us": 100000,
            "fs/cgroup/memory/memory.limit_in_bytes": 9223372036854771712,
            "fs/cgroup/memory/a/memory.limit_in_bytes": 9223372036854771712,
            "fs/cgroup/memory/a/b/memory.limit_in_bytes": 3 * GIB,
            "fs/cgroup/unified/ignored/cpu.max": "1000 100000",
        },
    )
    root = proc(tmp_path, groups=V1)

    assert count_cpus(root, tree) == (
        2.5,
        f"the quota in {tree}/fs/cgroup/{folder}/a/cpu.cfs_quota_us; 8 online",
    )
    assert total_memory(root, tree) == (
        3 * GIB,
        f"the limit in {tree}/fs/cgroup/memory/a/b/memory.limit_in_bytes",
    )


def test_both_versions_side_by_side(tmp_path):
    """A controller that version 1 does not have may be in version 2's tree."""
    tree = sys(
        tmp_path,
        {"fs/cgroup/unified/x/cpu.max": "50000 100000", "fs/cgroup/memory/memory.limit_in_bytes": GIB},
    )
    root = proc(tmp_path, groups="2:memory:/\n0::/x")

    assert count_cpus(root, tree)[0] == 0.5
    assert total_memory(root, tree)[0] == GIB


@pytest.mark.parametrize(
    ("path", "cpus"),
    [
        ("/system.slice/docker-1.scope", 1),
        ("/system.slice/docker-1.scope/init", 0.5),
        ("/../../x/init", 0.5),
        ("/..", 1),
    ],
)
def test_in_a_container(tmp_path, path, cpus):
    """The kernel may name a group as the host sees it; what is there of the tree counts."""
    tree = v2(tmp_path, {"cpu.max": "100000 100000", "init/cpu.max": "50000 100000", "memory.max": GIB})
    root = proc(tmp_path, groups=f"0::{path}")

    assert (count_cpus(root, tree)[0], total_memory(root, tree)[0]) == (cpus, GIB)


@pytest.mark.parametrize("groups", ["", "0::/", "no such table", "0::/\x00", "::::", "3:cpu:/x"])
def test_tables_that_say_nothing(tmp_path, groups):
    """Without groups only the machine limits."""
    root = proc(tmp_path, groups=groups)

    assert (count_cpus(root, sys(tmp_path))[0], total_memory(root, sys(tmp_path))[0]) == (8, 16 * GIB)


def test_without_proc(tmp_path, monkeypatch):
    """Another system tells in its own way, or does not: that is no reason to fail."""
    nowhere = tmp_path / "nowhere"
    assert count_cpus(nowhere, nowhere) == (os.cpu_count(), "what Python counts")
    assert total_memory(nowhere, nowhere)[0] > 64 << 20

    def refuse(name):
        raise ValueError(name)

    monkeypatch.setattr(os, "sysconf", refuse)
    assert total_memory(nowhere, nowhere) == (0, "unknown")


def test_this_process():
    """Fewer processors by the real mask are fewer by ours."""
    one = min(os.sched_getaffinity(0))
    code = f"import os; os.sched_setaffinity(0, {{{one}}}); from fetchml_core.hardware.cpu import count_cpus; print(count_cpus()[0])"
    argv = [python.executable, "-c", code]
    ran = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60)

    assert float(ran.stdout) <= 1
    assert 0 < count_cpus()[0] <= len(os.sched_getaffinity(0))


def test_a_file_that_is_no_number(tmp_path):
    """A limit that nobody can read limits nothing."""
    tree = plant(v2(tmp_path, {"a/memory.max": "lots"}), {"fs/cgroup/a/cpu.max": "half a cpu"})
    root = proc(tmp_path, groups="0::/a")

    assert (count_cpus(root, tree)[0], total_memory(root, tree)[0]) == (8, 16 * GIB)
