"""Content by its hash, on the host: what a job was promised to run is here, whole and durable.

Layer 2, host only. Files below the store's folder, version 1:

    name                content
    aa/DIGEST           a blob, mode 0400; aa: the first two digits of DIGEST, its SHA-256 in hexadecimal
    staging/ID…         blobs on their way in (staging.py)
    damaged/DIGEST      a blob that no longer had its hash when it was read
    lock                flock: shared to look for blobs, exclusive to publish them
    publishing          there while blobs are published; found under the lock, its maker died

Invariants: whole — a blob gets its name after its size and hash were checked; durable — what `missing` calls present
survives a power cut, whoever received it: bytes are synced before the name is given, names before the lock is freed,
and who finds a dead publisher's mark syncs them first; after a failed sync what was received since does not count.
Several processes may receive the same blob. One object belongs to one thread.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from typing import TYPE_CHECKING

from typing_extensions import Self

from fetchml_core.errors import FetchError, HostError, InputError, explain_os_error
from fetchml_core.fsio import locked, make_folder, open_plain_file, sync_folder, write_all

from .durable import sync_files
from .manifest import MAX_FILE, is_digest
from .staging import Staging

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path
    from types import TracebackType

DOING = "store the snapshot"


class BlobWriter:
    """Takes the bytes of one blob and checks them; made by `BlobStore.receive`."""

    def __init__(self, fd: int, path: Path, digest: str, size: int) -> None:
        self._fd = fd
        self._path = path
        self._digest = digest
        self._left = size
        self._running = hashlib.sha256()

    def write(self, data: bytes) -> None:
        """Take the next bytes."""
        if len(data) > self._left:
            raise _damaged_on_arrival(self._digest, "longer than announced")
        try:
            write_all(self._fd, data)
        except OSError as error:
            raise explain_os_error(error, DOING, self._path) from error
        self._running.update(data)
        self._left -= len(data)

    def check(self) -> None:
        """Raise ``blob-refused`` unless the bytes so far are the blob."""
        if self._left:
            raise _damaged_on_arrival(self._digest, f"{self._left} bytes short")
        if self._running.hexdigest() != self._digest:
            raise _damaged_on_arrival(self._digest, "its hash differs")


class BlobStore:
    """The blobs in one folder, which is made when the first arrives. As a context manager it syncs at the end."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._staging = Staging(folder / "staging")
        self._staged: dict[str, Path] = {}
        self._sizes: dict[str, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.sync()
        else:
            self._keep_what_is_whole()

    def missing(self, sizes: Mapping[str, int]) -> list[str]:
        """Return those of the digests in *sizes* (bytes of each) that are not here, in their order.

        What this object received counts as here, although it is durable after `sync` only.

        Raises:
            HostError: the store cannot be read.
        """
        for digest in sizes:
            _check_digest(digest)
        if not self._folder.is_dir():
            return list(sizes)
        try:
            with locked(self._folder / "lock", shared=True):
                if not self._marker.exists():
                    return [digest for digest in sizes if not self._is_here(digest, sizes[digest])]
            with locked(self._folder / "lock"):
                self._finish_for_the_dead()
                return [digest for digest in sizes if not self._is_here(digest, sizes[digest])]
        except OSError as error:
            raise explain_os_error(error, "read the stored snapshots") from error

    def _is_here(self, digest: str, size: int) -> bool:
        return self._sizes.get(digest) == size or self._is_named(digest, size)

    def _is_named(self, digest: str, size: int) -> bool:
        try:
            return os.lstat(f"{self._folder}/{digest[:2]}/{digest}").st_size == size
        except FileNotFoundError:
            return False

    @contextlib.contextmanager
    def receive(self, digest: str, size: int) -> Iterator[BlobWriter]:
        """Take in the blob *digest* of *size* bytes: write all of it to what this yields. It counts after `sync`.

        When the block is left by an error that is no InputError (the sender is gone), what was received whole
        before is synced, so that the sender can go on from there.

        Raises:
            InputError: ``blob-refused`` when the bytes are not those of *digest* and *size*.
            HostError: ``disk-full`` and its like.
        """
        _check_digest(digest)
        if not 0 <= size <= MAX_FILE:
            raise _damaged_on_arrival(digest, f"{size} bytes are no size")
        try:
            path = self._stage(digest)
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o400)
        except OSError as error:
            self._keep_what_is_whole()
            raise explain_os_error(error, DOING, self._folder) from error
        writer = BlobWriter(fd, path, digest, size)
        try:
            yield writer
            writer.check()
        except BaseException as error:  # of any kind: those of the caller's stream pass through as they are
            path.unlink(missing_ok=True)
            if not isinstance(error, InputError):
                self._keep_what_is_whole()
            raise
        finally:
            os.close(fd)
        self._staged[digest] = path
        self._sizes[digest] = size

    def _stage(self, digest: str) -> Path:
        """Return where to write *digest*; the folder is new when nothing is staged."""
        path = self._staging.folder() / digest
        self._sizes.pop(digest, None)
        if self._staged.pop(digest, None) is not None:
            path.unlink(missing_ok=True)
        return path

    def add_bytes(self, data: bytes) -> str:
        """Take in *data* as a blob and return its digest. It counts after `sync`."""
        digest = hashlib.sha256(data).hexdigest()
        with self.receive(digest, len(data)) as writer:
            writer.write(data)
        return digest

    def sync(self) -> None:
        """Make everything received since the last call durable, and visible to others.

        Raises:
            HostError: it failed, and nothing received since the last call counts.
        """
        if not self._staged:
            self._staging.close()
            return
        try:
            make_folder(self._folder)
            sync_files(list(self._staged.values()), self._folder)
            with locked(self._folder / "lock"):
                self._finish_for_the_dead()
                self._marker.touch(mode=0o600)
                self._publish()
                self._marker.unlink()
        except OSError as error:
            raise explain_os_error(error, DOING, self._folder) from error
        finally:
            self._staged.clear()
            self._sizes.clear()
            self._staging.close()

    def _publish(self) -> None:
        """Give the staged blobs their names and make the names durable, or take them back."""
        named: list[Path] = []
        try:
            for folder in {digest[:2] for digest in self._staged}:
                make_folder(self._folder / folder)
            for digest, staged in self._staged.items():
                if not self._is_named(digest, self._sizes[digest]):
                    named.append(staged.rename(self._path(digest)))
            for folder in {path.name[:2] for path in named}:
                sync_folder(self._folder / folder)
        except BaseException:
            for path in named:
                path.unlink(missing_ok=True)
            raise

    def _finish_for_the_dead(self) -> None:
        """Under the lock: make the names durable that a publisher gave before it died."""
        if self._marker.exists():
            for folder in self._folder.iterdir():
                if len(folder.name) == 2:
                    sync_folder(folder)
            self._marker.unlink()

    def _keep_what_is_whole(self) -> None:
        with contextlib.suppress(FetchError):  # the error on its way out says more
            self.sync()

    def open(self, digest: str, size: int) -> int:
        """Return a descriptor for reading the blob *digest*, which has *size* bytes; its hash is the reader's to check.

        Raises:
            FileNotFoundError: it is not here.
            HostError: ``blob-damaged`` when its size differs.
        """
        _check_digest(digest)
        fd = open_plain_file(self._path(digest))
        found = os.fstat(fd).st_size
        if found != size:
            os.close(fd)
            raise self.damaged(digest, f"{found} bytes instead of {size}")
        return fd

    def read_bytes(self, digest: str, limit: int) -> bytes:
        """Return the blob *digest*, checked.

        Raises:
            FileNotFoundError: it is not here.
            HostError: ``blob-damaged`` when its hash differs, ``blob-too-large`` when it has more than *limit* bytes.
        """
        _check_digest(digest)
        with os.fdopen(open_plain_file(self._path(digest)), "rb") as file:
            data = file.read(limit + 1)
        if len(data) > limit:
            raise HostError("blob-too-large", f"more than {limit} bytes", context=digest)
        if hashlib.sha256(data).hexdigest() != digest:
            raise self.damaged(digest, "its hash differs")
        return data

    def damaged(self, digest: str, reason: str) -> HostError:
        """Put the blob *digest* aside, so that it is asked for again, and return the error to raise."""
        with contextlib.suppress(OSError):
            make_folder(self._folder / "damaged")
            self._path(digest).rename(self._folder / "damaged" / digest)
        return HostError(
            "blob-damaged",
            f"a stored file is damaged: {reason}",
            context=str(self._path(digest)),
            hint="check the host's disk, then submit again: the file is sent again",
        )

    def _path(self, digest: str) -> Path:
        return self._folder / digest[:2] / digest

    @property
    def _marker(self) -> Path:
        return self._folder / "publishing"


def _check_digest(digest: str) -> None:
    if not is_digest(digest):
        raise InputError("bad-digest", "this is no SHA-256 in hexadecimal", context=repr(digest[:80]))


def _damaged_on_arrival(digest: str, reason: str) -> InputError:
    return InputError(
        "blob-refused", f"a file arrived damaged: {reason}", context=digest, hint="submit again"
    )
