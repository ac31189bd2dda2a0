"""Whose the memory of a GPU is after an attempt: told from a /proc that the tests make."""

from __future__ import annotations

from pathlib import Path

import pytest

from fetchml_core.hardware.inventory import GpuProcess
from fetchml_core.worker.gpu_memory import MARGIN, Over, held, still_held, unexplained
from tests.core.service.hosts import GIB, gpu

BEGAN = 5000
CGROUP = "/sys/fs/cgroup/memory/user/job"
JOB = b"HOME=/x\0FETCHML_WORKSPACE=/base/jobs/12/1/workspace\0A=b\0"


@pytest.fixture
def over():
    """Job 12, which had no cgroup of its own."""
    return Over(12, Path("/base/jobs/12/1/workspace"), BEGAN)


@pytest.fixture
def process(tmp_path):
    """Make a process in a /proc; its threads are in *cgroups*, the first is the process itself."""

    def process(pid=4711, state="D", began=BEGAN + 9, environ=b"", cgroups=("/",)):
        folder = tmp_path / str(pid)
        for number, cgroup in enumerate(cgroups):
            task = folder / "task" / str(pid + number)
            task.mkdir(parents=True)
            (task / "cgroup").write_text(f"5:cpu:/\n4:memory:{cgroup}\n")
            (task / "environ").write_bytes(environ)
        fields = [state, "1", *["0"] * 17, str(began), *["0"] * 10]
        (folder / "stat").write_text(f"{pid} (py) th) {' '.join(fields)}\n")
        return GpuProcess(pid, "python3", 11 * GIB)

    return process


def card(*processes, used=0, slots=1):
    """A GPU with these processes on it."""
    return gpu(0, 80, slots=slots, memory_used=used, processes=processes)


def test_a_process_of_the_attempt_is_named(over, process, tmp_path):
    """With pid, state and what it holds: D is what a hung driver looks like."""
    found = held(card(process(environ=JOB)), over, None, tmp_path)

    assert found.problem == "quarantined: job 12 has ended, but its python3 4711 (state D) holds 11.0 GiB"
    assert [(one.pid, one.start_ticks) for one in found.holders] == [(4711, BEGAN + 9)]


@pytest.mark.parametrize(
    ("fields", "slots", "ours"),
    [
        ({"environ": JOB}, 1, True),
        ({"environ": JOB}, 2, True),
        ({"environ": JOB, "began": BEGAN - 1}, 1, False),
        ({"environ": b"HOME=/x\0"}, 1, False),
        ({"environ": JOB.replace(b"/1/", b"/2/")}, 1, False),
        ({"environ": b"", "state": "Z"}, 1, True),
        ({"environ": b"", "state": "Z"}, 2, False),
        ({"environ": b"", "began": BEGAN - 1}, 1, False),
    ],
)
def test_whose_a_process_is(over, process, tmp_path, fields, slots, ours):
    """By its variables; one that ends has none left, and is the attempt's where nobody shares the GPU."""
    assert (held(card(process(**fields), slots=slots), over, None, tmp_path) is not None) == ours


@pytest.mark.parametrize(
    ("cgroups", "ours"),
    [
        (("/user/job",), True),
        (("/user/job/below",), True),
        (("/user/job2",), False),
        (("/",), False),
        (("/", "/user/job"), True),
    ],
)
@pytest.mark.parametrize("slots", [1, 2])
def test_whose_a_process_of_a_container_is(process, tmp_path, cgroups, ours, slots):
    """By the cgroup of any thread, whatever its variables say: the first thread may have ended."""
    over = Over(12, tmp_path / "workspace", BEGAN, CGROUP)
    one = process(cgroups=cgroups, environ=JOB, state="Z")

    assert (held(card(one, slots=slots), over, None, tmp_path) is not None) == ours


def test_memory_that_nobody_has(over, process, tmp_path):
    """It counts where it is clearly more than before, nobody shares the GPU, and every process tells its part."""
    gone, other = GpuProcess(99, memory=3 * GIB), process(environ=b"A=b\0")
    most = GIB + MARGIN

    assert held(card(used=most), over, most, tmp_path) is None
    assert held(card(used=5 * GIB), over, None, tmp_path) is None
    assert held(card(used=5 * GIB, slots=2), over, most, tmp_path) is None
    assert held(card(other, used=12 * GIB), over, most, tmp_path) is None
    assert held(card(GpuProcess(other.pid), used=60 * GIB), over, most, tmp_path) is None
    for one in (card(used=5 * GIB), card(gone, used=5 * GIB), card(other, used=16 * GIB)):
        assert held(one, over, most, tmp_path).problem == (
            "quarantined: job 12 has ended, but 4.0 GiB more are in use than before it, "
            "and no process is known to hold them"
        )
    assert unexplained(gpu(0), tmp_path) is None


def test_what_it_holds_later(over, process, tmp_path):
    """The same process in another state; nothing once it is gone from the list, or its number is another's."""
    out = held(card(process(environ=JOB)), over, None, tmp_path)
    (tmp_path / "4711" / "stat").write_text((tmp_path / "4711" / "stat").read_text().replace(" D ", " Z "))

    assert (
        "(state Z)" in still_held(card(*card(GpuProcess(4711, "python3")).processes), out, tmp_path).problem
    )
    assert still_held(card(), out, tmp_path) is None
    stat = (tmp_path / "4711" / "stat").read_text()
    (tmp_path / "4711" / "stat").write_text(stat.replace(str(BEGAN + 9), "999999"))
    assert still_held(card(GpuProcess(4711)), out, tmp_path) is None


def test_memory_that_stays_after_its_process(over, process, tmp_path):
    """The process is gone, and the driver has not given back what it had."""
    out = held(card(process(environ=JOB), used=12 * GIB), over, MARGIN, tmp_path)
    gone = card(GpuProcess(77, memory=11 * GIB), used=12 * GIB)

    assert "12.0 GiB more are in use" in still_held(gone, out, tmp_path).problem
    assert still_held(card(used=MARGIN), out, tmp_path) is None
