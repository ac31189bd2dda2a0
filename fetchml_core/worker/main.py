"""``fetchml-worker``: run a worker as a service or on demand, or stop the one that serves a base."""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import socket
import sys
import time
from pathlib import Path

import fetchml_core
from fetchml_core.clock import Clock
from fetchml_core.config.environment import active_overrides, check_overrides
from fetchml_core.config.rules.active import idle_notes
from fetchml_core.convert import to_data
from fetchml_core.errors import FetchError, HostError, explain_os_error
from fetchml_core.fsio import replace_file, try_lock
from fetchml_core.hardware.detect import detect, lasting
from fetchml_core.hardware.inventory import Inventory
from fetchml_core.launcher.evidence import read_stat
from fetchml_core.launcher.spec import Capabilities
from fetchml_core.places import worker_command
from fetchml_core.service.host import Host, open_host
from fetchml_core.service.own_log import start_logging, worker_logging
from fetchml_core.service.quarantine import keep_problems
from fetchml_core.service.worker_info import WorkerRecord, podman_info
from fetchml_core.service.workers import stop_worker
from fetchml_core.wire.messages import PROTOCOL

from .choose import DEFAULT_IMAGE, choose_launcher
from .storage import StorageLostError
from .worker import Worker

_LOCK_TRIES = 40
"""A door that looks whether a worker lives holds the lock for an instant: try again for two seconds."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    options = make_parser().parse_args(arguments)
    try:
        status: int = options.run(options)
    except FetchError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.status
    except OSError as error:
        print(f"error: {explain_os_error(error, 'run the worker')}", file=sys.stderr)
        return 1
    return status


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command; the manual page is made from it."""
    parser = argparse.ArgumentParser(prog="fetchml-worker", description="Run the jobs of one base.")
    parser.add_argument("--version", action="version", version=fetchml_core.__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    run = commands.add_parser("run", help="claim jobs and run them, until SIGTERM; running jobs then go on")
    run.add_argument(
        "--config", type=Path, help="worker file; default: worker.yaml in the base, if there is one"
    )
    run.add_argument(
        "--base", type=Path, help="folder given to FetchML; default: that of a worker.yaml, else this one"
    )
    run.add_argument(
        "--validate",
        action="store_true",
        help="only check worker file and api file; exit 3 if one has errors",
    )
    run.add_argument("--on-demand", action="store_true", help="end after a minute without work")
    run.add_argument("--embedded", action="store_true", help=argparse.SUPPRESS)
    run.set_defaults(run=_run)
    stop = commands.add_parser("stop", help="end the worker of a base; running jobs go on")
    stop.add_argument("--base", type=Path, default=Path.cwd(), help="folder given to FetchML")
    stop.set_defaults(run=_stop)
    return parser


def _run(options: argparse.Namespace) -> int:
    base = _base(options.base, options.config)
    if options.validate:
        return _validate(base, options.config)
    host = open_host(base, os.environ, Clock(), worker_file=options.config, embedded=options.embedded)
    for line in active_overrides(os.environ):
        print(f"note: {line}", file=sys.stderr)
    log = start_logging(worker_logging(host.worker.logging, host.server.logging), base, "worker")
    for found in host.findings:
        log.log(logging.INFO if found.severity == "info" else logging.WARNING, "%s", found)
    worker_id = host.worker.worker_id or socket.gethostname()
    lock = _take_lock(host)  # held for life: the end of the process frees it
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until the worker hears it: the file was read just now
    _write_record(host, worker_id, on_demand=options.on_demand)
    inventory = detect(host.worker, check_overrides(os.environ)[0])
    for warning in inventory.warnings:
        log.warning("%s", warning)
    keep_problems(host, inventory)
    launcher, abilities, notes = choose_launcher(host, os.environ)
    _write_record(host, worker_id, inventory=lasting(inventory), on_demand=options.on_demand)
    image = host.worker.podman_image or DEFAULT_IMAGE
    worker = Worker(host, launcher, worker_id=worker_id, image=image, lock=lock, on_demand=options.on_demand)
    worker.hear_signals()  # before anybody can read that it is ready
    _write_record(host, worker_id, abilities, notes, lasting(inventory), on_demand=options.on_demand)
    for note in (*notes, *host.queue_notes()):  # the queue's change, so that doors ask for them anew
        log.warning("%s", note)
    log.info("worker %s serves %s with the %s launcher", worker_id, host.queue_path, abilities.launcher)
    try:
        worker.run()
    except StorageLostError as lost:
        log.warning("%s: waiting until it is back; running jobs are left alone", lost)
        worker.storage.restart_when_back()
    return 0


def _validate(base: Path, config: Path | None) -> int:
    from .validation import validate_base

    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    return validate_base(base, config, os.environ, sys.stdout)


def _base(base: Path | None, config: Path | None) -> Path:
    """Return the base: as named, else the folder of a file named worker.yaml, else the current one."""
    if base is not None:
        return base.expanduser().absolute()
    if config is not None and config.name == "worker.yaml":
        return config.absolute().parent
    return Path.cwd()


def _take_lock(host: Host) -> int:
    for _ in range(_LOCK_TRIES):
        lock = try_lock(host.base.worker_lock)
        if lock is not None:
            return lock
        time.sleep(0.05)
    raise HostError(
        "worker-runs-already",
        "a worker serves this base already",
        context=str(host.base.folder),
        hint=f"{worker_command()} stop --base {host.base.folder}",
    )


def _write_record(
    host: Host,
    worker_id: str,
    abilities: Capabilities | None = None,
    notes: tuple[str, ...] = (),
    inventory: Inventory | None = None,
    *,
    on_demand: bool,
) -> None:
    stat, now = read_stat(os.getpid()), host.clock.now()
    record = WorkerRecord(
        pid=os.getpid(),
        worker_id=worker_id,
        queue=str(host.queue_path),
        queue_type=host.queue_type,
        data=str(host.data.folder),
        config=str(host.worker_file or ""),
        launcher=abilities.launcher if abilities else "",
        notes=notes,
        idle=idle_notes(host.findings),
        version=fetchml_core.__version__,
        ready=abilities is not None,
        start_ticks=stat.start_ticks if stat else 0,
        boot_id=host.clock.boot().boot_id,
        inventory=inventory,
        on_demand=on_demand,
        slots=host.worker.slots,
        protocol=PROTOCOL,
        build=str(Path(fetchml_core.__file__).parent.parent),
        started_at=now,
        read_at=now,
        podman=podman_info(abilities) if abilities else None,
    )
    replace_file(host.base.worker_record, json.dumps(to_data(record)).encode())


def _stop(options: argparse.Namespace) -> int:
    host = open_host(options.base.expanduser().absolute(), os.environ, Clock(), embedded=True)
    if not stop_worker(host):
        print("no worker runs", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
