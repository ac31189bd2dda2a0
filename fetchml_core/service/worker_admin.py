"""The worker of a host, for its admins: how it is, start and stop it, drain it and let it go on."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fetchml_core.errors import HostError
from fetchml_core.jobs.job import Job, Stop
from fetchml_core.jobs.states import ACTIVE, State
from fetchml_core.queue.base import Filter
from fetchml_core.wire.verbs import Nothing
from fetchml_core.wire.worker import (
    WorkerDrainReply,
    WorkerDrainRequest,
    WorkerJob,
    WorkerProcess,
    WorkerResumeReply,
    WorkerStartReply,
    WorkerStatusReply,
    WorkerStopReply,
    WorkerStopRequest,
)

from .blockers import gpu_label
from .context import Context
from .drain import Drain, drain_info, read_drain, remove_drain, why_drained, write_drain
from .front import front
from .gpus import inventory_of
from .heal import heal
from .host import Host
from .worker_info import WorkerRecord, living_record, worker_alive, worker_info
from .workers import ensure_worker, start_service, stop_worker, wake_worker

ACTION = "worker:admin"
MAX_REASON = 500
_DONE = {"drain": "drained", "stop": "stopped"}
_LOOK_S = 0.2
_HELD = Filter(states=ACTIVE)
_QUEUED = Filter(states=frozenset({State.QUEUED}))


def status(context: Context, _: Nothing) -> WorkerStatusReply:
    """Tell how the worker is. Nothing is started by looking."""
    host = context.host
    info, record = worker_info(host), living_record(host)
    return WorkerStatusReply(
        info,
        now=host.clock.now(),
        base=str(host.base.folder),
        queue=host.queue_path,
        data=str(host.data.folder),
        process=_process(host, record) if info.alive and record is not None else None,
        jobs=tuple(WorkerJob(job.id, job.spec.name, job.user, job.state.value) for job in _held(host)),
        queued=host.queue.counts()[State.QUEUED],
        gpus_out=_gpus_out(host) if info.alive else (),
    )


def start(context: Context, _: Nothing) -> WorkerStartReply:
    """See that a worker runs until it is stopped; one on demand is replaced, and its jobs go on.

    Raises:
        HostError: ``worker-drained``.
    """
    drain = drain_info(read_drain(context.host.base))
    if drain is not None:
        raise HostError("worker-drained", why_drained(drain), hint="ml worker resume")
    context.change(ACTION, about="start the worker")
    worker, started = start_service(context.host)
    return WorkerStartReply(worker, started)


def stop(context: Context, request: WorkerStopRequest) -> WorkerStopReply:
    """End the worker; its jobs go on, and the next worker takes them up, unless they are to be cancelled."""
    host = context.host
    if request.cancel:
        return _cancel_and_stop(context, request)
    context.change(ACTION, about="stop the worker")
    stopped = stop_worker(host)
    return _stop_reply(host, stopped=stopped, running=_ids(_held(host)))


def drain(context: Context, request: WorkerDrainRequest) -> WorkerDrainReply:
    """Let the worker take no new jobs and end with the running ones; nobody starts one until `resume`."""
    host, cancel = context.host, request.cancel
    before = read_drain(host.base)
    # whoever drains again, only to wait, takes no reason away
    reason = request.reason or (before.reason if before else "")
    drained, running = _drain(context, "drain", reason, cancel=cancel)
    told = drain_info(drained)
    assert told is not None  # noqa: S101 - of a drain
    if request.wait:
        context.talk.item(WorkerDrainReply(told, _ids(running), worker_alive(host)))
    while request.wait and worker_alive(host) and not context.talk.gone(_LOOK_S):
        _end_jobs(context, drained, "drain", cancel=cancel)
    return WorkerDrainReply(told, _ids(running), worker_alive(host))


def resume(context: Context, _: Nothing) -> WorkerResumeReply:
    """Let the worker take jobs again; one that ran as a service before the drain is started as one."""
    host = context.host
    drained = read_drain(host.base)
    context.change(ACTION, about="resume the worker")
    if drained is not None:
        remove_drain(host.base)
        wake_worker(host)  # it may run still: from now on it claims again
    if drained is not None and drained.service:
        worker, _started = start_service(host)
    else:
        worker = heal(host, front(host.queue))
    return WorkerResumeReply(worker, drain_info(drained))


def _drain(context: Context, verb: str, reason: str, *, cancel: bool) -> tuple[Drain, Sequence[Job]]:
    """Record the drain, pass it on, and, where asked for, end the running jobs; return these."""
    host, reason = context.host, reason[:MAX_REASON]
    for job in _held(host) if cancel else ():
        context.allow("jobs:update", owner=job.user, about=f"cancel job {job.id}")
    context.change(ACTION, about=f"{verb} the worker" + (f": {reason}" if reason else ""))
    record, before = living_record(host), read_drain(host.base)
    service = before.service if before else bool(worker_alive(host) and record and not record.on_demand)
    drained = Drain(context.identity.user, reason, host.clock.now(), service=service)
    write_drain(host.base, drained)
    wake_worker(host)
    running = _end_jobs(context, drained, verb, cancel=cancel)
    heal(host, running)  # somebody must see them end
    return drained, running


def _end_jobs(context: Context, drained: Drain, verb: str, *, cancel: bool) -> Sequence[Job]:
    """Return the jobs that a worker holds; with *cancel* each is asked to end.

    To be called again while the worker ends: it may have claimed one in the moment of the drain.
    """
    host, running = context.host, _held(context.host)
    reason = f"the worker was {_DONE[verb]}" + (f": {drained.reason}" if drained.reason else "")
    for job in running if cancel else ():
        if job.stop is None:
            context.change("jobs:update", owner=job.user, about=f"cancel job {job.id}")
            host.queue.stop(job.id, Stop(drained.by, reason))
            wake_worker(host)
    return running


def _cancel_and_stop(context: Context, request: WorkerStopRequest) -> WorkerStopReply:
    """Drain the worker while its jobs end; a job that is submitted meanwhile gets a worker afterwards."""
    host = context.host
    before, was_alive = read_drain(host.base), worker_alive(host)
    drained, running = _drain(context, "stop", request.reason, cancel=True)
    while worker_alive(host):  # also when the client has left: what was begun is brought to its end
        host.clock.sleep(_LOOK_S)
        _end_jobs(context, drained, "stop", cancel=True)
    if before is not None:
        write_drain(host.base, before)
    else:
        remove_drain(host.base)
        queued = host.queue.jobs(_QUEUED, newest=True, limit=1)
        if any(job.submitted_at >= drained.at for job in queued):
            ensure_worker(host)
    return _stop_reply(host, stopped=was_alive, cancelled=_ids(running))


def _stop_reply(host: Host, **what: Any) -> WorkerStopReply:
    """Add which jobs wait without a worker."""
    queued = sum(job.home == host.queue.home for job in host.queue.jobs(_QUEUED))
    drained = read_drain(host.base) is not None
    return WorkerStopReply(queued=0 if worker_alive(host) else queued, drained=drained, **what)


def _held(host: Host) -> list[Job]:
    """Return the jobs of this host that a worker holds."""
    return [job for job in host.queue.jobs(_HELD) if job.home == host.queue.home]


def _ids(jobs: Sequence[Job]) -> tuple[int, ...]:
    return tuple(job.id for job in jobs)


def _gpus_out(host: Host) -> tuple[str, ...]:
    gpus = inventory_of(host).gpus
    return tuple(f"{gpu_label(gpu)} is given to no job: {gpu.problem}" for gpu in gpus if gpu.problem)


def _process(host: Host, record: WorkerRecord) -> WorkerProcess:
    memory, cpu_s = _usage(record.pid)
    return WorkerProcess(
        pid=record.pid,
        version=record.version,
        protocol=record.protocol,
        build=record.build,
        config=record.config,
        service=not record.on_demand,
        slots=record.slots,
        started_at=record.started_at,
        read_at=record.read_at,
        beat_at=host.base.worker_record.stat().st_mtime,
        memory=memory,
        cpu_s=cpu_s,
        podman=record.podman,
        refused_at=record.refused_at,
        refused=record.refused,
        kept=record.kept,
    )


def _usage(pid: int, proc: Path = Path("/proc")) -> tuple[int | None, float | None]:
    """Return the resident memory of a process in bytes, and the seconds of a core that it has used."""
    try:
        text = (proc / str(pid) / "stat").read_text("utf-8", "replace")
        fields = text.rpartition(")")[2].split()  # the name before may hold anything
        ticks = int(fields[11]) + int(fields[12])
        return int(fields[21]) * os.sysconf("SC_PAGE_SIZE"), ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return None, None
