"""Move all jobs to a queue of another type, and take them back.

The source is paused with the name of the target before anything is read, so that no job comes, starts or ends behind
the copy. The target is paused until every job in it was compared, so that half a copy never runs. A migration that
was killed leaves both pauses: it is repeated, or the source is taken back.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from itertools import islice

from attrs import evolve

from fetchml_core.config.find import SERVER_FILE, WORKER_FILE, find_server_file
from fetchml_core.config.load import load_server, load_worker
from fetchml_core.config.resolve import QueueChoice, resolve_queue
from fetchml_core.errors import HostError, InputError
from fetchml_core.jobs.states import ACTIVE
from fetchml_core.queue.base import Filter, Pause, Queue, Stored
from fetchml_core.queue.engines import open_chosen
from fetchml_core.queue.home import find_home
from fetchml_core.wire.queue import QueueMigrateNews, QueueMigrateReply, QueueMigrateRequest

from .context import Context
from .host import Host

ACTION = "queue:admin"
"""What control of the queue needs; no role has it but admin's."""
KINDS = ("native", "sqlite", "filesystem", "redis")
BATCH = 500
FILLING = "ml queue migrate fills it; where that was cut off, type it again"


def run(context: Context, request: QueueMigrateRequest) -> QueueMigrateReply:
    """See the module."""
    host, source = context.host, context.host.queue
    kind, here = request.to, source.properties.name
    before = source.paused()
    _check_kind(kind, here, before)
    choice, target = _open(host, kind)
    _refuse_active(source)
    _refuse_other_jobs(source, target, choice)
    jobs = sum(source.counts().values())
    if not request.dry_run:
        context.change(ACTION, about=f"migrate the queue from {here} to {kind}")
        source.pause(Pause(context.identity.user, "ml queue migrate", host.clock.now(), moved_to=kind))
        with _restored(source, before):
            _refuse_active(source)  # one may have been claimed just before the pause
            jobs = _copy(context, source, target)
            if before is not None and not before.moved_to:
                target.pause(before)
            else:
                target.resume()
    return QueueMigrateReply(jobs, host.queue_path, choice.label, _files(host))


def take_back(context: Context, moved: Pause) -> None:
    """Let the queue serve its jobs again, where the one that they were moved to has done nothing since.

    Raises:
        HostError: ``queue-went-on``: it has, and to go on here would run jobs twice.
    """
    host, source = context.host, context.host.queue
    choice, target = _open(host, moved.moved_to)
    if sum(target.counts().values()):
        before = target.paused()
        here = source.properties.name
        target.pause(Pause(context.identity.user, "ml queue resume", host.clock.now(), moved_to=here))
        with _restored(target, before):
            changed = difference(source.export(), target.export(), part=True)
            if changed is not None:
                raise HostError(
                    "queue-went-on",
                    f"the {moved.moved_to} queue has gone on since the jobs were moved there (job {changed})",
                    context=choice.label,
                    hint=f"name {moved.moved_to} in the host's files again; the way back is a migration from there",
                )
    source.resume()


def difference(source: Iterator[Stored], target: Iterator[Stored], *, part: bool = False) -> int | None:
    """Return the id of the first job in which two queues differ but for its revision and home, None where in none.

    Args:
        source: All of one queue, by id.
        target: All of the other.
        part: The target may lack jobs.
    """
    left = next(source, None)
    for right in target:
        while left is not None and left.job.id < right.job.id:
            if not part:
                return left.job.id
            left = next(source, None)
        if left is None or _alone(left) != _alone(right):
            return right.job.id
        left = next(source, None)
    return None if part or left is None else left.job.id


def _alone(stored: Stored) -> Stored:
    """Return *stored* without what belongs to its queue."""
    return evolve(stored, job=evolve(stored.job, revision=0, home=""))


