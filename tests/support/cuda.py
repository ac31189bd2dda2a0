"""A CUDA driver that is not there: a library that the tests compile, and a CDI specification that names it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import frozen

from tests.support.require import need

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

CDI_FOLDER = Path("/var/run/cdi")
_SOURCE = """
#include <stdlib.h>
#include <unistd.h>
int cuInit(unsigned flags) { if (BEHAVIOUR == 1) abort(); if (BEHAVIOUR == 2) pause(); return INIT; }
int cuDeviceGetCount(int *count) { *count = COUNT; return 0; }
"""
CRASHES, HANGS = 1, 2


def fake_cuda(folder: Path, *, count: int = 1, init: int = 0, behaviour: int = 0) -> Path:
    """Compile ``libcuda.so.1`` into *folder*.

    Args:
        folder: Made if it is not there.
        count: How many GPUs it sees.
        init: What ``cuInit`` returns.
        behaviour: ``CRASHES`` or ``HANGS`` in ``cuInit``.
    """
    need("gcc")
    folder.mkdir(parents=True, exist_ok=True)
    library = folder / "libcuda.so.1"
    defines = [f"-DCOUNT={count}", f"-DINIT={init}", f"-DBEHAVIOUR={behaviour}"]
    argv = ["gcc", "-shared", "-fPIC", "-xc", *defines, "-o", str(library), "-"]
    subprocess.run(argv, input=_SOURCE, text=True, check=True)
    return library


def card(folder: Path, *, opens: bool = True) -> Path:
    """Make the device file of a card: one that opens is another null device, the other has no driver."""
    need("root")
    path = folder / f"card-{uuid.uuid4().hex[:8]}"
    os.mknod(path, 0o20666, os.makedev(1, 3) if opens else os.makedev(240, 99))
    path.chmod(0o666)
    return path


def _mount(source: Path, place: str, *options: str) -> dict[str, object]:
    return {"hostPath": str(source), "containerPath": place, "options": ["bind", "nosuid", *options]}


@frozen
class Driver:
    """What a host has of NVIDIA's driver: its folders, its loader's list of libraries, and its cards' UUIDs."""

    proc: Path
    dev: Path
    cache: Path
    gpus: tuple[str, ...]


def install_driver(folder: Path, cards: int, **driver: int) -> Driver:
    """Install a driver of version 550.54 with so many *cards*, beside the rest of an older one, and of OpenGL."""
    gpus = tuple(f"GPU-{uuid.uuid4()}" for _ in range(cards))
    made = Driver(folder / "proc", folder / "dev", folder / "cache", gpus)
    made.dev.mkdir(parents=True)
    for name in (*(f"nvidia{n}" for n in range(cards)), "nvidiactl"):
        card(made.dev).rename(made.dev / name)
    for n, gpu in enumerate(gpus):
        facts = made.proc / f"0000:0{n}:00.0" / "information"
        facts.parent.mkdir(parents=True)
        facts.write_text(
            f"Model: \t\t NVIDIA A100\nIRQ:   \t\t 16\nGPU UUID: \t {gpu}\nDevice Minor: \t {n}\n"
        )
    library = fake_cuda(folder / "lib", **driver)
    library.rename(library.with_name("libcuda.so.550.54"))
    for name in ("libnvidia-ml.so.550.54", "libnvidia-ml.so.470.9", "libGLX_nvidia.so.550.54"):
        (library.parent / name).touch()
    for name, target in {
        "libcuda.so": "libcuda.so.1",
        "libcuda.so.1": "libcuda.so.550.54",
        "libnvidia-ml.so.1": "libnvidia-ml.so.550.54",
    }.items():
        (library.parent / name).symlink_to(target)
    made.cache.write_text(
        "2 libs found in cache `/etc/ld.so.cache'\n"
        "\tlibcuda.so.1 (libc6) => /nowhere/i386-linux-gnu/libcuda.so.1\n"
        f"\tlibcuda.so.1 (libc6,x86-64) => {library}\n"
    )
    return made


@contextlib.contextmanager
def cdi(cards: Sequence[Path], library: Path | None, *, mounted: bool = False) -> Iterator[tuple[str, ...]]:
    """Tell Podman of *cards*, each as ``/dev/nvidia<N>``, with *library*; yields their UUIDs, which nobody else has.

    Args:
        cards: Device files; without root Podman takes none under another name than it has.
        library: A CUDA driver; None for none.
        mounted: Give the cards as mounts, which have any name.
    """
    gpus = tuple(f"GPU-{uuid.uuid4()}" for _ in cards)
    devices = []
    for n, (gpu, path) in enumerate(zip(gpus, cards, strict=True)):
        place = f"/dev/nvidia{n}"
        node = {"deviceNodes": [{"path": place, "hostPath": str(path)}]}
        mount = {"mounts": [_mount(path, place, "rw")]}
        devices.append({"name": gpu, "containerEdits": mount if mounted else node})
    edits = (
        {"mounts": [_mount(library, "/usr/lib/libcuda.so.1", "ro", "nodev")]}
        if library
        else {"env": ["FAKE=1"]}
    )
    spec = {"cdiVersion": "0.5.0", "kind": "nvidia.com/gpu", "devices": devices, "containerEdits": edits}
    made = not CDI_FOLDER.exists()
    CDI_FOLDER.mkdir(exist_ok=True)
    path = CDI_FOLDER / f"fetchml-test-{uuid.uuid4().hex}.json"
    new = path.with_suffix(".new")  # Podman reads files that end in .json
    new.write_text(json.dumps(spec))
    new.rename(path)
    try:
        yield gpus
    finally:
        path.unlink()
        if made:
            with contextlib.suppress(OSError):  # another test uses it now
                CDI_FOLDER.rmdir()
