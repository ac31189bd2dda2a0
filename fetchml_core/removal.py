"""Remove a folder that a stranger filled: links, no rights, names and depths of any kind.

Nothing is followed and nothing recurses: a folder inside a folder is first moved up to the top, so no path ever gets
longer than two names, however deep the tree was.
"""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def remove_tree(path: Path) -> None:
    """Remove *path* and all below it; it need not exist.

    Raises:
        OSError: something could not be removed; the rest may be gone.
    """
    try:
        top = _open(path)
    except FileNotFoundError:
        return
    try:
        _empty(top)
    finally:
        os.close(top)
    path.rmdir()


def _empty(top: int) -> None:
    moved = 0
    while names := os.listdir(top):
        for name in names:
            if not _is_folder(name, top):
                os.unlink(name, dir_fd=top)
                continue
            folder = _open(name, top)
            try:
                for below in os.listdir(folder):
                    if _is_folder(below, folder):
                        os.close(_open(below, folder))  # moving a folder needs the right to write in it
                        moved = _move_up(below, folder, top, moved)
                    else:
                        os.unlink(below, dir_fd=folder)
            finally:
                os.close(folder)
            os.rmdir(name, dir_fd=top)


def _move_up(name: str, folder: int, top: int, moved: int) -> int:
    """Move a folder to the top under a name that nothing has there; return the number that is free next."""
    while True:
        moved += 1
        if not _exists(f".removed-{moved}", top):
            os.rename(name, f".removed-{moved}", src_dir_fd=folder, dst_dir_fd=top)
            return moved


def _exists(name: str, folder: int) -> bool:
    try:
        os.lstat(name, dir_fd=folder)
    except FileNotFoundError:
        return False
    return True


def _is_folder(name: str, folder: int) -> bool:
    return stat.S_ISDIR(os.lstat(name, dir_fd=folder).st_mode)


def _open(name: str | Path, folder: int | None = None) -> int:
    """Open a folder; one without rights gets those of its owner first."""
    try:
        fd = os.open(name, _OPEN, dir_fd=folder)
    except PermissionError:
        os.chmod(name, 0o700, dir_fd=folder)
        return os.open(name, _OPEN, dir_fd=folder)
    if os.fstat(fd).st_mode & 0o700 != 0o700:
        with contextlib.suppress(OSError):
            os.fchmod(fd, 0o700)
    return fd
