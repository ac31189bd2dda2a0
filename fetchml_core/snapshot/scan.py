"""Read a tree into a manifest: walk it, refuse what is too large, hash what is not known yet.

Layer 2, client only; reads the tree and writes nothing but the cache of hashes.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import frozen

from fetchml_core.errors import HostError, InputError
from fetchml_core.fsio import open_plain_file
from fetchml_core.units import format_size

from .git import read_git
from .manifest import MAX_ENTRIES, Entry, Manifest, make_manifest
from .names import show
from .statcache import StatCache
from .transfer import FileChanged
from .walk import Found, Walker

if TYPE_CHECKING:
    from fetchml_core.jobs.job import Git

MAX_FILES = 20_000
MAX_TOTAL = 1 << 30
LARGE = 1 << 20
"""Files from this many bytes on are hashed by several threads; below, handing them over costs more than it wins."""
BUFFER = 1 << 20
TRIES = 3

Progress = Callable[[int, int], None]
"""Called with bytes hashed so far and bytes in all, from one thread."""


@frozen
class Scan:
    """A tree as it was read.

    Attributes:
        manifest: Its files.
        files: For each content a file that holds it.
        total_bytes: Bytes of all files.
        biggest: The ten largest files, path and bytes, largest first.
        ignored: How many files and folders were left out (a folder counts as one).
        git: Where it stands in git, or None.
    """

    manifest: Manifest
    files: dict[str, Path]
    total_bytes: int
    biggest: list[tuple[str, int]]
    ignored: int
    git: Git | None


def scan(
    root: Path,
    *,
    now: float,
    allow_large: bool = False,
    only: str | None = None,
    needed: str | None = None,
    progress: Progress | None = None,
    cache: Path | None = None,
) -> Scan:
    """Read the tree below *root*.

    Args:
        root: A resolved folder.
        now: Seconds since the epoch, taken before the call.
        allow_large: Take more than 20,000 files or 1 GiB.
        only: Send this one file, relative to *root*.
        needed: A file that must travel, relative to *root*: the script.
        progress: Told about hashing.
        cache: File that remembers hashes; made if missing, ignored if damaged.

    Raises:
        InputError: ``empty-folder``, ``tree-too-large``, ``script-ignored``, ``file-changed``, ``manifest-refused``
            (two names that differ by case only), or what `Walker.walk` raises.
    """
    with ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as threads:
        git = threads.submit(read_git, root)
        walker = Walker(root)
        found = [walker.one(only)] if only is not None else _collect(walker.walk())
        _check(found, root, ignored=walker.ignored, allow_large=allow_large, needed=needed)
        known = StatCache(cache, now=now)
        digests = _Hashing(known, threads, progress, sum(file.status.st_size for file in found)).run(found)
        known.save()
        entries = [
            Entry(file.path, size, bool(file.status.st_mode & 0o100), digest)
            for file, (digest, size) in zip(found, digests, strict=True)
        ]
        manifest = make_manifest(entries)
        return Scan(
            manifest,
            {digest: Path(file.source) for file, (digest, _) in zip(found, digests, strict=True)},
            manifest.total_bytes,
            sorted(((entry.path, entry.size) for entry in entries), key=lambda pair: -pair[1])[:10],
            walker.ignored,
            git.result(),
        )


def _collect(files: Iterable[Found]) -> list[Found]:
    """Return *files*, but stop soon behind the most that a manifest can hold."""
    found = []
    for file in files:
        found.append(file)
        if len(found) > MAX_ENTRIES:
            break
    return found


def _check(found: list[Found], root: Path, *, ignored: int, allow_large: bool, needed: str | None) -> None:
    if not found:
        reason = f"all {ignored} entries of the folder are ignored" if ignored else "the folder holds no file"
        hint = "see the .gitignore and .mlignore there" if ignored else "put a script into it"
        raise InputError("empty-folder", reason, context=show(str(root)), hint=hint)
    total = sum(file.status.st_size for file in found)
    if len(found) > MAX_ENTRIES:
        raise _too_large(
            root, f"more than {MAX_ENTRIES} files", found, "no tree may hold more: name folders in {file}"
        )
    if not allow_large and total > MAX_TOTAL:
        raise _too_large(root, f"{format_size(total)}, more than 1 GiB", found)
    if not allow_large and len(found) > MAX_FILES:
        raise _too_large(root, f"{len(found)} files, more than {MAX_FILES}", found)
    if needed is not None and all(file.path != needed for file in found):
        raise InputError(
            "script-ignored",
            "the script itself is ignored, so it would not travel",
            context=show(needed),
            hint=f"echo '!{show(needed)}' >> {show(str(root / '.mlignore'))}",
        )


def _too_large(
    root: Path,
    what: str,
    found: list[Found],
    hint: str = "name what stays here in {file}, or submit with --allow-large",
) -> InputError:
    return InputError(
        "tree-too-large",
        f"the tree has {what}",
        context=f"biggest: {_biggest(found)}",
        hint=hint.format(file=show(str(root / ".mlignore"))),
    )


def _biggest(found: list[Found]) -> str:
    """Name what fills the tree: files that are too large alone, else the three largest folders."""
    large = sorted(
        (file for file in found if file.status.st_size > MAX_TOTAL), key=lambda file: -file.status.st_size
    )
    if large:
        return ", ".join(f"{show(file.path)} ({format_size(file.status.st_size)})" for file in large[:3])
    sizes: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    for file in found:
        top = file.path.partition("/")[0] + "/" if "/" in file.path else "./"
        sizes[top] += file.status.st_size
        counts[top] += 1
    by_size = sum(sizes.values()) > MAX_TOTAL
    top_folders = (sizes if by_size else counts).most_common(3)
    return ", ".join(
        f"{show(name)} ({format_size(sizes[name])}, {counts[name]} files)" for name, _ in top_folders
    )


class _Hashing:
    """Hashes files, large ones on several threads, and tells how far it is."""

    def __init__(
        self, known: StatCache, threads: ThreadPoolExecutor, progress: Progress | None, total: int
    ) -> None:
        self._known = known
        self._threads = threads
        self._progress = progress
        self._total = total
        self._done = 0

    def run(self, found: list[Found]) -> list[tuple[str, int]]:
        """Return digest and size of each file, in order."""
        results: list[tuple[str, int] | None] = []
        for file in found:
            digest = self._known.get(file.path, file.status)
            results.append(None if digest is None else self._count(digest, file.status.st_size))
        large = {
            index: self._threads.submit(hash_file, file)
            for index, file in enumerate(found)
            if results[index] is None and file.status.st_size >= LARGE
        }
        for index, file in enumerate(found):
            if results[index] is None:
                digest, status = large[index].result() if index in large else hash_file(file)
                self._known.put(file.path, status, digest)
                results[index] = self._count(digest, status.st_size)
        return [result for result in results if result is not None]

    def _count(self, digest: str, size: int) -> tuple[str, int]:
        self._done += size
        if self._progress is not None:
            self._progress(self._done, self._total)
        return digest, size


def hash_file(file: Found) -> tuple[str, os.stat_result]:
    """Return the SHA-256 of *file* and the status it had before and after it was read.

    Raises:
        FileChanged: it is gone, or did not hold still in `TRIES` readings.
        InputError: ``unreadable``.
    """
    for _ in range(TRIES):
        try:
            fd = open_plain_file(file.source)
        except PermissionError:
            raise InputError(
                "unreadable", "a file of the tree cannot be read", context=show(file.path)
            ) from None
        except (OSError, HostError):
            break
        with os.fdopen(fd, "rb", buffering=0) as stream:
            before = os.fstat(fd)
            digest, size = _digest(stream.readinto, before.st_size)
            after = os.fstat(fd)
        same = (before.st_mtime_ns, before.st_ctime_ns) == (after.st_mtime_ns, after.st_ctime_ns)
        if same and size == before.st_size == after.st_size:
            return digest, after
    raise FileChanged(Path(file.source))


def _digest(readinto: Callable[[memoryview], int | None], expected: int) -> tuple[str, int]:
    """Return the hash of a file and its bytes; one that grows past *expected* is not read to an end that never comes."""
    running = hashlib.sha256()
    buffer = memoryview(bytearray(min(BUFFER, expected + 1)))
    size = 0
    while size <= expected:
        got = readinto(buffer) or 0
        if not got:
            break
        running.update(buffer[:got])
        size += got
    return running.hexdigest(), size
