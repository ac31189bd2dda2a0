"""NVIDIA cards for a container on a host without a CDI specification: the fallback of `gpus`.

Layer 2. What NVIDIA's toolkit would write into a specification is read from the host instead: which device file is a
card's, as the driver itself says below /proc/driver/nvidia, and the driver's libraries for computing, which must be
of just the kernel module's version. Parts of divided cards (MIG) have device files that only the toolkit knows.

Whether this was enough is not decided here: before the go the init must see the cards through CUDA, as with CDI.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import evolve

from .gpus import CDI_NAME, Grant, not_resolved

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

CDI = "cdi"
"""In `Launched.not_enforced`: no specification says that the cards came with all that belongs to them."""
SPECIFICATIONS = (Path("/etc/cdi"), Path("/var/run/cdi"))
"""Where Podman looks for them."""
CARDS = Path("/proc/driver/nvidia/gpus")
DEV = Path("/dev")
LOADER_CACHE = ("/sbin/ldconfig", "-p")
"""The command that lists the host's libraries."""
_CONTROL = ("nvidiactl", "nvidia-uvm", "nvidia-uvm-tools")
_LIBRARY = re.compile(r"lib(cuda|cudadebugger|nvidia-(ml|ptxjitcompiler|nvvm|nvvm70|gpucomp))\.so(\.[\w.]+)?")
# Where loaders look unasked, in images of Debian's kind and of Red Hat's; a variable the job might set itself.
_PLACES = ("/usr/lib", "/usr/lib64")
_MAX_SPECIFICATION = 8 << 20
_TIMEOUT_S = 30.0


def has_specification() -> bool:
    """Whether Podman is told of NVIDIA cards by CDI; it then is what counts, even where it lacks one."""
    return any(_is_nvidia(path) for folder in SPECIFICATIONS for path in _entries(folder))


def without_cdi(gpus: Sequence[str], given: Grant) -> Grant:
    """Return *given* with device files and libraries in the place of CDI names.

    Args:
        gpus: UUIDs as in the inventory.
        given: What `gpus.grant` made of them.

    Raises:
        HostError: ``gpu-not-available``.
    """
    names = [word.removeprefix(CDI_NAME) for word in given.devices if word.startswith(CDI_NAME)]
    minors = dict(_cards())
    unknown = [name for name in names if name not in minors]
    if unknown:
        what = "parts of cards (MIG) need that" if unknown[0].startswith("MIG-") else f"not in {CARDS} either"
        raise not_resolved(unknown, f"Podman is told of no card by CDI, and {what}")
    libraries = _libraries()
    if not libraries:
        raise not_resolved(
            gpus, "Podman is told of no card by CDI, and there is no libcuda.so.1 among the host's libraries"
        )
    control = [name for name in _CONTROL if (DEV / name).exists()]
    files = [f"{DEV / name}:/dev/{name}" for name in (*(f"nvidia{minors[name]}" for name in names), *control)]
    others = [word for word in given.devices if not word.startswith(CDI_NAME)]
    return evolve(given, devices=(*files, *others), libraries=libraries)


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.suffix in {".json", ".yaml"})
    except OSError:
        return []


def _is_nvidia(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return b"nvidia.com/gpu" in file.read(_MAX_SPECIFICATION)
    except OSError:
        return False


def _cards() -> Iterator[tuple[str, int]]:
    """Give the UUID of each card, and the number in the name of its device file."""
    for path in sorted(CARDS.glob("*/information")):
        try:
            text = path.read_text("ascii", "replace")
        except OSError:  # a card that has just been lost
            continue
        facts = {
            name.strip(): value.strip()
            for name, _, value in (line.partition(":") for line in text.split("\n"))
        }
        if facts.get("Device Minor", "").isdecimal():
            yield facts.get("GPU UUID", ""), int(facts["Device Minor"])


def _libraries() -> tuple[tuple[str, str], ...]:
    """Return (file of the host, path in the container) of the driver's libraries, each under all of its names.

    They are those beside libcuda.so.1 that are of its version: an older driver's files may have been left behind.
    """
    cuda = _find_cuda()
    if cuda is None:
        return ()
    version = cuda.resolve().name.partition(".so.")[2]
    found: dict[str, str] = {}  # path in the container -> file of the host
    for path in sorted(cuda.parent.iterdir()):
        real = path.resolve()
        if _LIBRARY.fullmatch(path.name) and real.name.endswith(f".so.{version}") and ":" not in str(real):
            found |= {f"{place}/{path.name}": str(real) for place in _PLACES}
    return tuple((real, place) for place, real in found.items())


def _find_cuda() -> Path | None:
    try:
        listed = subprocess.run(LOADER_CACHE, capture_output=True, timeout=_TIMEOUT_S, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    # libcuda.so.1 (libc6,x86-64) => /lib/x86_64-linux-gnu/libcuda.so.1: one without 64 is for 32-bit programs.
    found = re.search(
        r"^\s*libcuda\.so\.1 \([^)\n]*64[^)\n]*\) => (/\S+)$", listed.decode("utf-8", "replace"), re.MULTILINE
    )
    return Path(found[1]) if found else None
