"""NVIDIA's GPUs, asked of the driver through NVML.

Layer 2. Drivers differ in what they answer and cards in what they have, so every figure is optional. A card that is
divided (MIG) is given out by its instances and is not listed itself. One that the driver has lost stays in the list,
with the reason, so that people see it.

The library is looked for before anything is started: most machines without a GPU do not have it. The driver is then
asked in a process of its own: a driver that hangs holds whoever asks it, and not even SIGKILL ends that one.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from attrs import asdict, evolve

from fetchml_core.errors import HostError
from fetchml_core.places import own_command

from .files import PROC
from .inventory import Gpu, GpuProcess
from .probe import Probe, process_on_gpu

T = TypeVar("T")
LIBRARY = "libnvidia-ml.so.1"
ANSWER_S = 60.0
"""How long the driver has: to wake eight sleeping cards takes it some ten seconds, and one that hangs never answers."""
_KINDS = ("Compute", "MPSCompute", "Graphics")


def probe_nvidia(proc: Path = PROC) -> Probe:
    """Ask the driver for its GPUs. Takes `ANSWER_S` at most; no answer is no GPU, with a warning."""
    import ctypes

    try:
        ctypes.CDLL(LIBRARY)
    except OSError:
        return Probe(how=f"no {LIBRARY}")
    child = subprocess.Popen(
        own_command(__name__, str(proc)),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        answer = child.communicate(timeout=ANSWER_S)[0]
    except subprocess.TimeoutExpired:
        _abandon(child)
        how = f"NVML gives no answer within {ANSWER_S:g} s"
        return Probe(how=how, warnings=(how,))
    return _read(answer, child.returncode)


def _abandon(child: subprocess.Popen[bytes]) -> None:
    """Kill it, and do not wait for one that the driver holds: whoever starts a process later collects it."""
    child.kill()
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(1)
    if child.stdout is not None:
        child.stdout.close()


def _read(answer: bytes, status: int) -> Probe:
    from fetchml_core.convert import from_data

    try:
        return from_data(json.loads(answer), Probe)
    except (ValueError, HostError):
        how = f"NVML cannot be asked: the process that did so ended with {status}"
        return Probe(how=how, warnings=(how,))


def main(arguments: list[str]) -> int:
    """Ask the driver here, and print what it said: for `probe_nvidia`."""
    sys.stdout.write(json.dumps(asdict(_ask_driver(Path(arguments[0])))))
    return 0


def _ask_driver(proc: Path) -> Probe:
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        how = f"NVML does not start: {error}"
        absent = (
            error.value == pynvml.NVML_ERROR_DRIVER_NOT_LOADED
        )  # a library without a card is nothing to mend
        return Probe(how=how, warnings=() if absent else (how,))
    try:
        version = _ask(pynvml.nvmlSystemGetDriverVersion)
        gpus = [gpu for index in range(pynvml.nvmlDeviceGetCount()) for gpu in _gpus_of(index, proc)]
        how = f"NVML, driver {version}" if version else "NVML"
        return Probe(tuple(gpus), how=how if gpus else f"{how}: no GPU")
    except pynvml.NVMLError as error:
        how = f"NVML does not count its GPUs: {error}"
        return Probe(how=how, warnings=(how,))
    finally:
        with contextlib.suppress(pynvml.NVMLError):
            pynvml.nvmlShutdown()


def _gpus_of(index: int, proc: Path) -> Iterator[Gpu]:
    """Yield the card at *index*, or its instances."""
    import pynvml

    try:
        handle = pynvml.nvmlDeviceGetHandleByIndex(index)
    except pynvml.NVMLError as error:
        yield Gpu(f"nvidia-{index}", "nvidia", index, problem=f"the driver does not reach it: {error}")
        return
    minor = _ask(pynvml.nvmlDeviceGetMinorNumber, handle)
    bare = Gpu(f"nvidia-{index}", "nvidia", index, device="" if minor is None else f"/dev/nvidia{minor}")
    card = _described(handle, bare, proc)
    mode = _ask(pynvml.nvmlDeviceGetMigMode, handle)
    if not mode or mode[0] != pynvml.NVML_DEVICE_MIG_ENABLE:
        yield card
        return
    instances = list(_instances(handle, card, proc))
    yield from instances or [evolve(card, problem=card.problem or "it is in MIG mode and has no instances")]


def _instances(card_handle: Any, card: Gpu, proc: Path) -> Iterator[Gpu]:
    import pynvml

    for number in range(_ask(pynvml.nvmlDeviceGetMaxMigDeviceCount, card_handle) or 0):
        handle = _ask(pynvml.nvmlDeviceGetMigDeviceHandleByIndex, card_handle, number)
        if handle is not None:  # the numbers have gaps
            name = f"{card.type} MIG".lstrip()
            bare = Gpu(f"{card.uuid}/{number}", "nvidia", card.index, name, instance_of=card.uuid)
            instance = _described(handle, bare, proc)
            yield evolve(instance, device=card.device, problem=card.problem or instance.problem)


def _described(handle: Any, bare: Gpu, proc: Path) -> Gpu:
    """Return *bare* with what the driver tells of it."""
    import pynvml

    memory = _ask(pynvml.nvmlDeviceGetMemoryInfo, handle)
    load = _ask(pynvml.nvmlDeviceGetUtilizationRates, handle)
    milliwatts = _ask(pynvml.nvmlDeviceGetPowerUsage, handle)
    return evolve(
        bare,
        uuid=_ask(pynvml.nvmlDeviceGetUUID, handle) or bare.uuid,
        type=_ask(pynvml.nvmlDeviceGetName, handle) or bare.type,
        memory=None if memory is None else int(memory.total),
        memory_used=None if memory is None else int(memory.used),
        busy=None if load is None else load.gpu / 100,
        temperature=_ask(pynvml.nvmlDeviceGetTemperature, handle, pynvml.NVML_TEMPERATURE_GPU),
        power=None if milliwatts is None else milliwatts / 1000,
        processes=_processes(handle, proc),
        problem=_problem(handle),
    )


def _problem(handle: Any) -> str:
    """Return why the card cannot be used; that it does not tell its memory is no reason."""
    import pynvml

    lost = {pynvml.NVML_ERROR_GPU_IS_LOST, pynvml.NVML_ERROR_RESET_REQUIRED, pynvml.NVML_ERROR_UNKNOWN}
    try:
        pynvml.nvmlDeviceGetMemoryInfo(handle)
    except pynvml.NVMLError as error:
        return f"the driver says: {error}" if error.value in lost else ""
    return ""


def _processes(handle: Any, proc: Path) -> tuple[GpuProcess, ...]:
    """Return who holds memory of the card, each once; a driver knows the newer form of the question or the older one."""
    import pynvml

    found: dict[int, int | None] = {}
    for kind in _KINDS:
        for version in ("_v3", "_v2"):
            answer = _ask(getattr(pynvml, f"nvmlDeviceGet{kind}RunningProcesses{version}"), handle)
            if answer is not None:
                found |= {one.pid: one.usedGpuMemory for one in answer if one.pid not in found}
                break
    return tuple(process_on_gpu(pid, memory, proc) for pid, memory in sorted(found.items()))


def _ask(question: Callable[..., T], *about: Any) -> T | None:
    """Return the answer, None where this driver or this card has none."""
    import pynvml

    try:
        return question(*about)
    except (pynvml.NVMLError, UnicodeDecodeError):
        return None
