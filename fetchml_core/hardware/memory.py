"""How much memory a job may use: what the machine has, and the limits of the control groups around this process.

Layer 2.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from .cgroup import GROUPS, own_groups
from .files import PROC, SYS, read_number, read_text

_TOTAL = re.compile(r"^MemTotal:\s+(\d+) kB$", re.MULTILINE)


def total_memory(proc: Path = PROC, sys: Path = SYS) -> tuple[int, str]:
    """Return the memory in bytes, 0 where the system does not tell, and how it was found."""
    total = _TOTAL.search(read_text(proc / "meminfo"))
    if total is None:
        return _by_sysconf()
    memory, how = int(total[1]) * 1024, f"MemTotal of {proc / 'meminfo'}"
    for group in own_groups("memory", read_text(proc / "self/cgroup"), sys / GROUPS):
        for name in (
            "memory.max",
            "memory.limit_in_bytes",
        ):  # of version 2, whose "max" is no number, and of 1
            limit = read_number(group / name)
            if limit is not None and 0 < limit < memory:
                memory, how = limit, f"the limit in {group / name}"
    return memory, how


def _by_sysconf() -> tuple[int, str]:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), "what the C library counts"
    except (ValueError, OSError):
        return 0, "unknown"
