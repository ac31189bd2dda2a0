"""Why a job waits, with numbers and holders; what one that runs holds. Pure."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Sequence

from attrs import frozen

from fetchml_core.hardware.inventory import Gpu
from fetchml_core.jobs.job import Job
from fetchml_core.jobs.retries import waits_until
from fetchml_core.jobs.states import State
from fetchml_core.queue.base import Pause, claim_order
from fetchml_core.units import format_cpus, format_duration, format_size
from fetchml_core.wire.why import Blocker, Holder, Holds
from fetchml_core.wire.worker import WorkerInfo

from .drain import why_drained
from .room import MILLI, Capacity, Demand, Holding, Lack, holdings
from .schedule import LOOKED_AT, Verdict, verdicts
from .turns import stands_since

RETRIES = "tried again in"
"""How a wait for the next try begins, with the time that is left."""
_WORDS = {"slots": "slots", "cpus": "CPUs", "memory": "memory", "gpus": "GPUs"}
NAMED = 4
"""So many holders are named in a sentence; the list beside it has them all."""


@frozen
class Standing:
    """Where a job stands that has not ended.

    Args:
        ahead: How many stand before it in line; None where it stands in none, or so far back that nobody has counted.
        blockers: Everything that keeps it from starting; empty where it starts next or runs.
        keeps: What it needs is kept free for it.
        holds: What it holds, where it runs or is about to.
    """

    ahead: int | None = None
    blockers: tuple[Blocker, ...] = ()
    keeps: bool = False
    holds: Holds | None = None


@frozen
class Situation:
    """What there is to know about a host, to say why its jobs wait.

    Args:
        capacity: What it has.
        worker: What is known of its worker.
        now: Seconds since the epoch.
        pause: What keeps the queue from giving out jobs.
        home: The host's name in a queue that several share.
    """

    capacity: Capacity
    worker: WorkerInfo
    now: float
    pause: Pause | None = None
    home: str = ""


def standings(jobs: Sequence[Job], wanted: Collection[int], here: Situation) -> dict[int, Standing]:
    """Return where each of the *wanted* jobs stands, by id; those that have ended, or run on another host, are left out.

    Args:
        jobs: Jobs that have not ended: all that run or are about to, as many of the line as the schedule looks at, and
            those that are wanted.
        wanted: Ids.
        here: The host.
    """
    held = holdings((job for job in jobs if job.state.active and job.home == here.home), here.capacity)
    line = sorted(
        (job for job in jobs if job.state is State.QUEUED and job.home == here.home), key=claim_order
    )
    found = {
        holding.job.id: Standing(holds=_holds(holding, here.capacity))
        for holding in held
        if holding.job.id in wanted
    }
    taken = list(held)
    for verdict in verdicts(line, held, here.capacity, here.now):
        if verdict.job.id in wanted:
            found[verdict.job.id] = _standing(verdict, taken, here)
        if verdict.starts:
            taken.append(Holding(verdict.job, verdict.demand, verdict.gpus))
    for ahead, job in enumerate(line):
        if job.id in wanted and job.id not in found:
            far = ahead >= LOOKED_AT  # nobody has counted those before it
            before = f"{LOOKED_AT} or more" if far else str(ahead)
            row = _pausing(job, here.now) or Blocker("line", f"{before} before it")
            found[job.id] = Standing(None if far else ahead, (*_of_the_host(here), row))
    for job in jobs:
        if job.id in wanted and job.state is State.HELD:
            found[job.id] = Standing(blockers=(Blocker("held", "held"),))
        elif job.id in wanted and job.state is State.QUEUED and job.home != here.home:
            found[job.id] = Standing(blockers=(Blocker("home", f"waits for a worker of {job.home}"),))
    return found


def on_one_line(standing: Standing) -> str:
    """Return the first blocker, for a table; of a job that holds GPUs which."""
    if standing.holds is not None:
        return standing.holds.where
    if not standing.blockers:
        return "starts next"
    first = standing.blockers[0]
    counted = first.kind in {"slots", "cpus", "memory", "gpus", "kept"} and standing.ahead
    return first.text + (f"; {standing.ahead} before it" if counted else "")


def why_paused(pause: Pause) -> str:
    """Return on one line who paused the queue, and why."""
    if pause.moved_to:
        return f"the queue was moved to {pause.moved_to} by {pause.by}"
    return f"the queue is paused by {pause.by}" + (f": {pause.reason}" if pause.reason else "")


def _pausing(job: Job, now: float) -> Blocker | None:
    """Say of a job that is not tried again at once when it is, and why the last try failed."""
    until = waits_until(job, now)
    if not until:
        return None
    last = job.outcome.reason if job.outcome else ""
    text = f"{RETRIES} {format_duration(math.ceil(until - now))}"
    return Blocker("retry", text + (f" ({last})" if last else ""))


def gpu_label(gpu: Gpu) -> str:
    """Return what people call a GPU: its number, and of an instance of a card its name as well."""
    return f"GPU {gpu.index}" + (f" ({gpu.uuid})" if gpu.instance_of else "")


def _of_the_host(here: Situation) -> tuple[Blocker, ...]:
    """Return what keeps every job of the host from starting."""
    found = []
    if here.pause is not None:
        found.append(Blocker("paused", why_paused(here.pause)))
    if here.worker.drained is not None:
        found.append(Blocker("drained", why_drained(here.worker.drained)))
    elif not here.worker.alive:
        problem = here.worker.problem
        found.append(Blocker("worker", f"no worker: {problem}" if problem else "no worker runs"))
    return tuple(found)


def _standing(verdict: Verdict, taken: Sequence[Holding], here: Situation) -> Standing:
    if verdict.never:
        rows = [_never(lack, verdict.demand) for lack in verdict.lacks]
    else:
        rows = [_short(lack, verdict.demand, taken, here.capacity) for lack in verdict.lacks]
    if verdict.kept_for is not None:
        other = verdict.kept_for
        waited = format_duration(here.now - stands_since(other))
        what = " and ".join(_WORDS[kind] for kind in verdict.kept)
        text = f"free {what} kept for job {other.id} ({other.user}), which has waited {waited}"
        rows.append(Blocker("kept", text, holders=(Holder(other.id, other.user),)))
    return Standing(verdict.place, (*_of_the_host(here), *rows), verdict.keeps)


def _never(lack: Lack, demand: Demand) -> Blocker:
    needed, total = _amount(lack.kind, lack.needed), _amount(lack.kind, lack.total)
    if lack.kind == "gpus":
        text = f"needs {_gpus_asked(demand)}, and of the host's {lack.total} it could only use {lack.free}"
    else:
        text = f"needs {needed}, and the host has {total} in all"
    return _with_numbers("never", text + ": it can never start here", lack, ())


def _short(lack: Lack, demand: Demand, taken: Sequence[Holding], capacity: Capacity) -> Blocker:
    """Say what is missing and who has it."""
    holders = tuple(_holders(lack, taken))
    if lack.kind == "gpus":
        reasons = [
            f"{gpu_label(gpu)} {_why_not(gpu, demand, taken)}"
            for gpu in capacity.gpus
            if gpu.uuid not in lack.able
        ]
        text = f"needs {_gpus_asked(demand)}, {lack.free} of {lack.total} free: {_listed(reasons, '; ')}"
        return _with_numbers(lack.kind, text, lack, holders)
    if lack.kind == "slots":
        named = _listed([f"{holder.job} ({holder.user})" for holder in holders])
        text = f"{lack.total - lack.free} of {lack.total} slots taken: job {named}"
        return _with_numbers(lack.kind, text, lack, holders)
    parts = [
        f"{'' if place else 'job '}{holder.job} ({holder.user}){'' if place else ' has'} {_bare(lack.kind, holder.amount)}"
        for place, holder in enumerate(holders)
    ]
    free = f"{_bare(lack.kind, _shown(lack.kind, lack.free))} of {_bare(lack.kind, _shown(lack.kind, lack.total))} free"
    text = f"needs {_amount(lack.kind, lack.needed)}, {free}" + (f": {_listed(parts)}" if parts else "")
    return _with_numbers(lack.kind, text, lack, holders)


def _holders(lack: Lack, taken: Iterable[Holding]) -> Iterator[Holder]:
    """Yield who has something of what is missing."""
    for holding in taken:
        job, demand = holding.job, holding.demand
        held = {"slots": 1, "cpus": demand.cpus, "memory": demand.memory, "gpus": len(holding.gpus)}[
            lack.kind
        ]
        if held:
            gpus = holding.gpus if lack.kind == "gpus" else ()
            yield Holder(job.id, job.user, _shown(lack.kind, held), gpus)


def _why_not(gpu: Gpu, demand: Demand, taken: Iterable[Holding]) -> str:
    """Say why a job cannot have *gpu* now."""
    if gpu.problem:
        return f"is out of use: {gpu.problem}"
    if demand.gpu_memory and gpu.memory is None:
        return "does not tell its memory"
    if demand.gpu_memory > (gpu.memory or 0):
        return f"has {format_size(gpu.memory or 0)}"
    if gpu.uuid in demand.failed:
        return "failed under it before"
    jobs = [f"{one.job.id} ({one.job.user})" for one in taken if gpu.uuid in one.gpus]
    return f"is held by job {_listed(jobs)}"


def _holds(holding: Holding, capacity: Capacity) -> Holds:
    known = {gpu.uuid: gpu for gpu in capacity.gpus}
    cards = [known[uuid] for uuid in holding.gpus if uuid in known]
    where = ", ".join(gpu_label(gpu) for gpu in cards)
    if any(gpu.slots > 1 for gpu in cards):
        where += " (may be shared: nothing fences the jobs on it)"
    return Holds(holding.demand.cpus / MILLI, holding.demand.memory, holding.gpus, where)


def _gpus_asked(demand: Demand) -> str:
    memory = f" with {format_size(demand.gpu_memory)}" if demand.gpu_memory else ""
    return f"{demand.gpus} {'GPU' if demand.gpus == 1 else 'GPUs'}{memory}"


def _with_numbers(kind: str, text: str, lack: Lack, holders: tuple[Holder, ...]) -> Blocker:
    needed, free, total = (_shown(lack.kind, number) for number in (lack.needed, lack.free, lack.total))
    return Blocker(kind, text, needed, free, total, holders)


def _shown(kind: str, number: int) -> float:
    """Return a number of a lack in the unit that people see: cores, bytes, pieces."""
    return number / MILLI if kind == "cpus" else number


def _bare(kind: str, number: float) -> str:
    return format_size(int(number)) if kind == "memory" else f"{number:g}"


def _amount(kind: str, number: int) -> str:
    shown = _shown(kind, number)
    if kind == "cpus":
        return format_cpus(shown)
    return f"{_bare(kind, shown)} of memory" if kind == "memory" else f"{shown:g} {kind}"


def _listed(words: Sequence[str], between: str = ", ") -> str:
    more = len(words) - NAMED
    return between.join(words[:NAMED]) + (f" and {more} more" if more > 0 else "")
