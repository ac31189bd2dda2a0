"""How fast the queue is, beside the queues that a Python program could use instead and beside what the disk allows.

    make bench                                       with the other benchmarks
    python -m benchmarks.queue --rounds 3 --only speed
    python -m benchmarks.queue --jobs 20000 --only history

All with durable settings, in one run, in turn, each in processes of their own that are there before the clock starts. A ratio
is taken within a round, and the median of the rounds counts: the disk is another one every minute. It reports and is no
test: the exit status is 0 whatever the tables say; only a peer that is missing is an error.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from fetchml_core.fsio import locked

from .measure import BrokenCaseError
from .queue_history import history
from .queue_peers import (
    BY_HAND,
    FLOOR,
    Entrant,
    Session,
    empty_redis,
    entrants,
    missing,
    prepare,
    redis_server,
    versions,
)
from .submit import machine, told

CROWD = 8
WORKERS = 4
COLUMNS = ("submit", f"{CROWD} submitters", "claim+finish", f"{WORKERS} workers", "array")
SINGLE, MANY, ONE, FOUR, ARRAY = COLUMNS
TIMEOUT_S = 120.0
GAVE_UP = "another process failed"
Act = Callable[[Session, Sequence[int]], list[Hashable]]


class Share(NamedTuple):
    """What one process did: when it began and ended, and which jobs it finished."""

    start: float
    end: float
    finished: list[Hashable]


class Aim(NamedTuple):
    """At least so many times what *other* does in *other_column*."""

    column: str
    other: str
    other_column: str
    least: float


AIMS = (
    Aim(SINGLE, FLOOR, SINGLE, 0.6),
    Aim(MANY, FLOOR, SINGLE, 2.0),
    Aim(ONE, BY_HAND, ONE, 1.2),
    Aim(FOUR, BY_HAND, FOUR, 2.5),
    Aim(ARRAY, "", SINGLE, 20.0),
)


class Board:
    """What was found: jobs a second by entrant and column, and by round."""

    def __init__(self) -> None:
        self.round = 0
        self.rates: dict[tuple[str, str], dict[int, float]] = {}
        self.broken: dict[tuple[str, str, str], int] = {}
        self.doubled: Counter[str] = Counter()
        self.lost: Counter[str] = Counter()

    def note(self, entrant: Entrant, column: str, rate: float) -> None:
        """Keep a figure."""
        self.rates.setdefault((entrant.name, column), {})[self.round] = rate

    def note_broken(self, entrant: Entrant, column: str, error: Exception) -> None:
        """Keep why there is no figure."""
        what = entrant.name, column, str(error)
        self.broken[what] = self.broken.get(what, 0) + 1

    def note_finished(self, entrant: Entrant, finished: Sequence[Hashable], jobs: int) -> None:
        """Count what was finished twice and what never was, out of *jobs*."""
        known = len(set(finished))
        self.doubled[entrant.name] += len(finished) - known
        self.lost[entrant.name] += jobs - known

    def found(self, name: str, column: str) -> list[float]:
        """The figures of all rounds."""
        return list(self.rates.get((name, column), {}).values())

    def ratios(self, name: str, aim: Aim) -> list[float]:
        """The figure over that of the other, round by round."""
        others = self.rates.get((aim.other or name, aim.other_column), {})
        here = self.rates.get((name, aim.column), {})
        return [figure / others[number] for number, figure in here.items() if number in others]


def submit_each(session: Session, numbers: Sequence[int]) -> list[Hashable]:
    """One by one."""
    for number in numbers:
        session.submit(number)
    return []


def submit_array(session: Session, numbers: Sequence[int]) -> list[Hashable]:
    """All at once."""
    session.submit_all(numbers)
    return []


def work_off(session: Session, _: Sequence[int]) -> list[Hashable]:
    """Until nothing is left."""
    return list(iter(session.work, None))


def work_one(session: Session, _: Sequence[int]) -> list[Hashable]:
    """One job, before the clock starts."""
    return [session.work()]


def together(
    entrant: Entrant, folder: Path, shares: Sequence[Sequence[int]], warm: Act, act: Act
) -> list[Share]:
    """Let a process for each of *shares* open a session, do *warm* with its first job, wait for the others, then *act*."""
    context = multiprocessing.get_context("fork")
    ready = context.Barrier(len(shares))
    pipes = [context.Pipe(duplex=False) for _ in shares]
    processes = [
        context.Process(target=_take_part, args=(entrant, folder, numbers, warm, act, ready, pipe[1]))
        for numbers, pipe in zip(shares, pipes, strict=True)
    ]
    for process, (_, theirs) in zip(processes, pipes, strict=True):
        process.start()
        theirs.close()
    done = [_answer(ours) for ours, _ in pipes]
    for process in processes:
        process.join(TIMEOUT_S)
        process.kill()
    if errors := {one for one in done if isinstance(one, str)}:
        raise BrokenCaseError("; ".join(sorted(errors - {GAVE_UP} or errors)))
    return [one for one in done if isinstance(one, Share)]


def _answer(pipe: multiprocessing.connection.Connection) -> Share | str:
    if not pipe.poll(TIMEOUT_S):
        return "it never ends"
    try:
        answer: Share | str = pipe.recv()
    except EOFError:
        return "it died"
    return answer


def _take_part(entrant, folder, numbers, warm, act, ready, pipe) -> None:
    try:
        with locked(folder.with_suffix(".lock")):  # SQLite cannot be set up by several at once
            session = entrant.open(folder)
        first = warm(session, numbers[:1])
        ready.wait(TIMEOUT_S)
        start = time.perf_counter()
        finished = act(session, numbers[1:])
        pipe.send(Share(start, time.perf_counter(), first + finished))
    except threading.BrokenBarrierError:
        pipe.send(GAVE_UP)
    except Exception as error:  # noqa: BLE001 - the parent tells it
        ready.abort()
        pipe.send(f"{type(error).__name__}: {error}"[:200])


def jobs_a_second(shares: Sequence[Share], jobs: int) -> float:
    """Jobs a second, from the first start to the last end."""
    return jobs / (max(share.end for share in shares) - min(share.start for share in shares))


def split(count: int, processes: int) -> list[range]:
    """Numbers for each process: one to warm up, and its share of *count*."""
    each = count // processes + 1
    return [range(index * each, (index + 1) * each) for index in range(processes)]


def take_turns(board: Board, everybody: Sequence[Entrant], base: Path, count: int) -> None:
    """One round: each column in turn, and in it each entrant in turn, so that those who are compared are close in time."""
    spoilt: set[Path] = set()
    for column, place, take in _columns():
        for number, entrant in enumerate(everybody):
            folder = base / f"{place}-{number}"
            folder.mkdir(exist_ok=True)
            if folder in spoilt:
                continue
            try:
                take(board, entrant, folder, count)
            except BrokenCaseError as error:
                board.note_broken(entrant, column, error)
                spoilt.add(folder)


def _columns() -> Iterator[tuple[str, str, Callable[[Board, Entrant, Path, int], None]]]:
    """Yield each column, whose queue it uses, and what fills it: workers get what submitters have left."""
    yield SINGLE, "one", partial(_submits, column=SINGLE, processes=1)
    yield MANY, "crowd", partial(_submits, column=MANY, processes=CROWD)
    yield ONE, "one", partial(_works, column=ONE, processes=1, submitters=1)
    yield FOUR, "crowd", partial(_works, column=FOUR, processes=WORKERS, submitters=CROWD)
    yield ARRAY, "array", _array


def _submits(
    board: Board, entrant: Entrant, folder: Path, count: int, *, column: str, processes: int
) -> None:
    shares = split(count, processes)
    done = together(entrant, folder, shares, submit_each, submit_each)
    board.note(entrant, column, jobs_a_second(done, sum(map(len, shares)) - processes))


def _works(
    board: Board, entrant: Entrant, folder: Path, count: int, *, column: str, processes: int, submitters: int
) -> None:
    if not entrant.works:
        return
    done = together(entrant, folder, split(0, processes), work_one, work_off)
    finished = [job for share in done for job in share.finished]
    board.note(entrant, column, jobs_a_second(done, len(set(finished)) - processes))
    board.note_finished(entrant, finished, sum(map(len, split(count, submitters))))


def _array(board: Board, entrant: Entrant, folder: Path, count: int) -> None:
    if entrant.arrays:
        done = together(entrant, folder, split(count, 1), submit_each, submit_array)
        board.note(entrant, ARRAY, jobs_a_second(done, count))


def show_rates(board: Board, everybody: Sequence[Entrant]) -> None:
    """Print the jobs a second of everybody."""
    print(f"\n| jobs a second: median (least-most) | {' | '.join(COLUMNS)} | finished twice | never |")
    print("|---|" + "---:|" * (len(COLUMNS) + 2))
    for entrant in everybody:
        cells = [_cell(board, entrant.name, column) for column in COLUMNS]
        if entrant.name in board.doubled:
            cells += [str(board.doubled[entrant.name]), str(board.lost[entrant.name])]
        else:
            cells += ["", ""]
        print(f"| {entrant.name} | {' | '.join(cells)} |")
    for (name, column, error), times in board.broken.items():
        print(f"failed in {times} rounds: {name}, {column}: {error}")


def _cell(board: Board, name: str, column: str) -> str:
    found = board.found(name, column)
    return f"{statistics.median(found):,.0f} ({min(found):,.0f}-{max(found):,.0f})" if found else ""


def show_aims(board: Board, everybody: Sequence[Entrant]) -> None:
    """Print what is aimed at, for ours."""
    print("\n| case | ratio: median (least-most) | to | aim | |")
    print("|---|---:|---|---|---|")
    for entrant in everybody:
        for aim in AIMS if entrant.aims else ():
            if found := board.ratios(entrant.name, aim):
                ratio = statistics.median(found)
                to = f"{aim.other or 'its own'}, {aim.other_column}"
                print(
                    f"| {entrant.name}, {aim.column} | {ratio:.2f} ({min(found):.2f}-{max(found):.2f}) | {to} | >= {aim.least:g} |"
                    f" {verdict(holds=ratio >= aim.least, part=ratio / aim.least)} |"
                )


def verdict(*, holds: bool, part: float) -> str:
    """Whether an aim holds; where not, how much is missing."""
    return told(holds=holds) + ("" if holds else f": {1 - part:.1%} short")


def speed(base: Path, rounds: int, count: int) -> None:
    """Print who does how many jobs a second."""
    prepare(range(count + CROWD))
    (base / "redis").mkdir()
    board = Board()
    with redis_server(base / "redis") as port:
        everybody = entrants(port)
        compared = [one for one in everybody if one.aims or one.name in {FLOOR, BY_HAND}]
        others = [one for one in everybody if one not in compared]
        for number in range(rounds + 1):
            board.round = number
            for group in (compared, others):  # those whose ratios count are close in time
                place = base / f"round-{number}-{group[0].name}"
                place.mkdir()  # it stays until the end: some disks are slow after files were removed
                take_turns(board if number else Board(), group, place, count)
            empty_redis(port)
    print(f"\n{rounds} rounds after one to warm up, {count} jobs in each")
    show_rates(board, everybody)
    show_aims(board, everybody)
    sys.stdout.flush()


def disk(folder: Path) -> str:
    """The file system that *folder* is on."""
    mounts = [line.split() for line in Path("/proc/mounts").read_text("utf-8").splitlines()]
    inside = [(len(mount[1]), mount[2]) for mount in mounts if folder.resolve().is_relative_to(mount[1])]
    kind = max(inside)[1]
    return f"{kind}: a sync costs nothing there, choose another --folder" if kind == "tmpfs" else kind


def main() -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(prog="benchmarks.queue", description="Measure the queue beside others.")
    parser.add_argument("--rounds", type=int, default=9, help="after one to warm up")
    parser.add_argument("--count", type=int, default=400, help="jobs of each measurement")
    parser.add_argument("--jobs", type=int, default=1_000_000, help="jobs of the long history")
    parser.add_argument(
        "--folder", type=Path, default=Path(tempfile.gettempdir()), help="on the disk to measure"
    )
    parser.add_argument("--only", default="speed,history", help="comma list of speed, history")
    options = parser.parse_args()
    wanted = set(options.only.split(","))
    if lacking := missing():
        print("error: not installed\n  " + "\n  ".join(lacking))
        return 1
    print("\n".join([*machine()[:2], f"{versions()}; {disk(options.folder)}"]))
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        if "speed" in wanted:
            speed(Path(folder), options.rounds, options.count)
        if "history" in wanted:
            os.sync()
            history(Path(folder), options.rounds, options.jobs)
    return 0


if __name__ == "__main__":
    sys.exit(main())
