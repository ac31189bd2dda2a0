"""What client and host say to each other.

A message is one JSON object ``{"type": NAME, ...fields}``; the names are the class names below. Fields that a
reader does not know are ignored, fields at their default are left out, so that versions can differ.

    client                          host
    Hello                    ->
                             <-     Welcome, or Failure(request=0) and the end
    Call(request, verb, args) ->
    data frames (upload)     ->
                             <-     Item(request, ...)*, data frames*, then one of
                             <-     Done(request, result) | Failure(request, error)

Requests are answered in order, one at a time. A client that wants to end a stream closes the connection.
The verbs, their arguments and results are the table VERBS.
"""

from __future__ import annotations

import json
from typing import Any

from attrs import field, frozen

from fetchml_core.convert import from_data, to_data
from fetchml_core.errors import HostError
from fetchml_core.jobs.job import Job, JobSpec

from .frame import MESSAGE, Frame, ProtocolError

PROTOCOL = 1
OLDEST_PROTOCOL = 1
MAX_JOBS = 10_000
"""Most jobs in one answer."""


@frozen
class Hello:
    """The first message: who calls, with which key, speaking which versions."""

    version: str
    key: str = field(default="", repr=False)
    protocol: int = PROTOCOL
    oldest: int = OLDEST_PROTOCOL


@frozen
class Welcome:
    """The answer: who the host takes the caller for.

    Args:
        train_script: What a submitted folder runs here.
    """

    user: str
    host: str
    version: str
    protocol: int = PROTOCOL
    admin: bool = False
    auth: bool = False
    train_script: str = "train.py"
    notes: tuple[str, ...] = ()


@frozen
class Call:
    """A request: *verb* is a row of VERBS, *args* its arguments as plain data."""

    request: int
    verb: str
    args: dict[str, Any] = field(factory=dict, repr=False)


@frozen
class Item:
    """One piece of an answer that comes in pieces."""

    request: int
    item: dict[str, Any] = field(factory=dict)


@frozen
class Done:
    """The end of an answer."""

    request: int
    result: dict[str, Any] = field(factory=dict)


@frozen
class Failure:
    """The end of an answer that went wrong (see `fetchml_core.errors.to_fields`)."""

    request: int
    error: dict[str, str] = field(factory=dict)


Message = Hello | Welcome | Call | Item | Done | Failure
_MESSAGES: dict[str, type[Message]] = {
    cls.__name__: cls for cls in (Hello, Welcome, Call, Item, Done, Failure)
}


def encode_message(message: Message) -> Frame:
    """Return the frame that carries *message*."""
    data = {"type": type(message).__name__, **to_data(message)}
    return Frame(MESSAGE, json.dumps(data, ensure_ascii=True, separators=(",", ":")).encode("ascii"))


def decode_message(payload: bytes) -> Message:
    """Return the message in a frame's payload.

    Raises:
        ProtocolError: it is none.
    """
    try:
        data = json.loads(payload)
        kind = _MESSAGES[data.pop("type")]
        return from_data(data, kind, what="message")
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError, HostError) as error:
        raise ProtocolError("the peer sent something that is no message", str(error)[:200]) from None


# --- arguments and results of the verbs ---------------------------------------------------------------------


@frozen
class StageRequest:
    """Announce a snapshot; its manifest (*size* bytes) follows as data frames.

    Args:
        manifest: Its digest.
        size: Bytes of the manifest.
        network: The job that it is for asks for a network.
    """

    manifest: str
    size: int
    network: bool = False


@frozen
class StageReply:
    """Which blobs of the snapshot the host lacks, in the manifest's order, each once."""

    missing: tuple[str, ...] = ()


@frozen
class UploadRequest:
    """Send blobs of a staged snapshot; their bytes, one after the other, follow as data frames."""

    manifest: str
    blobs: tuple[str, ...]


@frozen
class UploadReply:
    """Blobs whose bytes were not what their digest says: the file changed while it was sent."""

    damaged: tuple[str, ...] = ()


@frozen
class SubmitRequest:
    """Ask for a job. The same *key* with the same *spec* is the same job, however often it is asked for."""

    key: str
    spec: JobSpec


