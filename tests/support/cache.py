"""A folder that outlives a test run, and work that is done in it once, whoever asks first.

Building an image takes half a minute; several test processes, and several test runs, share what is built.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

VARIABLE = "FETCHML_TEST_CACHE"


def cache_folder() -> Path:
    """The folder, created if need be: ``FETCHML_TEST_CACHE``, else one for root, else one in the home folder."""
    if os.environ.get(VARIABLE):
        folder = Path(os.environ[VARIABLE])
    elif os.geteuid() == 0:
        folder = Path("/var/cache/fetchml-tests")
    else:
        folder = Path.home() / ".cache" / "fetchml-tests"
    folder.mkdir(parents=True, exist_ok=True, mode=0o755)
    return folder


@contextlib.contextmanager
def one_at_a_time(name: str) -> Iterator[None]:
    """Let one process of the machine through; the others wait. The kernel frees the lock of a dead one."""
    with (cache_folder() / f"{name}.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def write_new(path: Path, text: str) -> Path:
    """Write a file unless it holds just that: what another process is reading is left alone. Returns *path*."""
    if not path.exists() or path.read_text("utf-8") != text:
        path.write_text(text, "utf-8")
    return path
