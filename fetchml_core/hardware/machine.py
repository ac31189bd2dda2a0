"""Ask this machine what the rules want to know of it.

Layer 2: it reads /proc and the clock. Whoever can look at certificates hands that in.
"""

from __future__ import annotations

import os
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING

from fetchml_core.config.environment import check_overrides
from fetchml_core.config.rules.base import Machine, TlsPair

from .cpu import count_cpus
from .memory import total_memory

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MOUNTS = Path("/proc/self/mountinfo")
_OCTAL = re.compile(rb"\\([0-7]{3})")


def machine_of(
    base: Path,
    environ: Mapping[str, str],
    *,
    tls_pair: Callable[[Path, Path], TlsPair] | None = None,
) -> Machine:
    """Return this machine, for a host whose base is *base*.

    Args:
        base: The folder that relative paths are taken from.
        environ: The environment; FETCH_ML_TOTAL_CPU, where it is a number, counts instead of the CPUs that are found.
        tls_pair: Looks at a certificate file and a key file.
    """
    return Machine(
        Path(os.path.abspath(base)),  # noqa: PTH100 - links stay as they were written
        cpus=float(check_overrides(environ)[0].total_cpu or count_cpus()[0]),
        now=time.time(),
        filesystem=filesystem_of,
        memory=total_memory()[0],
        tls_pair=tls_pair,
    )


def filesystem_of(path: Path, *, mounts: Path = MOUNTS) -> str:
    """Return the type of the file system that *path* lies on or would lie on, "" where that is not known.

    Args:
        path: An absolute path; links on it are followed as far as it exists.
        mounts: The kernel's table of mounts.
    """
    try:
        return filesystem_in(mounts.read_bytes(), Path(os.path.realpath(path)))
    except (OSError, ValueError):
        return ""


def filesystem_in(table: bytes, path: Path) -> str:
    """Return the type of the file system that *path* lies on, by the text of ``/proc/self/mountinfo``.

    Args:
        table: Lines ``id parent major:minor root mount-point options … - type source options``; blanks in a mount
            point are octal.
        path: An absolute path without links.
    """
    best, kind = -1, ""
    for line in table.splitlines():
        before, dash, after = line.partition(b" - ")
        words, found = before.split(b" "), after.split(b" ")
        if not dash or len(words) < 5:
            continue
        point = Path(os.fsdecode(_OCTAL.sub(lambda match: bytes([int(match[1], 8) & 0xFF]), words[4])))
        depth = len(point.parts)
        if path.is_relative_to(point) and depth >= best:  # of two at one place the later one hides the other
            best, kind = depth, os.fsdecode(found[0])
    return kind
