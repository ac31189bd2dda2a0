"""The GPUs of a host, who holds them and who else is on them."""

from __future__ import annotations

from attrs import frozen


@frozen
class GpuHolder:
    """A job that has a GPU, or a slot of it, and whose it is."""

    job: int
    user: str


@frozen
class GpuUser:
    """A process on a GPU (see `fetchml_core.hardware.inventory.GpuProcess`); *job* is None for a stranger's."""

    pid: int
    name: str = ""
    user: str = ""
    memory: int | None = None
    job: int | None = None


@frozen
class GpuInfo:
    """A GPU (see `fetchml_core.hardware.inventory.Gpu`), the jobs that hold it and the processes that are on it."""

    uuid: str
    vendor: str
    index: int
    type: str = ""
    memory: int | None = None
    memory_used: int | None = None
    busy: float | None = None
    temperature: int | None = None
    power: float | None = None
    slots: int = 1
    instance_of: str = ""
    device: str = ""
    problem: str = ""
    holders: tuple[GpuHolder, ...] = ()
    processes: tuple[GpuUser, ...] = ()


@frozen
class GpusReply:
    """The GPUs of the host.

    Args:
        gpus: In the order in which they are given out.
        how: How they were found, or why there are none.
        vendor: Of those; ``none`` where there are none.
        configured_vendor: What file or environment say; empty where they are silent.
        worker: The ``worker_id`` of the worker that found them; empty where none lives and the agent has looked.
        overrides: The FETCH_ML_* variables that count, each as ``NAME=value``.
        warnings: What people should know, one line each.
    """

    gpus: tuple[GpuInfo, ...] = ()
    how: str = ""
    vendor: str = "none"
    configured_vendor: str = ""
    worker: str = ""
    overrides: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
