"""What a host has to give, what jobs hold of it, and what is free. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping

from attrs import evolve, frozen

from fetchml_core.hardware.inventory import Gpu, Inventory
from fetchml_core.jobs.job import Job
from fetchml_core.jobs.retries import failed_gpus
from fetchml_core.units import MAX_SIZE

from .limits import JobLimits

MILLI = 1000
"""CPUs are counted in thousandths, as whole numbers: sums of parts of a core are exact then."""


@frozen
class Demand:
    """What one job needs beside one of the slots of the host.

    Args:
        cpus: Thousandths of a core.
        memory: Bytes.
        gpus: A slot on each of so many different GPUs.
        gpu_memory: Bytes of each of these GPUs; 0 where it did not say.
        failed: UUIDs of GPUs that failed under it: it gets others, as long as the host has enough that would do.
    """

    cpus: int
    memory: int
    gpus: int = 0
    gpu_memory: int = 0
    failed: frozenset[str] = frozenset()


@frozen
class Capacity:
    """What jobs may be given on a host.

    Args:
        inventory: What it has.
        limits: What a job gets that asks for nothing; no more than there is.
        slots: How many jobs run at once.
    """

    inventory: Inventory
    limits: JobLimits
    slots: int

    @property
    def gpus(self) -> tuple[Gpu, ...]:
        """The GPUs that jobs may be given: of a card that is divided its instances, and not the card."""
        divided = {gpu.instance_of for gpu in self.inventory.gpus}
        return tuple(gpu for gpu in self.inventory.gpus if gpu.uuid not in divided)

    @property
    def memory(self) -> int:
        """Bytes that jobs may be given; without end where the system does not tell how much it has."""
        return self.inventory.memory or MAX_SIZE

    def demand(self, job: Job) -> Demand:
        """Return what *job* needs."""
        wanted = job.spec.resources
        cpus = self.limits.cpus if wanted.cpus is None else wanted.cpus
        memory = self.limits.memory if wanted.memory is None else wanted.memory
        failed = failed_gpus(job) if wanted.gpus else frozenset[str]()
        return Demand(milli(cpus), memory, wanted.gpus, wanted.gpu_memory or 0, failed)


@frozen
class Holding:
    """What a job holds that runs or is about to; *gpus* are UUIDs."""

    job: Job
    demand: Demand
    gpus: tuple[str, ...] = ()


@frozen
class Lack:
    """Something of which there is too little for a job.

    Args:
        kind: ``slots``, ``cpus`` (in thousandths), ``memory`` or ``gpus``.
        needed: How much it needs.
        free: How much of it there is for this job now.
        total: How much the host has.
        able: Of GPUs: those that it could be given.
    """

    kind: str
    needed: int
    free: int
    total: int
    able: tuple[str, ...] = ()


@frozen
class _Card:
    """A GPU and what is free of it: slots, and bytes (None where its size is not known)."""

    gpu: Gpu
    place: int
    slots: int
    memory: int | None

    def able(self, demand: Demand) -> bool:
        if self.gpu.problem or self.slots < 1:
            return False
        if self.memory is None:
            return demand.gpu_memory == 0
        return self.memory >= demand.gpu_memory

    def ever(self, demand: Demand) -> bool:
        """Whether the card would do if nobody held anything of it."""
        return not self.gpu.problem and (self.gpu.memory or 0) >= demand.gpu_memory

    @property
    def taken(self) -> int:
        return self.gpu.slots - self.slots


class Room:
    """What is free on a host; it is counted down as jobs take of it, and below zero where a host has shrunk.

    Args:
        capacity: What the host has, all of it free.
    """

    def __init__(self, capacity: Capacity) -> None:
        self._total = capacity
        self._slots = capacity.slots
        self._cpus = self._all_cpus = math.floor(round(capacity.inventory.cpus * MILLI, 3))
        self._memory = capacity.memory
        self._known: dict[Demand, tuple[Lack, ...]] = {}  # until somebody takes of the room
        self._cards = {
            gpu.uuid: _Card(gpu, place, gpu.slots, gpu.memory) for place, gpu in enumerate(capacity.gpus)
        }

    def copy(self) -> Room:
        """Return a room of its own that has as much free."""
        other = Room(self._total)
        other._slots, other._cpus, other._memory = self._slots, self._cpus, self._memory
        other._cards = dict(self._cards)
        return other

    def lacks(self, demand: Demand) -> tuple[Lack, ...]:
        """Return everything of which there is too little for *demand*, in the order in which people are told."""
        if demand not in self._known:
            self._known[demand] = tuple(self._look(demand))
        return self._known[demand]

    def _look(self, demand: Demand) -> Iterator[Lack]:
        rows = (
            ("slots", 1, self._slots, self._total.slots),
            ("cpus", demand.cpus, self._cpus, self._all_cpus),
            ("memory", demand.memory, self._memory, self._total.memory),
        )
        for kind, needed, free, total in rows:
            if free < needed:
                yield Lack(kind, needed, max(0, free), total)
        able = tuple(card.gpu.uuid for card in self._open(demand) if card.able(demand))
        if len(able) < demand.gpus:
            yield Lack("gpus", demand.gpus, len(able), len(self._cards), able)

    def _open(self, demand: Demand) -> list[_Card]:
        """Return the GPUs that are looked at: those that failed only where too few others would do if they were free."""
        cards = list(self._cards.values())
        others = [card for card in cards if card.gpu.uuid not in demand.failed]
        return others if sum(card.ever(demand) for card in others) >= demand.gpus else cards

    def pick(self, demand: Demand) -> tuple[str, ...]:
        """Return the GPUs that a job gets: the least shared, then the smallest that will do, then as they are listed.

        One that failed under it comes last. They are fewer than it needs where there are not enough.
        """
        able = sorted(
            (card for card in self._open(demand) if card.able(demand)),
            key=lambda card: (
                card.gpu.uuid in demand.failed,
                card.taken,
                card.gpu.memory or 0,
                card.place,
            ),
        )
        return tuple(card.gpu.uuid for card in able[: demand.gpus])

    def take(self, demand: Demand, gpus: Iterable[str]) -> None:
        """Count down what *demand* needs; of GPUs these, as far as the host has them."""
        self._known = {}
        self._slots -= 1
        self._cpus -= demand.cpus
        self._memory -= demand.memory
        for uuid in gpus:
            card = self._cards.get(uuid)
            if card is not None:
                memory = None if card.memory is None else card.memory - demand.gpu_memory
                self._cards[uuid] = evolve(card, slots=card.slots - 1, memory=memory)

    def keep(self, demand: Demand) -> None:
        """Count down what *demand* needs although it is not all there: what is free and what comes free is kept for it.

        Its GPUs are those that it could have now, then the least shared: what was kept for it once is kept on, and
        of those that are still in use it waits for ever fewer jobs.
        """
        cards = sorted(
            (card for card in self._open(demand) if card.ever(demand)),
            key=lambda card: (not card.able(demand), card.taken, card.place),
        )
        self.take(demand, [card.gpu.uuid for card in cards[: demand.gpus]])


def milli(cpus: float) -> int:
    """Return CPUs in thousandths, rounded up: what is given away is never more than there is."""
    return max(1, math.ceil(round(cpus * MILLI, 3)))


def entire(capacity: Capacity) -> Room:
    """Return the room of a host on which no job runs and all is well."""
    gpus = tuple(evolve(gpu, problem="") for gpu in capacity.inventory.gpus)
    return Room(evolve(capacity, inventory=evolve(capacity.inventory, gpus=gpus)))


def holdings(
    active: Iterable[Job], capacity: Capacity, given: Mapping[int, tuple[str, ...]] | None = None
) -> tuple[Holding, ...]:
    """Return what the jobs that run or are about to hold, by id.

    Args:
        active: Those jobs.
        capacity: What the host has.
        given: The GPUs of jobs that are not launched yet, as far as they are known; the others get theirs here, by
            the rule by which a worker gives them.
    """
    room, found, open_ones = Room(capacity), [], []
    for job in sorted(active, key=lambda job: job.id):
        launch = job.attempt.launch if job.attempt else None
        demand = capacity.demand(job)
        if launch is not None:
            demand = evolve(
                demand,
                cpus=milli(launch.cpus) if launch.cpus else demand.cpus,
                memory=launch.memory or demand.memory,
            )
        gpus = launch.gpus if launch is not None and launch.gpus else (given or {}).get(job.id, ())
        if len(gpus) < demand.gpus:
            open_ones.append(Holding(job, demand))
            continue
        room.take(demand, gpus)
        found.append(Holding(job, demand, gpus))
    for holding in open_ones:
        gpus = room.pick(holding.demand)
        room.take(holding.demand, gpus)
        found.append(evolve(holding, gpus=gpus))
    return tuple(sorted(found, key=lambda holding: holding.job.id))
