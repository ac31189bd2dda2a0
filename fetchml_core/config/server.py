"""The api file (``server.yaml``): who may do what, for every door of a host.

Layer 1, declarations only. Keys, types and defaults are those of the configuration reference.
"""

# ruff: noqa: RUF009 - `option` and `section` make attrs fields
from __future__ import annotations

from attrs import frozen

from .option import Duration, option, section
from .shared import DoorResources, LoggingConfig, QueueConfig


@frozen
class ApiKey:
    """``auth.api_keys.<user>``: one person or program."""

    hash: str = option(
        secret=True,
        required=True,
        pattern="[0-9a-f]{64}",
        help='SHA-256 of the API key, 64 hex digits: printf %s "$KEY" | sha256sum.',
        example="CHANGE_ME_SHA256_OF_THE_KEY",
        read_by="fetchml_core.permission.policy:identify",
    )
    admin: bool = option(
        default=False,
        help="May do everything, to everyone's jobs.",
        read_by="fetchml_core.permission.policy:identity_of",
    )
    roles: tuple[str, ...] = option(
        default=(),
        help="Roles whose permissions add up: admin, researcher, analyst, user.",
        example='["researcher"]',
        read_by="fetchml_core.permission.policy:identity_of",
    )
    permissions: dict[str, bool] = option(
        default={},
        help="Permissions by name on top of the roles'; false denies what a role grants.",
        example='{"jobs:delete": false}',
        read_by="fetchml_core.permission.policy:identity_of",
    )


@frozen
class AuthConfig:
    """``auth``: API keys."""

    enabled: bool = option(
        default=False,
        help="Ask for an API key; off: whoever reaches the door may do everything.",
        read_by="fetchml_core.service.host:Host.identify",
    )
    api_keys: dict[str, ApiKey] = option(
        default={},
        alias="apikeys",
        help="Who may come in, by the name that jobs and the audit trail show.",
        read_by="fetchml_core.service.host:Host.identify",
    )


@frozen
class TlsConfig:
    """``server.tls``."""

    enabled: bool = option(default=False, help="Serve HTTPS instead of HTTP.")
    cert_file: str = option(help="Certificate file, PEM.", example="/app/ssl/cert.pem")
    key_file: str = option(help="Private key file, PEM.", example="/app/ssl/key.pem")


@frozen
class HttpConfig:
    """``server``: the HTTP door."""

    address: str = option(
        default=":9101", help="Address and port to listen on; a port alone: every address of the machine."
    )
    tls: TlsConfig = section(TlsConfig, "Encryption of the HTTP door.")


@frozen
class AuditLogging:
    """``security.audit_logging``."""

    enabled: bool = option(
        default=False,
        help="Write a record before every change.",
        read_by="fetchml_core.config.resolve:audit_file",
    )
    log_path: str = option(
        help="Audit file; unset: audit.log in the base.",
        example="logs/fetchml-audit.log",
        read_by="fetchml_core.config.resolve:audit_file",
    )


@frozen
class RateLimit:
    """``security.rate_limit``."""

    enabled: bool = option(default=True, help="Limit how often a client may ask.")
    requests_per_minute: int = option(
        default=60, ge=1, unit="requests/min", help="Requests that a client may send in a minute."
    )
    burst_size: int = option(
        default=10,
        ge=1,
        unit="requests",
        help="Requests that a client may send at once, on top of the steady rate.",
    )


@frozen
class LoginLockout:
    """``security.failed_login_lockout``."""

    enabled: bool = option(default=False, help="Lock a client out after failed attempts.")
    max_attempts: int = option(default=5, ge=1, unit="attempts", help="Failed attempts before a lockout.")
    lockout_duration: Duration = option(default=Duration("15m"), help="How long a lockout lasts.")


@frozen
class SecurityConfig:
    """``security``: hardening of the doors."""

    production_mode: bool = option(
        default=False,
        help="Refuse to start with authentication off, with secrets that others can read, or open to the network without TLS or ip_whitelist.",
        read_by="fetchml_core.config.rules.production:production_asks_for_keys",
    )
    allowed_origins: tuple[str, ...] = option(
        default=(),
        help="Web sites whose pages may call the HTTP door from a browser.",
        example='["https://ml.example.com"]',
    )
    api_key_rotation_days: int = option(
        default=90, ge=1, unit="days", help="Age at which an API key must be replaced."
    )
    audit_logging: AuditLogging = section(AuditLogging, "The audit trail.")
    rate_limit: RateLimit = section(RateLimit, "Limits of each client.")
    ip_whitelist: tuple[str, ...] = option(
        default=(), help="Addresses and networks that may connect; empty: all.", example='["192.168.0.0/16"]'
    )
    failed_login_lockout: LoginLockout = section(LoginLockout, "Lockout after failed logins.")


@frozen
class PrometheusConfig:
    """``monitoring.prometheus``."""

    enabled: bool = option(default=True, help="Serve metrics for Prometheus.")
    port: int = option(
        default=9101, ge=1, le=65535, help="Port of the metrics; may be that of server.address."
    )
    path: str = option(default="/metrics", help="Path of the metrics in the URL.")