@contextlib.contextmanager
def _restored(queue: Queue, before: Pause | None) -> Iterator[None]:
    """Give the queue its earlier pause back, or none, when the block fails; a failure of that tells by the pause left."""
    try:
        yield
    except BaseException:
        with contextlib.suppress(HostError, OSError):
            if before is None:
                queue.resume()
            else:
                queue.pause(before)
        raise


def _copy(context: Context, source: Queue, target: Queue) -> int:
    """Copy and compare; return how many jobs there are."""
    revision, total, done = source.revision(), sum(source.counts().values()), 0
    target.pause(Pause(context.identity.user, FILLING, context.host.clock.now()))
    everything = (_at_home(stored, source.home, target.home) for stored in source.export())
    while batch := list(islice(everything, BATCH)):
        target.adopt(batch)
        done += len(batch)
        context.talk.item(QueueMigrateNews(done, total))
    wrong = difference(source.export(), target.export())
    if wrong is not None or source.revision() != revision:
        raise HostError(
            "migration-failed",
            "the queues differ after the copy; the old one goes on, unchanged",
            context=f"job {wrong}" if wrong is not None else "the old one has changed meanwhile",
            hint="ml queue check, then try again",
        )
    return done


def _at_home(stored: Stored, source: str, target: str) -> Stored:
    if stored.job.home != source:
        raise HostError(
            "jobs-elsewhere",
            "other hosts share this queue, and only their own files can leave it",
            context=f"job {stored.job.id} of {stored.job.home}",
        )
    return evolve(stored, job=evolve(stored.job, home=target))


def _check_kind(kind: str, here: str, before: Pause | None) -> None:
    if kind not in KINDS:
        raise InputError(
            "queue-type-unknown", "there is no such type of queue", context=kind[:60], hint=" | ".join(KINDS)
        )
    if before is not None and before.moved_to not in {"", kind}:
        raise HostError(
            "queue-moved",
            f"this queue was moved to {before.moved_to} before",
            context=kind,
            hint="take it back first: ml queue resume",
        )
    if kind == here:
        raise InputError("queue-type-same", f"the queue is {here} already", context=kind)


def _refuse_active(source: Queue) -> None:
    active = source.jobs(Filter(states=ACTIVE), limit=5)
    if active:
        names = " ".join(str(job.id) for job in active)
        raise HostError(
            "jobs-active",
            "a worker holds jobs of this queue",
            context=f"job {names}",
            hint=f"ml queue pause, then ml wait {names}, then again",
        )


def _refuse_other_jobs(source: Queue, target: Queue, choice: QueueChoice) -> None:
    if not sum(target.counts().values()):
        return
    other = difference(source.export(), target.export(), part=True)
    if other is not None:
        raise HostError(
            "target-in-use",
            f"the {choice.type} queue holds jobs that are not those of this one (job {other})",
            context=choice.label,
            hint="look what it is, then move it aside on the host, with mv",
        )


def _open(host: Host, kind: str) -> tuple[QueueChoice, Queue]:
    choice = choice_of(host, kind)
    home = find_home(host.data.folder, socket.gethostname()) if kind == "redis" else ""
    return choice, open_chosen(choice, host.clock, home=home)


def choice_of(host: Host, kind: str) -> QueueChoice:
    """Return where the queue would be if the host's files named *kind*."""
    server = evolve(host.server, queue=evolve(host.server.queue, type=kind))
    worker = evolve(host.worker, queue=evolve(host.worker.queue, type=kind))
    return resolve_queue(server, worker, host.base.folder)


def _files(host: Host) -> tuple[str, ...]:
    """Return the files that say which type the queue is; where none does, the one that should."""
    base = host.base.folder
    server = load_server(find_server_file(base, host.environ), host.environ)
    worker = load_worker(host.worker_file, host.environ)
    there = [loaded for loaded in (server, worker) if loaded.file is not None]
    saying = [str(loaded.file) for loaded in there if ("queue", "type") in loaded.places]
    # the embedded default is one by having no worker file
    usual = base / (SERVER_FILE if host.embedded else WORKER_FILE)
    return tuple(saying) or (str(worker.file or server.file or usual),)
