"""Run a program within hard limits, and tell what it took: processor time and memory of that process alone.

The kernel counts the pages of a process that forks as pages of its child, so the program is started by a small Python of
its own, not by the test process with all that it holds.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ROOT = Path(__file__).resolve().parents[2]
#: What no case may come near: they are there for the machine's sake, the test looks at what was really taken.
MOST_MEMORY = 2 << 30
MOST_CPU_S = 40
_STARTER = f"""
import json, os, resource, sys
resource.setrlimit(resource.RLIMIT_AS, ({MOST_MEMORY}, {MOST_MEMORY}))
resource.setrlimit(resource.RLIMIT_CPU, ({MOST_CPU_S}, {MOST_CPU_S}))
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
pid = os.fork()
if not pid:
    try:
        os.execve(sys.argv[2], sys.argv[2:], os.environ)
    finally:
        os._exit(127)
_, status, used = os.wait4(pid, 0)
took = [os.waitstatus_to_exitcode(status), used.ru_utime + used.ru_stime, used.ru_maxrss * 1024]
os.write(int(sys.argv[1]), json.dumps(took).encode())
"""


class Measured(NamedTuple):
    """How a program ended, what it wrote, and what it took.

    Attributes:
        status: Exit status; negative: the signal.
        out: What it wrote on stdout.
        err: What it wrote on stderr.
        cpu_s: Processor time.
        memory: The most it held in RAM, in bytes.
    """

    status: int
    out: str
    err: str
    cpu_s: float
    memory: int


def run_measured(
    argv: Sequence[str], env: Mapping[str, str], cwd: Path, *, timeout: float = 60, prefix: Sequence[str] = ()
) -> Measured:
    """Run *argv* to its end; its first word is a path.

    Args:
        argv: The program.
        env: Its complete environment.
        cwd: Where it is called.
        timeout: Seconds of wall clock after which it is killed.
        prefix: A program that starts it with fewer rights (`without_override`).
    """
    read, write = os.pipe()
    try:
        done = subprocess.run(
            [*prefix, sys.executable, "-I", "-S", "-c", _STARTER, str(write), *argv],
            env=env,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout,
            check=False,
            pass_fds=(write,),
        )
        os.close(write)
        write = -1
        told = os.read(read, 1000)
    finally:
        os.close(read)
        if write >= 0:
            os.close(write)
    assert told, f"the starter ended with {done.returncode}: {done.stderr!r}"
    status, cpu_s, memory = json.loads(told)
    # Not strictly: what is written to a terminal may be anything.
    out, err = (text.decode("utf-8", "surrogateescape") for text in (done.stdout, done.stderr))
    return Measured(status, out, err, cpu_s, memory)


def without_override() -> tuple[str, ...]:
    """The prefix of a program for which modes of files count: nothing for most accounts, a lesser root for root."""
    return ("setpriv", "--bounding-set=-dac_override,-dac_read_search", "--") if os.geteuid() == 0 else ()
