"""The sections that the api file and the worker file have in common.

Layer 1, declarations only.
"""

# ruff: noqa: RUF009 - `option` and `section` make attrs fields
from __future__ import annotations

from attrs import frozen

from .option import Cpus, Size, option, section, unread

LOG_LEVELS = ("debug", "info", "warn", "warning", "error")


@frozen
class NativeQueue:
    """``queue.native``."""

    data_dir: str = option(
        help="Folder of the native queue; unset: the folder queue in the worker's data folder.",
        example="data/dev/queue",
        read_by="fetchml_core.config.resolve:_Side.path",
    )


@frozen
class QueueConfig:
    """``queue``: where jobs wait."""

    type: str = option(
        default="native",
        choices=("native", "redis", "sqlite", "filesystem"),
        help="What keeps the queue: files of our own, Redis, SQLite, or plain files.",
        read_by="fetchml_core.config.resolve:resolve_queue",
    )
    native: NativeQueue = section(NativeQueue, "The native queue.")
    sqlite_path: str = option(
        help="SQLite database file of the queue; unset: queue.sqlite in the worker's data folder.",
        example="data/queue.sqlite",
        read_by="fetchml_core.config.resolve:_Side.path",
    )
    filesystem_path: str = option(
        help="Folder of the filesystem queue; unset: queue-files (for fallback_to_filesystem: queue-fallback) in the worker's data folder.",
        example="data/queue-files",
        read_by="fetchml_core.config.resolve:_Side.path",
    )
    fallback_to_filesystem: bool = option(
        default=False,
        help="Use the filesystem queue while Redis cannot be reached.",
        read_by="fetchml_core.config.resolve:_with_redis",
    )


@frozen
class ResourcesConfig:
    """``resources``: how much may run at once."""

    max_workers: int = option(
        default=1,
        ge=1,
        unit="jobs",
        help="Jobs that run at once.",
        read_by="fetchml_core.config.worker:WorkerConfig.slots",
    )
    desired_rps_per_worker: int = option(
        default=2, ge=1, unit="requests/s", help="Requests per second that a door takes for each worker."
    )
    requests_per_sec: int | None = option(
        default=None,
        ge=1,
        unit="requests/s",
        example="20",
        help="Requests per second at a door; unset: max_workers * desired_rps_per_worker.",
    )
    request_burst: int | None = option(
        default=None,
        ge=1,
        unit="requests",
        example="40",
        help="Requests that may come at once on top of the steady rate; unset: max_workers * desired_rps_per_worker.",
    )
    podman_cpus: Cpus = option(
        default=Cpus("2"),
        help="CPUs of a job: its default and its ceiling.",
        read_by="fetchml_core.service.limits:job_limits",
    )
    podman_memory: Size = option(
        default=Size("4Gi"),
        help="Memory of a job: its default and its ceiling.",
        read_by="fetchml_core.service.limits:job_limits",
    )


@frozen
class LoggingConfig:
    """``logging``: the log of the program itself."""

    level: str = option(
        default="info",
        choices=LOG_LEVELS,
        env="FETCHML_LOG_LEVEL",
        help="Least level that is logged; debug tells most.",
        read_by="fetchml_core.service.own_log:set_level",
    )
    file: str = option(
        help="Log file; unset: standard error.",
        example="logs/fetchml.log",
        read_by="fetchml_core.service.own_log:start_logging",
    )
    audit_file: str = option(
        alias="audit_log",
        help="Must be security.audit_logging.log_path, which decides, or unset.",
        example="logs/audit.log",
        read_by="fetchml_core.config.rules.api:audit_paths_agree",
    )


@frozen(field_transformer=unread("max_workers", "podman_cpus", "podman_memory"))
class DoorResources(ResourcesConfig):
    """``resources`` of the api file: only the worker file says what jobs may use."""


@frozen(field_transformer=unread("audit_file"))
class WorkerLogging(LoggingConfig):
    """``logging`` of the worker file: it writes no audit records."""
