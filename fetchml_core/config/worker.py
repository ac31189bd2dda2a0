"""The worker file (``worker.yaml``): what one worker runs, how and with which limits.

Layer 1, declarations only. Most of these keys stand in the samples of the configuration reference alone; their
default is the value that all samples with the key share, else off. `launcher` and `sandbox` are ours.
"""

# ruff: noqa: RUF009 - `option` and `section` make attrs fields
from __future__ import annotations

from attrs import frozen

from .option import Duration, option, section
from .shared import QueueConfig, ResourcesConfig, WorkerLogging

_LEGACY = "run the worker on the host itself"
_APPLE = "fetchml_core.hardware.apple:probe_apple"


@frozen
class SnapshotStore:
    """``snapshot_store``: a mirror of snapshots on S3."""

    enabled: bool = option(default=False, help="Mirror snapshots to an S3 store.")
    endpoint: str = option(default="minio:9000", help="Host and port of the S3 store.")
    secure: bool = option(default=False, help="Reach the store over HTTPS.")
    bucket: str = option(default="fetchml-snapshots", help="Bucket that holds the snapshots.")
    prefix: str = option(default="snapshots", help="What the name of every object begins with.")
    timeout: Duration = option(default=Duration("5m"), help="Longest time of one transfer.")
    max_retries: int = option(default=3, ge=0, unit="tries", help="Further tries of a failed transfer.")


@frozen
class AppleGpu:
    """``apple_gpu``: read where the GPU vendor is apple."""

    enabled: bool = option(default=True, help="Use the Apple GPU where it is the vendor.", read_by=_APPLE)
    metal_device: str = option(default="/dev/metal", help="Device file of Metal.", read_by=_APPLE)
    mps_runtime: str = option(
        default="/dev/mps", help="Device file of Metal Performance Shaders.", read_by=_APPLE
    )


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
        help="Network that a job may ask for (ml submit --network): none at all, or connections to the outside (full).",
        reason="no network is the safe default, and some jobs need one",
        read_by="fetchml_core.service.network:network_allowed",
    )
    user: str = option(
        help="User in the container, uid or uid:gid; unset: the account (rootless) or an unprivileged uid (rootful).",
        example="1000:1000",
        reason="images with a user of their own",
        read_by="fetchml_core.worker.choose:choose_launcher",
    )
    seccomp_profile: str = option(
        help="Seccomp profile; unset: the shipped, hardened one.",
        example="configs/seccomp/custom-profile.json",
        reason="the reference tells how to customise the profile, and no key to name it",
        read_by="fetchml_core.worker.preparation:launch_spec",
    )
    limits: str = option(
        default="required",
        choices=("required", "best-effort"),
        help="Whether a job may run where its CPU and memory limits cannot be enforced.",
        reason="rootless Podman on cgroup v1 ignores limits",
        read_by="fetchml_core.worker.preparation:launch_spec",
    )


