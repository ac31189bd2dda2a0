"""One host as its files describe it: base folder, configuration, queue, snapshots, audit trail."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from attrs import field, frozen

from fetchml_core.audit.log import AuditLog
from fetchml_core.clock import Clock
from fetchml_core.config.find import find_server_file, find_worker_file
from fetchml_core.config.findings import Finding, InvalidConfigError
from fetchml_core.config.load import Loaded, load_server, load_worker, require_startable
from fetchml_core.config.resolve import QueueChoice, audit_file, data_root, resolve_queue
from fetchml_core.config.server import ServerConfig
from fetchml_core.config.worker import WorkerConfig
from fetchml_core.errors import FetchError
from fetchml_core.permission.policy import LOCAL, Identity, identify
from fetchml_core.places import Base, Data
from fetchml_core.queue.base import Queue
from fetchml_core.queue.engines import open_chosen
from fetchml_core.queue.home import find_home


@frozen
class Host:
    """Everything a use case or a worker needs to know about the host.

    Args:
        base: The folder given to FetchML.
        data: Where queue, snapshots and jobs lie.
        server: The api file; its defaults where there is none.
        worker: The worker file; its defaults where there is none.
        worker_file: That file, None where there is none.
        queue: The queue.
        queue_path: Where it lies, for records and messages: a path, or a URL without its password.
        embedded: No host was configured: this is the user's own machine.
        findings: What is to be said about the two files, although they can be used.
        queue_type: What kind of queue it is.
        broken: What is wrong with the worker file. The host can be read then, and its jobs be ended: where queue and
            data lie is known for sure, and nothing else of *worker* counts.
    """

    base: Base
    data: Data
    server: ServerConfig
    worker: WorkerConfig
    worker_file: Path | None
    queue: Queue
    queue_path: str
    clock: Clock
    environ: Mapping[str, str] = field(repr=False)
    embedded: bool = False
    findings: tuple[Finding, ...] = ()
    queue_type: str = "native"
    broken: InvalidConfigError | None = None

    @property
    def audit(self) -> AuditLog | None:
        """The audit trail, None where audit logging is off."""
        path = audit_file(self.server, self.base.folder)
        return None if path is None else AuditLog(path, self.clock)

    def identify(self, key: str) -> Identity:
        """Return who holds *key*; one local superuser where authentication is off."""
        if not self.server.auth.enabled:
            return LOCAL
        return identify(key, self.server.auth.api_keys)

    def queue_notes(self) -> tuple[str, ...]:
        """Say what people should know about the server that keeps the queue: that it is away, or may lose jobs."""
        notes: Callable[[], tuple[str, ...]] | None = getattr(self.queue, "notes", None)
        try:
            return notes() if notes is not None else ()
        except FetchError as error:
            return (error.message,)


def open_host(
    base: Path,
    environ: Mapping[str, str],
    clock: Clock,
    *,
    worker_file: Path | None = None,
    embedded: bool = False,
) -> Host:
    """Read the host's files.

    Args:
        base: The folder given to FetchML; made if missing, mode 0700.
        environ: The process's environment.
        clock: The machine's clocks.
        worker_file: A worker file other than ``<base>/worker.yaml``.
        embedded: No host was configured: this is the user's own machine.

    Raises:
        ConfigError: a file is invalid, misnamed or disagrees with the other; nobody gets in then.
    """
    worker_path = find_worker_file(base, worker_file)
    server = server_of(base, environ)
    worker = load_worker(worker_path, environ)
    choice, data = resolve_queue(server, worker, base), data_root(worker, base)
    return make_host(
        base,
        environ,
        clock,
        server=server,
        worker=worker.config,
        worker_file=worker_path,
        choice=choice,
        data=data,
        embedded=embedded and worker_path is None,
        findings=(*server.findings, *worker.findings),
    )


def server_of(base: Path, environ: Mapping[str, str]) -> Loaded[ServerConfig]:
    """Return the api file of *base*, which is made if missing; raise ConfigError if no door may start with it."""
    Base(base).make()
    return require_startable(load_server(find_server_file(base, environ), environ))


def make_host(
    base: Path,
    environ: Mapping[str, str],
    clock: Clock,
    *,
    server: Loaded[ServerConfig],
    choice: QueueChoice,
    data: Path,
    **known: Any,
) -> Host:
    """Return the host whose files say that; *known* are further fields of it."""
    home = find_home(data, socket.gethostname()) if choice.type == "redis" else ""
    return Host(
        base=Base(base),
        data=Data(data),
        server=server.config,
        queue=open_chosen(choice, clock, home=home),
        queue_path=choice.label,
        queue_type=choice.type,
        clock=clock,
        environ=environ,
        **known,
    )
