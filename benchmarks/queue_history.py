"""What a long history costs: the time and memory of a fresh process that lists the newest jobs, and the disk."""

from __future__ import annotations

import os
import statistics
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import evolve

from fetchml_core.jobs.job import Attempt, Job, Launched
from fetchml_core.queue.base import Finished, Started, Stored

from .measure import Case, Program, round_robin
from .queue_peers import OUTCOME, USER, key, ours, spec
from .submit import row, show, told

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fetchml_core.queue.base import Queue

ROOT = Path(__file__).resolve().parents[1]
FEW = 100
NEWEST = 50
LIVED = 20_000
BATCH = 10_000
MEMORY_MB = 40
BYTES = 300
SLOWER = 1.3
PYTHON, IMPORTS = "python3 -c pass", "imports alone"

# ru_maxrss would do, were it not handed down from the process that started it: VmHWM is the process's own.
LIST = """
import sys
from pathlib import Path
from fetchml_core.clock import Clock
from fetchml_core.queue.engines import open_queue
queue = open_queue("native", Path(sys.argv[1]), Clock())
wanted = int(sys.argv[2])
if wanted:
    assert len(queue.jobs(newest=True, limit=wanted)) == wanted
status = Path("/proc/self/status").read_text("ascii")
print(status.partition("VmHWM:")[2].split()[0])
"""


class Lister:
    """A fresh process that lists the newest jobs of a queue and tells the most memory it had."""

    def __init__(self, folder: Path, wanted: int) -> None:
        argv = [sys.executable, "-c", LIST, str(folder / "queue"), str(wanted)]
        self._program = Program(argv, _environment(), ROOT)
        self.memory: list[int] = []

    def take(self) -> float:
        """Seconds from its start to its end."""
        start = time.perf_counter()
        told_memory = self._program.run()
        spent = time.perf_counter() - start
        self.memory.append(int(told_memory) * 1024)
        return spent


def _environment() -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "PYTHONPATH": str(ROOT)}


def launched(number: int) -> Launched:
    """What a worker keeps about a container."""
    return Launched(
        launcher="podman",
        pid=1000 + number % 30000,
        start_ticks=100 * number,
        name=f"fetchml-{number}-1",
        image_digest="sha256:" + "c" * 64,
        enforced=(
            "read-only",
            "cap-drop",
            "no-new-privileges",
            "seccomp",
            "userns",
            "pids",
            "memory",
            "cpus",
        ),
        cgroup=f"/sys/fs/cgroup/memory/machine/libpod-fetchml-{number}-1",
        profile_sha256="d" * 64,
        cpus=4.0,
        memory=8 << 30,
    )


def ended(number: int) -> Stored:
    """A job that was submitted, ran for an hour and ended well; there is one every minute."""
    submitted = 1_700_000_000.0 + 60 * number + number % 7 / 7
    attempt = Attempt(
        1, "worker-1", submitted + 1.5, submitted + 2.25, submitted + 3600.5, launched(number), OUTCOME
    )
    job = Job(number, USER, spec(number), submitted, OUTCOME.state, (attempt,), line=submitted)
    return Stored(key(number), evolve(job, ended_at=attempt.ended_at, revision=number))


def fill(queue: Queue, jobs: int) -> None:
    """Put in *jobs* that have ended."""
    for start in range(1, jobs + 1, BATCH):
        queue.adopt([ended(number) for number in range(start, min(start + BATCH, jobs + 1))])


def live_through(queue: Queue, jobs: int) -> None:
    """Let *jobs* be submitted, started and ended as a worker does it."""
    for start in range(0, jobs, 1000):
        numbers = range(start, min(start + 1000, jobs))
        queue.submit_array([spec(number) for number in numbers], user=USER, key=f"array-{start}")
        for number in numbers:
            job = queue.claim(lambda line: line[0], queue.lease("worker-1", 60.0))
            assert job is not None
            queue.advance(job.id, 1, Started(launched(number), queue.lease("worker-1", 60.0)))
            queue.advance(job.id, 1, Finished(OUTCOME))


def on_disk(folder: Path) -> int:
    """Bytes of the blocks that all files below *folder* have."""
    return sum(path.stat().st_blocks * 512 for path in _below(folder))


def _below(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())


def history(base: Path, rounds: int, jobs: int) -> None:
    """Print what a history of *jobs* costs."""
    few, many, lived = (base / name for name in ("few", "many", "lived"))
    for folder in (few, many, lived):
        folder.mkdir()
    start = time.perf_counter()
    fill(ours("native", many), jobs - FEW)
    for folder in (few, many):  # both have been in use before somebody looks
        live_through(ours("native", folder), FEW)
    filled = time.perf_counter() - start
    start = time.perf_counter()
    live_through(ours("native", lived), LIVED)
    spent = time.perf_counter() - start
    print(f"\n{jobs:,} jobs were adopted in {filled:.0f} s, {LIVED:,} were lived through in {spent:.0f} s")
    listing(few, many, rounds, jobs)
    show_disk(f"{jobs:,} jobs that were adopted", many, jobs)
    show_disk(f"{LIVED:,} jobs that were lived through", lived, LIVED)


def listing(few: Path, many: Path, rounds: int, jobs: int) -> None:
    """Print how long a fresh process takes to list the newest jobs, and its memory."""
    of_few, of_many = f"newest {NEWEST} of {FEW}", f"newest {NEWEST} of {jobs:,}"
    listers = {IMPORTS: Lister(few, 0), of_few: Lister(few, NEWEST), of_many: Lister(many, NEWEST)}
    bare = Program([sys.executable, "-c", "pass"], _environment(), ROOT)
    cases = [Case(PYTHON, bare.time_to_end), *(Case(name, lister.take) for name, lister in listers.items())]
    found = round_robin(cases, max(rounds, 9))
    rows = [row(found, PYTHON), row(found, IMPORTS), row(found, of_few), row(found, of_many, of_few, SLOWER)]
    show("a fresh process that lists, native", rows)
    for name, lister in listers.items():
        most = statistics.median(lister.memory) / 1e6
        holds = most <= MEMORY_MB
        print(f"{'memory, ' + name:<40} {most:8.1f} MB   aim <= {MEMORY_MB}   {told(holds=holds)}")


def show_disk(name: str, folder: Path, jobs: int) -> None:
    """Print how much of the disk a job takes."""
    each = on_disk(folder) / jobs
    print(f"{'disk, ' + name:<40} {each:8.0f} B a job   aim <= {BYTES}   {told(holds=each <= BYTES)}")
    for path in sorted(_below(folder)):
        print(f"    {path.relative_to(folder)!s:<36} {path.stat().st_blocks * 512 / jobs:8.1f}")
