"""``ml gpus``: the host's GPUs and who holds them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer
from attrs import asdict

from fetchml_cli.commands.common import JsonOption, ProfileOption, connect, host_name, load_profile
from fetchml_cli.lazy import new_app
from fetchml_cli.output.table import Cell, Column, Row, write_table
from fetchml_core.units import format_size
from fetchml_core.wire.gpus import GpuInfo, GpusReply, GpuUser
from fetchml_core.wire.verbs import Nothing

if TYPE_CHECKING:
    from fetchml_cli.cli import Cli

app = new_app()

COLUMNS = (
    Column("GPU", fixed=True, right=True),
    Column("TYPE", fixed=True, cut=True),
    Column("USED", fixed=True, right=True),
    Column("MEMORY", fixed=True, right=True),
    Column("BUSY", fixed=True, right=True),
    Column("SLOTS", fixed=True, right=True),
    Column("JOBS", cut=True),
    Column("OTHERS", cut=True),
    Column("PROBLEM", cut=True),
)


@app.command()
def gpus(ctx: typer.Context, as_json: JsonOption = False, profile: ProfileOption = "") -> None:
    """Show the host's GPUs and who holds them.

    A line for each GPU, or for each instance of one that is divided (MIG): memory in use and in all, the share of time
    that it worked lately, slots taken of all, the jobs that hold it, and the processes on it that belong to no job.

    Exit status: 0; 4 permission; 6 host out of reach.
    """
    run(ctx.obj.configured(profile=profile, json=as_json))


def run(cli: Cli) -> None:
    """Do the command without Typer."""
    profile = load_profile(cli)
    with connect(cli, profile) as client:
        reply: GpusReply = client.call("gpus", Nothing())
        host, name = client.welcome.host, host_name(profile, client)
    if cli.json:
        cli.show_json({"host": host, **_fields(reply)})
        return
    for warning in reply.warnings:
        cli.warn(warning)
    write_table(cli, COLUMNS, [gpu_row(gpu) for gpu in reply.gpus])
    cli.note(f"found with {reply.how}" if reply.gpus else f"no GPUs on {name} ({reply.how})")
    if reply.overrides:
        cli.note(f"set in the environment: {', '.join(reply.overrides)}")


def gpu_row(gpu: GpuInfo) -> Row:
    """Return the cells of one GPU, in the order of COLUMNS."""
    return [
        str(gpu.index),
        gpu.type,
        _size(gpu.memory_used),
        _size(gpu.memory),
        Cell("") if gpu.busy is None else Cell(f"{gpu.busy:.0%}", f"{gpu.busy:g}"),
        f"{len(gpu.holders)}/{gpu.slots}",
        ", ".join(f"{holder.job} ({holder.user})" for holder in gpu.holders),
        ", ".join(_stranger(process) for process in gpu.processes if process.job is None),
        Cell(gpu.problem, style="red"),
    ]


def _size(size: int | None) -> Cell:
    return Cell("") if size is None else Cell(format_size(size), str(size))


def _stranger(process: GpuUser) -> str:
    name = f"{process.name} {process.pid}".lstrip()
    return f"{name} ({process.user})" if process.user else name


def _fields(reply: GpusReply) -> dict[str, Any]:
    fields = asdict(reply)
    fields["configured_vendor"] = reply.configured_vendor or None
    fields["worker"] = reply.worker or None
    fields["gpus"] = [_gpu_fields(gpu) for gpu in reply.gpus]
    return fields


def _gpu_fields(gpu: GpuInfo) -> dict[str, Any]:
    return {
        "uuid": gpu.uuid,
        "vendor": gpu.vendor,
        "index": gpu.index,
        "type": gpu.type or None,
        "instance_of": gpu.instance_of or None,
        "device": gpu.device or None,
        "memory": gpu.memory,
        "memory_used": gpu.memory_used,
        "utilisation": gpu.busy,
        "temperature": gpu.temperature,
        "power": gpu.power,
        "slots": gpu.slots,
        "slots_taken": len(gpu.holders),
        "jobs": [{"id": holder.job, "user": holder.user} for holder in gpu.holders],
        "processes": [asdict(process) for process in gpu.processes],
        "problem": gpu.problem or None,
    }
