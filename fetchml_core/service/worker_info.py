"""What is known of the worker of a base: does it live, and what it says about itself in ``run/worker.json``.

A worker holds an flock on ``run/worker.lock`` for life, so its death is seen at once, whatever killed it.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from attrs import evolve, frozen

from fetchml_core.convert import from_data, to_data
from fetchml_core.errors import ConfigError, FetchError
from fetchml_core.fsio import read_json, replace_file, try_lock
from fetchml_core.hardware.inventory import Inventory
from fetchml_core.launcher.driver_files import has_specification
from fetchml_core.launcher.evidence import is_alive
from fetchml_core.launcher.spec import Capabilities
from fetchml_core.places import Base
from fetchml_core.wire.worker import PodmanInfo, WorkerInfo

from .drain import drain_info, read_drain
from .host import Host


@frozen
class WorkerRecord:
    """``run/worker.json``: what the living worker says about itself."""

    pid: int
    worker_id: str
    queue: str
    data: str
    config: str = ""
    launcher: str = ""
    notes: tuple[str, ...] = ()
    idle: tuple[str, ...] = ()
    version: str = ""
    ready: bool = False
    start_ticks: int = 0
    boot_id: str = ""
    inventory: Inventory | None = None
    on_demand: bool = False
    slots: int = 0
    protocol: int = 0
    build: str = ""
    started_at: float = 0.0
    read_at: float = 0.0
    podman: PodmanInfo | None = None
    queue_type: str = ""
    refused_at: float = 0.0
    refused: str = ""
    kept: tuple[str, ...] = ()


def podman_info(found: Capabilities) -> PodmanInfo | None:
    """Return what people are told of the Podman that a launcher *found*; None where jobs run without."""
    if found.launcher != "podman":
        return None
    return PodmanInfo(
        version=found.version,
        rootless=found.rootless,
        cgroups=found.cgroups,
        limits=found.enforceable,
        cdi=found.traits.cdi and has_specification(),
        network=found.network,
    )


def worker_alive(host: Host) -> bool:
    """Whether a worker holds the base's lock."""
    if not host.base.worker_lock.exists():
        return False
    fd = try_lock(host.base.worker_lock, shared=True)
    if fd is None:
        return True
    os.close(fd)
    return False


def worker_info(host: Host) -> WorkerInfo:
    """Return what is known of the worker.

    Raises:
        ConfigError: ``queue-disagrees``: it serves another queue than this door resolves.
    """
    return evolve(_living_info(host), drained=drain_info(read_drain(host.base)))


def _living_info(host: Host) -> WorkerInfo:
    if not worker_alive(host):
        return WorkerInfo(False)
    record = read_record(host.base)
    if record is None:
        return WorkerInfo(True)
    if (record.queue, record.data) != (str(host.queue_path), str(host.data.folder)):
        raise ConfigError(
            "queue-disagrees",
            f"the running worker serves {record.queue}, but by the files of {host.base.folder} it is {host.queue_path}",
            context=f"the worker read {record.config or 'no worker file'}, "
            f"now {host.worker_file or 'no worker file'} counts",
            hint=f"put its file at {host.base.folder / 'worker.yaml'}, or, where that is right, "
            f"end it (its jobs go on): kill {record.pid}",
        )
    return record_info(record, record.launcher if record.ready else "")


def living_record(host: Host) -> WorkerRecord | None:
    """Return what the worker that lives says about itself; None where there is but the record of one that has ended."""
    return living_record_at(host.base)


def living_record_at(base: Base) -> WorkerRecord | None:
    """Return the same of the worker of *base*, without a look at its files."""
    record = read_record(base)
    return record if record is not None and is_alive(record) else None


def read_record(base: Base) -> WorkerRecord | None:
    """Return what the newest worker of *base* has said about itself, living or not; None where nothing can be read."""
    try:
        data = read_json(base.worker_record)
        return None if data is None else from_data(data, WorkerRecord)
    except FetchError:
        return None


def update_own_record(host: Host, **changes: Any) -> None:
    """Write into the record of this very process what came of reading its file again."""
    record = read_record(host.base)
    if record is not None and record.pid == os.getpid():
        record = evolve(record, **changes)
        replace_file(host.base.worker_record, json.dumps(to_data(record)).encode())


def record_info(record: WorkerRecord, launcher: str) -> WorkerInfo:
    """Return what people are told of a living worker with this *record*."""
    return WorkerInfo(True, record.worker_id, launcher, record.notes, record.idle)


def linger_note(host: Host, root: Path = Path("/")) -> tuple[str, ...]:
    """Return a warning where jobs would end when the account logs out.

    systemd ends what an account runs at its last logout, unless lingering is on; a rootless container, and a
    worker started on demand, are such things.
    """
    import pwd

    uid = os.getuid()
    if uid == 0 or host.embedded or not (root / "run/systemd/system").is_dir():
        return ()
    name = pwd.getpwuid(uid).pw_name
    if (root / "var/lib/systemd/linger" / name).exists():
        return ()
    return (f"jobs end when {name} logs out of the host; on the host: sudo loginctl enable-linger {name}",)
