"""What a person waits for: start-up, submit, the first line of a job; each beside what it cannot beat.

    make bench            the whole table, some five minutes
    python -m benchmarks.submit --count 3 --only ssh,start

Prints one table: a row is a case, its median and best time, its ratio to the floor it is measured against in the same
run, the aim, and whether that holds. It reports and is no test: the exit status is 0 whatever the table says.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from .measure import BrokenCaseError, Case, Program, Times, round_robin
from .scene import MARK, MIB, Scene, commit, disk_is_warm, lacks, make_tree, memory, ml_argv, scene

FIRST_LINE_FACTOR = 1.5


class Row(NamedTuple):
    """One line of the table: what was taken, and for a case with an aim the most it may take, in seconds."""

    name: str
    times: Times
    floor: str = ""
    ratio: float | None = None
    aim: str = ""
    holds: bool | None = None


def row(found: dict[str, Times], name: str, floor: str = "", at_most: float | None = None) -> Row:
    """A row whose ratio to *floor* is to be *at_most*; medians are compared."""
    if not floor:
        return Row(name, found[name])
    ratio = found[name].median / found[floor].median
    aim = "" if at_most is None else f"<= {at_most:g}x"
    return Row(name, found[name], floor, ratio, aim, None if at_most is None else ratio <= at_most)


def start_up(count: int) -> list[Row]:
    """Whole processes that need neither host nor file."""
    env = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "PYTHONPATH": str(Path.cwd())}

    def case(name: str, argv: list[str]) -> Case:
        return Case(name, Program(argv, env, Path.cwd()).time_to_end)

    cases = [
        case("python3 -c pass", [sys.executable, "-c", "pass"]),
        case("ml --version", ml_argv("--version")),
        case("ml --help", ml_argv("--help")),
        case("ml submit --help", ml_argv("submit", "--help")),
    ]
    found = round_robin(cases, count)
    return [
        row(found, "python3 -c pass"),
        row(found, "ml --version", "python3 -c pass", 1.5),
        row(found, "ml --help", "python3 -c pass"),
        row(found, "ml submit --help", "python3 -c pass"),
    ]


def over_ssh(stage: Scene, count: int) -> list[Row]:
    """Submit and see the first line, over SSH, beside ``ssh host true`` and a bare ``podman run``."""
    tree = make_tree(stage.folder / "tree-ssh")
    commit(tree)
    home = stage.remote

    def settle() -> None:
        stage.settle(home)

    stage.ml(home, tree, "submit", ".", "-q").run()  # installs the agent, starts the worker
    settle()
    stage.require_podman(home)
    cases = [
        Case("ssh host true", stage.program(stage.ssh("true")).time_to_end),
        Case("ml status", stage.ml(home, tree, "status").time_to_end),
        Case("ml submit", stage.ml(home, tree, "submit", "train.py", "-q").time_to_end, settle),
        Case(
            "ml submit -f, first line",
            lambda: stage.ml(home, tree, "submit", "train.py", "-q", "-f").time_to(MARK),
        ),
        Case("podman run, first line", _bare(stage, tree)),
    ]
    found = round_robin(cases, count)
    return [
        row(found, "ssh host true"),
        row(found, "ml status", "ssh host true"),
        row(found, "ml submit", "ssh host true", 3.0),
        row(found, "podman run, first line"),
        first_line(found),
    ]


def here(stage: Scene, count: int) -> list[Row]:
    """The same without SSH."""
    tree = make_tree(stage.folder / "tree-local")
    commit(tree)
    home = stage.local

    def settle() -> None:
        stage.settle(home)

    stage.ml(home, tree, "submit", ".", "-q").run()
    settle()
    stage.require_podman(home)
    cases = [
        Case("ml submit", stage.ml(home, tree, "submit", "train.py", "-q").time_to_end, settle),
        Case(
            "ml submit -f, first line",
            lambda: stage.ml(home, tree, "submit", "train.py", "-q", "-f").time_to(MARK),
        ),
        Case("podman run, first line", _bare(stage, tree)),
    ]
    found = round_robin(cases, count)
    return [row(found, "ml submit"), row(found, "podman run, first line"), first_line(found)]


def _bare(stage: Scene, tree: Path) -> Callable[[], float]:
    shutil.rmtree(stage.folder / "bare", ignore_errors=True)
    program = stage.bare_podman(tree)
    return lambda: program.time_to(MARK)


def first_line(found: dict[str, Times]) -> Row:
    """The row of ``ml submit -f``: at most a submit and 1.5 bare starts."""
    name = "ml submit -f, first line"
    submit, bare = found["ml submit"].median, found["podman run, first line"].median
    most = submit + FIRST_LINE_FACTOR * bare
    taken = found[name].median
    beyond = (taken - submit) / bare
    aim = f"<= submit + {FIRST_LINE_FACTOR}x podman"
    return Row(name, found[name], "podman, after submit", beyond, aim, taken <= most)


def big_tree(stage: Scene, count: int) -> list[Row]:
    """Submit 200 MB that the host has already."""
    tree = make_tree(stage.folder / "tree-big", files=20, size=10 * MIB, random=True)
    home = stage.remote
    stage.ml(home, tree, "submit", ".", "-q").run()
    stage.settle(home)
    disk_is_warm()
    cases = [
        Case("ssh host true", stage.program(stage.ssh("true")).time_to_end),
        Case(
            "ml submit, 200 MB unchanged",
            stage.ml(home, tree, "submit", "train.py", "-q").time_to_end,
            lambda: stage.settle(home),
        ),
    ]
    found = round_robin(cases, count)
    shutil.rmtree(tree)
    return [row(found, "ssh host true"), row(found, "ml submit, 200 MB unchanged", "ssh host true")]


def uploads(stage: Scene, count: int) -> list[Row]:
    """Submit what the host lacks, beside scp and tar; each turn sends new bytes."""
    few = _Fresh(stage, "few", files=20, size=10 * MIB)
    many = _Fresh(stage, "many", files=5000, size=4096)
    home = stage.remote
    copy = stage.server.home / "copy"

    def submit(fresh: _Fresh) -> float:
        return stage.ml(home, fresh.make(), "submit", ".", "-q").time_to_end()

    def scp() -> float:
        return stage.program(stage.scp(few.make(), str(copy))).time_to_end()

    def tar() -> float:
        unpack = stage.ssh(f"mkdir {copy} && tar -x -C {copy}")
        script = 'cd "$1" && shift && tar -c . | "$@"'
        return stage.program(["sh", "-c", script, "sh", str(many.make()), *unpack]).time_to_end()

    def forget() -> None:
        shutil.rmtree(copy)
        disk_is_warm()

    def settle() -> None:
        stage.settle(home)
        shutil.rmtree(stage.base(home) / "data" / "blobs")
        disk_is_warm()

    cases = [
        Case("scp -r, 200 MB", scp, forget),
        Case("ml submit, 200 MB new", lambda: submit(few), settle),
        Case("tar | ssh, 5,000 x 4 KB", tar, forget),
        Case("ml submit, 5,000 x 4 KB new", lambda: submit(many), settle),
    ]
    found = round_robin(cases, max(1, count // 3))
    return [
        row(found, "scp -r, 200 MB"),
        row(found, "ml submit, 200 MB new", "scp -r, 200 MB"),
        row(found, "tar | ssh, 5,000 x 4 KB"),
        row(found, "ml submit, 5,000 x 4 KB new", "tar | ssh, 5,000 x 4 KB"),
    ]


class _Fresh:
    """Trees that nobody has seen before; only the newest is kept."""

    def __init__(self, stage: Scene, name: str, *, files: int, size: int) -> None:
        self._folder = stage.folder / f"tree-{name}"
        self._files, self._size = files, size
        self._made: Path | None = None
        self._number = 0

    def make(self) -> Path:
        if self._made is not None:
            shutil.rmtree(self._made)
        self._number += 1
        self._made = make_tree(
            self._folder / str(self._number), files=self._files, size=self._size, random=True
        )
        return self._made


def told(*, holds: bool | None) -> str:
    return "" if holds is None else "holds" if holds else "DOES NOT HOLD"


def show(title: str, rows: list[Row]) -> None:
    """Print one group."""
    print(f"\n{title}")
    print(f"{'case':<30} {'n':>3} {'median ms':>10} {'best ms':>9} {'ratio':>7}  {'to':<21} aim")
    for one in rows:
        ratio = "" if one.ratio is None else f"{one.ratio:.3g}x"
        taken = f"{one.times.median * 1000:10.1f} {one.times.best * 1000:9.1f}"
        print(
            f"{one.name:<30} {len(one.times.taken):>3} {taken} {ratio:>7}  {one.floor:<21} {one.aim}  {told(holds=one.holds)}".rstrip()
        )
    sys.stdout.flush()


def machine() -> list[str]:
    """Facts that the numbers depend on."""
    cpu = next(
        (line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
        platform.machine(),
    )
    system = next(
        (
            line.partition("=")[2].strip('"')
            for line in _lines("/etc/os-release")
            if line.startswith("PRETTY_NAME")
        ),
        platform.system(),
    )
    return [
        f"{time.strftime('%Y-%m-%d')}; {os.cpu_count()} CPUs ({cpu}), {memory() / 2**30:.0f} GiB, load {os.getloadavg()[0]:.1f}",
        f"{system}, Linux {platform.release()}, Python {platform.python_version()}",
        f"{_version('ssh', '-V')}; {_version('podman', '--version')}",
    ]


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text("utf-8").splitlines()
    except OSError:
        return []


def _version(*argv: str) -> str:
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
    except OSError:
        return f"no {argv[0]}"
    return (done.stdout or done.stderr).strip()


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="benchmarks.submit", description="Measure what a person waits for.")
    parser.add_argument(
        "--count", type=int, default=10, help="measurements of each case, after one to warm up"
    )
    names = ["start", *GROUPS]
    parser.add_argument("--only", default=",".join(names), help=f"comma list of {', '.join(names)}")
    options = parser.parse_args()
    wanted = set(options.only.split(","))
    print("\n".join(machine()))
    if "start" in wanted:
        show("start-up, whole process", start_up(options.count))
    if not wanted - {"start"}:
        return 0
    missing = lacks()
    if missing:
        print("\nthe other rows need what this machine lacks:\n  " + "\n  ".join(missing))
        return 0
    with scene() as stage:
        for name, (title, measure) in GROUPS.items():
            if name in wanted:
                try:
                    show(title, measure(stage, options.count))
                except BrokenCaseError as error:
                    print(f"\n{title}: not measured: {error}")
    return 0


GROUPS: dict[str, tuple[str, Callable[[Scene, int], list[Row]]]] = {
    "ssh": ("over SSH on the loopback, cold: worker runs, agent installed, 20 files unchanged", over_ssh),
    "local": ("the same without SSH", here),
    "big": ("over SSH, 200 MB in 20 files that the host has", big_tree),
    "upload": ("over SSH, new bytes, for information", uploads),
}


if __name__ == "__main__":
    sys.exit(main())
