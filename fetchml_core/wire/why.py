"""Why a job waits, and what it holds when it runs."""

from __future__ import annotations

from attrs import frozen

from fetchml_core.jobs.job import Job

from .worker import WorkerInfo


@frozen
class Holder:
    """A job that has something another one waits for; *gpus* are UUIDs, *amount* is in the blocker's unit."""

    job: int
    user: str
    amount: float = 0.0
    gpus: tuple[str, ...] = ()


@frozen
class Blocker:
    """Something that keeps a job from starting.

    Args:
        kind: ``held``, ``home``, ``paused``, ``worker``, ``never``, ``slots``, ``cpus``, ``memory``, ``gpus``,
            ``kept`` (for another job) or ``line``.
        text: The same in words.
        needed: How much it needs: cores, bytes, GPUs or slots.
        free: How much of it there is for this job now.
        total: How much the host has.
        holders: The jobs that have the rest.
    """

    kind: str
    text: str
    needed: float | None = None
    free: float | None = None
    total: float | None = None
    holders: tuple[Holder, ...] = ()


@frozen
class Holds:
    """What a job holds that runs: cores, bytes, the UUIDs of its GPUs, and these in words."""

    cpus: float
    memory: int
    gpus: tuple[str, ...] = ()
    where: str = ""


@frozen
class WhyRequest:
    """Ask why a job waits."""

    select: str


@frozen
class WhyReply:
    """Why a job waits, or what it holds.

    Args:
        ahead: How many stand before it in line; None where it stands in none, or so far back that nobody has counted.
        blockers: Everything that keeps it from starting; none where it starts next, runs or has ended.
        keeps: What it needs is kept free for it.
        holds: What it holds, where it runs or is about to.
        notes: What people should know of the queue's server.
    """

    job: Job
    now: float
    worker: WorkerInfo
    ahead: int | None = None
    blockers: tuple[Blocker, ...] = ()
    keeps: bool = False
    holds: Holds | None = None
    notes: tuple[str, ...] = ()
