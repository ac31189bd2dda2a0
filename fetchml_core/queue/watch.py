"""Files whose change wakes a reader: inotify of Linux, through the C library.

A named file is watched itself, so that what is written to its neighbours wakes nobody; its folder is watched for files
that are made or moved into place. A write through a memory map is not seen: who writes so touches another file after.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import os
from collections.abc import Collection
from pathlib import Path

_MODIFY = 0x2
_MOVED_TO = 0x80
_CREATE = 0x100
_DELETE_SELF = 0x400
_MOVE_SELF = 0x800
_ONLY_FOLDER = 0x1000000
_IN_FOLDER = _CREATE | _MOVED_TO | _DELETE_SELF | _MOVE_SELF | _ONLY_FOLDER


class FileWatch:
    """`fetchml_core.queue.base.Watch` over files of one folder.

    It is readable once one of them was written to, made or moved into place; now and then for less. Where the system
    has no inotify or none left (instances are few), `fileno` is -1 and callers ask again and again.

    Args:
        folder: Where they lie; it need not exist yet.
        names: Their names.
    """

    def __init__(self, folder: Path, names: Collection[str]) -> None:
        self._files = [os.fsencode(folder / name) for name in names]
        self._folders = [os.fsencode(place) for place in (folder, *folder.parents)]
        self._fd = -1
        self._open()

    def fileno(self) -> int:
        """See `Watch.fileno`."""
        self._leave_to_parent()
        return self._fd

    def clear(self) -> None:
        """See `Watch.clear`."""
        self._leave_to_parent()
        self._drain()
        while self._arm():
            self._drain()  # that a watch has ended is told as news, too

    def close(self) -> None:
        """See `Watch.close`."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __del__(self) -> None:
        self.close()

    def _open(self) -> None:
        self._pid = os.getpid()
        self._watched: set[int] = set()
        self._libc = _libc()
        if hasattr(self._libc, "inotify_init1"):
            self._fd = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        self._arm()

    def _leave_to_parent(self) -> None:
        """After a fork take a descriptor of our own: what is read from a shared one is missed by the other."""
        if self._fd >= 0 and self._pid != os.getpid():
            self.close()
            self._open()

    def _drain(self) -> None:
        try:
            while self._fd >= 0 and os.read(self._fd, 1 << 14):
                pass
        except BlockingIOError:
            pass

    def _arm(self) -> bool:
        """Watch what is there now; say whether something else no longer is watched."""
        if self._fd < 0:
            return False
        try:
            watched = {self._add_folder()}
            watched |= {self._add(path, _MODIFY) for path in self._files}
        except OSError:  # no watches left, or a folder that may not be read: callers have to ask instead
            self.close()
            return False
        ended = self._watched - watched
        self._watched = watched - {-1}
        for watch in ended:  # it fails where the file is gone, and the watch with it
            self._libc.inotify_rm_watch(self._fd, watch)
        return bool(ended)

    def _add_folder(self) -> int:
        """Watch the folder, or the nearest one above it that exists."""
        below = b""
        for place in self._folders:
            watch = self._add(place, _IN_FOLDER)
            if watch >= 0:
                made_meanwhile = below and os.path.lexists(below)
                return self._add_folder() if made_meanwhile else watch
            below = place
        raise FileNotFoundError(self._folders[0])

    def _add(self, path: bytes, mask: int) -> int:
        """Watch *path* and return its number; -1 where it does not exist."""
        watch: int = self._libc.inotify_add_watch(self._fd, path, mask)
        problem = ctypes.get_errno()
        if watch < 0 and problem != errno.ENOENT:
            raise OSError(problem, os.strerror(problem), path)
        return watch


@functools.cache
def _libc() -> ctypes.CDLL:
    """The C library that this process is linked with, whichever it is."""
    return ctypes.CDLL(None, use_errno=True)
