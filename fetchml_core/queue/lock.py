"""One lock of a queue, held between processes (flock) and between the threads of one."""

from __future__ import annotations

import fcntl
import os
import threading
import weakref
from pathlib import Path


class QueueLock:
    """A file that is locked for every look at a queue; its descriptor is kept, as opening it costs more than locking.

    Args:
        path: The file; made when it is first locked.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._threads = threading.Lock()
        self._fd = -1
        self._owner = 0

    def take(self, *, shared: bool = False) -> None:
        """Wait for it; *shared* keeps out only those who hold it alone. `give` must follow."""
        self._threads.acquire()
        try:
            fcntl.flock(self._open(), fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        except BaseException:
            self._threads.release()
            raise

    def give(self) -> None:
        """Let others have it."""
        try:
            fcntl.flock(self._fd, fcntl.LOCK_UN)
        finally:
            self._threads.release()

    def _open(self) -> int:
        # A child of fork shares its parent's descriptor and with it the lock: it must have one of its own.
        if self._owner != os.getpid():
            self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            self._owner = os.getpid()
            weakref.finalize(self, _close, self._fd, self._owner)
        return self._fd


def _close(fd: int, owner: int) -> None:
    if os.getpid() == owner:
        os.close(fd)
