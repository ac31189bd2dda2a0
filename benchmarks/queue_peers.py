"""The queues that are compared, each as a careful person would use it, with its durable settings.

Every process that takes part opens a session of its own. A peer gets its payload as text that is ready; ours gets a
`JobSpec` and makes the text itself, checks idempotency keys, leases and attempts, and keeps what has ended.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from fetchml_core.clock import Clock
from fetchml_core.convert import to_data
from fetchml_core.jobs.job import Git, JobSpec, Outcome, Resources
from fetchml_core.jobs.states import State
from fetchml_core.queue.base import Finished, Queue
from fetchml_core.queue.engines import open_queue

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Sequence

WAIT_S = 60.0
USER = "alice"
#: Modules, and the packages that bring them.
PEERS = {"litequeue": "litequeue", "persistqueue": "persist-queue", "huey": "huey", "redis": "redis"}


class Session(Protocol):
    """One process at a queue."""

    def submit(self, number: int) -> None:
        """Put one job in; it is durable when this returns."""

    def submit_all(self, numbers: Sequence[int]) -> None:
        """Put many in at once."""

    def work(self) -> Hashable | None:
        """Take a job and end it, both durable; return what tells it from all others, None where there is no job."""


class Entrant(NamedTuple):
    """One line of the table.

    Args:
        name: For people.
        open: Makes a session on the queue in a folder.
        arrays: It can take many jobs at once.
        works: It can give jobs out.
        aims: It is held to them.
    """

    name: str
    open: Callable[[Path], Session]
    arrays: bool = True
    works: bool = True
    aims: bool = False


def spec(number: int) -> JobSpec:
    """A job like real ones, some 470 bytes as JSON; each has code of its own, so that nothing repeats too well."""
    digest = hashlib.sha256(b"%d" % number).hexdigest()
    return JobSpec(
        name=f"resnet50-lr-{number}",
        argv=(
            "python3",
            "train.py",
            "--lr",
            f"{number % 97 / 1000:.4f}",
            "--epochs",
            "90",
            "--seed",
            str(number),
        ),
        snapshot=digest,
        cwd="experiments/imagenet",
        env={"WANDB_MODE": "offline", "OMP_NUM_THREADS": "4"},
        resources=Resources(cpus=4.0, memory=8 << 30, gpus=1),
        priority=6,
        time_limit=86400.0,
        git=Git(digest[:40], "main", dirty=True),
        files=20,
        size=123456,
    )


def key(number: int) -> str:
    """An idempotency key as ``ml`` makes them."""
    return hashlib.md5(b"%d" % number).hexdigest()


OUTCOME = Outcome(State.SUCCEEDED, code=0, log_bytes=18231, max_rss=3 << 30)


TEXTS: dict[int, str] = {}
SPECS: dict[int, JobSpec] = {}


def prepare(numbers: Sequence[int]) -> None:
    """Make the payload of these jobs and import everybody; processes that are forked after it have both."""
    for module in PEERS:
        importlib.import_module(module)
    SPECS.update({number: spec(number) for number in numbers})
    TEXTS.update({number: json.dumps(to_data(SPECS[number]), separators=(",", ":")) for number in numbers})


class Floor:
    """What no durable queue can beat without sharing syncs or writing ahead: append a job, sync, again."""

    def __init__(self, folder: Path) -> None:
        self._fd = os.open(folder / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def submit(self, number: int) -> None:
        os.write(self._fd, TEXTS[number].encode())
        os.fdatasync(self._fd)

    def submit_all(self, numbers: Sequence[int]) -> None:
        os.write(self._fd, "".join(TEXTS[number] for number in numbers).encode())
        os.fdatasync(self._fd)

    def work(self) -> Hashable | None:
        raise NotImplementedError


class Sqlite:
    """SQLite by hand, WAL and synchronous=FULL: a transaction to submit, one to claim, one to finish."""

    def __init__(self, folder: Path) -> None:
        self._db = sqlite3.connect(folder / "queue.db", timeout=WAIT_S, isolation_level=None)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS jobs (id INTEGER PRIMARY KEY, state TEXT NOT NULL, spec TEXT NOT NULL)"
        )
        self._db.execute("CREATE INDEX IF NOT EXISTS queued ON jobs (id) WHERE state = 'queued'")

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        yield
        self._db.execute("COMMIT")

    def submit(self, number: int) -> None:
        with self._transaction():
            self._db.execute("INSERT INTO jobs (state, spec) VALUES ('queued', ?)", (TEXTS[number],))

    def submit_all(self, numbers: Sequence[int]) -> None:
        with self._transaction():
            self._db.executemany(
                "INSERT INTO jobs (state, spec) VALUES ('queued', ?)",
                [(TEXTS[number],) for number in numbers],
            )

    def work(self) -> Hashable | None:
        with self._transaction():
            found = self._db.execute(
                "UPDATE jobs SET state = 'running' WHERE id ="
                " (SELECT id FROM jobs WHERE state = 'queued' ORDER BY id LIMIT 1) RETURNING id, spec"
            ).fetchone()
        if found is None:
            return None
        with self._transaction():
            self._db.execute("UPDATE jobs SET state = 'done' WHERE id = ?", (found[0],))
        return int(found[0])


class LiteQueue:
    """litequeue sets synchronous=NORMAL, which a power cut may take back; here it is FULL, as for the others."""

    def __init__(self, folder: Path) -> None:
        import litequeue

        self._queue = litequeue.LiteQueue(folder / "queue.db", timeout=WAIT_S)
        self._queue.conn.execute("PRAGMA synchronous = FULL")

    def submit(self, number: int) -> None:
        self._queue.put(TEXTS[number])

    def submit_all(self, numbers: Sequence[int]) -> None:
        raise NotImplementedError

    def work(self) -> Hashable | None:
        message = self._queue.pop()
        if message is None:
            return None
        self._queue.done(message.message_id)
        return str(message.message_id)


class PersistQueue:
    """persist-queue's queue with acknowledgement; SQLite's default there is FULL already."""

    def __init__(self, folder: Path) -> None:
        import persistqueue

        self._none = persistqueue.Empty
        self._queue = persistqueue.SQLiteAckQueue(str(folder), auto_resume=False, timeout=WAIT_S)

    def submit(self, number: int) -> None:
        self._queue.put(TEXTS[number])

    def submit_all(self, numbers: Sequence[int]) -> None:
        raise NotImplementedError

    def work(self) -> Hashable | None:
        try:
            found = self._queue.get(block=False, raw=True)
        except self._none:
            return None
        self._queue.ack(id=found["pqid"])
        return int(found["pqid"])


class Huey:
    """huey's SQLite storage; to take a task is to forget it, so there is nothing to finish."""

    def __init__(self, folder: Path) -> None:
        import huey

        self._storage = huey.SqliteHuey(filename=str(folder / "queue.db"), fsync=True, timeout=WAIT_S).storage

    def submit(self, number: int) -> None:
        self._storage.enqueue(TEXTS[number].encode())

    def submit_all(self, numbers: Sequence[int]) -> None:
        raise NotImplementedError

    def work(self) -> Hashable | None:
        found = self._storage.dequeue()
        return None if found is None else bytes(found)


