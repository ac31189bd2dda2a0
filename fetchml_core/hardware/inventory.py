"""What a host has, as the schedule and people see it. Plain immutable records; sizes in bytes, shares 0 to 1."""

from __future__ import annotations

from attrs import field, frozen


@frozen
class GpuProcess:
    """A process that holds memory of a GPU.

    Args:
        pid: As the host sees it.
        name: Its program; empty where nobody may look.
        memory: Bytes on this GPU; None where the driver does not tell.
        user: Whose it is.
    """

    pid: int
    name: str = ""
    memory: int | None = None
    user: str = ""


@frozen
class Gpu:
    """One card, or one instance of a card that is divided (MIG); None is what could not be found.

    Args:
        uuid: Its name for good; where the vendor gives none, ``<vendor>-<index>``.
        vendor: ``nvidia``, ``amd`` or ``apple``.
        index: Its number among the vendor's cards.
        type: What the vendor calls it.
        memory: Its size.
        slots: How many jobs may share it; nothing keeps them apart.
        instance_of: UUID of the card that it is an instance of; empty for a card.
        busy: Share of the time that it worked lately.
        processes: Who holds memory of it now, jobs and strangers.
        problem: Why nothing may run on it, in words; empty where all is well.
        device: Its device file, for an instance that of its card; empty where that is not known.
    """

    uuid: str
    vendor: str
    index: int
    type: str = ""
    memory: int | None = None
    slots: int = 1
    instance_of: str = ""
    memory_used: int | None = None
    busy: float | None = None
    temperature: int | None = None
    power: float | None = None
    processes: tuple[GpuProcess, ...] = ()
    problem: str = ""
    device: str = ""


@frozen
class Inventory:
    """All that jobs may be given on a host.

    Args:
        cpus: Cores, parts of one where a cgroup gives no more.
        memory: Bytes.
        gpus: In the order in which they are given out.
        how: What was found how: ``cpus``, ``memory``, ``gpus`` to a few words each.
        vendor: Of the GPUs as detected; ``none`` where there are none.
        configured_vendor: What the file or the environment says; empty where they are silent.
        overrides: The FETCH_ML_* variables that count, each as ``NAME=value``.
        warnings: What people should know, one line each.
    """

    cpus: float
    memory: int
    gpus: tuple[Gpu, ...] = ()
    how: dict[str, str] = field(factory=dict)
    vendor: str = "none"
    configured_vendor: str = ""
    overrides: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
