"""Fake /proc and /sys: folders of small files."""

from __future__ import annotations

from pathlib import Path

NO_LIBRARY = "libnvidia-ml.so.none"


def plant(root: Path, files: dict[str, object]) -> Path:
    """Write *files*, by their paths below *root*; return it."""
    root.mkdir(exist_ok=True)
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{content}\n")
    return root


def proc(
    tmp_path: Path, *, groups: str = "", allowed: str = "0-7", mem_kb: int = 16 << 20, **files: object
) -> Path:
    """A /proc of a process in these control groups, with this affinity mask, on a machine of so much memory."""
    status = f"Name:\tpython3\nUid:\t0\t0\t0\t0\nCpus_allowed:\tff\nCpus_allowed_list:\t{allowed}\nMems_allowed:\t1"
    meminfo = f"MemTotal:       {mem_kb} kB\nMemFree:          1000 kB"
    return plant(
        tmp_path / "proc",
        {"self/status": status, "self/cgroup": groups, "meminfo": meminfo, **files},
    )


def sys(tmp_path: Path, files: dict[str, object] | None = None, *, online: str = "0-7") -> Path:
    """A /sys with these files; names of control groups are below ``fs/cgroup``."""
    return plant(tmp_path / "sys", {"devices/system/cpu/online": online, **(files or {})})


def v2(tmp_path: Path, files: dict[str, object]) -> Path:
    """A /sys whose control groups are of version 2."""
    placed = {f"fs/cgroup/{name}": content for name, content in files.items()}
    return sys(tmp_path, {"fs/cgroup/cgroup.controllers": "cpuset cpu memory pids", **placed})
