"""What the seccomp profile costs a job: the same work confined by it and unconfined, in turn, on one machine.

    make bench                                       with the other benchmarks
    python -m benchmarks.sandbox --count 5

A figure is the processor time, user and system, of all processes of the work: other programs on the machine change the
time that passes far more than the filter does. A pair is a confined run and the unconfined one after it; the ratio is
the median of the pairs'. It reports and is no test: the exit status is 0 whatever the table says.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from functools import partial
from pathlib import Path
from typing import NamedTuple

from fetchml_core.launcher.seccomp import default_profile
from tests.support import images

from .measure import BrokenCaseError, Case, round_robin
from .scene import Scene, lacks, scene
from .submit import machine, told

NEEDED = ("root", "podman", "image-torch")
ROOT = Path(__file__).parents[1]
MOST = 1.02
FLAGS = (
    *("run", "--rm", "--pull=never", "--network=none", "--cap-drop=all", "--read-only", "--user=65534:65534"),
    *("--security-opt=no-new-privileges", "--shm-size=1g", "--tmpfs=/tmp:rw,nosuid,nodev"),
    *("--env=OMP_NUM_THREADS=1", "--env=FETCHML_RESULTS=/tmp/results"),  # threads that wait would burn time
)
FILTERS = {"confined": f"seccomp={default_profile()}", "unconfined": "seccomp=unconfined"}
METER = """
import resource, subprocess, sys
subprocess.run(["python3", *sys.argv[1:]], stdout=subprocess.DEVNULL, check=True)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(used.ru_utime + used.ru_stime)
"""
NUMPY = """
import numpy
values = numpy.random.default_rng(0).normal(size=(500, 500))
for _ in range(60):
    numpy.linalg.svd(values)
"""
CALLS = 3_000_000
NOTHING_BUT_CALLS = f"""
import os
for _ in range({CALLS}):
    os.getppid()
"""


class Work(NamedTuple):
    """What is run: the arguments of Python, and whether it is held to `MOST`."""

    name: str
    argv: tuple[str, ...]
    held: bool = True


TRAINING = ("/examples/torch/train.py", "--workers=4", "--epochs=2", "--pictures=1500")
WORKS = (
    Work("NumPy, 60 x svd of 500 x 500", ("-c", NUMPY)),
    Work("PyTorch, examples/torch with 4 DataLoader workers", TRAINING),
    Work(f"{CALLS:,} calls of getppid", ("-c", NOTHING_BUT_CALLS), held=False),
)


def used(stage: Scene, image: str, security: str, argv: tuple[str, ...]) -> float:
    """Seconds of processor time that the work takes in a container of its own."""
    volume = f"--volume={ROOT / 'examples'}:/examples:ro"
    inside = (image, "python3", "-c", METER, *argv)
    done = stage.podman.run(*FLAGS, volume, f"--security-opt={security}", *inside, check=False, timeout=300)
    if done.returncode != 0:
        raise BrokenCaseError(done.stderr[-2000:])
    return float(done.stdout)


def compare(stage: Scene, image: str, work: Work, count: int) -> None:
    """Print what one work takes with and without the filter."""
    cases = [Case(name, partial(used, stage, image, how, work.argv)) for name, how in FILTERS.items()]
    found = round_robin(cases, count)
    with_it, without = found["confined"], found["unconfined"]
    ratios = [one / other for one, other in zip(with_it.taken, without.taken, strict=True)]
    ratio = statistics.median(ratios)
    print(f"\n{work.name}, {count} pairs")
    for name, times in found.items():
        print(f"  {name:<12} {times.median:7.3f} s median  {times.best:7.3f} s best")
    aim = f"   aim <= {MOST}   {told(holds=ratio <= MOST)}" if work.held else ""
    print(f"  ratio        {ratio:7.3f}   ({min(ratios):.3f} to {max(ratios):.3f}){aim}")
    sys.stdout.flush()


def main() -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(prog="benchmarks.sandbox", description="Measure the seccomp profile.")
    parser.add_argument("--count", type=int, default=15, help="pairs of each work, after one to warm up")
    options = parser.parse_args()
    print("\n".join(machine()))
    if missing := lacks(NEEDED):
        print("\nsandbox: needs what this machine lacks:\n  " + "\n  ".join(missing))
        return 0
    with scene() as stage:
        image = stage.podman.load(images.TORCH)
        for work in WORKS:
            try:
                compare(stage, image, work, options.count)
            except BrokenCaseError as error:
                print(f"\n{work.name}: not measured: {error}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
