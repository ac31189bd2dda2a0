"""``ml show``: everything about one job."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING

import typer

from fetchml_cli.commands.common import JobArgument, JsonOption, ProfileOption, connect
from fetchml_cli.lazy import new_app
from fetchml_cli.output.jobs import asked_for, ending, job_fields, ran, waited, worker_fields
from fetchml_cli.output.times import ago, rfc3339
from fetchml_core.jobs.job import Attempt, Job, Outcome
from fetchml_core.units import format_cpus, format_duration, format_size
from fetchml_core.wire.jobs import ShowReply, ShowRequest

if TYPE_CHECKING:
    from fetchml_cli.cli import Cli

app = new_app()
Rows = Iterator[tuple[str, str]]


@app.command()
def show(
    ctx: typer.Context, job: JobArgument, as_json: JsonOption = False, profile: ProfileOption = ""
) -> None:
    """Tell everything about one job.

    Exit status: 0; 4 permission; 5 unknown job; 6 host out of reach.
    """
    run(ctx.obj.configured(profile=profile, json=as_json), job)


def run(cli: Cli, word: str) -> None:
    """Do the command without Typer."""
    with connect(cli) as client:
        reply: ShowReply = client.call("show", ShowRequest(word))
    if cli.json:
        cli.show_json(
            {
                "job": job_fields(reply.job, reply.why),
                "metrics": {line.key: {"value": line.value, "step": line.step} for line in reply.metrics},
                "results": reply.results,
                "checkpoint": reply.checkpoint,
                "worker": worker_fields(reply.worker),
                "notes": list(reply.notes),
            }
        )
        return
    cli.show_rows(_rows(reply))


def _rows(reply: ShowReply) -> Rows:
    job = reply.job
    yield "job", f"{job.id} {job.spec.name}"
    why = reply.why if job.stop is None and not job.state.final else ending(job)
    yield "state", job.state.value + (f" ({why})" if why not in {"", job.state.value} else "")
    if not job.state.final and not reply.worker.alive and reply.worker.hint:
        yield "hint", reply.worker.hint
    if job.home:
        yield "host", job.home
    yield from _asked(job)
    yield "submitted", f"{rfc3339(job.submitted_at)} ({ago(job.submitted_at, reply.now)}) by {job.user}"
    yield "waited", format_duration(waited(job, reply.now))
    seconds = ran(job, reply.now)
    if seconds is not None:
        yield "ran", format_duration(seconds)
    for attempt in job.attempts:
        yield from _tried(attempt)
    for line in reply.metrics:
        yield (
            f"metric {line.key}",
            f"{line.value:g}" + (f" at step {line.step}" if line.step is not None else ""),
        )
    if reply.results:
        yield "results", f"{reply.results} (ml pull {job.id})"
    for note in (*reply.notes, *reply.worker.notes, *reply.worker.idle):
        yield "note", note


def _asked(job: Job) -> Rows:
    spec = job.spec
    yield "command", shlex.join(spec.argv) + (f" in {spec.cwd}" if spec.cwd else "")
    git = (
        f", git {spec.git.commit[:12]} {spec.git.branch}{' with changes' if spec.git.dirty else ''}"
        if spec.git
        else ""
    )
    yield (
        "snapshot",
        f"{spec.snapshot[:12]}, {spec.files} {'file' if spec.files == 1 else 'files'}, {format_size(spec.size)}{git}",
    )
    if spec.image:
        yield "image", spec.image
    if spec.env:
        yield "variables", " ".join(sorted(spec.env))
    wanted = [
        *asked_for(spec.resources),
        "a network" if spec.network else "",
        f"at most {format_duration(spec.time_limit)}" if spec.time_limit else "",
        f"{spec.retries} {'retry' if spec.retries == 1 else 'retries'}" if spec.retries else "",
    ]
    if any(wanted):
        yield "asked for", ", ".join(word for word in wanted if word)
    yield "priority", str(spec.priority)


def _tried(attempt: Attempt) -> Rows:
    name, launch, outcome = f"attempt {attempt.number}", attempt.launch, attempt.outcome
    where = f"on {attempt.worker}" + (f" with {launch.launcher}" if launch else "")
    yield name, where + (f", container {launch.name}" if launch and launch.name else "")
    if launch and launch.image_digest:
        yield "  image", launch.image_digest
    if launch and (launch.cpus or launch.memory):
        yield "  limits", f"{format_cpus(launch.cpus)}, {format_size(launch.memory)} of memory"
    if launch and launch.gpus:
        yield "  GPUs", ", ".join(launch.gpus)
    if launch and launch.enforced:
        yield "  enforced", ", ".join(launch.enforced)
    if launch and launch.not_enforced:
        yield "  not enforced", ", ".join(launch.not_enforced)
    if outcome is not None:
        yield from _ended(outcome)


def _ended(outcome: Outcome) -> Rows:
    ended = (
        f"exit {outcome.code}"
        if outcome.code is not None
        else f"signal {outcome.signal}"
        if outcome.signal
        else ""
    )
    told = "" if outcome.reason == ended else outcome.reason
    state = outcome.state.value + (f" ({outcome.failure})" if outcome.failure else "")
    yield "  ended", ", ".join(word for word in (state, ended, told) if word)
    if outcome.hint:
        yield "  hint", outcome.hint
    if outcome.gpus:
        yield "  failed GPUs", ", ".join(outcome.gpus)
    yield (
        "  log",
        f"{outcome.log_bytes} bytes"
        + (f", {outcome.log_dropped} of them dropped" if outcome.log_dropped else "")
        + (f" ({outcome.log_problem})" if outcome.log_problem else ""),
    )
    if outcome.max_rss:
        yield "  memory", f"{format_size(outcome.max_rss)} at most, of its largest process"
    if outcome.written_outside:
        yield "  lost files", f"{', '.join(outcome.written_outside)} (written outside the results folder)"