@frozen
class DrainInfo:
    """Who drained the worker, why and when (seconds since the epoch)."""

    by: str
    reason: str = ""
    at: float = 0.0


@frozen
class WorkerInfo:
    """What the host knows about its worker.

    Args:
        alive: It runs.
        id: Its ``worker_id``.
        launcher: ``podman`` or ``process``; empty until it has said so.
        notes: What does not hold on this host, in words.
        idle: What its files switch on and nothing reads yet, in words.
        problem: Why it does not run, and *hint* what to type.
        drained: It takes no new jobs; None: it does.
    """

    alive: bool
    id: str = ""
    launcher: str = ""
    notes: tuple[str, ...] = ()
    idle: tuple[str, ...] = ()
    problem: str = ""
    hint: str = ""
    drained: DrainInfo | None = None


@frozen
class SubmitReply:
    """The job, how many stand before it (None: too many to count), and the worker that will take it."""

    job: Job
    ahead: int | None
    worker: WorkerInfo
    notes: tuple[str, ...] = ()


@frozen
class ListRequest:
    """Ask for jobs.

    Args:
        select: Words of `fetchml_core.jobs.selectors`; empty: *everyone* and *limit* decide.
        everyone: All users and final jobs too; else one's own unfinished ones and the last finished.
        limit: At most so many, the newest.
    """

    select: tuple[str, ...] = ()
    everyone: bool = False
    limit: int = 50


@frozen
class ListReply:
    """Jobs, oldest first, why the queued ones wait, and the host's time (seconds since the epoch).

    Args:
        hidden: How many are left out.
        notes: What people should know of the queue's server.
        more: More than *hidden* are left out: nobody has counted them all.
    """

    jobs: tuple[Job, ...]
    worker: WorkerInfo
    now: float
    why: dict[str, str] = field(factory=dict)
    hidden: int = 0
    notes: tuple[str, ...] = ()
    more: bool = False


@frozen
class ShowRequest:
    """Ask for everything about one job."""

    select: str


@frozen
class MetricLine:
    """The newest value of one metric."""

    key: str
    value: float
    step: int | None = None


@frozen
class ShowReply:
    """Everything about one job; *notes* are what people should know of the queue's server."""

    job: Job
    now: float
    worker: WorkerInfo
    why: str = ""
    metrics: tuple[MetricLine, ...] = ()
    results: str = ""
    checkpoint: str = ""
    notes: tuple[str, ...] = ()


@frozen
class Holder:
    """A job that has something another one waits for; *gpus* are UUIDs, *amount* is in the blocker's unit."""

    job: int
    user: str
    amount: float = 0.0
    gpus: tuple[str, ...] = ()


@frozen
class Blocker:
    """Something that keeps a job from starting.

    Args:
        kind: ``held``, ``home``, ``paused``, ``worker``, ``never``, ``slots``, ``cpus``, ``memory``, ``gpus``,
            ``kept`` (for another job) or ``line``.
        text: The same in words.
        needed: How much it needs: cores, bytes, GPUs or slots.
        free: How much of it there is for this job now.
        total: How much the host has.
        holders: The jobs that have the rest.
    """

    kind: str
    text: str
    needed: float | None = None
    free: float | None = None
    total: float | None = None
    holders: tuple[Holder, ...] = ()


@frozen
class Holds:
    """What a job holds that runs: cores, bytes, the UUIDs of its GPUs, and these in words."""

    cpus: float
    memory: int
    gpus: tuple[str, ...] = ()
    where: str = ""


@frozen
class WhyRequest:
    """Ask why a job waits."""

    select: str


@frozen
class WhyReply:
    """Why a job waits, or what it holds.

    Args:
        ahead: How many stand before it in line; None where it stands in none, or so far back that nobody has counted.
        blockers: Everything that keeps it from starting; none where it starts next, runs or has ended.
        keeps: What it needs is kept free for it.
        holds: What it holds, where it runs or is about to.
        notes: What people should know of the queue's server.
    """

    job: Job
    now: float
    worker: WorkerInfo
    ahead: int | None = None
    blockers: tuple[Blocker, ...] = ()
    keeps: bool = False
    holds: Holds | None = None
    notes: tuple[str, ...] = ()


