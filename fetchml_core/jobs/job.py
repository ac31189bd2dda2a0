"""The job as everybody knows it: what was asked for, what was tried, how it ended.

All records are plain, immutable and made of scalars, so that the queue can store them and the wire can carry
them. Times are seconds since the epoch (UTC), memory is bytes, durations are seconds.
"""

from __future__ import annotations

from attrs import field, frozen

from .states import State


@frozen
class Resources:
    """What one job may use; None takes the worker's default.

    Args:
        cpus: Cores.
        memory: Bytes.
        gpus: How many GPUs, or slots of GPUs where they are shared.
        gpu_memory: Bytes that each of them must have in all.
    """

    cpus: float | None = None
    memory: int | None = None
    gpus: int = 0
    gpu_memory: int | None = None


@frozen
class Git:
    """Where the code came from: recorded, never relied on."""

    commit: str
    branch: str = ""
    dirty: bool = False


@frozen
class JobSpec:
    """What the submitter asked for; it never changes.

    Args:
        name: For people; not unique.
        argv: The command, run in the workspace.
        snapshot: Digest of the manifest whose files are the workspace.
        cwd: Place in the workspace where the command starts, ``""`` is its root.
        env: The submitter's own variables.
        image: Container image; empty takes the worker's.
        priority: 1 to 10, higher first.
        time_limit: Seconds of running after which the job is stopped; None is no limit.
        retries: How often it is tried again when its own program fails.
        network: It asks for a network.
        files: How many files the snapshot has, and *size* their bytes: for people.
    """

    name: str
    argv: tuple[str, ...]
    snapshot: str
    cwd: str = ""
    env: dict[str, str] = field(factory=dict, repr=False)
    image: str = ""
    resources: Resources = Resources()
    priority: int = 5
    time_limit: float | None = None
    git: Git | None = None
    files: int = 0
    size: int = 0
    retries: int = 0
    network: bool = False


@frozen
class Launched:
    """A launched attempt: what is needed to watch, end and clean it, also after a restart of the worker.

    Args:
        launcher: ``podman`` or ``process``.
        pid: The init, as the host sees it.
        start_ticks: When it started, in clock ticks since boot: a pid alone is used again.
        name: The container; empty for a process.
        image_digest: What the image's name stood for; empty for a process.
        enforced: Protections that hold, proven before the go.
        not_enforced: Protections that do not hold, for people to see.
        cgroup: Folder of the memory cgroup on the host; empty where it is not the attempt's own.
        profile_sha256: Of the seccomp profile.
        cpus: What the job was given, in cores; 0 where nothing limits it.
        memory: Likewise, in bytes.
        boot_id: The boot that *start_ticks* counts in; empty where it is not known.
        gpus: UUIDs of the GPUs that it was given; one that is shared may stand here for several jobs.
    """

    launcher: str
    pid: int
    start_ticks: int
    name: str = ""
    image_digest: str = ""
    enforced: tuple[str, ...] = ()
    not_enforced: tuple[str, ...] = ()
    cgroup: str = ""
    profile_sha256: str = ""
    cpus: float = 0.0
    memory: int = 0
    boot_id: str = ""
    gpus: tuple[str, ...] = ()


@frozen
class Outcome:
    """How an attempt ended.

    Args:
        state: A final state.
        reason: One line for people.
        failure: ``code``, ``infrastructure``, ``data``, ``resource``, ``unknown`` or empty.
        code: Exit code of the job, None if it had none.
        signal: Signal that ended it, None if none did.
        oom: The kernel killed it for memory.
        log_bytes: What the job printed, in bytes, and *log_dropped* how much of it was not kept.
        log_problem: Why some of it could not be written, and where; empty where the cap alone cut it.
        written_outside: Files written elsewhere than in the results folder, which are gone.
        hint: What to do next.
        error: Code of the error that kept it from starting.
        gpus: UUIDs of the GPUs that failed, where that is why it ended.
    """

    state: State
    reason: str = ""
    failure: str = ""
    code: int | None = None
    signal: int | None = None
    oom: bool = False
    log_bytes: int = 0
    log_dropped: int = 0
    max_rss: int = 0
    written_outside: tuple[str, ...] = ()
    hint: str = ""
    error: str = ""
    gpus: tuple[str, ...] = ()
    log_problem: str = ""


@frozen
class Lease:
    """A worker's hold on an attempt, on the boot clock (see `fetchml_core.clock`).

    Args:
        worker: The ``worker_id``.
        boot_id: The boot it counts in; after another boot it has ended.
        until: Seconds since that boot.
    """

    worker: str
    boot_id: str
    until: float


@frozen
class Attempt:
    """One try. Its number is the fencing token of every write about it.

    One that has ended without an outcome was given back before anything ran, and counts as no try.
    """

    number: int
    worker: str
    claimed_at: float
    started_at: float | None = None
    ended_at: float | None = None
    launch: Launched | None = None
    outcome: Outcome | None = None


@frozen
class Stop:
    """A wish that the job ends: who, why, and whether it gets time to end by itself."""

    by: str
    reason: str = ""
    now: bool = False
    at: float = 0.0
    timed_out: bool = False


@frozen
class Job:
    """A job in the queue, with its whole story.

    Args:
        line: Since when it stands in line, for ageing: when it was submitted, but never before the job before it,
            so that a wall clock that was set wrong lets nobody starve.
        revision: Of the queue, at the last change of this job.
        home: The host that holds its snapshot, where several hosts share the queue.
    """

    id: int
    user: str
    spec: JobSpec
    submitted_at: float
    state: State = State.QUEUED
    attempts: tuple[Attempt, ...] = ()
    stop: Stop | None = None
    lease: Lease | None = None
    ended_at: float | None = None
    line: float = 0.0
    revision: int = 0
    home: str = ""

    @property
    def attempt(self) -> Attempt | None:
        """The newest attempt."""
        return self.attempts[-1] if self.attempts else None

    @property
    def outcome(self) -> Outcome | None:
        """How the job ended; None while it has not, or where it ended before any attempt."""
        return self.attempt.outcome if self.attempt else None
