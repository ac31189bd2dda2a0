"""Accept a job: check what is asked, queue it durably, see that a worker is there."""

from __future__ import annotations

from fetchml_core.errors import InputError
from fetchml_core.jobs.checks import check_image, check_name, check_retries, check_time
from fetchml_core.jobs.job import Job, JobSpec
from fetchml_core.jobs.states import State
from fetchml_core.launcher.environment import check_env_names
from fetchml_core.launcher.spec import check_words
from fetchml_core.queue.base import QUEUED, Queue, claim_order
from fetchml_core.snapshot.store import BlobStore
from fetchml_core.wire.jobs import SubmitReply, SubmitRequest

from .blockers import why_paused
from .capacity import capacity_of
from .context import Context
from .drain import drain_info, read_drain, why_drained
from .network import check_network
from .room import Capacity
from .snapshot import load_manifest
from .wanted import check_wanted
from .worker_info import linger_note, worker_info
from .workers import ensure_worker

MAX_ARGUMENTS = 100_000
MOST_IN_LINE = 2_000
"""Where more are queued, nobody counts those before a new one."""


def run(context: Context, request: SubmitRequest) -> SubmitReply:
    """See the module."""
    spec, host = request.spec, context.host
    check_spec(spec, capacity_of(host))
    check_network(host, wanted=spec.network)
    store = BlobStore(host.data.blobs)
    manifest = load_manifest(store, spec.snapshot)
    missing = store.missing({entry.digest: entry.size for entry in manifest.entries})
    if missing:
        raise InputError(
            "snapshot-incomplete",
            f"{len(missing)} files of the snapshot have not arrived",
            hint="submit again: only they travel",
        )
    if not 0 < len(request.key) <= 200:
        raise InputError("bad-key", "an idempotency key has 1 to 200 characters", context=request.key[:60])
    context.change("jobs:create", about=f"job {spec.name} of snapshot {spec.snapshot[:12]}")
    job = host.queue.submit(spec, user=context.identity.user, key=request.key)
    drain = drain_info(read_drain(host.base))
    worker = worker_info(host) if drain else ensure_worker(host)
    drained = (f"{why_drained(drain)}; the job waits until ml worker resume",) if drain else ()
    pause = host.queue.paused()
    paused = (f"{why_paused(pause)}; the job waits until ml queue resume",) if pause else ()
    notes = (*paused, *drained, *host.queue_notes(), *linger_note(host))
    return SubmitReply(job, _ahead(host.queue, job), worker, notes)


def _ahead(queue: Queue, job: Job) -> int | None:
    """Return how many jobs stand in line before *job*; None where it would take too long to look at all of them."""
    if queue.counts()[State.QUEUED] > MOST_IN_LINE:
        return None
    line = [other for other in queue.jobs(QUEUED) if other.home == job.home]
    return sum(claim_order(other) < claim_order(job) for other in line)


def check_spec(spec: JobSpec, capacity: Capacity) -> None:
    """Raise InputError for a job that this host would never run."""
    check_name(spec.name)
    if not spec.argv or not spec.argv[0] or sum(map(len, spec.argv)) > MAX_ARGUMENTS:
        raise InputError("bad-command", "the command is empty or too long", context=" ".join(spec.argv)[:80])
    check_words(spec.argv, "an argument")
    check_words((spec.cwd,), "the start folder")
    if not 1 <= spec.priority <= 10:
        raise InputError("bad-priority", "a priority is 1 to 10", context=str(spec.priority))
    check_time(spec.time_limit)
    check_retries(spec.retries)
    check_image(spec.image)
    if spec.cwd.startswith("/") or {"..", "."} & set(spec.cwd.split("/")):
        raise InputError("bad-folder", "the job must start inside its tree", context=spec.cwd[:200])
    check_env_names(spec.env)
    check_wanted(spec.resources, capacity)