@frozen
class LogsRequest:
    """Ask for what a job printed.

    Args:
        select: One selector.
        attempt: The one that *offset* counts in; of another one the log begins at its start.
        offset: First byte wanted.
        tail: Instead: start so many lines before the end.
        follow: Go on until the job ends.
    """

    select: str
    attempt: int = 0
    offset: int = 0
    tail: int | None = None
    follow: bool = False


@frozen
class JobNews:
    """An item of a followed answer: where the job stands now, and why it waits.

    Args:
        job: As it is now.
        why: Its first blocker, while it is queued.
        dropped: Bytes of its log that were not kept just here.
        log_at: Where in its log the next bytes stand; None where that has not changed.
    """

    job: Job
    why: str = ""
    dropped: int = 0
    log_at: int | None = None


@frozen
class LogsReply:
    """Where the log ended: the offset to go on from."""

    job: Job
    offset: int
    dropped: int = 0


@frozen
class CancelRequest:
    """Ask that jobs end."""

    select: tuple[str, ...]
    reason: str = ""
    now: bool = False


@frozen
class CancelReply:
    """The jobs as they stand now, and those that had ended before."""

    jobs: tuple[Job, ...]
    ended_before: tuple[int, ...] = ()


@frozen
class HoldRequest:
    """Ask that queued jobs wait until they are released."""

    select: tuple[str, ...]


@frozen
class ReleaseRequest:
    """Ask that held jobs may be claimed again."""

    select: tuple[str, ...]


@frozen
class HoldReply:
    """The jobs as they stand now, and those that neither wait nor are held, so that nothing was done."""

    jobs: tuple[Job, ...]
    unfit: tuple[int, ...] = ()


@frozen
class WaitRequest:
    """Wait until jobs have ended; an Item (JobNews) tells of each change."""

    select: tuple[str, ...]


@frozen
class WaitReply:
    """The jobs, ended."""

    jobs: tuple[Job, ...]


@frozen
class ResultFile:
    """One result file: path relative to the results folder, size in bytes, SHA-256 in hex."""

    path: str
    size: int
    digest: str
    executable: bool = False


@frozen
class ResultsRequest:
    """Ask what a job left in its results folder."""

    select: str


@frozen
class ResultsReply:
    """The files, and what was left out (links, devices), by name."""

    job: Job
    files: tuple[ResultFile, ...] = ()
    skipped: tuple[str, ...] = ()


@frozen
class FetchRequest:
    """Ask for the bytes of one result file from *offset* on; they come as data frames."""

    job: int
    attempt: int
    path: str
    offset: int = 0


@frozen
class Nothing:
    """No arguments, or no result."""


@frozen
class PauseInfo:
    """Who paused the queue, why, when, and the ``queue.type`` it was moved to, if it was."""

    by: str
    reason: str = ""
    at: float = 0.0
    moved_to: str = ""


@frozen
class QueueStatsReply:
    """The queue as a whole.

    Args:
        type: Its ``queue.type``.
        place: Where it lies.
        revision: Its number of changes.
        counts: How many jobs are in each state, by the state's word.
        now: The host's time, in seconds since the epoch.
        oldest: When the oldest queued job was submitted; None where none is queued.
        pause: The pause, None where there is none.
        bytes: What it takes on the disk; None where that is not known.
        home: The name of this host in a queue that several share; empty in one of its own.
        notes: What people should know of the queue's server.
    """

    type: str
    place: str
    revision: int
    counts: dict[str, int]
    now: float
    oldest: float | None = None
    pause: PauseInfo | None = None
    bytes: int | None = None
    home: str = ""
    notes: tuple[str, ...] = ()


@frozen
class QueuePauseRequest:
    """Ask that the queue gives out no more jobs."""

    reason: str = ""


@frozen
class QueuePauseReply:
    """The pause as it is now; asked to resume: the pause that has ended, None where there was none."""

    pause: PauseInfo | None = None


@frozen
class QueueCheckRequest:
    """Ask for a check of all that the queue holds; with *repair* what is damaged is moved aside."""

    repair: bool = False


@frozen
class DamageInfo:
    """Something in the queue that cannot be trusted (see `fetchml_core.queue.base.Damage`)."""

    place: str
    problem: str
    repair: str = ""
    jobs: tuple[int, ...] = ()


