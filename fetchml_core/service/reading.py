"""A host whose worker file has errors: its jobs can be looked at and ended, nothing is started or promised there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from fetchml_core.clock import Clock
from fetchml_core.config.find import find_worker_file
from fetchml_core.config.findings import InvalidConfigError
from fetchml_core.config.load import load_places
from fetchml_core.config.resolve import QueueChoice, data_root, resolve_queue
from fetchml_core.config.worker import WorkerConfig
from fetchml_core.places import Base

from .host import Host, make_host, server_of
from .worker_info import living_record_at

_WITHOUT_SECRET = frozenset({"native", "sqlite", "filesystem"})
"""Queues that a worker's record names whole; of Redis it has no password."""


def open_to_read(base: Path, environ: Mapping[str, str], clock: Clock, error: InvalidConfigError) -> Host:
    """Open a host whose worker file has errors, as far as it can be known where its queue and data lie.

    That is where the file still says so, and where a worker lives that read it before.

    Args:
        base: The folder given to FetchML.
        environ: The process's environment.
        clock: The machine's clocks.
        error: What `open_host` said.

    Raises:
        ConfigError: *error*, or one of the api file: nobody gets in then.
    """
    worker_path, server = find_worker_file(base, None), server_of(base, environ)
    worker = load_places(worker_path, environ)
    if worker is not None:
        choice, data = resolve_queue(server, worker, base), data_root(worker, base)
    else:
        record = living_record_at(Base(base))
        if record is None or record.queue_type not in _WITHOUT_SECRET:
            raise error
        choice, data = QueueChoice(record.queue_type, Path(record.queue)), Path(record.data)
    return make_host(
        base,
        environ,
        clock,
        server=server,
        worker=worker or WorkerConfig(),
        worker_file=worker_path,
        choice=choice,
        data=data,
        findings=server.findings,
        broken=error,
    )


def broken_note(host: Host) -> tuple[str, ...]:
    """Return what everybody is told who comes to such a host."""
    if host.broken is None:
        return ()
    return (
        f"the worker file has errors, so that jobs can only be looked at and cancelled: {host.broken.message}",
    )
