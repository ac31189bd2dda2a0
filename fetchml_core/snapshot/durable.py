"""Make many files durable at once.

Layer 2, host only. An fsync costs 0.15 to 0.25 ms on a quick disk, one after the other; syncfs is one call for
everything (measured with 4 KiB files: 5,000 in 46 ms instead of 740, 1,000 in 12 instead of 150). But it also waits for
what other programs wrote to that disk, so a few files are synced one by one.
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

ONE_BY_ONE = 32
_FIRST_HONEST_KERNEL = (5, 8)
"""Before it syncfs returned success although writing had failed."""


def sync_files(paths: Sequence[Path], folder: Path) -> None:
    """Make the content of *paths*, all on the file system of *folder*, durable.

    Raises:
        OSError: it failed; none of them counts as durable then, and trying again would prove nothing.
    """
    if len(paths) > ONE_BY_ONE and _syncfs(folder):
        return
    for path in paths:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def sync_tree(folder: Path) -> None:
    """Make the plain files below *folder*, and their names, durable; where there is none, nothing is done.

    Raises:
        OSError: see `sync_files`.
    """
    files, folders = [], []
    for name, _, names in os.walk(folder):
        folders.append(Path(name))
        files += [path for path in (Path(name, one) for one in names) if stat.S_ISREG(path.lstat().st_mode)]
    if files:
        sync_files([*files, *folders], folder)


def _syncfs(folder: Path) -> bool:
    """Sync the file system of *folder*; False where the system has no syncfs that can be trusted."""
    uname = os.uname()
    version = re.match(r"(\d+)\.(\d+)", uname.release)
    if (
        uname.sysname != "Linux"
        or version is None
        or (int(version[1]), int(version[2])) < _FIRST_HONEST_KERNEL
    ):
        return False
    import ctypes

    call = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
    if call is None:
        return False
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if call(fd) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(folder))
    finally:
        os.close(fd)
    return True
