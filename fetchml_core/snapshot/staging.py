"""A private folder of one process for files that are not whole yet, gone when the process is.

Layer 2, host only.

    name          content
    ID.lock       empty; its owner holds an flock on it as long as it lives
    ID/           its files

The lock is made before the folder and removed after it, so a folder whose lock can be had belongs to nobody.
"""

from __future__ import annotations

import os
import secrets
import shutil
from typing import TYPE_CHECKING

from fetchml_core.fsio import make_folder, try_lock

if TYPE_CHECKING:
    from pathlib import Path


class Staging:
    """One owner's folder below *base*, made when it is first needed."""

    def __init__(self, base: Path) -> None:
        self._base = base
        self._folder: Path | None = None
        self._lock = -1

    def folder(self) -> Path:
        """Return the folder; what dead owners left is removed when it is made."""
        if self._folder is None:
            make_folder(self._base)
            remove_leftovers(self._base)
            self._folder, self._lock = self._make()
        return self._folder

    def _make(self) -> tuple[Path, int]:
        while True:
            name = secrets.token_hex(8)
            lock = try_lock(self._base / f"{name}.lock")
            if lock is None:
                continue
            if os.fstat(lock).st_nlink:  # else somebody took it for a leftover, before it was locked
                folder = self._base / name
                try:
                    folder.mkdir(mode=0o700)
                except BaseException:
                    _remove(self._base, name)
                    os.close(lock)
                    raise
                return folder, lock
            os.close(lock)

    def close(self) -> None:
        """Remove the folder with all that is in it."""
        if self._folder is not None:
            _remove(self._base, self._folder.name)
            os.close(self._lock)
            self._folder, self._lock = None, -1


def remove_leftovers(base: Path) -> None:
    """Remove the folders below *base* whose owners are dead."""
    for name in {entry.name.removesuffix(".lock") for entry in base.iterdir()}:
        lock = try_lock(base / f"{name}.lock")
        if lock is not None:
            _remove(base, name)
            os.close(lock)


def _remove(base: Path, name: str) -> None:
    shutil.rmtree(base / name, ignore_errors=True)
    (base / f"{name}.lock").unlink(missing_ok=True)
