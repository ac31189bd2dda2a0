"""The file systems under a worker: noticing that one is gone, letting go of it, going on once it is back.

A file system that was shut down after an error, made read-only, or lost with its disk cannot be mounted again while
somebody holds a file of it. So a worker that loses one gives up everything it has open and becomes, under the same
pid, a small program that waits for the folders and then starts the worker anew. Its jobs are not touched; the next
worker takes them up, as after any end.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import stat
import sys
from pathlib import Path
from typing import NoReturn

from fetchml_core.fsio import make_folder
from fetchml_core.places import Base

_GONE = frozenset({
    errno.EIO, errno.ENODEV, errno.ENOENT, errno.ENOTCONN, errno.ENXIO, errno.EROFS, errno.ESHUTDOWN, errno.ESTALE,
})  # fmt: skip
"""What a file system answers that is not there any more, or takes nothing any more; not that it is full."""
LOOK_S = 2.0
_WAIT = """
import json, os, sys, time
task = json.loads(sys.argv[1])
def back(folder):
    try:
        os.close(os.open(folder, os.O_TMPFILE | os.O_RDWR, 0o600))
    except OSError as error:
        return error.errno not in task["gone"]
    return True
def bury():
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass
while not all([back(folder) for folder in task["folders"]]):
    bury()
    time.sleep(task["pause"])
try:
    os.unlink(task["swept"])
except OSError:
    pass
for fd, name in task["files"]:
    os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), fd)
os.execv(task["argv"][0], task["argv"])
"""


class StorageLostError(Exception):
    """A folder of the worker cannot be used any more, or is another one by now."""


class Storage:
    """The folders that a worker cannot do without.

    Args:
        base: The worker's base.
        lock: Descriptor of the base's worker lock.
        data: Where queue and jobs lie.
    """

    def __init__(self, base: Base, lock: int, data: Path) -> None:
        make_folder(data)
        self._folders = (base.run, data)
        self._swept = base.swept
        self._known = {base.worker_lock: _identity(os.fstat(lock)), data: _identity(data.stat())}

    def check(self) -> None:
        """Look at them.

        Raises:
            StorageLostError: one is gone, takes no file any more, or has been replaced.
        """
        for path, known in self._known.items():
            try:
                now = _identity(path.stat())
            except OSError as error:
                _judge(path, error)
            else:
                if now != known:
                    raise StorageLostError(f"{path} is another one by now")
        for folder in self._folders:
            try:
                os.close(os.open(folder, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600))
            except OSError as error:
                _judge(folder, error)

    def restart_when_back(self) -> NoReturn:
        """Become a program that waits for the folders, and then this one again."""
        task = {
            "folders": [str(folder) for folder in self._folders],
            "gone": sorted(_GONE),
            "pause": LOOK_S,
            "swept": str(self._swept),  # what was not written is as after a power cut
            "files": _let_go_of_output(),
            "argv": [sys.executable, *sys.orig_argv[1:]],
        }
        os.chdir("/")
        # There is no file to read again until the worker is back.
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        os.execv(sys.executable, [sys.executable, "-I", "-S", "-c", _WAIT, json.dumps(task)])  # noqa: S606 - no shell is wanted


def _identity(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino


def _judge(path: Path, error: OSError) -> None:
    if error.errno in _GONE:
        raise StorageLostError(f"{path}: {error.strerror}") from error


def _let_go_of_output() -> list[tuple[int, str]]:
    """Turn output that goes to a file to nowhere, for it may lie on what was lost; return which went where."""
    files = []
    for fd in (1, 2):
        if stat.S_ISREG(os.fstat(fd).st_mode):
            files.append((fd, str(Path(f"/proc/self/fd/{fd}").readlink())))
            os.dup2(os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC), fd)
    return files
