"""The configuration reference as data: every key with its type and default. Facts only, no imports of ours.

Written down from the reference by hand, so that a slip in the schema is seen. ``*`` is a name that the file
chooses. A default of UNSET is the reference's ``-``: no value.
"""

from __future__ import annotations

UNSET = "-"

# The tables under "Configuration Options", in their order; auth.apikeys is there what the samples call api_keys.
TABLES: dict[str, tuple[str, object]] = {
    "auth.enabled": ("bool", False),
    "auth.api_keys": ("map", {}),
    "auth.api_keys.*.hash": ("string", UNSET),
    "auth.api_keys.*.admin": ("bool", False),
    "auth.api_keys.*.roles": ("array", []),
    "auth.api_keys.*.permissions": ("map", {}),
    "server.address": ("string", ":9101"),
    "server.tls.enabled": ("bool", False),
    "server.tls.cert_file": ("string", UNSET),
    "server.tls.key_file": ("string", UNSET),
    "security.production_mode": ("bool", False),
    "security.allowed_origins": ("array", []),
    "security.api_key_rotation_days": ("int", 90),
    "security.audit_logging.enabled": ("bool", False),
    "security.audit_logging.log_path": ("string", UNSET),
    "security.rate_limit.enabled": ("bool", True),
    "security.rate_limit.requests_per_minute": ("int", 60),
    "security.rate_limit.burst_size": ("int", 10),
    "security.ip_whitelist": ("array", []),
    "security.failed_login_lockout.enabled": ("bool", False),
    "security.failed_login_lockout.max_attempts": ("int", 5),
    "security.failed_login_lockout.lockout_duration": ("string", "15m"),
    "monitoring.prometheus.enabled": ("bool", True),
    "monitoring.prometheus.port": ("int", 9101),
    "monitoring.prometheus.path": ("string", "/metrics"),
    "monitoring.health_checks.enabled": ("bool", True),
    "monitoring.health_checks.interval": ("string", "30s"),
    "database.type": ("string", "sqlite"),
    "database.connection": ("string", UNSET),
    "database.host": ("string", UNSET),
    "database.port": ("int", UNSET),
    "database.username": ("string", UNSET),
    "database.password": ("string", UNSET),
    "database.database": ("string", UNSET),
    "queue.type": ("string", "native"),
    "queue.native.data_dir": ("string", UNSET),
    "queue.sqlite_path": ("string", UNSET),
    "queue.filesystem_path": ("string", UNSET),
    "queue.fallback_to_filesystem": ("bool", False),
    "resources.max_workers": ("int", 1),
    "resources.desired_rps_per_worker": ("int", 2),
    "resources.requests_per_sec": ("int", UNSET),
    "resources.request_burst": ("int", UNSET),
    "resources.podman_cpus": ("string", "2"),
    "resources.podman_memory": ("string", "4Gi"),
    "scheduler.plugin_quota.enabled": ("bool", False),
    "scheduler.plugin_quota.total_gpus": ("int", 0),
    "scheduler.plugin_quota.per_user_gpus": ("int", 0),
    "scheduler.plugin_quota.per_user_services": ("int", 0),
    "scheduler.plugin_quota.per_plugin_limits": ("map", {}),
    "scheduler.plugin_quota.per_plugin_limits.*.max_gpus": ("int", 0),
    "scheduler.plugin_quota.per_plugin_limits.*.max_services": ("int", 0),
    "scheduler.plugin_quota.user_overrides": ("map", {}),
    "scheduler.plugin_quota.user_overrides.*.max_gpus": ("int", 0),
    "scheduler.plugin_quota.user_overrides.*.max_services": ("int", 0),
    "scheduler.plugin_quota.user_overrides.*.allowed_plugins": ("array", []),
    "redis.url": ("string", "redis://localhost:6379"),
    "redis.addr": ("string", UNSET),
    "redis.password": ("string", UNSET),
    "redis.db": ("int", 0),
    "redis.max_connections": ("int", 10),
    "logging.level": ("string", "info"),
    "logging.file": ("string", UNSET),
    "logging.audit_file": ("string", UNSET),
}

