"""Faults at the n-th call to the file system: a kill, an error, a short write.

`run` forks a child, lets it do something, and strikes there: the calls that `os` and `fcntl` offer are wrapped, and
those of SQLite, which does its work in C, through its own `xSetSystemCall`_. SQLite syncs behind that table, so a
failing sync is nothing that this module can give it.

.. _xSetSystemCall: https://www.sqlite.org/c3ref/vfs.html
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import pathlib
import pickle
import signal
import traceback
from collections.abc import Callable
from typing import Any, NamedTuple

WRITES = frozenset({"write", "pwrite"})
SYNCS = frozenset({"fsync", "fdatasync"})
NAMES = frozenset({"replace", "rename", "link", "unlink", "mkdir", "rmdir", "open"})
CHANGES = WRITES | NAMES | {"ftruncate", "truncate", "posix_fallocate"}
SQLITE = frozenset({"sqlite-open", "sqlite-pwrite64", "sqlite-write", "sqlite-ftruncate", "sqlite-unlink"})

APPLIES = {
    "kill": CHANGES | SYNCS | SQLITE | {"close", "flock"},
    "torn": WRITES | {"sqlite-pwrite64", "sqlite-write"},  # killed when half of it is written
    "EIO": CHANGES | SYNCS | SQLITE | {"read", "pread", "sqlite-pread64"},
    "ENOSPC": (CHANGES | SYNCS | SQLITE) - {"unlink", "rmdir", "sqlite-unlink"},
    "EINTR": SQLITE | {"sqlite-pread64"},  # Python calls again by itself (PEP 475): see `run`, storm
    "short": WRITES | {"sqlite-pwrite64", "sqlite-write"},
}
"""Which calls a fault can strike."""

_PATHLIB = getattr(pathlib, "_normal_accessor", None)
"""What `pathlib` calls in place of `os`, before Python 3.11."""


class Ended(NamedTuple):
    """How a child ended.

    Args:
        struck: Whether there was an n-th call.
        killed: It ended there.
        answer: What it said otherwise.
        synced_again: Files whose sync had failed and was tried again with nothing written in between.
    """

    struck: bool
    killed: bool
    answer: Any = None
    synced_again: tuple[str, ...] = ()


class Faults:
    """Counts calls, and strikes at one of them, in this process.

    Args:
        fault: A key of `APPLIES`.
        at: At which call; the first is 1.
        lasting: All calls from then on fail.
    """

    def __init__(self, fault: str, at: int, *, lasting: bool = False) -> None:
        self._fault, self._at, self._lasting = fault, at, lasting
        self._count = 0
        self._on = True
        self._unsynced: set[tuple[int, int]] = set()
        self.struck = False
        self.synced_again: list[str] = []
        for name in APPLIES["kill"] | APPLIES["EIO"]:
            module = fcntl if name == "flock" else os
            if hasattr(module, name):
                real = getattr(module, name)
                wrapped = self._wrapped(name, real)
                setattr(module, name, wrapped)
                if getattr(_PATHLIB, name, None) is real:
                    setattr(_PATHLIB, name, wrapped)
        self._keep = _wrap_sqlite(self._strikes)

    def lift(self) -> None:
        """Let everything work again."""
        self._on = False

    def _strikes(self, name: str, arguments: tuple[Any, ...] = ()) -> str:
        """Say what happens to this call: its fault, or nothing."""
        if not self._on or name not in APPLIES[self._fault]:
            return ""
        if self._fault == "ENOSPC" and name == "open" and not arguments[1] & os.O_CREAT:
            return ""
        self._count += 1
        if self._count < self._at or (self._count > self._at and not self._lasting):
            return ""
        self.struck = True
        if self._fault == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        return self._fault

    def _wrapped(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            fault = self._strikes(name, arguments)
            self._watch_syncs(name, arguments, failed=bool(fault))
            if fault in {"torn", "short"}:
                done = self._cut(real, *arguments)
                if fault == "torn":
                    os.kill(os.getpid(), signal.SIGKILL)
                return done
            if fault:
                raise _error(fault, arguments)
            return real(*arguments, **options)

        return call

    @staticmethod
    def _cut(real: Callable[..., Any], fd: int, data: bytes, *rest: int) -> Any:
        """Write the first half."""
        return real(fd, bytes(data)[: max(1, len(data) // 2)], *rest)

    def _watch_syncs(self, name: str, arguments: tuple[Any, ...], *, failed: bool) -> None:
        """Notice a sync that is tried again: the kernel has forgotten the pages, so it would say that all is well."""
        if name in CHANGES and not (name == "open" and not arguments[1] & os.O_CREAT):
            self._unsynced.clear()
        elif name in SYNCS:
            status = os.fstat(arguments[0])
            file = (status.st_dev, status.st_ino)
            if file in self._unsynced:
                self.synced_again.append(os.readlink(f"/proc/self/fd/{arguments[0]}"))
            if failed:
                self._unsynced.add(file)


def run(
    work: Callable[[Faults], Any], fault: str, at: int, *, lasting: bool = False, storm: bool = False
) -> Ended:
    """Do *work* in a forked child, and strike there.

    Args:
        work: Gets the faults, to lift them; what it returns is the answer.
        fault: A key of `APPLIES`.
        at: At which call; the first is 1.
        lasting: All calls from then on fail.
        storm: A signal comes every 200 microseconds, so that the kernel ends what blocks with EINTR.

    Raises:
        AssertionError: *work* raised, or the child died of something else.
    """
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        _child(work, fault, at, writer, lasting=lasting, storm=storm)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        said = pipe.read()
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status == -signal.SIGKILL and fault in {"kill", "torn"}:
        return Ended(True, True)
    assert status == 0, said.decode(errors="replace") or f"the child ended with {status}"
    return Ended(*pickle.loads(said))


def _child(
    work: Callable[[Faults], Any], fault: str, at: int, pipe: int, *, lasting: bool, storm: bool
) -> None:
    write, leave = os.write, os._exit
    try:
        faults = Faults(fault, at, lasting=lasting)
        if storm:
            signal.signal(signal.SIGALRM, lambda *_: None)
            signal.setitimer(signal.ITIMER_REAL, 2e-4, 2e-4)
        answer = work(faults)
        signal.setitimer(signal.ITIMER_REAL, 0)
        faults.lift()
        said = pickle.dumps((faults.struck, False, answer, tuple(faults.synced_again)))
        status = 0
    except BaseException:  # noqa: BLE001 - whatever it was, the parent shall hear it
        said, status = traceback.format_exc().encode(), 1
    finally:
        while said:
            said = said[write(pipe, said) :]
        leave(status)


def _error(fault: str, arguments: tuple[Any, ...]) -> OSError:
    number = getattr(errno, fault)
    paths = [os.fspath(value) for value in arguments if isinstance(value, (str, os.PathLike))]
    return OSError(number, os.strerror(number), *paths[:1])


# --- SQLite ---


class _Vfs(ctypes.Structure):
    """``sqlite3_vfs``, version 3."""

    _fields_ = [
        ("version", ctypes.c_int),
        ("file_size", ctypes.c_int),
        ("path_size", ctypes.c_int),
        *((name, ctypes.c_void_p) for name in ("next", "name", "data", "open", "delete", "access", "full")),
        *((f"other{n}", ctypes.c_void_p) for n in range(9)),
        ("set_call", ctypes.c_void_p),
        ("get_call", ctypes.c_void_p),
    ]


_SIZE, _INT, _TEXT, _ANY = ctypes.c_ssize_t, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p
_C_CALLS = {
    "open": (_INT, _TEXT, _INT, _INT),
    "pread64": (_SIZE, _INT, _ANY, ctypes.c_size_t, ctypes.c_int64),
    "pwrite64": (_SIZE, _INT, _ANY, ctypes.c_size_t, ctypes.c_int64),
    "write": (_SIZE, _INT, _ANY, ctypes.c_size_t),
    "ftruncate": (_INT, _INT, ctypes.c_int64),
    "unlink": (_INT, _TEXT),
}
"""The calls of SQLite that are wrapped: result and arguments, as in C."""


def _wrap_sqlite(strikes: Callable[[str], str]) -> list[Any]:
    """Put wrappers into SQLite's table of system calls; returns what must live as long as they do."""
    try:
        import _sqlite3
    except ImportError:  # a Python without it
        return []
    library = ctypes.CDLL(_sqlite3.__file__)  # its own symbols, or those of the library it is linked to
    library.sqlite3_vfs_find.restype = ctypes.POINTER(_Vfs)
    vfs = library.sqlite3_vfs_find(None)
    set_call = ctypes.CFUNCTYPE(_INT, ctypes.POINTER(_Vfs), _TEXT, _ANY)(vfs.contents.set_call)
    libc = ctypes.CDLL(None, use_errno=True)
    keep: list[Any] = [library, libc]
    for name, signature in _C_CALLS.items():
        real = libc[name]  # an object of its own for each look-up
        real.restype, real.argtypes = signature[0], signature[1:]
        wrapper = ctypes.CFUNCTYPE(*signature, use_errno=True)(_c_call(name, real, strikes))
        keep += [real, wrapper]
        assert set_call(vfs, name.encode(), ctypes.cast(wrapper, _ANY)) == 0, name
    return keep


def _c_call(name: str, real: Callable[..., int], strikes: Callable[[str], str]) -> Callable[..., int]:
    def call(*arguments: Any) -> int:
        fault = strikes(f"sqlite-{name}")
        if fault in {"torn", "short"}:
            fd, data, size, *rest = arguments
            done = real(fd, data, max(1, size // 2), *rest)
            if fault == "torn":
                os.kill(os.getpid(), signal.SIGKILL)
            return done
        if fault:
            ctypes.set_errno(getattr(errno, fault))
            return -1
        return real(*arguments)

    return call
