"""Which control groups this process stands in, of version 1, version 2, or both side by side.

Layer 2. A limit of any group around a process holds for it, so whoever asks for one looks at all of them. In a
container the kernel may name a group as the host sees it while only a part of the tree is there: what is there counts.
"""

from __future__ import annotations

from pathlib import Path

GROUPS = "fs/cgroup"


def own_groups(controller: str, table: str, root: Path) -> tuple[Path, ...]:
    """Return the folders of the group and of all groups around it, the innermost first.

    Args:
        controller: ``cpu`` or ``memory``.
        table: The text of ``/proc/self/cgroup``: lines ``number:controllers:path``, of version 2 ``0::path``.
        root: The folder ``/sys/fs/cgroup``.

    Returns: none where no group has the controller.
    """
    unified = ""
    for line in table.splitlines():
        number, _, rest = line.partition(":")
        names, _, path = rest.partition(":")
        if controller in names.split(","):  # version 1: it is nowhere else then
            places = [root / names, root / controller]
            return next((_chain(place, path) for place in places if place.is_dir()), ())
        if number == "0" and not names:
            unified = path
    if not unified:
        return ()
    place = root if (root / "cgroup.controllers").exists() else root / "unified"
    return _chain(place, unified) if place.is_dir() else ()


def _chain(root: Path, path: str) -> tuple[Path, ...]:
    """Return the folders from *path*, or as much of its end as there is, up to *root*."""
    words = path.strip("/").split("/") if path.strip("/") else []
    while words and not root.joinpath(*words).is_dir():
        del words[0]
    return tuple(root.joinpath(*words[:depth]) for depth in range(len(words), -1, -1))
