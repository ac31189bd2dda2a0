"""What /proc/PID/mountinfo says of a container's files: whether its root is read-only, and the host's kernel out of sight.

Layer 2, pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Collection

HIDDEN = (
    *("/proc/acpi", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats"),
    *("/proc/sched_debug", "/proc/scsi", "/proc/timer_list", "/sys/firmware"),
)
"""Files of the kernel that know no containers: something else lies over them. Not every kernel has all."""
READ_ONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger", "/sys")
"""Through these the kernel takes orders."""
_OF_THE_KERNEL = ("proc", "sysfs")


@frozen
class _Mount:
    """What lies at one place: its type, and whether it cannot be written."""

    kind: str
    read_only: bool


def _mounts(mountinfo: str) -> dict[str, _Mount]:
    """Return by its place the mount that was made there last."""
    found = {}
    for line in mountinfo.split("\n"):
        # id parent major:minor root MOUNTPOINT OPTIONS [optional…] - TYPE source SUPEROPTIONS
        mount, _, filesystem = line.partition(" - ")
        fields, super_fields = mount.split(" "), filesystem.split(" ")
        if len(fields) > 5:
            options = {*fields[5].split(","), *super_fields[-1].split(",")}
            found[fields[4]] = _Mount(super_fields[0], "ro" in options)
    return found


def root_is_read_only(mountinfo: str) -> bool:
    """Whether the mount that covers ``/`` cannot be written, by its own options or its file system's."""
    root = _mounts(mountinfo).get("/")
    return root is not None and root.read_only


def unmasked(mountinfo: str, there: Collection[str]) -> tuple[list[str], list[str]]:
    """Return which of `HIDDEN` can be read, and which of `READ_ONLY` can be written.

    Args:
        mountinfo: The container's.
        there: What of them this kernel has.
    """
    mounts = _mounts(mountinfo)
    seen = [
        path
        for path in HIDDEN
        if path in there and (path not in mounts or mounts[path].kind in _OF_THE_KERNEL)
    ]
    taken = [
        path for path in READ_ONLY if path in there and (path not in mounts or not mounts[path].read_only)
    ]
    return seen, taken
