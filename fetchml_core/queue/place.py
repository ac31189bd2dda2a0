"""Whether a folder may hold the queue of one host: on a disk of this machine, and for nobody else to write to.

Locks and syncs of a network file system depend on its server, its version and its mount options, so a queue there
could give a job out twice without any sign of it. Who may write to the folder could put records, or a whole queue,
in place of ours. One look at the folder and one at the table of mounts, each time a queue is opened.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from attrs import frozen

from fetchml_core.errors import HostError, explain_os_error

MOUNTS = Path("/proc/self/mountinfo")
_NETWORK = """
afs beegfs ceph cifs coda davfs gfs2 glusterfs gpfs lustre ncpfs nfs nfs4 ocfs2 orangefs pvfs2 smb2 smb3 smbfs
fuse.ceph fuse.cephfs fuse.curlftpfs fuse.davfs2 fuse.gcsfuse fuse.glusterfs fuse.goofys fuse.juicefs fuse.mfs
fuse.moosefs fuse.mount-s3 fuse.rclone fuse.s3fs fuse.smbnetfs fuse.sshfs
"""
NETWORK = frozenset(_NETWORK.split())
"""Types of file systems that several machines can write to, as the kernel names them."""
_OTHERS = stat.S_IWGRP | stat.S_IWOTH
_NOT_THERE = (errno.ENOENT, errno.ENOTDIR)


@frozen
class Mount:
    """One line of the table of mounts.

    Args:
        device: ``major:minor``, as `os.stat` knows it.
        point: Where it is mounted.
        kind: Type of the file system, such as ``ext4`` or ``fuse.sshfs``.
        source: What is mounted, for people.
    """

    device: str
    point: str
    kind: str
    source: str


def parse_mounts(text: str) -> tuple[Mount, ...]:
    """Turn ``/proc/self/mountinfo`` into records, in its order; a line of another shape is passed over.

    Source: proc(5). Between the sixth field and a single hyphen stands any number of optional ones.
    """
    mounts = []
    for line in text.splitlines():
        before, _, after = line.partition(" - ")
        fields, rest = before.split(" "), after.split(" ")
        if len(fields) >= 6 and len(rest) >= 2:
            mounts.append(Mount(fields[2], _plain(fields[4]), rest[0], _plain(rest[1])))
    return tuple(mounts)


def mount_of(path: str, device: str, mounts: tuple[Mount, ...]) -> Mount | None:
    """Return the mount that *path*, an absolute path without links, lies on; None where the table does not tell.

    Args:
        path: The place.
        device: ``major:minor`` of it. Some file systems (btrfs) tell another one than the table: then the path decides.
        mounts: The table; of two mounts at one place the later one covers the other.
    """
    above = [mount for mount in mounts if _lies_in(path, mount.point)]
    same = [mount for mount in above if mount.device == device]
    return max(reversed(same or above), key=lambda mount: len(mount.point), default=None)


def check_place(folder: Path, *, mounts: Path = MOUNTS) -> None:
    """Refuse *folder* where it cannot hold a queue; where it is not there yet, the one it would be made in counts.

    Args:
        folder: It holds, or shall hold, the files of a queue.
        mounts: The kernel's table of mounts; where it is missing (not Linux), only the folder itself is looked at.

    Raises:
        HostError: ``queue-place``; ``not-permitted`` or ``io-error`` where it cannot be looked at.
    """
    try:
        place, status = _nearest(folder)
        try:
            text = mounts.read_text("utf-8", "surrogateescape")
        except FileNotFoundError:
            text = ""
        real = os.path.realpath(place)
    except OSError as error:
        raise explain_os_error(error, "look at the queue's folder", folder) from None
    device = f"{os.major(status.st_dev)}:{os.minor(status.st_dev)}"
    mount = mount_of(real, device, parse_mounts(text))
    if mount is not None and mount.kind in NETWORK:
        raise HostError(
            "queue-place",
            f"a queue cannot lie on a network file system: its locks do not hold between machines ({mount.kind})",
            context=f"{folder} is on {mount.source}, mounted at {mount.point}",
            hint="put it on a disk of this host: base_path in worker.yaml; for several hosts: queue.type: redis",
        )
    _check_others(place, status, there=place == folder)


def _check_others(place: Path, status: os.stat_result, *, there: bool) -> None:
    """Refuse a folder that somebody else rules; root rules everything anyway."""
    account = os.geteuid()
    if status.st_uid != account and (there or status.st_uid != 0):
        raise HostError(
            "queue-place",
            f"the queue's folder belongs to another account (uid {status.st_uid}, this is {account})",
            context=str(place),
            hint=f"run this as its owner, or give it over: chown -R {account} {place}",
        )
    # A sticky bit keeps others from taking a folder of ours away, not from making files beside those of a queue.
    kept = not there and bool(status.st_mode & stat.S_ISVTX)
    if status.st_mode & _OTHERS and not kept:
        raise HostError(
            "queue-place",
            f"others may write to the queue's folder (mode {stat.S_IMODE(status.st_mode):04o})",
            context=str(place),
            hint=f"chmod go-w {place}",
        )


def _nearest(folder: Path) -> tuple[Path, os.stat_result]:
    """Return *folder*, or the nearest one above it that is there, and what the system says of it."""
    for place in (folder, *folder.absolute().parents):
        try:
            return place, place.stat()
        except OSError as error:
            if error.errno not in _NOT_THERE:
                raise
    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(folder))


def _lies_in(path: str, point: str) -> bool:
    return path == point or path.startswith(point.rstrip("/") + "/")


def _plain(field: str) -> str:
    r"""Undo the kernel's escapes: space, tab, newline and backslash are written as ``\040`` and so on."""
    for code, char in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        field = field.replace(code, char)
    return field
