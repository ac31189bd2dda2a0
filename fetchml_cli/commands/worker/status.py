"""``ml worker status``: how the worker of a host is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import typer
from attrs import asdict

from fetchml_cli.commands.common import JsonOption, ProfileOption, connect
from fetchml_cli.lazy import new_app
from fetchml_cli.output.jobs import drain_words, worker_fields
from fetchml_cli.output.times import ago, rfc3339
from fetchml_core.units import format_size
from fetchml_core.wire.verbs import Nothing
from fetchml_core.wire.worker import PodmanInfo, WorkerProcess, WorkerStatusReply

if TYPE_CHECKING:
    from fetchml_cli.cli import Cli

app = new_app()
Rows = Iterator[tuple[str, str]]


@app.command()
def status(ctx: typer.Context, as_json: JsonOption = False, profile: ProfileOption = "") -> None:
    """Tell how the worker of the host is: since when it runs, what it holds, what it uses, who drained it.

    Nothing is started by looking.

    Exit status: 0 also where none runs; 4 permission; 6 host out of reach.
    """
    run(ctx.obj.configured(profile=profile, json=as_json))


def run(cli: Cli) -> None:
    """Do the command without Typer."""
    with connect(cli) as client:
        reply: WorkerStatusReply = client.call("worker-status", Nothing())
    if cli.json:
        cli.show_json(_fields(reply))
        return
    cli.show_rows(_rows(reply))


def _fields(reply: WorkerStatusReply) -> dict[str, Any]:
    return {
        "worker": worker_fields(reply.worker),
        "base": reply.base,
        "queue": reply.queue,
        "data": reply.data,
        "process": None if reply.process is None else _process_fields(reply.process),
        "jobs": [asdict(job) for job in reply.jobs],
        "queued": reply.queued,
        "gpus_out": list(reply.gpus_out),
    }


def _process_fields(process: WorkerProcess) -> dict[str, Any]:
    times = {name: rfc3339(getattr(process, f"{name}_at")) for name in ("started", "read", "beat")}
    refused = {
        "refused": process.refused or None,
        "refused_at": rfc3339(process.refused_at) if process.refused else None,
    }
    plain = {name: value for name, value in asdict(process).items() if not name.endswith("_at")}
    return plain | times | refused | {"config": process.config or None}


def _rows(reply: WorkerStatusReply) -> Rows:
    worker, process, now = reply.worker, reply.process, reply.now
    if worker.id:
        yield "worker", worker.id
    if process is None:
        yield "state", "starting" if worker.alive else "no worker runs"
    else:
        kind = "until it is stopped" if process.service else "while there is work"
        yield "state", f"running, {kind}, started {ago(process.started_at, now)}"
    if worker.drained is not None:
        yield "drained", drain_words(worker.drained, now)
    if not worker.alive:
        yield "hint", _next_step(reply)
    slots = f" of {process.slots} slots taken" if process else " running"
    yield "jobs", f"{len(reply.jobs)}{slots}, {reply.queued} queued"
    yield from ((f"  {job.id}", f"{job.state}: {job.name} ({job.user})") for job in reply.jobs)
    yield from (("gpus", gpu) for gpu in reply.gpus_out)
    if process is not None:
        yield from _process_rows(process, now)
    if worker.launcher:
        yield "launcher", worker.launcher
    if process is not None and process.podman is not None:
        yield "podman", _podman_words(process.podman)
    yield "base", reply.base
    yield "queue", reply.queue
    yield "data", reply.data
    yield from (("note", note) for note in (*worker.notes, *worker.idle))


def _podman_words(podman: PodmanInfo) -> str:
    account = "rootless" if podman.rootless else "as root"
    limits = f"limits {', '.join(podman.limits)}" if podman.limits else "limits nothing"
    gpus = "NVIDIA GPUs by CDI" if podman.cdi else "NVIDIA GPUs by device files"
    return (
        f"{podman.version} {account}, cgroup {podman.cgroups}; {limits}; {gpus}; network by {podman.network}"
    )


def _next_step(reply: WorkerStatusReply) -> str:
    if reply.worker.drained is not None:
        return "ml worker resume"
    if reply.jobs or reply.queued:
        return "ml status starts one for these jobs; ml worker start one that stays"
    return "ml submit starts one for its job; ml worker start one that stays"


def _process_rows(process: WorkerProcess, now: float) -> Rows:
    yield "last beat", ago(process.beat_at, now)
    yield "process", str(process.pid)
    if process.memory is not None:
        yield "memory", format_size(process.memory)
    if process.cpu_s is not None:
        share = 100 * process.cpu_s / max(now - process.started_at, 1.0)
        yield "cpu", f"{process.cpu_s:.1f}s, {share:.1f} % of a core since it started"
    yield "version", f"{process.version}, protocol {process.protocol}"
    yield "build", process.build
    yield "file", f"{process.config or 'none'}, read {ago(process.read_at, now)}"
    if process.refused:
        yield "  refused", f"{ago(process.refused_at, now)}, all stays as it was: {process.refused}"
    if process.kept:
        yield "  kept", f"as it was, until the worker is started anew: {', '.join(process.kept)}"
