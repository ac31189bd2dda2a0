"""``ml why``: everything that keeps a job from starting."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import typer

from fetchml_cli.commands.common import JobArgument, JsonOption, ProfileOption, connect
from fetchml_cli.lazy import new_app
from fetchml_cli.output.jobs import asked_for, ending, ran, waited, wish, worker_fields
from fetchml_core.units import format_cpus, format_duration, format_size
from fetchml_core.wire.why import Blocker, Holds, WhyReply, WhyRequest

if TYPE_CHECKING:
    from fetchml_cli.cli import Cli

app = new_app()
Rows = Iterator[tuple[str, str]]


@app.command()
def why(
    ctx: typer.Context, job: JobArgument, as_json: JsonOption = False, profile: ProfileOption = ""
) -> None:
    """Tell why a job waits: what is missing, and who has it.

    Every blocker is named with its numbers; jobs are looked at by priority and age, users in turn. Of a job that
    runs it tells what it holds, of one that has ended how.

    Exit status: 0; 4 permission; 5 unknown job; 6 host out of reach.
    """
    run(ctx.obj.configured(profile=profile, json=as_json), job)


def run(cli: Cli, word: str) -> None:
    """Do the command without Typer."""
    with connect(cli) as client:
        reply: WhyReply = client.call("why", WhyRequest(word))
    if cli.json:
        cli.show_json(_fields(reply))
        return
    cli.show_rows(_rows(reply))


def _rows(reply: WhyReply) -> Rows:
    job = reply.job
    yield "job", f"{job.id} {job.spec.name}"
    yield "state", _state(reply)
    asked = asked_for(job.spec.resources)
    if asked:
        yield "asked for", ", ".join(asked)
    for blocker in reply.blockers:
        yield "waits", blocker.text
    if reply.keeps:
        yield (
            "kept",
            "what it needs is kept free for it: it has waited long, so others start only on the rest",
        )
    if reply.holds is not None:
        yield "holds", _held(reply.holds)
    if not job.state.final and not reply.worker.alive and reply.worker.hint:
        yield "hint", reply.worker.hint
    if any(blocker.kind == "held" for blocker in reply.blockers):
        yield "hint", f"ml release {job.id}"
    if job.state.final and job.outcome and job.outcome.hint:
        yield "hint", job.outcome.hint
    for note in reply.notes:
        yield "note", note


def _state(reply: WhyReply) -> str:
    job, state = reply.job, reply.job.state.value
    if job.state.final:
        how = ending(job)
        return state + (f" ({how})" if how else "")
    if job.state.active:
        if job.stop is not None:
            return f"{state} for {format_duration(reply.now - job.stop.at)} ({wish(job.stop)})"
        seconds = ran(job, reply.now)
        return state + (f" for {format_duration(seconds)}" if seconds is not None else "")
    waiting = f"{state} for {format_duration(waited(job, reply.now))}"
    if reply.ahead is None:
        return waiting
    line = f"{reply.ahead} before it" if reply.ahead else "first in line"
    return f"{waiting}, {line}" + ("" if reply.blockers else "; starts next")


def _held(holds: Holds) -> str:
    words = (format_cpus(holds.cpus), f"{format_size(holds.memory)} of memory", holds.where)
    return ", ".join(word for word in words if word)


def _fields(reply: WhyReply) -> dict[str, Any]:
    job, holds = reply.job, reply.holds
    return {
        "id": job.id,
        "state": job.state.value,
        "ahead": reply.ahead,
        "starts_next": reply.ahead is not None and not reply.blockers,
        "blockers": [_blocker(blocker) for blocker in reply.blockers],
        "kept_for_it": reply.keeps,
        "holds": None
        if holds is None
        else {"cpus": holds.cpus, "memory": holds.memory, "gpus": list(holds.gpus)},
        "ended": ending(job) if job.state.final else None,
        "worker": worker_fields(reply.worker),
        "notes": list(reply.notes),
    }


def _blocker(blocker: Blocker) -> dict[str, Any]:
    return {
        "kind": blocker.kind,
        "text": blocker.text,
        "needed": blocker.needed,
        "free": blocker.free,
        "total": blocker.total,
        "holders": [
            {"job": one.job, "user": one.user, "amount": one.amount, "gpus": list(one.gpus)}
            for one in blocker.holders
        ],
    }