@frozen
class WorkerConfig:
    """The worker file."""

    worker_id: str = option(
        help="Name of the worker, unique per queue; unset: the host's name.",
        example="box1",
        read_by="fetchml_core.worker.main:_run",
    )
    base_path: str = option(
        help="Folder of queue, snapshots and jobs; unset: the folder data in the base.",
        example="/data/ml-experiments",
        read_by="fetchml_core.config.resolve:data_root",
    )
    data_dir: str = option(help="Folder of the data sets in use.", example="/data/active")
    train_script: str = option(
        default="train.py",
        help="Script that a submitted folder runs.",
        read_by="fetchml_core.agent.main:_converse",
    )

    redis_url: str = option(
        secret=True,
        help="Redis connection URL; wins over redis_addr, redis_password and redis_db.",
        example="redis://redis:6379/0",
        read_by="fetchml_core.config.resolve:_redis_url",
    )
    redis_addr: str = option(
        help="Host and port of Redis.",
        example="redis:6379",
        read_by="fetchml_core.config.resolve:_redis_url",
    )
    redis_password: str = option(
        secret=True,
        help="Password of Redis.",
        example="${REDIS_PASSWORD}",
        read_by="fetchml_core.config.resolve:_redis_url",
    )
    redis_db: int = option(
        default=0,
        ge=0,
        help="Number of the database in Redis.",
        read_by="fetchml_core.config.resolve:_redis_url",
    )

    local_mode: bool = option(
        default=True,
        help="Jobs run on the worker's own host.",
        read_by="fetchml_core.config.rules.worker:jobs_run_here",
    )
    host: str = option(
        default="localhost",
        help="Legacy: host of the jobs.",
        deprecated=_LEGACY,
        read_by="fetchml_core.config.rules.worker:jobs_run_here",
    )
    user: str = option(default="ml-user", help="Legacy: account on that host.", deprecated=_LEGACY)
    port: int = option(default=22, ge=1, le=65535, help="Legacy: SSH port of that host.", deprecated=_LEGACY)
    ssh_key: str = option(default="~/.ssh/id_rsa", help="Legacy: SSH key for that host.", deprecated=_LEGACY)

    max_workers: int | None = option(
        default=None,
        ge=1,
        unit="jobs",
        help="Jobs that run at once; unset: resources.max_workers.",
        example="2",
        read_by="fetchml_core.config.worker:WorkerConfig.slots",
    )
    poll_interval_seconds: int | None = option(
        default=None,
        ge=1,
        unit="s",
        help="Longest time between two looks at the queue when no wake-up arrives; unset: the worker's own.",
        example="2",
        read_by="fetchml_core.worker.worker:Worker._sleep",
    )
    task_lease_duration: Duration = option(
        default=Duration("30m"),
        ge=1,
        help="How long a job stays with a worker that gives no sign of life.",
        read_by="fetchml_core.worker.worker:Worker._lease",
    )
    heartbeat_interval: Duration = option(
        default=Duration("1m"),
        ge=0.1,
        help="Time between two signs of life.",
        read_by="fetchml_core.worker.worker:Worker._beat",
    )
    max_retries: int = option(
        default=3,
        ge=0,
        help="Further attempts after a failure that is not the job's own.",
        read_by="fetchml_core.worker.runner:Runner._end",
    )
    graceful_timeout: Duration = option(
        default=Duration("5m"),
        help="Time between the signal to stop and the kill.",
        read_by="fetchml_core.worker.stopping:Stopping.drive",
    )

    prewarm_enabled: bool = option(
        default=False, help="Fetch image and code of the next job while one still runs."
    )
    auto_fetch_data: bool = option(default=False, help="Fetch the data sets of a job before it starts.")
    data_manager_path: str = option(default="./data_manager", help="Program that fetches data sets.")
    dataset_cache_ttl: Duration = option(default=Duration("30m"), help="How long an unused data set is kept.")
    snapshot_store: SnapshotStore = section(SnapshotStore, "Mirror of snapshots.")

    launcher: str = option(
        default="podman",
        choices=("podman", "process"),
        help="How a job is started; process has no sandbox.",
        reason="a box without Podman can run jobs when its owner says so",
        read_by="fetchml_core.worker.choose:choose_launcher",
    )
    sandbox: SandboxConfig = section(
        SandboxConfig, "What a job's container may do.", reason="see the options of this section"
    )
    podman_image: str = option(
        help="Image of jobs that name none.",
        example="python:3.9-slim",
        read_by="fetchml_core.worker.main:_run",
    )
    container_workspace: str = option(
        default="/workspace",
        help="Where a job finds its code.",
        read_by="fetchml_core.worker.preparation:launch_spec",
    )
    container_results: str = option(
        default="/results",
        help="Where a job leaves its results.",
        read_by="fetchml_core.worker.preparation:launch_spec",
    )

    gpu_vendor: str = option(
        choices=("nvidia", "amd", "apple", "none"),
        env="FETCH_ML_GPU_TYPE",
        help="Vendor of the GPUs; unset: what is detected; none: no GPU jobs.",
        example="nvidia",
        read_by="fetchml_core.hardware.detect:detect",
    )
    gpu_devices: tuple[str, ...] = option(
        default=(),
        example='["/dev/nvidia0"]',
        help="Device files of the GPUs; empty: all detected.",
        read_by="fetchml_core.hardware.select:select_gpus",
    )
    gpu_visible_devices: tuple[str, ...] = option(
        default=(),
        numbers=True,
        help="GPUs that jobs may use, by index or id; empty: all detected.",
        example="[0, 1]",
        read_by="fetchml_core.hardware.select:select_gpus",
    )
    apple_gpu: AppleGpu = section(AppleGpu, "Apple GPUs.")

    queue: QueueConfig = section(QueueConfig, "Where jobs wait; must agree with the api file.")
    resources: ResourcesConfig = section(ResourcesConfig, "How much may run at once.")
    metrics: WorkerMetrics = section(WorkerMetrics, "The worker's own metrics.")
    metrics_flush_interval: Duration = option(
        default=Duration("500ms"),
        ge=0.01,
        help="Longest time that a job's metrics wait before they are written.",
        read_by="fetchml_core.worker.runner:Runner._wait",
    )
    logging: WorkerLogging = section(WorkerLogging, "The log of the worker.")

    @property
    def slots(self) -> int:
        """Jobs that run at once."""
        return self.resources.max_workers if self.max_workers is None else self.max_workers
