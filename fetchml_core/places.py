"""Where things lie: the one module that knows the names of files and folders on a host.

<base>/                     the profile's worker_base; mode 0700, owned by the account
    server.yaml             the api file: who may do what
    worker.yaml             the worker file
    agent/<build>/          this program, one folder per build
    run/                    locks, the wake-up FIFO, the worker's record and log, who drained it, GPUs out of use, the last boot, GPUs that no job gets
<data>/                     the worker file's base_path, else <base>/data
    queue/                  the native queue; queue.sqlite and queue-files/: see fetchml_core.queue
    queue-fallback/         with Redis: jobs of the time when it was away, and ids for more
    home.json               with Redis: the name of this host
    blobs/                  see fetchml_core.snapshot.store
    jobs/<id>/checkpoint/   kept across attempts
    jobs/<id>/<attempt>/    workspace/ (dropped at the end), results/, control/ (log, exit record)

What a queue keeps in its folder stands in its module.
"""

from __future__ import annotations

import importlib.util
import shlex
import sys
from pathlib import Path

from attrs import frozen

import fetchml_core

from .fsio import make_folder

EMBEDDED_BASE = "~/.ml/local"


def own_command(module: str, *arguments: str) -> list[str]:
    """Return the argv that runs a module of this very build, wherever it lies."""
    root = str(Path(fetchml_core.__file__).parent.parent)
    code = f"import sys; sys.path.insert(0, sys.argv.pop(1)); from {module} import main; sys.exit(main(sys.argv[1:]))"
    return [sys.executable, "-s", "-c", code, root, *arguments]


def worker_command() -> str:
    """Return what is typed here to run the worker: a host that was only sent the archive has no ``fetchml-worker``."""
    if importlib.util.find_spec("fetchml_cli") is not None:  # installed with it
        return "fetchml-worker"
    root = str(Path(__file__).parent.parent)
    return f"PYTHONPATH={shlex.quote(root)} {shlex.quote(sys.executable)} -m fetchml_core.worker.main"


@frozen
class Base:
    """The folder that a host gives to FetchML."""

    folder: Path

    @property
    def run(self) -> Path:
        """Locks, the wake-up FIFO, the worker's record and log."""
        return self.folder / "run"

    @property
    def worker_lock(self) -> Path:
        """Held by the worker for life."""
        return self.run / "worker.lock"

    @property
    def start_lock(self) -> Path:
        """Held while somebody starts or ends a worker, so that two do not."""
        return self.run / "start.lock"

    @property
    def worker_record(self) -> Path:
        """The living worker's pid, configuration file, queue and launcher."""
        return self.run / "worker.json"

    @property
    def worker_log(self) -> Path:
        """What a worker started on demand prints."""
        return self.run / "worker.log"

    @property
    def drain(self) -> Path:
        """There while the worker is drained: who wanted it, when and why."""
        return self.run / "drain.json"

    @property
    def gpus(self) -> Path:
        """There once a GPU was kept from jobs: which are, and why."""
        return self.run / "gpus.json"

    @property
    def swept(self) -> Path:
        """The boot in which a worker last looked for workspaces that a power cut had brought back."""
        return self.run / "swept"

    @property
    def wake(self) -> Path:
        """FIFO: a byte wakes the worker."""
        return self.run / "wake"

    def make(self) -> None:
        """Make the folders, private."""
        make_folder(self.folder)
        make_folder(self.run)


@frozen
class Data:
    """The folder that holds a queue, its snapshots and its jobs."""

    folder: Path

    @property
    def blobs(self) -> Path:
        """The content-addressed store."""
        return self.folder / "blobs"

    @property
    def jobs(self) -> Path:
        """A folder for each job."""
        return self.folder / "jobs"

    def job(self, job_id: int) -> Path:
        """Everything about one job."""
        return self.jobs / str(job_id)

    def checkpoint(self, job_id: int) -> Path:
        """The folder that a job keeps across attempts."""
        return self.job(job_id) / "checkpoint"

    def attempt(self, job_id: int, attempt: int) -> AttemptPlaces:
        """The folders of one attempt."""
        return AttemptPlaces(self.job(job_id) / str(attempt))


@frozen
class AttemptPlaces:
    """The folders of one attempt."""

    folder: Path

    @property
    def workspace(self) -> Path:
        """The private copy of the snapshot that the job runs in."""
        return self.folder / "workspace"

    @property
    def results(self) -> Path:
        """What the job leaves for `ml pull`."""
        return self.folder / "results"

    @property
    def control(self) -> Path:
        """Shared with the job's init: the go, the log, the exit record."""
        return self.folder / "control"

    @property
    def metrics(self) -> Path:
        """What the job printed as metrics, a JSON line each."""
        return self.folder / "metrics.jsonl"
