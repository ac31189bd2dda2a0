"""A host in a folder of the test, and somebody who talks to it in place of a door."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
from pathlib import Path
from typing import Any

from attrs import evolve

from fetchml_core.clock import Clock
from fetchml_core.convert import to_data
from fetchml_core.fsio import replace_file
from fetchml_core.jobs.job import Job, JobSpec, Launched, Lease, Outcome
from fetchml_core.jobs.states import State
from fetchml_core.launcher.evidence import read_stat
from fetchml_core.permission.policy import LOCAL, Identity
from fetchml_core.queue.base import Finished, Started
from fetchml_core.service.host import Host, open_host
from fetchml_core.service.perform import perform
from fetchml_core.service.worker_info import WorkerRecord
from fetchml_core.snapshot.manifest import Manifest
from fetchml_core.wire.jobs import (
    CancelRequest,
    HoldRequest,
    ListRequest,
    ReleaseRequest,
    ShowRequest,
    SubmitRequest,
    WaitRequest,
)
from fetchml_core.wire.output import FetchRequest, LogsRequest, ResultsRequest
from fetchml_core.wire.queue import QueueCheckRequest, QueueMigrateRequest, QueuePauseRequest
from fetchml_core.wire.snapshot import StageRequest, UploadRequest
from fetchml_core.wire.verbs import Nothing
from fetchml_core.wire.why import WhyRequest
from fetchml_core.wire.worker import WorkerDrainRequest, WorkerStopRequest
from tests.core.snapshot.trees import manifest_of
from tests.support.small import SMALL

FILES = {"train.py": b"print('hello')\n", "data/one.csv": b"1,2\n", "data/same.csv": b"1,2\n"}
LEASE = Lease("box1", "boot-1", 1e12)
LAUNCH = Launched("process", pid=7, start_ticks=9)
WORKER_FILE = f"launcher: process\nmax_workers: 2\nworker_id: box1\ngraceful_timeout: 1s\n{SMALL}"
AUDIT = "security:\n  audit_logging:\n    enabled: true\n"


class Talk:
    """Hears and says what a client would; *sends* is what it uploads."""

    def __init__(self, sends: bytes | list[bytes] = b"", *, leaves_after: int = 0) -> None:
        self.sends = [sends] if isinstance(sends, bytes) else sends
        self.taken = 0
        self.items: list[Any] = []
        self.received = b""
        self._patience = leaves_after

    def uploaded(self):
        """Yield what is uploaded; afterwards the client is gone."""
        for chunk in self.sends:
            self.taken += 1
            yield chunk
        raise ConnectionResetError("the client has sent all it has")

    def item(self, item: Any) -> None:
        """Take a piece of the answer."""
        self.items.append(item)

    def data(self, chunk: bytes) -> None:
        """Take bytes."""
        self.received += chunk

    def gone(self, seconds: float, also: int = -1) -> bool:
        """Say whether the client has left: after so many questions."""
        self._patience -= 1
        return self._patience < 0


class World:
    """A host, an identity that asks, and shortcuts to bring jobs where a test wants them."""

    def __init__(
        self, base: Path, *, server: str = "", identity: Identity = LOCAL, worker: str = WORKER_FILE
    ) -> None:
        base.mkdir(mode=0o700, exist_ok=True)
        (base / "worker.yaml").write_text(worker)
        if server:
            (base / "server.yaml").write_text(server)
            (base / "server.yaml").chmod(0o600)
        self.identity = identity
        environ = {"PATH": os.environ["PATH"], "HOME": str(base)}
        self.host: Host = open_host(base, environ, Clock())

    @contextlib.contextmanager
    def worker_lives(self):
        """Hold the worker's lock, as a living worker does: nobody starts one."""
        fd = os.open(self.host.base.worker_lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(fd, fcntl.LOCK_EX)
        try:
            yield
        finally:
            os.close(fd)

    def write_record(self, **fields: Any) -> None:
        """Write what a living worker says of itself: this very process, unless *fields* name another."""
        stat = read_stat(os.getpid())
        assert stat is not None
        known = {"pid": os.getpid(), "start_ticks": stat.start_ticks, "worker_id": "box1", "ready": True}
        places = {"queue": str(self.host.queue_path), "data": str(self.host.data.folder)}
        record = WorkerRecord(**{**known, **places, "launcher": "process", **fields})
        replace_file(self.host.base.worker_record, json.dumps(to_data(record)).encode())

    def ask(self, verb: str, args: Any, talk: Talk | None = None, *, identity: Identity | None = None) -> Any:
        """Ask as a door does, with plain data."""
        plain = args if isinstance(args, dict) else to_data(args)
        return perform(self.host, identity or self.identity, verb, plain, talk or Talk())

    def stage(self, files: dict[str, bytes] = FILES) -> Manifest:
        """Bring a snapshot to the host."""
        manifest = manifest_of(files)
        reply = self.ask("stage", StageRequest(manifest.digest, len(manifest.data)), Talk(manifest.data))
        by_digest = {hashlib.sha256(content).hexdigest(): content for content in files.values()}
        content = b"".join(by_digest[digest] for digest in reply.missing)
        self.ask("upload", UploadRequest(manifest.digest, reply.missing), Talk(content))
        return manifest

    def spec(self, **fields: Any) -> JobSpec:
        """What a good submission asks for, its snapshot on the host."""
        return evolve(JobSpec("train", ("sh", "-c", "true"), self.stage().digest), **fields)

    def submit(self, *, user: str = "local", key: str = "", **fields: Any) -> Job:
        """Queue a job without asking for anything else."""
        number = len(self.host.queue.jobs())
        return self.host.queue.submit(self.spec(**fields), user=user, key=key or f"key-{number}")

    def running(self, **fields: Any) -> Job:
        """Queue a job and bring it to running."""
        job = self.submit(**fields)
        self.host.queue.claim(lambda jobs: next(other for other in jobs if other.id == job.id), LEASE)
        return self.host.queue.advance(job.id, 1, Started(LAUNCH, LEASE))

    def ended(self, outcome: Outcome | None = None, **fields: Any) -> Job:
        """Bring a job to its end."""
        job = self.running(**fields)
        return self.host.queue.advance(job.id, 1, Finished(outcome or Outcome(State.SUCCEEDED, code=0)))

    def print_log(self, job: Job, data: bytes) -> Path:
        """Let a job have printed *data*; return its control folder."""
        control = self.host.data.attempt(job.id, len(job.attempts)).control
        control.mkdir(parents=True, exist_ok=True)
        with (control / "log").open("ab") as file:
            file.write(data)
        return control

    def results(self, job: Job) -> Path:
        """Return the results folder of a job, made."""
        folder = self.host.data.attempt(job.id, len(job.attempts)).results
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def everything(self) -> dict[str, bytes]:
        """Return every file below the base with its content, but locks and what SQLite shares between readers."""
        return {
            str(path): path.read_bytes()
            for path in sorted(self.host.base.folder.rglob("*"))
            if path.is_file()
            and "lock" not in path.name
            and not path.name.endswith("-shm")
            and path.name != "audit.log"
        }

    def requests(self, job: Job) -> dict[str, Any]:
        """Return for each verb arguments that would work for *job*."""
        manifest = manifest_of({"new.py": b"1"})
        return {
            "stage": StageRequest(manifest.digest, len(manifest.data)),
            "upload": UploadRequest(job.spec.snapshot, ()),
            "submit": SubmitRequest("another-key", job.spec),
            "list": ListRequest(everyone=True),
            "show": ShowRequest(str(job.id)),
            "why": WhyRequest(str(job.id)),
            "logs": LogsRequest(str(job.id)),
            "cancel": CancelRequest((str(job.id),)),
            "wait": WaitRequest((str(job.id),)),
            "results": ResultsRequest(str(job.id)),
            "fetch": FetchRequest(job.id, 1, "model"),
            "hold": HoldRequest((str(job.id),)),
            "release": ReleaseRequest((str(job.id),)),
            "gpus": Nothing(),
            "queue-stats": Nothing(),
            "queue-pause": QueuePauseRequest("because"),
            "queue-resume": Nothing(),
            "queue-check": QueueCheckRequest(repair=True),
            "queue-migrate": QueueMigrateRequest("filesystem"),
            "worker-status": Nothing(),
            "worker-start": Nothing(),
            "worker-stop": WorkerStopRequest(),
            "worker-drain": WorkerDrainRequest("because"),
            "worker-resume": Nothing(),
        }