class Maildir:
    """A file for each job: written beside, synced, linked into its place by a rename, the folder synced."""

    def __init__(self, folder: Path) -> None:
        self._tmp, self._new, self._cur = (folder / name for name in ("tmp", "new", "cur"))
        for place in (self._tmp, self._new, self._cur):
            place.mkdir(exist_ok=True)
        self._new_fd, self._cur_fd = (os.open(place, os.O_RDONLY) for place in (self._new, self._cur))
        self._waiting: list[str] = []

    def _write(self, number: int) -> None:
        name = f"{number:08}"
        fd = os.open(self._tmp / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        os.write(fd, TEXTS[number].encode())
        os.fsync(fd)
        os.close(fd)
        (self._tmp / name).rename(self._new / name)

    def submit(self, number: int) -> None:
        self._write(number)
        os.fsync(self._new_fd)

    def submit_all(self, numbers: Sequence[int]) -> None:
        for number in numbers:
            self._write(number)
        os.fsync(self._new_fd)

    def work(self) -> Hashable | None:
        while name := self._next():
            try:
                (self._new / name).rename(self._cur / name)
            except FileNotFoundError:
                continue  # another worker was first
            os.fsync(self._cur_fd)
            (self._cur / name).read_bytes()
            (self._cur / name).unlink()
            os.fsync(self._cur_fd)
            return name
        return None

    def _next(self) -> str | None:
        if not self._waiting:
            self._waiting = sorted((path.name for path in self._new.iterdir()), reverse=True)
        return self._waiting.pop() if self._waiting else None


class RedisLists:
    """Two lists in Redis with appendfsync=always: a claim moves a job from one to the other, the end removes it."""

    def __init__(self, folder: Path, port: int) -> None:
        import redis

        self._redis = redis.Redis(port=port)
        self._new, self._taken = f"{folder}:new", f"{folder}:taken"

    def submit(self, number: int) -> None:
        self._redis.rpush(self._new, TEXTS[number])

    def submit_all(self, numbers: Sequence[int]) -> None:
        self._redis.rpush(self._new, *(TEXTS[number] for number in numbers))

    def work(self) -> Hashable | None:
        found = self._redis.lmove(self._new, self._taken, "LEFT", "RIGHT")
        if found is None:
            return None
        self._redis.lrem(self._taken, 1, found)
        return bytes(found)


class Ours:
    """One of our engines, through the contract."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue

    def submit(self, number: int) -> None:
        self._queue.submit(SPECS[number], user=USER, key=key(number))

    def submit_all(self, numbers: Sequence[int]) -> None:
        self._queue.submit_array([SPECS[number] for number in numbers], user=USER, key=key(numbers[0]))

    def work(self) -> Hashable | None:
        job = self._queue.claim(lambda jobs: jobs[0] if jobs else None, self._queue.lease("worker", 60.0))
        if job is None:
            return None
        assert job.attempt is not None
        self._queue.advance(job.id, job.attempt.number, Finished(OUTCOME))
        return job.id


def ours(kind: str, folder: Path) -> Queue:
    """Our queue of this type in *folder*."""
    return open_queue(kind, folder / "queue", Clock())


def our_redis(folder: Path, port: int) -> Queue:
    """Ours in Redis, in a database for each of the three folders that are in use at the same time."""
    from fetchml_core.queue.redis import RedisQueue
    from fetchml_core.queue.redis_link import Link

    database = ("one", "crowd", "array").index(folder.name.partition("-")[0])
    return RedisQueue(Link(f"redis://127.0.0.1:{port}/{database}"), Clock())


FLOOR = "append + fdatasync"
BY_HAND = "SQLite FULL by hand"


def entrants(port: int) -> list[Entrant]:
    """Who takes part; *port* is that of Redis."""
    return [
        Entrant(FLOOR, Floor, works=False),
        Entrant("native", lambda folder: Ours(ours("native", folder)), aims=True),
        Entrant(BY_HAND, Sqlite),
        Entrant("litequeue, FULL", LiteQueue, arrays=False),
        Entrant("persist-queue ack", PersistQueue, arrays=False),
        Entrant("huey SQLite, fsync", Huey, arrays=False),
        Entrant("Redis lists, always", lambda folder: RedisLists(folder, port)),
        Entrant("maildir-like files", Maildir),
        Entrant("our sqlite", lambda folder: Ours(ours("sqlite", folder))),
        Entrant("our redis, always", lambda folder: Ours(our_redis(folder, port))),
        Entrant("our filesystem", lambda folder: Ours(ours("filesystem", folder))),
    ]


def empty_redis(port: int) -> None:
    """Forget what a round has left."""
    import redis

    redis.Redis(port=port).flushall()


@contextlib.contextmanager
def redis_server(folder: Path) -> Iterator[int]:
    """A Redis that syncs before it answers, on a free port of the loopback; yields the port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    options = [
        "--appendonly",
        "yes",
        "--appendfsync",
        "always",
        "--save",
        "",
        "--auto-aof-rewrite-percentage",
        "0",
    ]
    argv = ["redis-server", "--bind", "127.0.0.1", "--port", str(port), "--dir", str(folder), *options]
    with (folder / "log").open("wb") as log, subprocess.Popen(argv, stdout=log, stderr=log) as server:
        try:
            _await_redis(port)
            yield port
        finally:
            server.terminate()


def _await_redis(port: int) -> None:
    import redis

    give_up = time.monotonic() + 10
    while True:
        try:
            redis.Redis(port=port).ping()
        except redis.ConnectionError:
            if time.monotonic() > give_up:
                raise
            time.sleep(0.02)
        else:
            return


def missing() -> list[str]:
    """What has to be installed first, with the command that does it."""
    found = [
        f"{package}: {sys.executable} -m pip install {package}"
        for module, package in PEERS.items()
        if importlib.util.find_spec(module) is None
    ]
    return (
        found if shutil.which("redis-server") else [*found, "redis-server: apt-get install -y redis-server"]
    )


def versions() -> str:
    """Who is compared, as they call themselves."""
    server = subprocess.run(["redis-server", "--version"], capture_output=True, text=True, check=True).stdout
    told = [f"{package} {version(package)}" for package in PEERS.values()]
    return "; ".join([f"SQLite {sqlite3.sqlite_version}", *told, server.split(" sha")[0]])
