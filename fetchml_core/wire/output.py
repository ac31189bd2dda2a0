"""What a job printed, and what it left in its results folder."""

from __future__ import annotations

from attrs import frozen

from fetchml_core.jobs.job import Job


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
class LogsReply:
    """Where the log ended: the offset to go on from."""

    job: Job
    offset: int
    dropped: int = 0


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
