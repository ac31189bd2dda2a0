"""GPUs that no job gets although the host has them, each for a reason of its own; the others go on.

They stand in ``run/gpus.json``: the worker writes it before it lets go of a GPU, so that its next worker knows it too,
and doors read it. It counts for one boot: after another the driver has begun anew.
"""

from __future__ import annotations

import json
from typing import Literal

from attrs import evolve, frozen

from fetchml_core.convert import from_data, to_data
from fetchml_core.errors import FetchError
from fetchml_core.fsio import read_json, write_durably
from fetchml_core.hardware.inventory import Gpu, Inventory

from .host import Host


@frozen
class Holder:
    """A process of an attempt that is over."""

    pid: int
    start_ticks: int


@frozen
class OutOfUse:
    """A GPU that no job gets for now.

    Args:
        uuid: The GPU.
        kind: ``memory``: an attempt that is over holds some of it; ``driver``: the driver says that it cannot be used;
            ``faults``: jobs failed on it one after the other.
        problem: The same in words, as of the last look.
        job: Of ``memory``: the job.
        holders: Of ``memory``: the processes of the attempt that are on it.
        most: Of ``memory``: how many bytes may be in use by nobody that is known; None where that tells nothing.
        until: Of ``faults``: it stays out so long, in seconds since the boot.
    """

    uuid: str
    kind: Literal["memory", "driver", "faults"]
    problem: str
    job: int = 0
    holders: tuple[Holder, ...] = ()
    most: int | None = None
    until: float = 0.0


@frozen
class Faults:
    """The jobs that failed on a GPU since one could use it."""

    uuid: str
    jobs: tuple[int, ...]


@frozen
class GpuRecord:
    """``run/gpus.json``; *boot_id* is the boot that it is about."""

    boot_id: str = ""
    out: tuple[OutOfUse, ...] = ()
    faults: tuple[Faults, ...] = ()


def read_gpu_record(host: Host) -> GpuRecord:
    """Return what is known of the host's GPUs; nothing where no file tells, or where that cannot be read."""
    boot_id = host.clock.boot().boot_id
    try:
        data = read_json(host.base.gpus)
        record = GpuRecord() if data is None else from_data(data, GpuRecord, what="record of GPUs")
    except (FetchError, OSError):
        record = GpuRecord()
    return record if record.boot_id == boot_id else GpuRecord(boot_id)


def write_gpu_record(host: Host, record: GpuRecord) -> None:
    """Replace the record, durably."""
    write_durably(host.base.gpus, json.dumps(to_data(record)).encode())


def keep_problems(host: Host, inventory: Inventory) -> None:
    """Put the GPUs out of use with which something is wrong when the worker starts; later looks may find them well."""
    record = read_gpu_record(host)
    known = {out.uuid for out in record.out}
    new = [out_by_driver(gpu) for gpu in inventory.gpus if gpu.problem and gpu.type and gpu.uuid not in known]
    if new:
        write_gpu_record(host, evolve(record, out=(*record.out, *new)))


def out_by_driver(gpu: Gpu) -> OutOfUse:
    """Return that the driver keeps *gpu* out of use."""
    return OutOfUse(gpu.uuid, "driver", gpu.problem)


def marked(inventory: Inventory, record: GpuRecord) -> Inventory:
    """Return *inventory* with the problems of GPUs that no job gets; what it knows itself is newer."""
    problems = {out.uuid: out.problem for out in record.out}
    gpus = (evolve(gpu, problem=gpu.problem or problems.get(gpu.uuid, "")) for gpu in inventory.gpus)
    return evolve(inventory, gpus=tuple(gpus))
