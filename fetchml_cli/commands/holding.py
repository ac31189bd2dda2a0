"""What hold and release share: how they tell what became of the jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fetchml_cli.output.jobs import job_fields
from fetchml_core.wire.jobs import HoldReply

if TYPE_CHECKING:
    from fetchml_cli.cli import Cli


def show_reply(cli: Cli, reply: HoldReply, done: str) -> int:
    """Tell how the jobs stand; return 1 where one could not be *done*."""
    if cli.json:
        cli.show_json({"jobs": [job_fields(job) for job in reply.jobs], "unfit": list(reply.unfit)})
    else:
        for job in reply.jobs:
            unfit = job.id in reply.unfit
            cli.out.line(f"job {job.id} {f'cannot be {done}: it is ' if unfit else ''}{job.state.value}")
    return 1 if reply.unfit else 0
