"""The queue as a whole: counted, paused, checked, moved."""

from __future__ import annotations

from attrs import frozen


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
