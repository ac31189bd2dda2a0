"""What a door does to the worker of a base: wake it, start it on demand, end it.

A worker that is about to end for lack of work gives up its lock first and looks at the queue after; a door queues the
job first and looks at the lock after: one of the two always sees the other.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
from collections.abc import Iterable
from pathlib import Path

from attrs import evolve

from fetchml_core.errors import ConfigError, FetchError, HostError
from fetchml_core.fsio import locked, read_plain_file
from fetchml_core.jobs.job import Job
from fetchml_core.launcher.evidence import send_signal
from fetchml_core.places import own_command
from fetchml_core.wire.worker import WorkerInfo

from .drain import drain_info, read_drain
from .host import Host
from .worker_info import WorkerRecord, living_record, read_record, record_info, worker_alive, worker_info

START_WAIT_S = 8.0
"""How long a submit waits for a worker it started; Podman may have to be tried out."""
END_WAIT_S = 60.0
"""How long somebody waits for a worker that is to end; it leaves its jobs within seconds."""
_LOG_KEPT = 1 << 20
_LOOK_S = 0.05
_RECORD_TRIES = 40


def wake_worker(host: Host) -> None:
    """Tell the worker to look at the queue now. Nobody there is no error: it looks when it starts."""
    with contextlib.suppress(OSError):
        fd = os.open(host.base.wake, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with contextlib.suppress(OSError):
            os.write(fd, b"!")
        os.close(fd)


def heal_worker(host: Host, jobs: Iterable[Job]) -> WorkerInfo:
    """Return what is known of the worker; where *jobs* wait and it has died, start it again."""
    worker = worker_info(host)
    if not worker.alive and any(not job.state.final for job in jobs):
        return ensure_worker(host)
    return worker


def without_start(host: Host, error: FetchError) -> WorkerInfo:
    """Return what is known of the worker of a host on which none can be started."""
    worker = worker_info(host)
    return worker if worker.alive else evolve(worker, problem=error.message, hint=error.hint)


def ensure_worker(host: Host) -> WorkerInfo:
    """Wake the worker, or start one where none lives.

    Returns: what is known of it; where none could be started, ``problem`` says why and ``hint`` what to type.
    The job stays queued either way.
    """
    # a worker that somebody ends just now holds its own lock till it has, and takes no job any more: wait for its end
    with locked(host.base.start_lock):
        if not worker_alive(host):
            return evolve(_start(host), drained=drain_info(read_drain(host.base)))
    wake_worker(host)
    return worker_info(host)


def start_service(host: Host) -> tuple[WorkerInfo, bool]:
    """See that a worker runs until it is stopped; return what is known of it, and whether it was started.

    One that runs on demand is replaced; its jobs go on.
    """
    with locked(host.base.start_lock):
        record = _serving(host)
        if record is not None and not record.on_demand:
            return worker_info(host), False
        if record is not None:
            _end(host, record)
        return _start(host, on_demand=False), True


def stop_worker(host: Host) -> bool:
    """End the worker and wait until it has; its jobs go on. Says whether there was one."""
    with locked(host.base.start_lock):
        record = _serving(host)
        if record is None:
            return False
        _end(host, record)
        return True


def _serving(host: Host) -> WorkerRecord | None:
    """Return the record of the worker that lives, None where there is none; one that has just begun writes it at once."""
    for _ in range(_RECORD_TRIES):
        if not worker_alive(host):
            return None
        record = living_record(host)
        if record is not None:
            return record
        host.clock.sleep(_LOOK_S)
    raise ConfigError(
        "worker-unknown",
        "the worker has left no record of its own",
        context=str(host.base.worker_record),
        hint=f"see who holds its lock: fuser -v {host.base.worker_lock}",
    )


def _end(host: Host, record: WorkerRecord) -> None:
    send_signal(record, signal.SIGTERM)
    deadline = host.clock.boot().seconds + END_WAIT_S
    while worker_alive(host):
        if host.clock.boot().seconds > deadline:
            raise HostError(
                "worker-stays",
                f"the worker has not ended in {END_WAIT_S:.0f} s",
                context=f"process {record.pid}",
                hint=f"on the host: kill -9 {record.pid} (its jobs go on)",
            )
        host.clock.sleep(_LOOK_S)


def _start(host: Host, *, on_demand: bool = True) -> WorkerInfo:
    arguments = ["run", "--base", str(host.base.folder)]
    if on_demand:
        arguments.append("--on-demand")
    if host.embedded:
        arguments.append("--embedded")
    argv = own_command("fetchml_core.worker.main", *arguments)
    log = _open_log(host.base.worker_log)
    started_at = os.fstat(log).st_size
    try:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=host.base.folder,
            env=dict(host.environ),
            start_new_session=True,
            close_fds=True,
        )
    except OSError as error:
        return WorkerInfo(False, problem=f"it cannot be started: {error.strerror}", hint=shlex.join(argv))
    finally:
        os.close(log)
    deadline = host.clock.boot().seconds + START_WAIT_S
    while process.poll() is None and host.clock.boot().seconds < deadline:
        record = read_record(host.base)
        if record is not None and record.pid == process.pid and record.ready:
            process.returncode = 0  # it lives on without us: no warning about that at the end
            return record_info(record, record.launcher)
        host.clock.sleep(0.02)
    if process.returncode is None:
        process.returncode = 0  # likewise
        return WorkerInfo(True)
    if worker_alive(host):  # one that was about to end has seen the job, and stays
        return worker_info(host)
    problem, hint = _last_words(host.base.worker_log, started_at)
    look = shlex.join(["tail", str(host.base.worker_log)])
    return WorkerInfo(False, problem=problem or "it ended at once", hint=f"on the host: {hint or look}")


def _open_log(path: Path) -> int:
    """Open the worker's log for appending; start it anew once it is long."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    if os.fstat(fd).st_size > _LOG_KEPT:
        os.ftruncate(fd, 0)
    return fd


def _last_words(path: Path, offset: int) -> tuple[str, str]:
    """Return what a worker printed before it ended, on one line, and the hint in it: its error, else its last line."""
    text = read_plain_file(path, limit=_LOG_KEPT * 2)[offset:].decode("utf-8", "replace")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    start = next((i for i, line in enumerate(lines) if line.startswith("error: ")), max(0, len(lines) - 1))
    said = lines[start : start + 4]
    about = [line.removeprefix("context").strip() for line in said if line.startswith("context  ")]
    hints = [line.removeprefix("hint").strip() for line in said if line.startswith("hint  ")]
    what = said[0].removeprefix("error: ") if said else ""
    return (what + (f" ({about[0]})" if about else ""))[:500], hints[0][:300] if hints else ""