@frozen
class QueueCheckReply:
    """What is damaged."""

    damages: tuple[DamageInfo, ...] = ()


@frozen
class QueueMigrateRequest:
    """Ask that all jobs move to a queue of another ``queue.type``; *dry_run* only looks whether they could."""

    to: str
    dry_run: bool = False


@frozen
class QueueMigrateNews:
    """How many of how many jobs are copied."""

    done: int
    total: int


@frozen
class QueueMigrateReply:
    """What was moved, from where to where, and the files that must say so from now on."""

    jobs: int
    source: str
    target: str
    files: tuple[str, ...] = ()


@frozen
class GpuHolder:
    """A job that has a GPU, or a slot of it, and whose it is."""

    job: int
    user: str


@frozen
class GpuUser:
    """A process on a GPU (see `fetchml_core.hardware.inventory.GpuProcess`); *job* is None for a stranger's."""

    pid: int
    name: str = ""
    user: str = ""
    memory: int | None = None
    job: int | None = None


@frozen
class GpuInfo:
    """A GPU (see `fetchml_core.hardware.inventory.Gpu`), the jobs that hold it and the processes that are on it."""

    uuid: str
    vendor: str
    index: int
    type: str = ""
    memory: int | None = None
    memory_used: int | None = None
    busy: float | None = None
    temperature: int | None = None
    power: float | None = None
    slots: int = 1
    instance_of: str = ""
    device: str = ""
    problem: str = ""
    holders: tuple[GpuHolder, ...] = ()
    processes: tuple[GpuUser, ...] = ()


@frozen
class GpusReply:
    """The GPUs of the host.

    Args:
        gpus: In the order in which they are given out.
        how: How they were found, or why there are none.
        vendor: Of those; ``none`` where there are none.
        configured_vendor: What file or environment say; empty where they are silent.
        worker: The ``worker_id`` of the worker that found them; empty where none lives and the agent has looked.
        overrides: The FETCH_ML_* variables that count, each as ``NAME=value``.
        warnings: What people should know, one line each.
    """

    gpus: tuple[GpuInfo, ...] = ()
    how: str = ""
    vendor: str = "none"
    configured_vendor: str = ""
    worker: str = ""
    overrides: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@frozen
class WorkerJob:
    """A job that the worker holds."""

    id: int
    name: str
    user: str
    state: str


@frozen
class PodmanInfo:
    """The Podman that runs the jobs of a host, and what follows from its version and its surroundings.

    Args:
        version: As it says itself.
        rootless: It runs as an ordinary account.
        cgroups: ``v1`` or ``v2``.
        limits: What it can limit here: memory, cpus, pids.
        cdi: It can give NVIDIA GPUs to a container.
        network: What connects a job that was granted a network: ``bridge``, ``slirp4netns`` or ``pasta``.
    """

    version: str
    rootless: bool
    cgroups: str
    limits: tuple[str, ...] = ()
    cdi: bool = False
    network: str = ""


@frozen
class WorkerProcess:
    """The worker's process.

    Args:
        pid: As the host sees it.
        version: Of FetchML.
        protocol: Highest version of the messages that its build speaks.
        build: Folder of its code.
        config: The worker file that it read; empty where there is none.
        service: It stays until it is stopped; else it ends when it has been idle.
        slots: Jobs that it runs at once.
        started_at: When it started, in seconds since the epoch.
        read_at: When it last read its file.
        beat_at: When it last gave a sign of life.
        memory: Resident, in bytes; None where the host does not tell.
        cpu_s: Seconds of a core that it has used; None likewise.
        podman: What runs its jobs; None where they run without.
        refused_at: When it was told to read its file again and found errors in it; 0 where it has read it since.
        refused: The first of these, with its place.
        kept: Options that stand otherwise in the file and do not count until the worker is started anew.
    """

    pid: int
    version: str = ""
    protocol: int = 0
    build: str = ""
    config: str = ""
    service: bool = False
    slots: int = 0
    started_at: float = 0.0
    read_at: float = 0.0
    beat_at: float = 0.0
    memory: int | None = None
    cpu_s: float | None = None
    podman: PodmanInfo | None = None
    refused_at: float = 0.0
    refused: str = ""
    kept: tuple[str, ...] = ()


