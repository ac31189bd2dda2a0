"""The filesystem queue: one small file per job; `filesystem_folder` has their layout."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from fetchml_core.clock import Clock
from fetchml_core.jobs.job import Job, JobSpec, Lease
from fetchml_core.jobs.states import State

from .base import (
    ALL,
    QUEUED,
    Beat,
    Change,
    Choose,
    Damage,
    Filter,
    Pause,
    Properties,
    Stored,
    Watch,
    claim_order,
    next_in_line,
    select,
)
from .engine import Engine
from .filesystem_folder import QueueFolder
from .moves import (
    Move,
    advance_move,
    apply,
    claim_move,
    refuse_if_moved,
    same_or_refuse,
    submit_event,
    submitted,
)
from .stored import is_new
from .watch import FileWatch

PROPERTIES = Properties("filesystem", survives_power_cut=True, several_hosts=False)


class FilesystemQueue(Engine):
    """`fetchml_core.queue.base.Queue` over a folder of files.

    A file that cannot be read is told by whatever would need it: lists, and new jobs, whose keys might be in it. The
    other jobs are claimed, worked on and shown.

    Args:
        folder: Where they lie; made with the first job.
        clock: For the times in the records.
    """

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._files = QueueFolder(folder)
        self._clock = clock

    @property
    def properties(self) -> Properties:
        """See `Queue.properties`."""
        return PROPERTIES

    # --- for those who submit ---

    def submit(self, spec: JobSpec, *, user: str, key: str) -> Job:
        """See `Queue.submit`."""
        return self._submit({key: spec}, user)[0]

    def submit_array(self, specs: Sequence[JobSpec], *, user: str, key: str) -> list[Job]:
        """See `Queue.submit_array`."""
        return self._submit({f"{key}/{n}": spec for n, spec in enumerate(specs)}, user)

    def _submit(self, wanted: dict[str, JobSpec], user: str) -> list[Job]:
        with self._files.changing():
            refuse_if_moved(self._files.pause())
            everything = [stored.job for stored in self._files.everything()]
            known = {stored.key: stored.job for stored in self._files.everything() if stored.job.user == user}
            jobs = {
                key: same_or_refuse(known[key], key, spec) for key, spec in wanted.items() if key in known
            }
            now = self._clock.now()
            line = max((job.line or job.submitted_at for job in everything), default=0.0)
            at = max(everything, key=lambda job: job.id).submitted_at if everything else 0.0
            line = next_in_line(line, at, now)
            new = [(key, spec) for key, spec in wanted.items() if key not in known]
            stored = []
            for job_id, (key, spec) in enumerate(new, start=self._files.next_id()):
                stored.append(Stored(key, submitted(submit_event(job_id, spec, user, key, now, line))))
            jobs.update({one.key: job for one, job in zip(stored, self._files.take_in(stored), strict=True)})
            return [jobs[key] for key in wanted]

    # --- for workers ---

    def claim(self, choose: Choose, lease: Lease) -> Job | None:
        """See `Queue.claim`."""
        with self._files.reading():
            if not self._files.queued():
                return None  # no idle worker keeps the others waiting
        with self._files.changing():
            waiting = self._files.queued()
            chosen = choose(sorted((stored.job for stored in waiting.values()), key=claim_order))
            if chosen is None:
                return None
            job = apply(chosen, claim_move(chosen, lease, self._clock.now()))
            return self._files.store(Stored(waiting[chosen.id].key, job))

    def advance(self, job_id: int, attempt: int, change: Change) -> Job:
        """See `Queue.advance`. A heartbeat is as durable as the rest: a job's file is never at risk."""
        return self._change(
            job_id,
            lambda job: advance_move(job, attempt, change, self._clock.now()),
            news=not isinstance(change, Beat),
        )

    # --- for those who look ---

    def get(self, job_id: int) -> Job:
        """See `Queue.get`."""
        with self._files.reading():
            return self._files.one(job_id).job

    def jobs(
        self, wanted: Filter = ALL, *, newest: bool = False, after: int = 0, limit: int | None = None
    ) -> Sequence[Job]:
        """See `Queue.jobs`."""
        return select(self._everything(), wanted, newest=newest, after=after, limit=limit)

    def line(self, limit: int) -> Sequence[Job]:
        """See `Queue.line`."""
        return sorted(self.jobs(QUEUED), key=claim_order)[:limit]

    def counts(self) -> dict[State, int]:
        """See `Queue.counts`."""
        found = Counter(job.state for job in self._everything())
        return {state: found[state] for state in State}

    def revision(self) -> int:
        """See `Queue.revision`."""
        return self._files.revision()

    def changes(self, after: int, *, limit: int = 1000) -> Sequence[Job]:
        """See `Queue.changes`."""
        changed = [job for job in self._everything() if job.revision > after]
        return sorted(changed, key=lambda job: job.revision)[:limit]

    def watch(self) -> Watch:
        """See `Queue.watch`."""
        return FileWatch(self._files.path, ["revision"])

    # --- for admins ---

    def pause(self, pause: Pause) -> None:
        """See `Queue.pause`."""
        with self._files.changing():
            self._files.set_pause(pause)

    def resume(self) -> None:
        """See `Queue.resume`."""
        if self.paused() is None:
            return  # of a queue that is not there, none is made
        with self._files.changing():
            self._files.set_pause(None)

    def paused(self) -> Pause | None:
        """See `Queue.paused`."""
        with self._files.reading():
            return self._files.pause()

    def export(self) -> Iterator[Stored]:
        """See `Queue.export`."""
        with self._files.reading():
            everything = self._files.everything()
        yield from everything

    def adopt(self, stored: Sequence[Stored]) -> None:
        """See `Queue.adopt`."""
        with self._files.changing():
            by_id = {one.job.id: one for one in self._files.everything()}
            by_key = {(one.job.user, one.key): one for one in by_id.values()}
            new = []
            for one in stored:
                if is_new(one, by_id.get(one.job.id), by_key.get((one.job.user, one.key))):
                    by_id[one.job.id] = by_key[one.job.user, one.key] = one
                    new.append(one)
            self._files.take_in(new)

    def check(self, *, repair: bool = False) -> Sequence[Damage]:
        """See `Queue.check`."""
        if not self._files.path.exists():
            return []
        with self._files.changing() if repair else self._files.reading():
            return list(self._files.damages(repair=repair))

    # --- what they have in common ---

    def _everything(self) -> Sequence[Job]:
        with self._files.reading():
            return [stored.job for stored in self._files.everything()]

    def _change(self, job_id: int, decide: Callable[[Job], Move | None], *, news: bool = True) -> Job:
        self.get(job_id)  # of a queue that is not there, none is made
        with self._files.changing():
            stored = self._files.one(job_id)
            move = decide(stored.job)
            if move is None:
                return stored.job
            return self._files.store(Stored(stored.key, apply(stored.job, move)), news=news)
