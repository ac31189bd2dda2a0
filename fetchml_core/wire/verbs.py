"""The verbs that a client may ask for, each with the records that travel for it."""

from __future__ import annotations

from typing import Any

from attrs import frozen

from .gpus import GpusReply
from .jobs import (
    CancelReply,
    CancelRequest,
    HoldReply,
    HoldRequest,
    JobNews,
    ListReply,
    ListRequest,
    ReleaseRequest,
    ShowReply,
    ShowRequest,
    SubmitReply,
    SubmitRequest,
    WaitReply,
    WaitRequest,
)
from .output import FetchRequest, LogsReply, LogsRequest, ResultsReply, ResultsRequest
from .queue import (
    QueueCheckReply,
    QueueCheckRequest,
    QueueMigrateNews,
    QueueMigrateReply,
    QueueMigrateRequest,
    QueuePauseReply,
    QueuePauseRequest,
    QueueStatsReply,
)
from .snapshot import StageReply, StageRequest, UploadReply, UploadRequest
from .why import WhyReply, WhyRequest
from .worker import (
    WorkerDrainReply,
    WorkerDrainRequest,
    WorkerResumeReply,
    WorkerStartReply,
    WorkerStatusReply,
    WorkerStopReply,
    WorkerStopRequest,
)


@frozen
class Nothing:
    """No arguments, or no result."""


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
