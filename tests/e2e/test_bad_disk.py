"""A host whose disk is full: nothing is half accepted, nothing accepted is lost, and it works again by itself."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.e2e.said import PROCESS, local_base, said, script
from tests.support.wait import poll_until

if TYPE_CHECKING:
    from pathlib import Path

KIB = 1 << 10


@pytest.fixture
def disk(small_filesystem):
    """A host's disk of 16 MiB: of these the agent takes the half."""
    return small_filesystem("16m")


def fill(disk: Path, leave: int = 0) -> Path:
    """Fill the disk but for *leave* bytes; return the file that does."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(4 * KIB)):
                pass
        except OSError:
            pass
        file.truncate(max(0, file.tell() - leave))
    return ballast


def jobs(ml) -> list[tuple[int, str]]:
    """Ids and states of all jobs."""
    return [(job["id"], job["state"]) for job in ml.json("status", "-a")["jobs"]]


@pytest.mark.parametrize(
    ("way", "leave"),
    [("local", 0), ("local", 8 * KIB), ("local", 64 * KIB), ("local", 512 * KIB), ("ssh", 8 * KIB)],
)
def test_submit_to_a_full_disk(ml, home, request, disk, way, leave):
    """A submit that finds no space says so and leaves no job; with space again the same command works."""
    base = disk / "base"
    local_base(ml, base)
    if way == "ssh":
        server = request.getfixturevalue("sshd")()
        home.connect(server, str(base))
        ml.ok("status")  # the agent is there
    script(ml, "print('done')\n")
    ml.fails(0, "submit", "job", "--wait")
    (ml.cwd / "job" / "data").write_bytes(os.urandom(1024 * KIB))
    ballast = fill(disk, leave)

    done = ml.fails(1, "submit", "job")

    lines = said(done.stderr, base=base).splitlines()
    assert lines[0].startswith("error: disk-full: no space left to "), done.stderr
    assert lines[0].endswith("; nothing accepted before was lost"), done.stderr
    assert lines[-1] == "  hint     free space on the host (df -h; df -i), then run the same command again"
    assert len(lines) <= 4
    assert done.stdout == ""
    assert jobs(ml) == [(1, "succeeded")]

    ballast.unlink()
    ml.fails(0, "submit", "job", "--wait")
    assert jobs(ml) == [(1, "succeeded"), (2, "succeeded")]


def test_no_inodes(ml, small_filesystem):
    """A disk that has space and no room for another file is full as well."""
    disk = small_filesystem("4m", inodes=60)
    local_base(ml, disk / "base")
    folder = script(ml, "print('done')\n").parent
    for number in range(60):
        (folder / f"file-{number}").write_text(str(number), "ascii")

    done = ml.fails(1, "submit", "job")

    assert "error: disk-full: no space left to " in done.stderr
    assert jobs(ml) == []
    subprocess.run(["mount", "-o", "remount,nr_inodes=5000", str(disk)], check=True)
    ml.fails(0, "submit", "job", "--wait")


def test_full_from_the_start(ml, disk):
    """A host that never had space for a queue: an error of one kind, and no traceback of the agent."""
    (disk / "base").mkdir(mode=0o700)
    ml.home.profile(f'[server]\nworker_base = "{disk}/base"\n')
    script(ml, "print('done')\n")
    ballast = fill(disk)

    done = ml.fails(1, "submit", "job")
    assert done.stderr.startswith("error: disk-full: no space left to "), done.stderr
    assert len(done.stderr.splitlines()) <= 4

    ballast.unlink()
    (disk / "base" / "worker.yaml").write_text(PROCESS, "utf-8")
    ml.fails(0, "submit", "job", "--wait")


def test_disk_fills_while_a_job_runs(ml, disk):
    """A job that fills the disk fails by its own error; its end is recorded once there is space, without a restart."""
    local_base(ml, disk / "base")
    script(
        ml,
        """
        import os, time, pathlib
        results = pathlib.Path(os.environ["FETCHML_RESULTS"])
        print("filling", flush=True)
        with (results / "huge").open("wb") as file:
            while True:
                file.write(bytes(4096))
                file.flush()
        """,
    )

    done = ml.run("submit", "job", "--quiet")
    assert (done.returncode, done.stdout) == (0, "1\n")
    poll_until(lambda: list(disk.rglob("huge")), "the job has begun to write")
    worker = (disk / "base" / "run" / "worker.json").read_bytes()
    ml.fails(1, "wait", "1")  # with the disk still full
    assert os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize < 256 * KIB
    next(disk.rglob("huge")).unlink()

    assert jobs(ml) == [(1, "failed")]
    assert "No space left on device" in ml.ok("logs", "1")
    assert (disk / "base" / "run" / "worker.json").read_bytes() == worker, "the same worker"
    (ml.cwd / "job" / "train.py").write_text("print('after')\n", "utf-8")
    ml.fails(0, "submit", "job", "--wait")
    assert (disk / "base" / "run" / "worker.json").read_bytes() == worker


def job_without_room(ml, disk: Path, worker: str) -> Path:
    """Submit a job whose workspace finds no space when it would start, as job 2; return what fills the disk."""
    local_base(ml, disk / "base", PROCESS + "max_workers: 1\n" + worker)
    folder = script(ml, "print('done')\n").parent
    (folder / "data").write_bytes(os.urandom(1200 * KIB))
    (folder / "first.py").write_text(
        "import time, os\nwhile not os.path.exists('/proc/1/no'): time.sleep(0.1)\n"
    )
    ml.ok("submit", "job/first.py")
    poll_until(lambda: jobs(ml)[0][1] == "running", "the first job runs")
    ml.ok("submit", "job")
    ballast = fill(disk)
    ml.ok("cancel", "1")
    return ballast


def test_disk_is_full_when_a_job_would_start(ml, disk):
    """A job that was accepted and finds no space for its workspace, however often it is tried, ends with that reason."""
    ballast = job_without_room(ml, disk, "max_retries: 1\n")

    done = ml.fails(1, "wait", "2")

    ballast.unlink()
    what, hint = done.stderr.splitlines()
    assert what.startswith("job 2 failed: no space left to ")
    assert hint == (
        "  hint  free space on the host (df -h; df -i); once it has failed for good, submit it again"
    )
    assert jobs(ml) == [(1, "cancelled"), (2, "failed")]
    assert len(ml.json("show", "2")["job"]["attempts"]) == 2
    ml.fails(0, "submit", "job", "--wait")


def test_disk_is_full_for_a_while(ml, disk):
    """The job waits for its next try, says so, and runs once there is space again."""
    ballast = job_without_room(ml, disk, "")
    poll_until(lambda: "tried again in " in ml.ok("status", "2"), "it waits for its next try")

    ballast.unlink()
    ml.ok("wait", "2")

    outcomes = [attempt["outcome"] for attempt in ml.json("show", "2")["job"]["attempts"]]
    assert [outcome["failure"] for outcome in outcomes[:2]] == ["infrastructure"] * 2
    assert {outcome["error"] for outcome in outcomes[:2]} == {"disk-full"}
    assert jobs(ml) == [(1, "cancelled"), (2, "succeeded")]