@frozen
class HealthChecks:
    """``monitoring.health_checks``."""

    enabled: bool = option(default=True, help="Look regularly whether queue, database and worker are well.")
    interval: Duration = option(default=Duration("30s"), ge=1, help="Time between two checks.")


@frozen
class MonitoringConfig:
    """``monitoring``."""

    prometheus: PrometheusConfig = section(PrometheusConfig, "Metrics.")
    health_checks: HealthChecks = section(HealthChecks, "Health checks.")


@frozen
class DatabaseConfig:
    """``database``: the history of jobs."""

    type: str = option(
        default="sqlite", choices=("sqlite", "postgres", "mysql"), help="Database of the job history."
    )
    connection: str = option(
        secret=True, help="Connection string, or the file of SQLite.", example="fetchml.sqlite"
    )
    host: str = option(help="Host of postgres or mysql.", example="db.example.com")
    port: int | None = option(default=None, ge=1, le=65535, help="Port of postgres or mysql.", example="5432")
    username: str = option(help="User of postgres or mysql.", example="fetchml")
    password: str = option(secret=True, help="Password of postgres or mysql.", example="${DB_PASSWORD}")
    database: str = option(help="Name of the database.", example="fetchml")


@frozen
class RedisConfig:
    """``redis``: used where the queue is Redis."""

    url: str = option(
        default="redis://localhost:6379",
        secret=True,
        help="Connection URL; wins over addr, password and db.",
        read_by="fetchml_core.config.resolve:_redis_url",
    )
    addr: str = option(
        help="Host and port; with password and db a short form of url.",
        example="redis:6379",
        read_by="fetchml_core.config.resolve:_redis_url",
    )
    password: str = option(
        secret=True,
        help="Password of Redis.",
        example="${REDIS_PASSWORD}",
        read_by="fetchml_core.config.resolve:_redis_url",
    )
    db: int = option(
        default=0,
        ge=0,
        help="Number of the database in Redis.",
        read_by="fetchml_core.config.resolve:_redis_url",
    )
    max_connections: int = option(
        default=10,
        ge=1,
        unit="connections",
        help="Most connections to Redis at once.",
        read_by="fetchml_core.config.resolve:_with_redis",
    )


@frozen
class PluginLimits:
    """``scheduler.plugin_quota.per_plugin_limits.<plugin>``."""

    max_gpus: int = option(default=0, ge=0, unit="GPUs", help="GPUs of this plugin; 0: unlimited.")
    max_services: int = option(
        default=0, ge=0, unit="services", help="Services of this plugin; 0: unlimited."
    )


@frozen
class UserOverride:
    """``scheduler.plugin_quota.user_overrides.<user>``."""

    max_gpus: int = option(default=0, ge=0, unit="GPUs", help="GPUs of this user; 0: unlimited.")
    max_services: int = option(default=0, ge=0, unit="services", help="Services of this user; 0: unlimited.")
    allowed_plugins: tuple[str, ...] = option(
        default=(), help="Plugins this user may use; empty: all.", example='["jupyter", "vllm"]'
    )


@frozen
class PluginQuota:
    """``scheduler.plugin_quota``: GPUs of services; every limit must hold."""

    enabled: bool = option(default=False, help="Enforce GPU quotas for services.")
    total_gpus: int = option(default=0, ge=0, unit="GPUs", help="GPUs of all plugins together; 0: unlimited.")
    per_user_gpus: int = option(default=0, ge=0, unit="GPUs", help="GPUs of one user; 0: unlimited.")
    per_user_services: int = option(
        default=0, ge=0, unit="services", help="Services of one user; 0: unlimited."
    )
    per_plugin_limits: dict[str, PluginLimits] = option(
        default={}, help="Limits of one kind of service, by plugin: jupyter, vllm."
    )
    user_overrides: dict[str, UserOverride] = option(
        default={}, help="Limits by user, instead of the per-user ones."
    )


@frozen
class SchedulerConfig:
    """``scheduler``."""

    plugin_quota: PluginQuota = section(PluginQuota, "GPU quotas of services.")


@frozen
class ServerConfig:
    """The api file."""

    base_path: str = option(
        help="Folder of experiments; queue and jobs lie under base_path of the worker file.",
        example="/data/experiments",
    )
    data_dir: str = option(help="Folder of the data sets in use.", example="/data/active")
    auth: AuthConfig = section(AuthConfig, "API keys.")
    server: HttpConfig = section(HttpConfig, "The HTTP door.")
    security: SecurityConfig = section(SecurityConfig, "Hardening of the doors.")
    monitoring: MonitoringConfig = section(MonitoringConfig, "Metrics and health checks.")
    database: DatabaseConfig = section(DatabaseConfig, "The history of jobs.")
    queue: QueueConfig = section(QueueConfig, "Where jobs wait; must agree with the worker file.")
    resources: DoorResources = section(
        DoorResources, "Requests that doors take; what jobs may use is said in the worker file."
    )
    scheduler: SchedulerConfig = section(SchedulerConfig, "GPU quotas.")
    redis: RedisConfig = section(RedisConfig, "Redis, where the queue is Redis.")
    logging: LoggingConfig = section(LoggingConfig, "The log of the door.")
