"""How fast jobs start, and what a worker costs beside them; each beside what it cannot beat.

    make bench                                       with the other benchmarks
    python -m benchmarks.launch --count 3 --only line,no-ops

Jobs are put straight into the queue of a worker that is a program of its own: no client takes part. It reports and is
no test: the exit status is 0 whatever the table says. The rows with Podman need root; what is missing is named.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

from fetchml_core.jobs.job import Job, JobSpec, Resources, Stop
from fetchml_core.jobs.states import State
from tests.core.service.support import World
from tests.support.leftovers import VARIABLE, run_id

from .measure import TIMEOUT_S, BrokenCaseError, Case, round_robin
from .scene import MARK, MIB, Scene, lacks, make_tree, memory, resident, scene
from .submit import Row, machine, row, show, told

PODMAN = ("root", "podman", "image-python")
NO_OPS = 500
SLOTS = 2
LEAST_RATE = 0.06
FIRST_LINE_STEP_S = 0.002
SLEEPERS = 20
SLEEP = ("sleep", "3600")
WATCH_S = 60.0
"""Long enough for everything that a worker does from time to time: its beat, and its look for what was left."""
SETTLE_S = 2.0
MOST_CPU = 1.0
MOST_MIB = 60.0


class Line(NamedTuple):
    """One figure about a worker, and the most it may be."""

    name: str
    figure: float
    unit: str
    most: float

    def __str__(self) -> str:
        return f"{self.name:<45} {self.figure:8.2f} {self.unit:<9} aim <= {self.most:g}   {told(holds=self.figure <= self.most)}"


class Served:
    """A base with a worker of its own.

    Args:
        base: The folder to make it in.
        launcher: What starts its jobs.
        slots: Jobs that run at once.
        tree: What all its jobs run in.
        env: The worker's environment.
    """

    def __init__(
        self, base: Path, launcher: str, slots: int, tree: dict[str, bytes], env: dict[str, str]
    ) -> None:
        settings = {
            "launcher": launcher,
            "max_workers": slots,
            "resources": {"podman_cpus": str(os.cpu_count()), "podman_memory": f"{memory() // 2}b"},
        }
        world = World(base, worker=json.dumps(settings))
        self.host = world.host
        self._snapshot = world.stage(tree).digest
        self._number = 0
        argv = [sys.executable, "-m", "fetchml_core.worker.main", "run", "--base", str(base)]
        env = {**env, VARIABLE: run_id()}
        # a session of its own: Ctrl-C is for the benchmark, which then ends its jobs through it
        self.process = subprocess.Popen(argv, env=env, stderr=subprocess.DEVNULL, start_new_session=True)

    def ready(self) -> None:
        """Wait until it takes jobs."""
        self._until(lambda: json.loads(self.host.base.worker_record.read_bytes()).get("ready"))

    def end(self) -> None:
        """End its jobs, then itself."""
        for job in self.host.queue.jobs():
            if not job.state.final:
                self.host.queue.stop(job.id, Stop(by="bench", now=True))
        with contextlib.suppress(BrokenCaseError):  # what is left then is cleared away with the scene
            self._until(lambda: all(job.state.final for job in self.host.queue.jobs()))
        self.process.terminate()
        self.process.wait(TIMEOUT_S)

    def submit(self, *argv: str, share: int = 1) -> Job:
        """Queue a job that gets one *share*-th of what one may have."""
        self._number += 1
        asks = Resources(cpus=(os.cpu_count() or 1) / share, memory=memory() // 2 // share)
        spec = JobSpec("bench", argv, self._snapshot, resources=asks)
        return self.host.queue.submit(spec, user="local", key=str(self._number))

    def reach(self, jobs: Sequence[Job], state: State) -> list[Job]:
        """Wait until all of them are in *state*; return them as they are then."""

        def there() -> bool:
            now = self.host.queue.counts()
            if any(now[other] for other in State if other.final and other not in (State.SUCCEEDED, state)):
                raise BrokenCaseError("a job did not succeed")
            return all(self.host.queue.get(job.id).state == state for job in reversed(jobs))

        self._until(there)
        return [self.host.queue.get(job.id) for job in jobs]

    def first_line(self, job: Job) -> float:
        """Wait until `MARK` is in the log; return the time of day."""
        log = self.host.data.attempt(job.id, 1).control / "log"
        self._until(lambda: log.stat().st_size, FIRST_LINE_STEP_S)  # a look costs microseconds
        seen = time.time()
        if MARK not in log.read_bytes():
            raise BrokenCaseError(f"the first line is another one: {log.read_bytes()[:200]!r}")
        return seen

    def cpu(self) -> float:
        """Seconds of processor time that it and its programs that have ended took."""
        after_name = Path(f"/proc/{self.process.pid}/stat").read_text("ascii").rpartition(")")[2].split()
        return sum(map(int, after_name[11:15])) / os.sysconf("SC_CLK_TCK")

    def memory(self, name: str) -> Line:
        """What it holds in RAM."""
        return Line(f"{name}, resident", resident(self.process.pid) / MIB, "MiB", MOST_MIB)

    def _until(self, there: Callable[[], object], step_s: float = 0.2) -> None:
        end = time.monotonic() + TIMEOUT_S
        while True:
            with contextlib.suppress(FileNotFoundError):  # worker's record and log, at first
                if there():
                    return
            if self.process.poll() is not None:
                raise BrokenCaseError(f"the worker ended with {self.process.returncode}")
            if time.monotonic() > end:
                raise BrokenCaseError(f"jobs got no further in {TIMEOUT_S:.0f} s")
            time.sleep(step_s)


@contextlib.contextmanager
def served(stage: Scene, launcher: str, slots: int, tree: dict[str, bytes] | None = None) -> Iterator[Served]:
    """A worker that takes jobs; it ends with them."""
    env = os.environ | (stage.podman.settings if launcher == "podman" and stage.image else {})
    one = Served(stage.new(f"{launcher}-{slots}"), launcher, slots, tree or {"empty": b""}, env)
    try:
        one.ready()
        yield one
    finally:
        one.end()


def first_line(stage: Scene, count: int) -> None:
    """From the claim to the first line, beside a bare ``podman run`` to its first line."""
    tree = make_tree(stage.folder / "tree-line")
    files = {str(path.relative_to(tree)): path.read_bytes() for path in tree.rglob("*") if path.is_file()}
    bare = stage.bare_podman(tree)
    with served(stage, "podman", 1, files) as worker:

        def ours() -> float:
            job = worker.submit("python3", "-u", "train.py")
            seen = worker.first_line(job)
            (job,) = worker.reach([job], State.SUCCEEDED)
            return seen - job.attempts[0].claimed_at

        name, floor = "claim to first line", "podman run, first line"
        found = round_robin([Case(floor, lambda: bare.time_to(MARK)), Case(name, ours)], count)
        show(
            "one job in Podman, 20 files, the same flags", [row(found, floor), row(found, name, floor, 1.25)]
        )


def no_ops(stage: Scene, count: int) -> None:
    """Many jobs that do nothing, from the first submit to the last end, beside a loop that only spawns and waits."""
    with served(stage, "process", SLOTS) as worker:

        def ours() -> float:
            start = time.time()
            jobs = worker.reach([worker.submit("true", share=SLOTS) for _ in range(NO_OPS)], State.SUCCEEDED)
            return max(job.ended_at or start for job in jobs) - start

        floor, name = f"bare spawn loop, {NO_OPS} x true", f"{NO_OPS} jobs true"
        found = round_robin([Case(floor, spawn_loop), Case(name, ours)], max(1, count // 3))
        rate = found[floor].median / found[name].median
        aimed = Row(name, found[name], f"loop; {NO_OPS / found[name].median:.0f} a second", rate)
        aimed = aimed._replace(aim=f">= {LEAST_RATE}x", holds=rate >= LEAST_RATE)
        show(f"process launcher, {SLOTS} slots", [row(found, floor), aimed])
        print(worker.memory(f"idle worker, after {NO_OPS * (max(1, count // 3) + 1):,} jobs"))


def spawn_loop() -> float:
    """Seconds to run ``true`` as often, as many at once, with nothing around it."""

    def spawn(_: int) -> None:
        _, status = os.waitpid(os.posix_spawnp("true", ["true"], os.environ), 0)
        if status:
            raise BrokenCaseError(f"true ended with {status}")

    with ThreadPoolExecutor(SLOTS) as threads:
        start = time.perf_counter()
        list(threads.map(spawn, range(NO_OPS)))
        return time.perf_counter() - start


def asleep(stage: Scene, _: int, *, launcher: str) -> None:
    """What a worker takes while it does nothing, and while its jobs sleep."""
    print(f"\n{launcher} launcher, over {WATCH_S:.0f} s")
    with served(stage, launcher, SLEEPERS) as worker:
        time.sleep(SETTLE_S)  # its first look for what was left
        print(worker.memory("idle worker, fresh"))
        worker.reach([worker.submit(*SLEEP, share=SLEEPERS) for _ in range(SLEEPERS)], State.RUNNING)
        time.sleep(SETTLE_S)  # the last go
        before = worker.cpu()
        time.sleep(WATCH_S)
        share = 100 * (worker.cpu() - before) / WATCH_S
        print(Line(f"worker, {SLEEPERS} jobs asleep", share, "% of core", MOST_CPU))
        print(worker.memory(f"worker, {SLEEPERS} jobs asleep"))


def main() -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(prog="benchmarks.launch", description="Measure worker and launchers.")
    parser.add_argument(
        "--count", type=int, default=10, help="measurements of each case, after one to warm up"
    )
    parser.add_argument("--only", default=",".join(GROUPS), help=f"comma list of {', '.join(GROUPS)}")
    options = parser.parse_args()
    print("\n".join(machine()))
    with scene() as stage:
        for name in options.only.split(","):
            needed, measure = GROUPS[name]
            if missing := lacks(needed):
                print(f"\n{name}: needs what this machine lacks:\n  " + "\n  ".join(missing))
                continue
            try:
                measure(stage, options.count)
            except BrokenCaseError as error:
                print(f"\n{name}: not measured: {error}")
            sys.stdout.flush()
    return 0


GROUPS: dict[str, tuple[tuple[str, ...], Callable[[Scene, int], None]]] = {
    "line": (PODMAN, first_line),
    "no-ops": ((), no_ops),
    "asleep": ((), partial(asleep, launcher="process")),
    "asleep-podman": (PODMAN, partial(asleep, launcher="podman")),
}


if __name__ == "__main__":
    sys.exit(main())
