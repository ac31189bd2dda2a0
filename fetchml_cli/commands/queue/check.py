"""``ml queue check``: verify all that is stored, and repair it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from fetchml_cli.commands.common import JsonOption, ProfileOption, connect
from fetchml_cli.lazy import new_app
from fetchml_core.wire.queue import DamageInfo, QueueCheckReply, QueueCheckRequest
from fetchml_core.wire.verbs import Nothing

if TYPE_CHECKING:
    from fetchml_cli.cli import Cli

app = new_app()


@app.command()
def check(
    ctx: typer.Context,
    repair: Annotated[
        bool, typer.Option("--repair", help="Move what is damaged aside and serve the rest; delete nothing.")
    ] = False,
    as_json: JsonOption = False,
    profile: ProfileOption = "",
) -> int:
    """Verify all that the queue holds, by its checksums.

    Without --repair nothing is changed.

    Exit status: 0 nothing is damaged, or it was repaired; 1 something is damaged; 4 you are no admin of the host; 6
    host out of reach.
    """
    return run(ctx.obj.configured(profile=profile, json=as_json), repair=repair)


def run(cli: Cli, *, repair: bool = False) -> int:
    """Do the command without Typer; return the exit status."""
    with connect(cli) as client:
        # heard without a time limit: a large queue takes its time
        reply: QueueCheckReply = client.call("queue-check", QueueCheckRequest(repair), on_item=_ignore)
    if cli.json:
        cli.show_json(
            {"repaired": repair and bool(reply.damages), "damages": [_fields(one) for one in reply.damages]}
        )
    else:
        _show(cli, reply, repair=repair)
    return 1 if reply.damages and not repair else 0


def _show(cli: Cli, reply: QueueCheckReply, *, repair: bool) -> None:
    for one in reply.damages:
        cli.out.line(f"{one.place}: {one.problem}")
        if one.repair:
            cli.out.line(f"  {'repaired' if repair else 'repair  '}  {one.repair}")
        if one.jobs:
            cli.out.line(f"  lost      {'job' if len(one.jobs) == 1 else 'jobs'} {_numbers(one.jobs)}")
    if not reply.damages:
        cli.note("nothing is damaged")
    elif not repair:
        cli.note("type ml queue check --repair to move what is damaged aside")


def _numbers(jobs: tuple[int, ...]) -> str:
    return ", ".join(str(job) for job in jobs[:20]) + (f" and {len(jobs) - 20} more" if jobs[20:] else "")


def _fields(one: DamageInfo) -> dict[str, object]:
    return {"place": one.place, "problem": one.problem, "repair": one.repair, "jobs": list(one.jobs)}


def _ignore(_: Nothing) -> None:
    pass
