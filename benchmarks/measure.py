"""Take cases in turn, time them, keep what each took.

A machine is never as fast as a minute ago, so nothing here is compared across runs: the cases of one group are taken
A B C A B C …, and only their ratios count.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import tempfile
import time
from typing import IO, TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

TIMEOUT_S = 120.0


class BrokenCaseError(Exception):
    """A case did not do what it measures; its time would mean nothing."""


class Program(NamedTuple):
    """A program to time, and the exit status that it ends with."""

    argv: Sequence[str]
    env: Mapping[str, str]
    cwd: Path
    status: int = 0

    def run(self) -> str:
        """Run it to its end and return what it printed; errors go to a file, so that no pipe holds it up."""
        with tempfile.TemporaryFile() as errors:
            done = subprocess.run(
                self.argv,
                env=self.env,
                cwd=self.cwd,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                timeout=TIMEOUT_S,
                check=False,
            )
            if done.returncode != self.status:
                raise BrokenCaseError(_told(self.argv, done.returncode, errors))
        return done.stdout.decode()

    def time_to_end(self) -> float:
        """Seconds from its start to its end."""
        start = time.perf_counter()
        self.run()
        return time.perf_counter() - start

    def time_to(self, mark: bytes) -> float:
        """Seconds from its start until *mark* has arrived on its output; it then runs to its end, which is not counted."""
        with tempfile.TemporaryFile() as errors:
            start = time.perf_counter()
            with subprocess.Popen(
                self.argv,
                env=self.env,
                cwd=self.cwd,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
            ) as process:
                assert process.stdout is not None
                seen = b""
                while mark not in seen:
                    piece = os.read(process.stdout.fileno(), 1 << 16)
                    if not piece:
                        raise BrokenCaseError(_told(self.argv, process.wait(), errors))
                    seen += piece
                spent = time.perf_counter() - start
                while os.read(process.stdout.fileno(), 1 << 16):
                    pass
                if process.wait(TIMEOUT_S) != self.status:
                    raise BrokenCaseError(_told(self.argv, process.returncode, errors))
        return spent


class Case(NamedTuple):
    """One row: a name, one measurement in seconds, and what puts the scene back afterwards, not timed."""

    name: str
    take: Callable[[], float]
    after: Callable[[], object] = lambda: None


class Times(NamedTuple):
    """What one case took, in seconds."""

    taken: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle one."""
        return statistics.median(self.taken)

    @property
    def best(self) -> float:
        """The shortest."""
        return min(self.taken)


def round_robin(cases: Sequence[Case], count: int) -> dict[str, Times]:
    """Take each case once to warm up, then all of them in turn, *count* times."""
    taken: dict[str, list[float]] = {case.name: [] for case in cases}
    for turn in range(count + 1):
        for case in cases:
            spent = case.take()
            case.after()
            if turn:
                taken[case.name].append(spent)
    return {name: Times(tuple(times)) for name, times in taken.items()}


def _told(argv: Sequence[str], status: int, errors: IO[bytes]) -> str:
    errors.seek(0)
    return f"{' '.join(argv)[:200]} ended with {status}\n{errors.read().decode(errors='replace')[-2000:]}"
