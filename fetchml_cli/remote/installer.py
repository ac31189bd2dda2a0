"""Second code on a host, sent only where the build is missing: unpacks and compiles it, once and for all.

Run by `loader`. Standard library only.

Invariants (tests of the same names): all_or_nothing - a build is there whole, compiled and durable, or not at all,
wherever the link or the power fails; in_use_stays - a build that a living process runs from is not removed.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import io
import json
import os
import py_compile
import shutil
import stat
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Callable

LIMIT = 64 << 20  # bytes, of the archive and of what it holds
KEEP = 2  # builds
AGAIN = "run the same command again"
STALE = (".new-", ".old-")

Refusal = tuple[str, ...]
"""Code, message, context, hint."""


def install(
    reader: BinaryIO, folder: Path, hold: Callable[[Path], int | None], marker: str
) -> Refusal | None:
    """Read the archive and make *folder* of it.

    Args:
        reader: Gives one JSON line ``{size, sha256}`` and the archive.
        folder: Where the build belongs; its last part is the build's name, which the content must have.
        hold: Locks a complete build.
        marker: Name of the file that makes a build complete.

    Returns: None when the build is there and held, ``()`` when the other end is gone, else the reason for a refusal.

    Raises:
        OSError: the disk is full, or the folder cannot be written.
    """
    line = reader.readline()
    if not line.endswith(b"\n"):
        return ()
    wish = json.loads(line)
    if not 0 < wish["size"] <= LIMIT:
        return refusal("its size is not allowed", str(wish["size"]))
    data = reader.read(wish["size"])
    if len(data) != wish["size"]:
        return ()
    if hashlib.sha256(data).hexdigest() != wish["sha256"]:
        return refusal("its checksum differs", folder.name)
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = os.open(folder.parent / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if hold(folder) is not None:  # another process was faster
            return None
        clean(folder.parent, marker)
        refused = put(data, folder, marker)
        if refused is None:
            hold(folder)
            prune(folder, marker)
        return refused
    finally:
        os.close(lock)


def refusal(why: str, what: str) -> Refusal:
    """Return the words for an archive that cannot be trusted."""
    return ("agent-archive-refused", "the host refused the uploaded agent: " + why, what, AGAIN)


def put(data: bytes, folder: Path, marker: str) -> Refusal | None:
    """Make the build under another name, then give it its own in one step."""
    temporary = folder.with_name(f".new-{os.getpid()}")
    temporary.mkdir()
    try:
        try:
            refused = unpack(data, temporary, folder.name)
        except (zipfile.BadZipFile, RuntimeError, NotImplementedError, EOFError) as error:
            refused = refusal("it is no archive", str(error))
        if refused is None:
            compile_all(temporary)
            (temporary / marker).touch()
            sync(temporary)
            if folder.exists():  # without its marker, or it would have been held
                folder.rename(f"{folder}.damaged-{os.getpid()}")
            temporary.rename(folder)
            sync_one(folder.parent)
        return refused
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def unpack(data: bytes, folder: Path, build: str) -> Refusal | None:
    """Write the members below *folder*, unless one is not allowed or they are not *build*."""
    whole = hashlib.sha256()
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = archive.infolist()
        if sum(member.file_size for member in members) > LIMIT:
            return refusal("it is too big", "")
        for member in members:
            name = member.filename
            if not allowed(name, member.external_attr >> 16):
                return refusal("a member is not allowed", name[:200])
            content = archive.read(member)
            whole.update(name.encode() + b"\0" + hashlib.sha256(content).digest())
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("xb") as file:
                file.write(content)
    if len(build) < 16 or not whole.hexdigest().startswith(build):
        return refusal("it is another build", whole.hexdigest()[:16])
    return None


def allowed(name: str, mode: int) -> bool:
    """Say whether a member is a plain file with a plain relative name."""
    parts = name.split("/")
    plain = name.isprintable() and "\\" not in name and not any(part in {"", ".", ".."} for part in parts)
    return plain and stat.S_IFMT(mode) in {0, stat.S_IFREG}


def compile_all(folder: Path) -> None:
    """Compile every module; imports check nothing then, since a build never changes and its files' times say nothing."""
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    for path in folder.rglob("*.py"):
        with contextlib.suppress(py_compile.PyCompileError):  # meant for another version of Python
            py_compile.compile(str(path), doraise=True, invalidation_mode=mode)


def sync(folder: Path) -> None:
    """Make all of *folder* durable, each folder after what is in it."""
    for root, _, files in os.walk(folder, topdown=False):
        for name in (*files, "."):
            sync_one(Path(root, name))


def sync_one(path: Path) -> None:
    """Make one file, or the names in one folder, durable."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def prune(folder: Path, marker: str) -> None:
    """Remove all builds but *folder* and the one used last before it, and none that is in use."""
    used = {
        path: (path / marker).stat().st_mtime
        for path in folder.parent.iterdir()
        if "." not in path.name and path != folder and (path / marker).exists()
    }
    old = sorted(used, key=lambda path: used[path], reverse=True)[KEEP - 1 :]
    running = processes() if old else b""
    for path in old:
        if os.fsencode(path) not in running:
            remove(path, marker)


def processes() -> bytes:
    """Return what all visible processes were started with: a worker runs from a build long after its agent is gone."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        for what in ("cmdline", "environ"):
            with contextlib.suppress(OSError):  # it ended, or is another account's
                found.append((path / what).read_bytes())
    return b"\0".join(found)


def clean(parent: Path, marker: str) -> None:
    """Remove what interrupted installations and damaged builds left; the lock says that no other one is at work."""
    for path in list(parent.iterdir()):
        if path.name.startswith(STALE):
            shutil.rmtree(path, ignore_errors=True)
        elif ".damaged-" in path.name:
            remove(path, marker)


def remove(folder: Path, marker: str) -> None:
    """Remove *folder* unless a process holds it."""
    lock = -1
    try:
        if (folder / marker).exists():
            lock = os.open(folder / marker, os.O_RDWR | os.O_CLOEXEC)
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        aside = folder.with_name(f".old-{os.getpid()}")
        folder.rename(aside)
        shutil.rmtree(aside, ignore_errors=True)
    except OSError:
        pass  # in use; the next installation tries again
    finally:
        if lock >= 0:
            os.close(lock)
