"""The native queue: files only, no server; writers that come at the same time share a sync.

    <folder>/
        journal, lock, state    see `journal`: the jobs that live, and those that ended lately
        history/                see `history`: the jobs that have ended
        beats                   see `beats`: the leases of running jobs
        damaged/                what a repair has moved aside

Once enough jobs have ended, whoever writes next moves them to the history and begins the journal anew with the others.

A claim is not synced: until the worker says that the job's program starts, which is, nothing of the job has run, and
after a power cut the machine starts anew. What is known of a claim in this process, however, must not be taken for
another one that got the same number after a repair lost the first.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from attrs import evolve

from fetchml_core.clock import Clock
from fetchml_core.convert import to_data
from fetchml_core.errors import FetchError, HostError, InputError, explain_os_error
from fetchml_core.jobs.job import Attempt, Job, JobSpec, Lease
from fetchml_core.jobs.states import FINAL, State

from .base import (
    ALL,
    Beat,
    Change,
    Choose,
    Damage,
    Filter,
    Pause,
    Properties,
    Stored,
    Watch,
    next_in_line,
)
from .beats import Beats
from .engine import Engine
from .events import change_event, job_body, names, submit_body
from .history import History
from .journal import Journal, Written
from .journal_check import move_aside, read_damaged
from .journal_format import Header, Piece, to_json, to_line
from .ledger import Ledger
from .moves import (
    Event,
    Move,
    advance_move,
    apply,
    claim_move,
    refuse_if_moved,
    same_or_refuse,
    unknown_job,
)
from .sealed import MAX_ID, damaged
from .stored import is_new
from .watch import FileWatch

PROPERTIES = Properties("native", survives_power_cut=True, claim_survives_power_cut=False)
COMPACT_ENDED = 256
"""So many ended jobs at least are moved to the history at once: one block of it."""
COMPACT_BYTES = 4 << 20
"""A journal that has grown by so much, and to twice what it began with, is begun anew whatever has ended."""


class NativeQueue(Engine):
    """`fetchml_core.queue.base.Queue` over a journal and a history.

    Args:
        folder: Where they lie; made with the first job.
        clock: For the times in the records.
    """

    def __init__(self, folder: Path, clock: Clock) -> None:
        boot_id = clock.boot().boot_id
        self._folder = folder
        self._clock = clock
        self._journal = Journal(folder, boot_id)
        self._beats = Beats(folder / "beats", boot_id)
        self._history = History(folder)
        self._ledger = Ledger()
        self._claimed: dict[int, Attempt] = {}
        self._compact_at = COMPACT_ENDED

    @property
    def properties(self) -> Properties:
        """See `Queue.properties`."""
        return PROPERTIES

    # --- for those who submit ---

    def submit(self, spec: JobSpec, *, user: str, key: str) -> Job:
        """See `Queue.submit`."""
        return self._submit([(spec, key)], user)[0]

    def submit_array(self, specs: Sequence[JobSpec], *, user: str, key: str) -> list[Job]:
        """See `Queue.submit_array`."""
        return self._submit([(spec, f"{key}/{n}") for n, spec in enumerate(specs)], user)

    # --- for workers ---

    def claim(self, choose: Choose, lease: Lease) -> Job | None:
        """See `Queue.claim`."""
        if not self._ledger.queued:
            with self._journal.lock_to_read() as there:
                if there:
                    self._catch_up()
            if not self._ledger.queued:
                return None  # no idle worker keeps the others waiting
        with self._writing():
            if self._ledger.pause:
                return None
            chosen = choose(self._ledger.queued)
            if chosen is None:
                return None
            job, _ = self._write_move(chosen, claim_move(chosen, lease, self._clock.now()), lasting=False)
            self._claimed[job.id] = job.attempts[-1]
            return job

    def advance(self, job_id: int, attempt: int, change: Change) -> Job:
        """See `Queue.advance`."""
        if isinstance(change, Beat):
            return self._beat(job_id, attempt, change)
        job = self._change(job_id, lambda job: self._advance(job, attempt, change))
        if not job.state.active:
            self._claimed.pop(job_id, None)
        return job

    # --- for those who look ---

    def get(self, job_id: int) -> Job:
        """See `Queue.get`."""
        with self._reading():
            return next(self._with_leases([self._find(job_id)]))

    def jobs(
        self, wanted: Filter = ALL, *, newest: bool = False, after: int = 0, limit: int | None = None
    ) -> Sequence[Job]:
        """See `Queue.jobs`."""
        with self._reading():
            found = self._live(wanted, newest=newest, after=after)
            if not wanted.states or wanted.states & FINAL:
                sealed = self._history.jobs(
                    wanted, self._ledger.mark, newest=newest, after=after, limit=limit
                )
                found = heapq.merge(found, sealed, key=lambda job: job.id, reverse=newest)
            return list(itertools.islice(found, limit))

    def line(self, limit: int) -> Sequence[Job]:
        """See `Queue.line`."""
        with self._reading():
            return self._ledger.queued[:limit]

    def counts(self) -> dict[State, int]:
        """See `Queue.counts`."""
        with self._reading():
            sealed = self._ledger.mark.counts
            return {state: self._ledger.states[state] + sealed.get(state.value, 0) for state in State}

    def revision(self) -> int:
        """See `Queue.revision`."""
        with self._reading():
            return self._ledger.revision

    def changes(self, after: int, *, limit: int = 1000) -> Sequence[Job]:
        """See `Queue.changes`."""
        with self._reading():
            live = self._with_leases(self._ledger.changed(after))
            sealed = self._history.changes(after, self._ledger.mark, limit=limit)
            return list(itertools.islice(heapq.merge(sealed, live, key=lambda job: job.revision), limit))

    def watch(self) -> Watch:
        """See `Queue.watch`."""
        return FileWatch(self._folder, {"journal"})

    # --- for admins ---

    def pause(self, pause: Pause) -> None:
        """See `Queue.pause`."""
        self._settled({"e": "pause", "n": 0, "pause": to_data(pause)})

    def resume(self) -> None:
        """See `Queue.resume`."""
        if self.paused() is not None:
            self._settled({"e": "resume", "n": 0})

    def paused(self) -> Pause | None:
        """See `Queue.paused`."""
        with self._reading():
            return self._ledger.pause

    def export(self) -> Iterator[Stored]:
        """See `Queue.export`. What changes meanwhile is yielded as it was at the beginning."""
        with self._reading():
            mark = self._ledger.mark
            live = [self._ledger.stored(job_id) for job_id in self._ledger.ids()]
        yield from heapq.merge(self._history.export(mark), live, key=lambda stored: stored.job.id)

    def adopt(self, stored: Sequence[Stored]) -> None:
        """See `Queue.adopt`."""
        with self._writing():
            bodies: list[bytes] = []
            ids: dict[int, Stored] = {}
            keys: dict[tuple[str, str], Stored] = {}
            for one in stored:
                job, who = one.job, (one.job.user, one.key)
                if not 0 < job.id <= MAX_ID:
                    raise InputError("bad-id", f"an id is 1 to {MAX_ID}", context=str(job.id))
                if is_new(
                    one, ids.get(job.id) or self._at(job.id), keys.get(who) or self._under(*who, names(*who))
                ):
                    ids[job.id] = keys[who] = one
                    revision = self._ledger.revision + len(bodies) + 1
                    record = {**to_data(evolve(job, revision=revision)), "key": one.key}
                    bodies.append(job_body("adopt", record))
            written = self._write_all(bodies)
        self._settle(written)
        if self._ledger.ended >= self._compact_at:
            with self._writing():
                pass  # it begins with a compaction

    def check(self, *, repair: bool = False) -> Sequence[Damage]:
        """See `Queue.check`."""
        if not self._journal.path.exists() and not self._history.there:
            return []
        with self._journal.lock():
            self._ledger = Ledger()
            known = self._journal.known()
            found = read_damaged(self._journal.path, known.end)
            damages = found.damages(self._journal.path, repaired=repair)
            if not repair:
                return [*damages, *self._history.check(found.mark)]
            mark, others = self._history.repair(found.mark)
            if damages or others:
                move_aside(self._folder / "damaged", found)
                for job_id in [job_id for job_id in found.ledger.ids() if self._history.get(job_id, mark)]:
                    found.ledger.drop(job_id)
                found.ledger.go_on_behind(mark, found.lost_ids)
                lines = b"".join(map(to_line, found.ledger.compacted(mark, states=frozenset(State))))
                generation = max(found.header.generation, known.generation) + 2
                self._journal.replace(lines, Header(generation=generation, base=len(lines)))
            return [*damages, *others]

    # --- under the lock ---

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Inside it the ledger is what is true now, and on disk."""
        with self._journal.lock_to_read() as there:
            if there:
                self._catch_up()
                self._journal.settle_what_was_read()
            else:
                self._see_that_it_is_new()
            yield

    @contextmanager
    def _writing(self, *, skim: bool = False) -> Iterator[None]:
        """Inside it nobody else reads or writes, and the ledger is what is true now, as far as `_catch_up` makes it so."""
        with self._journal.lock():
            self._catch_up(skim=skim)
            if self._journal.failed:
                self._journal.write_anew()
                self._catch_up()
            self._journal.prepare()
            if self._ledger.ended >= self._compact_at or self._has_grown():
                self._compact()
            yield

    def _catch_up(self, *, skim: bool = False) -> None:
        """Take in what others have written; *skim* where no more is needed than to submit."""
        try:
            if not self._journal.look() and not self._follow():
                self._journal.forget()
                self._ledger = Ledger()
            piece = self._journal.catch_up()
            if not (skim and self._ledger.skim(piece)):
                self._read(piece)
            if not self._ledger.revision:
                self._see_that_it_is_new()
        except OSError as error:
            self._journal.forget()
            raise explain_os_error(error, "read the queue", self._journal.path) from None
        except FetchError:
            self._journal.forget()  # what was read of it is not known to be all
            raise

    def _see_that_it_is_new(self) -> None:
        """Refuse a journal without any record where there is a history: one that begins anew would overwrite that."""
        if self._history.there:
            raise damaged(self._journal.path, 0, "all records are missing, but jobs have ended here before")

    def _read(self, *pieces: Piece) -> None:
        """Take in what was only skimmed before, and *pieces*."""
        for revision, skimmed in self._ledger.skimmed():
            self._ledger.take_late(revision, self._journal.bodies(skimmed))
        for piece in pieces:
            self._ledger.take(self._journal.bodies(piece))

    def _follow(self) -> bool:
        """Go on in a journal that somebody has begun anew, without reading again what is known; say whether that can be."""
        if not self._journal.can_be_followed:
            return False
        self._read(self._journal.end_of_old())
        base = self._journal.go_on()
        return base is not None and self._ledger.follow(base)

    def _write(self, event: Event, *, lasting: bool = True) -> Written:
        """Append an event and let it be true here; it counts once it is settled, or at once if it need not last."""
        event = {"e": "", **event, "n": self._ledger.revision + 1}
        written = self._journal.append(to_line(to_json(event).encode("ascii")), lasting=lasting)
        self._ledger.apply(event)
        return written

    def _write_move(self, job: Job, move: Move | None, *, lasting: bool = True) -> tuple[Job, Written | None]:
        """Do so with a change of *job*, if there is one; return what the job becomes, too."""
        if move is None:
            return job, None
        written = self._write(change_event(move.event, move.changes["state"]), lasting=lasting)
        changed = apply(job, move, revision=self._ledger.revision)
        self._ledger.remember(changed)
        return changed, written

    def _write_all(self, bodies: list[bytes]) -> Written | None:
        """Likewise for many events, given as JSON; they are taken in once somebody asks for the jobs."""
        if not bodies:
            return None
        lines = b"".join(map(to_line, bodies))
        written = self._journal.append(lines)
        piece = Piece(written.end - len(lines), lines)
        if not self._ledger.skim(piece):
            self._read(piece)
        return written

    def _settle(self, written: Written | None) -> None:
        """Make what was written durable, or what was read, where there was nothing to write."""
        if written is None:
            self._journal.settle_what_was_read()
        else:
            self._journal.settle(written)

    def _settled(self, event: Event) -> None:
        with self._writing():
            written = self._write(event)
        self._settle(written)

    def _submit(self, wanted: Sequence[tuple[JobSpec, str]], user: str) -> list[Job]:
        with self._writing(skim=True):
            refuse_if_moved(self._ledger.pause)
            jobs: list[Job] = []
            bodies: list[bytes] = []
            now = self._clock.now()
            line = next_in_line(self._ledger.line, self._ledger.at, now)
            revision, next_id = self._ledger.revision, self._ledger.last_id
            last: JobSpec | None = None
            for spec, key in wanted:
                who = names(user, key)
                known = self._under(user, key, who)
                if known is not None:
                    jobs.append(same_or_refuse(known.job, key, spec))
                    continue
                if spec is not last:
                    last, spec_json = spec, to_json(to_data(spec))
                revision, next_id = revision + 1, next_id + 1
                job = Job(next_id, user, spec, now, line=line, revision=revision)
                bodies.append(submit_body(job, who, spec_json))
                jobs.append(job)
            written = self._write_all(bodies)
        self._settle(written)
        return jobs

    def _change(self, job_id: int, decide: Callable[[Job], Move | None]) -> Job:
        """See `Engine._change`. A job that a worker holds comes back with the lease it began with."""
        with self._writing():
            job = self._find(job_id)
            job, written = self._write_move(job, decide(job))
        self._settle(written)
        return job

    def _advance(self, job: Job, attempt: int, change: Change) -> Move:
        mine = self._claimed.get(job.id)
        if mine is not None and mine.number == attempt:
            now = job.attempt
            if now is None or (now.worker, now.claimed_at) != (mine.worker, mine.claimed_at):
                raise HostError(
                    "stale-attempt",
                    f"attempt {attempt} of job {job.id} was lost in a repair of the queue",
                    context=f"{job.id}.{attempt}",
                )
        return advance_move(job, attempt, change, self._clock.now())

    def _beat(self, job_id: int, attempt: int, beat: Beat) -> Job:
        with self._writing():
            job = self._find(job_id)
            self._advance(job, attempt, beat)
            active = {other.id for other in self._live(_ACTIVE)}
            self._beats.write(job_id, attempt, beat.lease.until, active)
            return evolve(job, lease=beat.lease)

    def _find(self, job_id: int) -> Job:
        if job_id in self._ledger:
            return self._ledger.get(job_id)
        found = self._history.get(job_id, self._ledger.mark)
        if found is None:
            raise unknown_job(job_id)
        return found.job

    def _live(self, wanted: Filter, *, newest: bool = False, after: int = 0) -> Iterator[Job]:
        """Yield what `jobs` asks for of the jobs that the journal holds."""
        ids = self._ledger.ids(newest=newest, states=wanted.states, user=wanted.user)
        behind = (job_id for job_id in ids if not after or (job_id < after if newest else job_id > after))
        jobs = (self._ledger.get(job_id) for job_id in behind)
        return self._with_leases(job for job in jobs if wanted.fits(job))

    def _with_leases(self, jobs: Iterator[Job] | Sequence[Job]) -> Iterator[Job]:
        """Yield the jobs, those that run with the lease that they have beaten to."""
        beats: dict[tuple[int, int], float] | None = None
        for job in jobs:
            if job.lease is None:
                yield job
                continue
            beats = self._beats.read() if beats is None else beats
            until = beats.get((job.id, len(job.attempts)))
            boot_id = self._clock.boot().boot_id
            yield job if until is None else evolve(job, lease=evolve(job.lease, boot_id=boot_id, until=until))

    def _at(self, job_id: int) -> Stored | None:
        """Return the job that has this id."""
        if job_id in self._ledger:
            return self._ledger.stored(job_id)
        return self._history.get(job_id, self._ledger.mark)

    def _under(self, user: str, key: str, who: bytes) -> Stored | None:
        """Return the job that came under this key; *who* is what `names` makes of both."""
        job_id = self._ledger.id_of(who)
        if job_id is None:
            job_id = self._history.find_key(user, key, self._ledger.mark)
        else:
            self._read()
        return self._at(job_id) if job_id else None

    # --- compaction ---

    def _has_grown(self) -> bool:
        return self._journal.version == 1 or self._journal.grown > max(COMPACT_BYTES, self._journal.base)

    def _compact(self) -> None:
        """Move ended jobs to the history and begin the journal anew with the others."""
        self._read()
        try:
            mark = self._history.seal(self._ledger.endings(), self._ledger.mark)
            self._journal.begin_anew(b"".join(map(to_line, self._ledger.compacted(mark, states=_LIVE))))
        except FetchError:
            self._compact_at = (
                2 * self._ledger.ended
            )  # a full disk: it is tried again, but not at every write
            return
        finally:
            self._catch_up()
        self._compact_at = max(COMPACT_ENDED, len(self._ledger))


_LIVE = frozenset(State) - FINAL
_ACTIVE = Filter(states=frozenset({State.STARTING, State.RUNNING, State.STOPPING}))