@frozen
class WorkerStatusReply:
    """The worker of a host.

    Args:
        worker: What every answer says of it.
        now: The host's time, in seconds since the epoch.
        base: The folder given to FetchML, with *queue* and *data*.
        process: None where none runs, or it has not said so yet.
        jobs: What it holds, or held when it ended.
        queued: How many jobs wait.
        gpus_out: The GPUs that no job gets, each with the reason, in words.
    """

    worker: WorkerInfo
    now: float
    base: str
    queue: str
    data: str
    process: WorkerProcess | None = None
    jobs: tuple[WorkerJob, ...] = ()
    queued: int = 0
    gpus_out: tuple[str, ...] = ()


@frozen
class WorkerStartReply:
    """The worker, which runs as a service now; *started* is false where it did before."""

    worker: WorkerInfo
    started: bool = False


@frozen
class WorkerStopRequest:
    """Ask that the worker ends; with *cancel* the running jobs end first, and hear the *reason*."""

    cancel: bool = False
    reason: str = ""


@frozen
class WorkerStopReply:
    """Whether one ran, the jobs that go on without it, and those that were cancelled; how many wait, for which worker.

    Args:
        queued: How many jobs wait without a worker; 0 also where one lives.
        drained: The host stays drained: they wait for the end of that.
    """

    stopped: bool
    running: tuple[int, ...] = ()
    cancelled: tuple[int, ...] = ()
    queued: int = 0
    drained: bool = False


@frozen
class WorkerDrainRequest:
    """Ask that the worker takes no new jobs and ends with the running ones.

    Args:
        reason: Why, for whoever waits.
        cancel: End the running jobs too.
        wait: Answer when the worker has ended.
    """

    reason: str = ""
    cancel: bool = False
    wait: bool = False


@frozen
class WorkerDrainReply:
    """The drain, the jobs that run on or end now, and whether the worker still runs for them."""

    drained: DrainInfo
    running: tuple[int, ...] = ()
    alive: bool = False


@frozen
class WorkerResumeReply:
    """The drain that has ended, None where there was none, and the worker as it is now."""

    worker: WorkerInfo
    drained: DrainInfo | None = None


@frozen
class Verb:
    """One row of VERBS: the classes of arguments, pieces and result."""

    args: type[Any]
    result: type[Any]
    item: type[Any] = Nothing
    since: int = 1


VERBS: dict[str, Verb] = {
    "stage": Verb(StageRequest, StageReply),
    "upload": Verb(UploadRequest, UploadReply),
    "submit": Verb(SubmitRequest, SubmitReply),
    "list": Verb(ListRequest, ListReply),
    "show": Verb(ShowRequest, ShowReply),
    "why": Verb(WhyRequest, WhyReply),
    "logs": Verb(LogsRequest, LogsReply, JobNews),
    "cancel": Verb(CancelRequest, CancelReply),
    "hold": Verb(HoldRequest, HoldReply),
    "release": Verb(ReleaseRequest, HoldReply),
    "wait": Verb(WaitRequest, WaitReply, JobNews),
    "results": Verb(ResultsRequest, ResultsReply),
    "fetch": Verb(FetchRequest, Nothing),
    "gpus": Verb(Nothing, GpusReply),
    "queue-stats": Verb(Nothing, QueueStatsReply),
    "queue-pause": Verb(QueuePauseRequest, QueuePauseReply),
    "queue-resume": Verb(Nothing, QueuePauseReply),
    "queue-check": Verb(QueueCheckRequest, QueueCheckReply),
    "queue-migrate": Verb(QueueMigrateRequest, QueueMigrateReply, QueueMigrateNews),
    "worker-status": Verb(Nothing, WorkerStatusReply),
    "worker-start": Verb(Nothing, WorkerStartReply),
    "worker-stop": Verb(WorkerStopRequest, WorkerStopReply),
    "worker-drain": Verb(WorkerDrainRequest, WorkerDrainReply, WorkerDrainReply),
    "worker-resume": Verb(Nothing, WorkerResumeReply),
}
