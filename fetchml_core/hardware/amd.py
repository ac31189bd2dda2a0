"""AMD's GPUs, by what the kernel's driver amdgpu tells in /sys; no library of AMD's is needed.

Layer 2. Cards stand in ``class/drm``, the processes that compute on them in ``class/kfd``, which numbers the cards in
its own way; the number of the render node joins the two.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from .files import PROC, SYS, read_number, read_text
from .inventory import Gpu, GpuProcess
from .probe import Probe, process_on_gpu

_CARD = re.compile(r"card(\d+)")
_VENDOR = "0x1002"
_MINOR = re.compile(r"^drm_render_minor (\d+)$", re.MULTILINE)
_KFD = "class/kfd/kfd"


def probe_amd(proc: Path = PROC, sys: Path = SYS) -> Probe:
    """Look for cards that amdgpu drives and that have memory of their own."""
    gpus = [_gpu(device, index, proc, sys) for index, device in enumerate(_cards(sys / "class/drm"))]
    return Probe(tuple(gpus), how="amdgpu in /sys" if gpus else "no card of amdgpu in /sys")


def _cards(folder: Path) -> Iterator[Path]:
    """Yield the device folders of the cards, in the order of their numbers; connectors stand beside them."""
    numbers = sorted(int(match[1]) for path in _entries(folder) if (match := _CARD.fullmatch(path.name)))
    for number in numbers:
        device = folder / f"card{number}" / "device"
        if read_text(device / "vendor") == _VENDOR and read_number(device / "mem_info_vram_total"):
            yield device


def _gpu(device: Path, index: int, proc: Path, sys: Path) -> Gpu:
    serial, percent = read_text(device / "unique_id"), read_number(device / "gpu_busy_percent")
    render = next((path.name for path in _entries(device / "drm") if path.name.startswith("renderD")), "")
    watts = [
        _hwmon(device, name) for name in ("power1_average", "power1_input")
    ]  # newer cards have the second
    power = next((value for value in watts if value is not None), None)
    heat = _hwmon(device, "temp1_input")
    return Gpu(
        uuid=f"GPU-{serial}" if serial.strip("0") else f"amd-{index}",
        vendor="amd",
        index=index,
        type=read_text(device / "product_name") or f"AMD GPU {read_text(device / 'device')}".rstrip(),
        memory=read_number(device / "mem_info_vram_total"),
        memory_used=read_number(device / "mem_info_vram_used"),
        busy=None if percent is None else percent / 100,
        temperature=None if heat is None else heat // 1000,
        power=None if power is None else power / 1_000_000,
        processes=_processes(render, proc, sys) if render else (),
        device=f"/dev/dri/{render}" if render else "",
    )


def _hwmon(device: Path, name: str) -> int | None:
    values = (read_number(folder / name) for folder in _entries(device / "hwmon"))
    return next((value for value in values if value is not None), None)


def _processes(render: str, proc: Path, sys: Path) -> tuple[GpuProcess, ...]:
    """Return who computes on the card: a file in the folder of each process says how much memory of it that takes."""
    identity = _kfd_id(render.removeprefix("renderD"), sys / _KFD / "topology/nodes")
    found = []
    for folder in _entries(sys / _KFD / "proc") if identity else ():
        memory = read_number(folder / f"vram_{identity}")
        if memory and folder.name.isdigit():
            found.append(process_on_gpu(int(folder.name), memory, proc))
    return tuple(sorted(found, key=lambda process: process.pid))


def _kfd_id(minor: str, nodes: Path) -> str:
    """Return the number that kfd gave to the card of this render node, empty where it does not know the card."""
    for node in _entries(nodes):
        match = _MINOR.search(read_text(node / "properties"))
        if match is not None and match[1] == minor:
            return read_text(node / "gpu_id")
    return ""


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []
