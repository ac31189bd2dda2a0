"""Remember the hashes of files by their status, so that an unchanged tree is not read again.

Layer 2, client only. Format, version 1, UTF-8:

    line      form                                      meaning
    1         fetchml-hashes 1 CHECK                    CHECK: SHA-256 in hexadecimal of all bytes behind this line
    2 …       DIGEST KEY PATH                           KEY: size,mtime_ns,ctime_ns,inode,device in decimal

Invariants: a hash is given only for a file whose size, both times, inode and device are those it was hashed with;
never for a file that changed less than `RACY` before the clock of that scan, because a second change could leave the
same times (git's rule); a damaged or missing cache is an empty one. ctime cannot be set by hand.
"""

from __future__ import annotations

import contextlib
import hashlib
from typing import TYPE_CHECKING

from fetchml_core.fsio import read_plain_file, replace_file

if TYPE_CHECKING:
    import os
    from pathlib import Path

NAME = "fetchml-hashes 1 "
RACY = 2_000_000_000
"""Nanoseconds: more than the coarsest times of a file system in use (FAT: 2 s)."""
MAX_BYTES = 256 << 20


class StatCache:
    """The hashes of one tree. Without a *path* it knows and keeps nothing."""

    def __init__(self, path: Path | None, *, now: float) -> None:
        """Load the cache.

        Args:
            path: The cache file, made by `save`.
            now: Seconds since the epoch, taken before the tree is read.
        """
        self._path = path
        self._newest = int(now * 1e9) - RACY
        self._known = _load(path) if path else {}
        self._lines: list[str] = []
        self._changed = False

    def get(self, path: str, status: os.stat_result) -> str | None:
        """Return the hash of the file *path* of the tree with *status*, if it is known."""
        digest = self._known.get(f"{_key(status)} {path}")
        if digest is not None:
            self._lines.append(f"{digest} {_key(status)} {path}\n")
        return digest

    def put(self, path: str, status: os.stat_result, digest: str) -> None:
        """Remember that the file *path* had *digest* and, before and after it was read, *status*."""
        if max(status.st_mtime_ns, status.st_ctime_ns) < self._newest:
            self._lines.append(f"{digest} {_key(status)} {path}\n")
            self._changed = True

    def save(self) -> None:
        """Write what was asked for or put in; a cache that cannot be written is no error."""
        if self._path is None or (not self._changed and len(self._lines) == len(self._known)):
            return
        body = "".join(self._lines).encode()
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            replace_file(self._path, f"{NAME}{hashlib.sha256(body).hexdigest()}\n".encode() + body)


def _key(status: os.stat_result) -> str:
    return f"{status.st_size},{status.st_mtime_ns},{status.st_ctime_ns},{status.st_ino},{status.st_dev}"


def _load(path: Path) -> dict[str, str]:
    """Return digest by ``KEY PATH``, or nothing when the file is not as it was written."""
    try:
        data = read_plain_file(path, limit=MAX_BYTES)
    except Exception:  # noqa: BLE001 - whatever is there instead of a cache, we do without
        return {}
    head, _, body = data.partition(b"\n")
    if head != f"{NAME}{hashlib.sha256(body).hexdigest()}".encode():
        return {}
    return {line[65:]: line[:64] for line in body.decode().split("\n")[:-1]}
