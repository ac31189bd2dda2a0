"""What comes after an attempt: the evidence of how it ended, what it left made durable, its GPUs seen to."""

from __future__ import annotations

import contextlib
import logging

from attrs import evolve

from fetchml_core.errors import FetchError, explain_os_error
from fetchml_core.jobs.job import Job, Outcome, Stop
from fetchml_core.jobs.states import State
from fetchml_core.launcher.evidence import oom_kills
from fetchml_core.launcher.log import log_end, read_log, sync_log
from fetchml_core.launcher.record import ExitRecord
from fetchml_core.places import AttemptPlaces
from fetchml_core.service.host import Host
from fetchml_core.service.snapshot import load_manifest
from fetchml_core.snapshot.durable import sync_tree
from fetchml_core.snapshot.store import BlobStore
from fetchml_core.snapshot.workspace import written_outside

from .gpu_guard import GpuGuard
from .gpu_memory import Over
from .outcome import blamed, judge, refused

_LOG = logging.getLogger("fetchml")
_TAIL = 16 << 10
_ELSEWHERE = 20
"""So many files that a job wrote into its workspace instead of its results are named."""


def outcome_of(
    host: Host,
    job: Job,
    places: AttemptPlaces,
    *,
    record: ExitRecord | None,
    stop: Stop | None,
    image: str,
) -> Outcome:
    """Return how an attempt ended that is over.

    Args:
        host: The host.
        job: Its job; the attempt is the newest one.
        places: The attempt's folders.
        record: What its init wrote; None where it wrote nothing.
        stop: The wish to end it, if there was one.
        image: What jobs run in here.
    """
    launch = job.attempt.launch if job.attempt is not None else None
    control = places.control
    outcome = judge(
        record,
        stop,
        image=image if launch is not None and launch.launcher == "podman" else "",
        log_tail=read_log(control, max(0, log_end(control) - _TAIL), _TAIL).data,
        oom=bool(launch and launch.cgroup and oom_kills(launch.cgroup)),
        memory=launch.memory if launch else 0,
    )
    if outcome.log_problem:
        outcome = evolve(outcome, log_problem=f"{outcome.log_problem}: {control}")
        _LOG.warning("job %d: output was lost: %s", job.id, outcome.log_problem)
    with contextlib.suppress(FetchError, OSError):
        manifest = load_manifest(BlobStore(host.data.blobs), job.spec.snapshot)
        elsewhere = written_outside(manifest, places.workspace, _ELSEWHERE)
        return evolve(outcome, written_outside=tuple(elsewhere))
    return outcome


def keep(job: Job, places: AttemptPlaces, outcome: Outcome) -> Outcome:
    """Make what the job printed and left durable; no job has succeeded whose results a power cut takes away."""
    try:
        sync_log(places.control)
        sync_tree(places.results)
    except OSError as error:
        lost = explain_os_error(error, "keep the results")
        _LOG.error("job %d: %s", job.id, lost)
        return refused(lost) if outcome.state is State.SUCCEEDED else outcome
    return outcome


def free_gpus(
    guard: GpuGuard, job: Job, places: AttemptPlaces, outcome: Outcome, gpus: tuple[str, ...]
) -> Outcome:
    """Look whether the attempt's GPUs have come back, before anybody else can get them; say which have failed.

    Args:
        guard: What looks at them.
        job: The job; the attempt is its newest one.
        places: The attempt's folders.
        outcome: How it ended.
        gpus: What it was to get, where no launch tells what it got.
    """
    launch = job.attempt.launch if job.attempt is not None else None
    gpus = launch.gpus if launch is not None else gpus
    if not gpus:
        return outcome
    over = Over(
        job.id,
        places.workspace,
        launch.start_ticks if launch is not None else 0,
        launch.cgroup if launch is not None else "",
    )
    try:
        outcome = blamed(outcome, gpus, guard.end(over, places.folder, gpus))
        if outcome.gpus:
            guard.failed(job.id, outcome.gpus)
    except (FetchError, OSError) as error:
        _LOG.error("job %d: its GPUs cannot be looked at: %s", job.id, error)
    return outcome