ALIASES = {"auth.apikeys": "auth.api_keys", "logging.audit_log": "logging.audit_file"}

# Keys that only a sample shows. Default: the value that all samples with the key share, else none.
SERVER_SAMPLES_ONLY: dict[str, tuple[str, object]] = {
    "base_path": ("string", UNSET),
    "data_dir": ("string", UNSET),
}

WORKER_SAMPLES_ONLY: dict[str, tuple[str, object]] = {
    "worker_id": ("string", UNSET),
    "base_path": ("string", UNSET),
    "train_script": ("string", "train.py"),
    "redis_url": ("string", UNSET),
    "redis_addr": ("string", UNSET),
    "redis_password": ("string", UNSET),
    "redis_db": ("int", 0),
    "local_mode": ("bool", True),
    "prewarm_enabled": ("bool", False),
    "max_workers": ("int", UNSET),
    "poll_interval_seconds": ("int", UNSET),
    "auto_fetch_data": ("bool", False),
    "data_manager_path": ("string", "./data_manager"),
    "dataset_cache_ttl": ("string", "30m"),
    "data_dir": ("string", UNSET),
    "snapshot_store.enabled": ("bool", False),
    "snapshot_store.endpoint": ("string", "minio:9000"),
    "snapshot_store.secure": ("bool", False),
    "snapshot_store.bucket": ("string", "fetchml-snapshots"),
    "snapshot_store.prefix": ("string", "snapshots"),
    "snapshot_store.timeout": ("string", "5m"),
    "snapshot_store.max_retries": ("int", 3),
    "podman_image": ("string", UNSET),
    "container_workspace": ("string", "/workspace"),
    "container_results": ("string", "/results"),
    "gpu_devices": ("array", []),
    "gpu_vendor": ("string", UNSET),
    "gpu_visible_devices": ("array", []),
    "apple_gpu.enabled": ("bool", True),
    "apple_gpu.metal_device": ("string", "/dev/metal"),
    "apple_gpu.mps_runtime": ("string", "/dev/mps"),
    "metrics.enabled": ("bool", False),
    "metrics.listen_addr": ("string", ":9100"),
    "metrics_flush_interval": ("string", "500ms"),
    "task_lease_duration": ("string", "30m"),
    "heartbeat_interval": ("string", "1m"),
    "max_retries": ("int", 3),
    "graceful_timeout": ("string", "5m"),
    "host": ("string", "localhost"),
    "user": ("string", "ml-user"),
    "port": ("int", 22),
    "ssh_key": ("string", "~/.ssh/id_rsa"),
}

# Sections of the tables that a worker file has too.
WORKER_TABLES = ("queue", "resources", "logging")

# A profile without a host is the embedded default, so host, account and folder of the samples are no defaults.
PROFILE: dict[str, tuple[str, object]] = {
    "server.worker_host": ("string", UNSET),
    "server.worker_user": ("string", UNSET),
    "server.worker_base": ("string", UNSET),
    "server.worker_port": ("int", 22),
    "auth.api_key": ("string", UNSET),
    "cli.default_timeout": ("int", 30),
    "cli.verbose": ("bool", False),
}

# The only keys beyond the reference; each carries its reason in the schema.
OURS = {
    "launcher": ("string", "podman"),
    "sandbox.network": ("string", "none"),
    "sandbox.user": ("string", UNSET),
    "sandbox.seccomp_profile": ("string", UNSET),
    "sandbox.limits": ("string", "required"),
}

# The table "Environment Variables": default, and the values it lists.
ENVIRONMENT: dict[str, tuple[str, tuple[str, ...]]] = {
    "FETCHML_CONFIG": (UNSET, ()),
    "FETCHML_LOG_LEVEL": ("info", ()),
    "CLI_CONFIG": (UNSET, ()),
    "FETCH_ML_GPU_TYPE": (UNSET, ("nvidia", "amd", "apple", "none")),
    "FETCH_ML_GPU_COUNT": (UNSET, ()),
    "FETCH_ML_TOTAL_CPU": (UNSET, ()),
    "FETCH_ML_GPU_SLOTS_PER_GPU": ("1", ()),
}
