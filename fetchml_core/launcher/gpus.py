"""GPUs of an attempt: what it is given, and whether its init could use just that.

Layer 2. NVIDIA cards come by their CDI names, which bring the driver's libraries along (where the host has none,
`driver_files` takes their place); AMD cards by their device files.
What was asked of Podman is not what is: before the go the init opens the device files and asks CUDA (see `init.py`,
gpus.json), and `judge` compares that with the request. A job that asked for a GPU never runs without it.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from attrs import field, frozen

from fetchml_core.convert import from_data
from fetchml_core.errors import HostError
from fetchml_core.fsio import read_json

if TYPE_CHECKING:
    from collections.abc import Sequence

Vendor = Literal["nvidia", "amd", "apple"]

FENCED = "only-its-gpus"
"""In `Launched.enforced`: other GPUs than its own cannot be reached."""
CUDA = "cuda"
"""In `Launched.enforced`: the driver itself said that the job's GPUs work; in `not_enforced`: nobody could ask it."""
NVIDIA_FILES = ("/dev/nvidia*", "/dev/dxg*")
"""Device files of NVIDIA's driver, on Linux and under WSL."""
CDI_NAME = "nvidia.com/gpu="
CDI_HINT = "sudo nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml"
_MAX_REPORT = 64 << 10
_NVIDIA = re.compile(r"nvidia-\d+|MIG-.+|GPU-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_AMD_ID = re.compile(r"[0-9a-f]{16}", re.IGNORECASE)
_CARD = re.compile(r"/dev/nvidia\d+")
_CUDA_ERRORS = {
    3: "the driver is not initialised",
    100: "no device",
    101: "no such device",
    802: "the system is not ready: is nvidia-fabricmanager running?",
    803: "driver and library differ: the host needs a restart after the driver's update",
    999: "unknown; the kernel's log may tell: dmesg",
}


@frozen
class Grant:
    """What a container is given of GPUs.

    Args:
        devices: Words of Podman's ``--device``: CDI names, or device files.
        libraries: (file of the host, path in the container) of what must come along, to be read only.
        groups: Who may open those device files.
        files: Where the init finds device files; one with a star need not be there.
        cuda: Whether CUDA is to be asked.
        only_cuda: Nothing else can prove them, so that CUDA has to answer.
    """

    devices: tuple[str, ...] = ()
    libraries: tuple[tuple[str, str], ...] = ()
    groups: tuple[int, ...] = ()
    files: tuple[str, ...] = ()
    cuda: bool = False
    only_cuda: bool = False


@frozen
class CudaAnswer:
    """What CUDA said: how many GPUs it sees, or what is wrong."""

    count: int = 0
    problem: str = ""


@frozen
class Report:
    """What the init found.

    Args:
        files: Device files, each with the reason why it does not open, empty where it does.
        cuda: What CUDA said; None where nobody could ask it.
    """

    files: dict[str, str] = field(factory=dict)
    cuda: CudaAnswer | None = None


def vendor_of(gpu: str) -> Vendor:
    """Return whose a GPU is, by its `hardware.inventory.Gpu.uuid`."""
    if _NVIDIA.fullmatch(gpu):
        return "nvidia"
    return "apple" if gpu.startswith("apple-") else "amd"


def grant(gpus: Sequence[str], *, sys: Path = Path("/sys"), dev: Path = Path("/dev")) -> Grant:
    """Return how a container is given *gpus*, UUIDs as in the inventory.

    Raises:
        HostError: ``gpu-not-available``.
    """
    devices: list[str] = []
    files: list[str] = []
    cuda = False
    for gpu in gpus:
        vendor = vendor_of(gpu)
        if vendor == "apple":
            raise _not_available("a container cannot be given an Apple GPU", gpu)
        if vendor == "nvidia":
            devices.append(CDI_NAME + gpu.removeprefix("nvidia-"))
            files += NVIDIA_FILES
            cuda = True
        else:
            nodes = [str(dev / "kfd"), str(_render_file(gpu, sys, dev))]
            devices += nodes
            files += nodes
    groups = {Path(name).stat().st_gid for name in files if "*" not in name} - {
        0
    }  # root's is nobody's to give
    return Grant(_once(devices), groups=tuple(sorted(groups)), files=_once(files), cuda=cuda)


def grant_on_host(gpus: Sequence[str]) -> Grant:
    """Return what is to be looked at where a job runs without a container: only CUDA can tell its GPUs apart.

    Raises:
        HostError: ``gpu-not-available``.
    """
    vendors = {vendor_of(gpu) for gpu in gpus}
    if "apple" in vendors:
        raise _not_available("nothing on this host proves that a job gets an Apple GPU", ", ".join(gpus))
    cards = grant([gpu for gpu in gpus if vendor_of(gpu) == "amd"])
    return Grant(files=cards.files, cuda="nvidia" in vendors, only_cuda="nvidia" in vendors)


def visible_variables(gpus: Sequence[str]) -> dict[str, str]:
    """Return the variables by which the vendors' libraries keep to *gpus*; a program may ignore them.

    One that is empty leaves no GPU of that vendor; where it is not set, a program sees all of them.
    """
    nvidia = [gpu.removeprefix("nvidia-") for gpu in gpus if vendor_of(gpu) == "nvidia"]
    amd = [_rocm_name(gpu) for gpu in gpus if vendor_of(gpu) == "amd"]
    return {"CUDA_VISIBLE_DEVICES": ",".join(nvidia), "ROCR_VISIBLE_DEVICES": ",".join(amd)}


def prove(control: Path, gpus: Sequence[str], given: Grant) -> bool:
    """Compare what the init found with the request; nothing of the job has run yet, so this is the init's own word.

    Returns: whether CUDA itself said so.

    Raises:
        HostError: ``gpu-not-usable``; ``damaged-file``.
    """
    data: Any = read_json(control / "gpus.json", limit=_MAX_REPORT)
    report = Report() if data is None else from_data(data, Report, what="report on GPUs")
    problems = judge(report, gpus, given)
    if problems:
        raise HostError(
            "gpu-not-usable",
            "the job's GPUs cannot be used, so it was not started",
            context="; ".join(problems),
            hint="on the host: nvidia-smi; dmesg",
        )
    return report.cuda is not None


def judge(report: Report, gpus: Sequence[str], given: Grant) -> list[str]:
    """Return what is wrong with the GPUs of an attempt; empty where they can be used, and there is no other."""
    problems = [f"{path}: {why}" for path, why in report.files.items() if why]
    problems += [f"{path}: not there" for path in given.files if "*" not in path and path not in report.files]
    if report.cuda is not None and report.cuda.problem:
        problems.append(_explained(report.cuda.problem))
    elif report.cuda is not None:
        problems += _count_problems(report.cuda.count, gpus)
    if not problems and report.cuda is None and (given.only_cuda or not report.files):
        problems.append(
            "nothing proves them: no CUDA driver (libcuda.so.1), and no device file of them alone"
        )
    cards = sum(1 for path in report.files if _CARD.fullmatch(path))
    wanted = sum(1 for gpu in gpus if vendor_of(gpu) == "nvidia")
    if not problems and cards and not _has_instances(gpus) and cards != wanted:
        problems.append(f"there are device files of {cards} cards, and {wanted} were asked for")
    return problems


def not_resolved(gpus: Sequence[str], words: str) -> HostError:
    """Return the error of an attempt for whose cards there is no CDI specification, or one that does not fit the host.

    Args:
        gpus: The attempt's.
        words: What Podman said, or why there is nothing in the specification's place.
    """
    return HostError(
        "gpu-not-available",
        "Podman cannot give the GPU to a container: its CDI specification is missing, or older than cards and driver",
        context=f"{', '.join(gpus)}: {words}",
        hint=f"on the host: {CDI_HINT}   (Podman 4.1 and NVIDIA Container Toolkit 1.15, or newer)",
    )


def _not_available(message: str, context: str) -> HostError:
    return HostError("gpu-not-available", message, context=context, hint="submit without --gpus")


def _count_problems(count: int, gpus: Sequence[str]) -> list[str]:
    wanted = sum(1 for gpu in gpus if vendor_of(gpu) == "nvidia")
    # Of several instances of divided cards CUDA shows a process only one.
    least = 1 if _has_instances(gpus) else wanted
    return [] if least <= count <= wanted else [f"CUDA sees {count} GPUs, and {wanted} were asked for"]


def _has_instances(gpus: Sequence[str]) -> bool:
    return any(gpu.startswith("MIG-") for gpu in gpus)


def _explained(problem: str) -> str:
    number = re.search(r"CUDA error (\d+)", problem)
    known = _CUDA_ERRORS.get(int(number[1])) if number else None
    return f"{problem} ({known})" if known else problem


def _render_file(gpu: str, sys: Path, dev: Path) -> Path:
    """Return the device file of an AMD card: of that id, or of that number among the cards that amdgpu drives."""
    cards = [path for path in (sys / "class/drm").glob("card*") if path.name[4:].isdigit()]
    index = 0
    for card in sorted(cards, key=lambda path: int(path.name[4:])):
        device = card / "device"
        if _word(device / "vendor") != "0x1002" or _word(device / "mem_info_vram_total") in {"", "0"}:
            continue
        render = next(iter(sorted((device / "drm").glob("renderD*"))), None)
        if render is not None and gpu in {f"amd-{index}", f"GPU-{_word(device / 'unique_id')}"}:
            return dev / "dri" / render.name
        index += 1
    raise _not_available("this host has no such AMD card", gpu)


def _word(path: Path) -> str:
    try:
        return path.read_text("ascii", "replace").strip()
    except OSError:
        return ""


def _rocm_name(gpu: str) -> str:
    unique = _AMD_ID.search(gpu)
    return f"GPU-{unique[0]}" if unique else gpu.removeprefix("amd-")


def _once(words: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(words))
