"""What the host has for jobs, and who holds its GPUs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from fetchml_core.config.environment import check_overrides
from fetchml_core.hardware.inventory import Gpu, Inventory
from fetchml_core.jobs.job import Job
from fetchml_core.jobs.states import ACTIVE
from fetchml_core.launcher.evidence import is_alive, read_stat
from fetchml_core.queue.base import Filter
from fetchml_core.wire.gpus import GpuHolder, GpuInfo, GpusReply, GpuUser
from fetchml_core.wire.verbs import Nothing

from .context import Context
from .host import Host
from .quarantine import marked, read_gpu_record
from .worker_info import living_record

_DEEPEST = 1000
"""Generations of processes that are looked at: /proc may change while it is read."""


def inventory_of(host: Host, *, fresh: bool = False) -> Inventory:
    """Return what the host has: as the worker that lives has found it, else as this process finds it now.

    Args:
        host: The host.
        fresh: Ask the driver for memory in use, load and processes of the GPUs; without, the record of a worker tells
            none of them. A driver that has to wake its cards first takes seconds for that.
    """
    record = None if fresh else living_record(host)
    known = seen_now(host) if record is None or record.inventory is None else record.inventory
    return marked(known, read_gpu_record(host))


def seen_now(host: Host) -> Inventory:
    """Return what the host has by a look of this moment; GPUs that are kept from jobs are not marked."""
    from fetchml_core.hardware.detect import detect, refresh  # late: most answers of an agent do without

    record = living_record(host)
    if record is None or record.inventory is None:
        return detect(host.worker, check_overrides(host.environ)[0])
    return refresh(record.inventory)


def run(context: Context, _: Nothing) -> GpusReply:
    """Tell of each GPU how it is, which jobs hold it and who else is on it."""
    host, queue = context.host, context.host.queue
    record, inventory = living_record(host), inventory_of(host, fresh=True)
    jobs = [job for job in queue.jobs(Filter(states=ACTIVE)) if job.home == queue.home]
    return GpusReply(
        gpus=gpu_infos(inventory.gpus, jobs),
        how=inventory.how.get("gpus", ""),
        vendor=inventory.vendor,
        configured_vendor=inventory.configured_vendor,
        worker=record.worker_id if record else "",
        overrides=inventory.overrides,
        warnings=inventory.warnings,
    )


def gpu_infos(gpus: Sequence[Gpu], jobs: Sequence[Job]) -> tuple[GpuInfo, ...]:
    """Return what is told of *gpus*, which *jobs* hold.

    A process is a job's when it is its init or descends from it; every other is a stranger's.
    """
    holders: dict[str, list[GpuHolder]] = defaultdict(list)
    inits: dict[int, int] = {}
    for job in jobs:
        launch = job.attempt.launch if job.attempt else None
        if launch is None:
            continue
        for uuid in launch.gpus:
            holders[uuid].append(GpuHolder(job.id, job.user))
        if is_alive(launch):
            inits[launch.pid] = job.id
    return tuple(_info(gpu, tuple(holders[gpu.uuid]), inits) for gpu in gpus)


def _info(gpu: Gpu, holders: tuple[GpuHolder, ...], inits: Mapping[int, int]) -> GpuInfo:
    users = (
        GpuUser(one.pid, one.name, one.user, one.memory, _job_of(one.pid, inits)) for one in gpu.processes
    )
    return GpuInfo(
        uuid=gpu.uuid,
        vendor=gpu.vendor,
        index=gpu.index,
        type=gpu.type,
        memory=gpu.memory,
        memory_used=gpu.memory_used,
        busy=gpu.busy,
        temperature=gpu.temperature,
        power=gpu.power,
        slots=gpu.slots,
        instance_of=gpu.instance_of,
        device=gpu.device,
        problem=gpu.problem,
        holders=holders,
        processes=tuple(users),
    )


def _job_of(pid: int, inits: Mapping[int, int]) -> int | None:
    """Return the job whose init is *pid* or an ancestor of it, None where there is none."""
    for _ in range(_DEEPEST):
        if pid in inits:
            return inits[pid]
        stat = read_stat(pid) if pid > 1 else None
        if stat is None:
            return None
        pid = stat.parent
    return None
