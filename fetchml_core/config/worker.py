"""The worker file (``worker.yaml``): what one worker runs, how and with which limits.

Layer 1, declarations only. Most of these keys stand in the samples of the configuration reference alone; their
default is the value that all samples with the key share, else off. `launcher` and `sandbox` are ours.
"""

# ruff: noqa: RUF009 - `option` and `section` make attrs fields
from __future__ import annotations

from attrs import frozen

from .option import Duration, option, section
from .shared import LoggingConfig, QueueConfig, ResourcesConfig

_LEGACY = "run the worker on the host itself"


@frozen
class SnapshotStore:
    """``snapshot_store``: a mirror of snapshots on S3."""

    enabled: bool = option(default=False, help="Mirror snapshots to an S3 store.")
    endpoint: str = option(default="minio:9000", help="Host and port of the S3 store.")
    secure: bool = option(default=False, help="Use HTTPS.")
    bucket: str = option(default="fetchml-snapshots", help="Bucket.")
    prefix: str = option(default="snapshots", help="Prefix of every object's name.")
    timeout: Duration = option(default=Duration("5m"), help="Longest time of one transfer.")
    max_retries: int = option(default=3, ge=0, help="Further tries of a failed transfer.")


@frozen
class AppleGpu:
    """``apple_gpu``: read where the GPU vendor is apple."""

    enabled: bool = option(default=True, help="Use the Apple GPU where it is the vendor.")
    metal_device: str = option(default="/dev/metal", help="Device of Metal.")
    mps_runtime: str = option(default="/dev/mps", help="Device of Metal Performance Shaders.")


@frozen
class WorkerMetrics:
    """``metrics``: the worker's own metrics."""

    enabled: bool = option(default=False, help="Serve the worker's metrics.")
    listen_addr: str = option(default=":9100", help="Address and port to listen on.")


@frozen
class SandboxConfig:
    """``sandbox``: what a job's container may do."""

    network: str = option(
        default="none",
        choices=("none", "full"),
        help="Network of a job.",
        reason="no network is the safe default, and some jobs need one",
    )
    user: str = option(
        help="User in the container; unset: the account (rootless) or an unprivileged uid (rootful).",
        example="1000:1000",
        reason="images with a user of their own",
    )
    seccomp_profile: str = option(
        help="Seccomp profile; unset: the shipped, hardened one.",
        example="configs/seccomp/custom-profile.json",
        reason="the reference tells how to customise the profile, and no key to name it",
    )
    limits: str = option(
        default="required",
        choices=("required", "best-effort"),
        help="Whether a job may run where its CPU and memory limits cannot be enforced.",
        reason="rootless Podman on cgroup v1 ignores limits",
    )


@frozen
class WorkerConfig:
    """The worker file."""

    worker_id: str = option(
        help="Name of the worker, unique per queue; unset: the host's name.", example="box1"
    )
    base_path: str = option(
        help="Folder of queue, snapshots and jobs; unset: `data` in the base.",
        example="/data/ml-experiments",
        read_by="fetchml_core.config.resolve:data_root",
    )
    data_dir: str = option(help="Folder of active data sets.", example="/data/active")
    train_script: str = option(default="train.py", help="What a submitted directory runs.")

    redis_url: str = option(
        secret=True, help="Redis connection URL; wins over redis_addr.", example="redis://redis:6379/0"
    )
    redis_addr: str = option(help="Redis host and port.", example="redis:6379")
    redis_password: str = option(secret=True, help="Redis password.", example="${REDIS_PASSWORD}")
    redis_db: int = option(default=0, ge=0, help="Redis database number.")

    local_mode: bool = option(default=True, help="Jobs run on the worker's own host.")
    host: str = option(default="localhost", help="Legacy: host of the jobs.", deprecated=_LEGACY)
    user: str = option(default="ml-user", help="Legacy: account on that host.", deprecated=_LEGACY)
    port: int = option(default=22, ge=1, le=65535, help="Legacy: SSH port of that host.", deprecated=_LEGACY)
    ssh_key: str = option(default="~/.ssh/id_rsa", help="Legacy: SSH key for that host.", deprecated=_LEGACY)

    max_workers: int | None = option(
        default=None,
        ge=1,
        unit="jobs",
        help="Jobs that run at once; unset: resources.max_workers.",
        example="2",
    )
    poll_interval_seconds: int | None = option(
        default=None,
        ge=1,
        unit="s",
        help="Longest time between two looks at the queue when no wake-up arrives; unset: the worker's own.",
        example="2",
    )
    task_lease_duration: Duration = option(
        default=Duration("30m"), ge=1, help="How long a job stays with a worker that gives no sign of life."
    )
    heartbeat_interval: Duration = option(
        default=Duration("1m"), ge=0.1, help="Time between two signs of life."
    )
    max_retries: int = option(
        default=3, ge=0, help="Further attempts after a failure that is not the job's own."
    )
    graceful_timeout: Duration = option(
        default=Duration("5m"), help="Time between the signal to stop and the kill."
    )

    prewarm_enabled: bool = option(default=False, help="Fetch image and snapshot of the next job ahead.")
    auto_fetch_data: bool = option(default=False, help="Fetch the data sets of a job before it starts.")
    data_manager_path: str = option(default="./data_manager", help="Program that fetches data sets.")
    dataset_cache_ttl: Duration = option(default=Duration("30m"), help="How long an unused data set is kept.")
    snapshot_store: SnapshotStore = section(SnapshotStore, "Mirror of snapshots.")

    launcher: str = option(
        default="podman",
        choices=("podman", "process"),
        help="How a job is started; process has no sandbox.",
        reason="a box without Podman can run jobs when its owner says so",
    )
    sandbox: SandboxConfig = section(
        SandboxConfig, "What a job's container may do.", reason="see the options of this section"
    )
    podman_image: str = option(help="Image of jobs that name none.", example="python:3.9-slim")
    container_workspace: str = option(default="/workspace", help="Where a job finds its code.")
    container_results: str = option(default="/results", help="Where a job leaves its results.")

    gpu_vendor: str = option(
        choices=("nvidia", "amd", "apple", "none"),
        help="Vendor of the GPUs; unset: detected.",
        example="nvidia",
    )
    gpu_devices: tuple[str, ...] = option(default=(), help="Device files of the GPUs; empty: all detected.")
    gpu_visible_devices: tuple[str, ...] = option(
        default=(),
        numbers=True,
        help="GPUs that jobs may use, by index or id; empty: all detected.",
        example="[0, 1]",
    )
    apple_gpu: AppleGpu = section(AppleGpu, "Apple GPUs.")

    queue: QueueConfig = section(QueueConfig, "Where jobs wait; must agree with the api file.")
    resources: ResourcesConfig = section(ResourcesConfig, "How much may run at once.")
    metrics: WorkerMetrics = section(WorkerMetrics, "The worker's own metrics.")
    metrics_flush_interval: Duration = option(
        default=Duration("500ms"),
        ge=0.01,
        help="Longest time that a job's metrics wait before they are written.",
    )
    logging: LoggingConfig = section(LoggingConfig, "The log of the worker.")

    @property
    def slots(self) -> int:
        """Jobs that run at once."""
        return self.resources.max_workers if self.max_workers is None else self.max_workers
