"""Give a job's folders to the user it runs as, and take them back: the job's files are never followed.

Layer 2. Called only when no process of the job lives, so that no name changes between look and act. Links are changed
themselves, never what they point to. Taking back also makes everything readable and removable for the account,
whatever modes the job left (0600 in 0700, or none at all), and clears set-user-id bits.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def give(folders: Iterable[Path], uid: int, gid: int) -> None:
    """Make *folders* and all in them the property of *uid*.

    Raises:
        OSError: what the system says; unlike when taking back, nothing may be left out.
    """
    todo = [os.fspath(folder) for folder in folders]
    while todo:
        path = todo.pop()
        os.chown(path, uid, gid, follow_symlinks=False)
        if stat.S_ISDIR(os.lstat(path).st_mode):
            todo += _entries(path)


def take_back(folders: Iterable[Path], uid: int, gid: int, *, change_owner: bool) -> int:
    """Make *folders* and all in them readable and writable for the account.

    Args:
        folders: Those that do not exist are passed over.
        uid: The account.
        gid: Its group.
        change_owner: Whether files may belong to another user (only root can change that).

    Returns: how many entries could not be changed, such as paths longer than the system takes.
    """
    failed = 0
    todo = [os.fspath(folder) for folder in folders if os.path.lexists(folder)]
    while todo:
        path = todo.pop()
        try:
            mode = os.lstat(path).st_mode
            if change_owner:
                os.chown(path, uid, gid, follow_symlinks=False)
            if stat.S_ISLNK(mode):
                continue
            wanted = _account_mode(mode)
            if wanted != stat.S_IMODE(mode):
                Path(path).chmod(wanted)
            if stat.S_ISDIR(mode):
                todo += _entries(path)
        except OSError:
            failed += 1
    return failed


def _entries(folder: str) -> list[str]:
    with os.scandir(folder) as entries:
        return [entry.path for entry in entries]


def _account_mode(mode: int) -> int:
    """Plain permission bits; read and write for the owner, execute too where somebody has it or it is a folder."""
    execute = stat.S_IXUSR if stat.S_ISDIR(mode) or mode & 0o111 else 0
    return mode & 0o777 | stat.S_IRUSR | stat.S_IWUSR | execute
