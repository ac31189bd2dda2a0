"""Lay out a snapshot as a private, writable folder for one attempt, and see afterwards what was written there.

Layer 2, host only. Invariants: the job's files share nothing with the store (never a hard link; a reflink where the
file system can); every byte is checked against its hash while it is laid out; the folder appears whole under its name
or not at all. Everything goes through folder descriptors, without following links.

All files get one modification time, `WRITTEN`, so a file with another one was written by the job.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import shutil
import stat
from typing import TYPE_CHECKING

from typing_extensions import Self

from fetchml_core.errors import HostError, InputError, explain_os_error
from fetchml_core.fsio import make_folder, write_all

from . import names

if TYPE_CHECKING:
    from pathlib import Path

    from .manifest import Entry, Manifest
    from .store import BlobStore

WRITTEN = 315_619_200_000_000_000
"""1980-01-02 in nanoseconds: the first day that a ZIP archive can hold in every time zone."""
CHUNK = 1 << 20
CLONE_FROM = 64 << 10
"""Bytes from which on a reflink is tried; a copy of less is as quick."""
_FICLONE = 0x40049409
_NO_CLONE = {
    errno.EOPNOTSUPP,
    errno.EXDEV,
    errno.EINVAL,
    errno.ENOTTY,
    errno.ENOSYS,
    errno.EPERM,
    errno.ETXTBSY,
}
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_FILE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def materialise(manifest: Manifest, store: BlobStore, target: Path, *, start: str = "") -> None:
    """Make the folder *target* with the files of *manifest*, private and writable.

    Args:
        manifest: A checked one.
        store: Where its blobs are.
        target: Does not exist; its parent is made. What an earlier try that was killed left is removed.
        start: A folder that must exist although it may hold no file, relative to *target*.

    Raises:
        HostError: ``blob-missing``, ``blob-damaged``, ``workspace-exists``, ``disk-full`` and its like; *target*
            then does not exist.
        InputError: ``manifest-refused`` when *start* is no path in the tree.
    """
    problem = names.fault(start) if start else ""
    if problem:
        raise InputError(
            "manifest-refused", f"the folder to start in is refused: {problem}", context=names.show(start)
        )
    half = target.with_name(f".{target.name}.half")
    try:
        _make_room(target, half)
        with _Tree(half) as tree:
            copier = _Copier(store)
            for entry in manifest.entries:
                folder, _, name = entry.path.rpartition("/")
                copier.copy(entry, tree.enter(folder), name)
            tree.enter(start)
        half.rename(target)
    except OSError as error:
        shutil.rmtree(half, ignore_errors=True)
        # a name below would tell nobody where that is
        raise explain_os_error(
            OSError(error.errno, error.strerror), "lay out the workspace", target
        ) from error
    except BaseException:
        shutil.rmtree(half, ignore_errors=True)
        raise


def _make_room(target: Path, half: Path) -> None:
    make_folder(target.parent)
    if os.path.lexists(target):
        raise HostError("workspace-exists", "the folder of this attempt exists already", context=str(target))
    if half.exists():
        shutil.rmtree(half)
    half.mkdir(mode=0o700)


class _Tree:
    """Makes and enters folders; keeps the descriptors of the way to the last one open."""

    def __init__(self, root: Path) -> None:
        self._fds = [os.open(root, _FOLDER)]
        self._parts: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._leave(0)
        os.close(self._fds.pop())

    def enter(self, folder: str) -> int:
        """Return the descriptor of *folder*, which is made as needed; it is good until the next call."""
        parts = folder.split("/") if folder else []
        common = 0
        while common < min(len(parts), len(self._parts)) and parts[common] == self._parts[common]:
            common += 1
        self._leave(common)
        for part in parts[common:]:
            with contextlib.suppress(FileExistsError):  # entered before; the open checks that it is a folder
                os.mkdir(part, 0o700, dir_fd=self._fds[-1])
            self._fds.append(os.open(part, _FOLDER, dir_fd=self._fds[-1]))
            self._parts.append(part)
        return self._fds[-1]

    def _leave(self, depth: int) -> None:
        while len(self._parts) > depth:
            os.close(self._fds.pop())
            self._parts.pop()


class _Copier:
    """Copies blobs into files; stops trying reflinks when the file system has none."""

    def __init__(self, store: BlobStore) -> None:
        self._store = store
        self._can_clone = True

    def copy(self, entry: Entry, folder: int, name: str) -> None:
        """Write *entry* as *name* into the folder with descriptor *folder*, checked."""
        try:
            blob = self._store.open(entry.digest, entry.size)
        except FileNotFoundError:
            raise HostError(
                "blob-missing",
                "a file of the snapshot is not on the host any more",
                context=f"{names.show(entry.path)} ({entry.digest[:12]})",
                hint="submit again: the file is sent again",
            ) from None
        try:
            fd = os.open(name, _NEW_FILE, 0o700 if entry.executable else 0o600, dir_fd=folder)
            try:
                if self._fill(fd, blob, entry.size) != entry.digest:
                    raise self._store.damaged(entry.digest, f"{names.show(entry.path)} has another hash")
                os.utime(fd, ns=(WRITTEN, WRITTEN))
            finally:
                os.close(fd)
        finally:
            os.close(blob)

    def _fill(self, fd: int, blob: int, size: int) -> str:
        """Make *fd* hold what *blob* holds; return the hash of what it holds."""
        cloned = size >= CLONE_FROM and self._can_clone and self._clone(fd, blob)
        running = hashlib.sha256()
        while data := os.read(fd if cloned else blob, min(CHUNK, size + 1)):
            running.update(data)
            if not cloned:
                write_all(fd, data)
        return running.hexdigest()

    def _clone(self, fd: int, blob: int) -> bool:
        try:
            fcntl.ioctl(fd, _FICLONE, blob)
        except OSError as error:
            if error.errno not in _NO_CLONE:
                raise
            self._can_clone = False
            return False
        return True


MAX_VISITED = 200_000
MAX_DEEP = 64
BY_PRODUCTS = frozenset({"__pycache__"})
"""Folders that running a program makes by itself; nobody misses them."""


def written_outside(manifest: Manifest, workspace: Path, limit: int) -> list[str]:
    """Return files in *workspace* that the job made or changed, by size and time, sorted within a folder.

    The tree is the job's: links are not followed, names are escaped, what cannot be read is passed over, and the
    walk ends after `MAX_VISITED` names or `MAX_DEEP` folders.

    Args:
        manifest: What was laid out there.
        workspace: Made by `materialise`.
        limit: Return at most so many.
    """
    known = {entry.path: entry.size for entry in manifest.entries}
    found: list[str] = []
    visited = 0
    waiting = [""]
    while waiting and visited < MAX_VISITED:
        folder = waiting.pop()
        children, subfolders = _list_hostile(workspace, folder, MAX_VISITED - visited)
        visited += len(children) + len(subfolders)
        for path, status in children:
            if (
                known.get(path) != status.st_size
                or status.st_mtime_ns != WRITTEN
                or not stat.S_ISREG(status.st_mode)
            ):
                found.append(names.show(path))
                if len(found) >= limit:
                    return found
        if folder.count("/") + 1 < MAX_DEEP:
            waiting += reversed(subfolders)
    return found


def _list_hostile(
    workspace: Path, folder: str, most: int
) -> tuple[list[tuple[str, os.stat_result]], list[str]]:
    """Return what is no folder, with its status, and the folders in *folder*, without following a link on the way."""
    children: list[tuple[str, os.stat_result]] = []
    subfolders: list[str] = []
    try:
        fd = _open_hostile(workspace, folder)
    except OSError:
        return [], []
    try:
        with os.scandir(fd) as entries:
            for entry in entries:
                path = f"{folder}/{entry.name}" if folder else entry.name
                if not entry.is_dir(follow_symlinks=False):
                    children.append((path, entry.stat(follow_symlinks=False)))
                elif entry.name not in BY_PRODUCTS:
                    subfolders.append(path)
                if len(children) + len(subfolders) >= most:
                    break
    except OSError:  # it vanished or was taken away while we looked
        pass
    finally:
        os.close(fd)
    return sorted(children, key=lambda child: child[0]), sorted(subfolders)


def _open_hostile(workspace: Path, folder: str) -> int:
    fd = os.open(workspace, _FOLDER)
    for part in folder.split("/") if folder else []:
        try:
            deeper = os.open(part, _FOLDER, dir_fd=fd)
        finally:
            os.close(fd)
        fd = deeper
    return fd
