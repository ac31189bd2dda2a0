"""Read a file for sending, and notice when it is no longer what was hashed.

Layer 2, client only. Invariant: whoever takes all chunks of `read_blob` has the bytes of the digest; of a file that
changed the last chunk is never given.
"""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

from fetchml_core.errors import HostError, InputError
from fetchml_core.fsio import open_plain_file

from .names import show

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CHUNK = 256 << 10
WHOLE = 4 << 20
"""Files up to this many bytes are verified before the first chunk leaves."""


class FileChanged(InputError):  # noqa: N818 - names an event that the caller handles by hashing again
    """A file is not what it was when it was hashed."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            "file-changed",
            "a file changed while it was being sent",
            context=show(str(path)),
            hint="wait until nothing writes to it, or name it in .mlignore; then submit again",
        )
        self.path = path


def read_blob(path: Path, digest: str, size: int) -> Iterator[bytes]:
    """Yield the content of *path* in chunks of at most `CHUNK` bytes; nothing for an empty file.

    Raises:
        FileChanged: it is gone or is not the *size* bytes with SHA-256 *digest*.
    """
    try:
        fd = open_plain_file(path)
    except (OSError, HostError):
        raise FileChanged(path) from None
    with os.fdopen(fd, "rb", buffering=0) as file:
        if size <= WHOLE:
            data = file.read(size + 1) if size else b""
            if os.fstat(fd).st_size != size or hashlib.sha256(data).hexdigest() != digest:
                raise FileChanged(path)
            yield from (data[start : start + CHUNK] for start in range(0, size, CHUNK))
            return
        running = hashlib.sha256()
        left = size
        while left:
            chunk = file.read(min(CHUNK, left))
            left -= len(chunk)
            running.update(chunk)
            if not chunk or (not left and (running.hexdigest() != digest or file.read(1))):
                raise FileChanged(path)
            yield chunk
