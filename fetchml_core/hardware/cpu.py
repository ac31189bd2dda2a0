"""How many CPUs this process, and so a job, may use: the affinity mask, and the quotas of the control groups around it.

Layer 2. The parsers are pure; the mask holds what a cpuset allows, too.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from .cgroup import GROUPS, own_groups
from .files import PROC, SYS, read_text

_ALLOWED = re.compile(r"^Cpus_allowed_list:\s*(\S+)$", re.MULTILINE)
_RANGE = re.compile(r"(\d{1,6})(?:-(\d{1,6}))?")


def count_cpus(proc: Path = PROC, sys: Path = SYS) -> tuple[float, str]:
    """Return the CPUs, parts of one where a quota gives no more, and how they were found."""
    allowed = _ALLOWED.search(read_text(proc / "self/status"))
    mask = parse_cpu_list(allowed[1]) if allowed else frozenset()
    online = parse_cpu_list(read_text(sys / "devices/system/cpu/online"))
    usable = mask & online if online else mask  # a mask may name processors that could be added
    if not usable:
        return float(os.cpu_count() or 1), "what Python counts"
    count, how = float(len(usable)), f"{len(usable)} online"
    if len(usable) < len(online):
        how = f"{len(usable)} of {len(online)} online, by the affinity mask"
    quota, place = _least_quota(proc, sys)
    if quota is not None and quota < count:
        return quota, f"the quota in {place}; {how}"
    return count, how


def parse_cpu_list(text: str) -> frozenset[int]:
    """Return the numbers in a list of the kernel's, such as ``0-3,8``; none where it is no such list."""
    numbers: set[int] = set()
    for part in text.split(",") if text else ():
        match = _RANGE.fullmatch(part.strip())
        if match is None:
            return frozenset()
        numbers.update(range(int(match[1]), int(match[2] or match[1]) + 1))
    return frozenset(numbers)


def parse_cpu_max(text: str) -> float | None:
    """Return the CPUs that ``cpu.max`` of version 2 gives (``150000 100000``), None for ``max``: no limit."""
    quota, _, period = text.partition(" ")
    return _share(quota, period)


def _share(quota: str, period: str) -> float | None:
    """Return microseconds of *quota* in each *period* as CPUs; None for a quota that is no limit, such as -1."""
    if not (quota.isdigit() and period.isdigit()) or not int(quota) or not int(period):
        return None
    return int(quota) / int(period)


def _least_quota(proc: Path, sys: Path) -> tuple[float | None, Path]:
    """Return the least quota of the groups around this process and the file that says so."""
    least: float | None = None
    place = sys
    for group in own_groups("cpu", read_text(proc / "self/cgroup"), sys / GROUPS):
        new, old = group / "cpu.max", group / "cpu.cfs_quota_us"
        share = parse_cpu_max(read_text(new)) or _share(
            read_text(old), read_text(group / "cpu.cfs_period_us")
        )
        if share is not None and (least is None or share < least):
            least, place = share, new if new.exists() else old
    return least, place
