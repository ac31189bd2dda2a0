"""The worker of a host: what is known of it, started, stopped, drained."""

from __future__ import annotations

from attrs import frozen


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
        cdi: It was told of NVIDIA GPUs by CDI when the worker started, and gives them by their device files where not.
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
