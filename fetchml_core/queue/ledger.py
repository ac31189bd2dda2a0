"""All jobs that a native queue holds in its journal, as the events so far have made them.

They are told apart by their beginnings and parsed no further until somebody asks for the job (see `events`); what a
submitter has no use for, it only skims.
"""

from __future__ import annotations

import bisect
import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, overload

from fetchml_core.convert import from_data, to_data
from fetchml_core.errors import HostError
from fetchml_core.jobs.job import Job
from fetchml_core.jobs.states import FINAL, State

from .base import Pause, Stored, place_in_line
from .events import (
    CHANGE,
    LAST,
    NEW,
    PRIORITY,
    STATES,
    UNCOUNTED,
    WEIGHTY,
    WHO,
    accepted_body,
    bare,
    job_body,
    names,
    whole,
)
from .journal_format import Piece, to_json
from .moves import Event, Record, fold, state_after, state_of, unknown_job
from .sealed import Mark

SKIMMED_MOST = 8 << 20
"""So many bytes are skimmed at most, before they are taken in."""
Place = tuple[float, int]


class _Entry:
    """One job: its record, and the job made of it once somebody asks."""

    __slots__ = ("_body", "_job", "_later", "_record", "id", "place", "revision", "state", "who")

    def __init__(self, job_id: int, revision: int, place: Place, state: State) -> None:
        self.id = job_id
        self.revision = revision
        self.place = place
        self.state = state
        self.who = b""
        self._body = b""
        self._later: list[Event | bytes] = []
        self._record: Record | None = None
        self._job: Job | None = None

    @classmethod
    def of_record(cls, record: Record) -> _Entry:
        line = record.get("line") or record["submitted_at"]
        place = place_in_line(line, record["spec"].get("priority", PRIORITY), record["id"])
        entry = cls(record["id"], record.get("revision", 0), place, state_of(record))
        entry._record = record
        return entry

    @classmethod
    def of_body(cls, job_id: int, revision: int, place: Place, state: State, body: bytes) -> _Entry:
        entry = cls(job_id, revision, place, state)
        entry._body = body
        return entry

    @property
    def key(self) -> str:
        """The idempotency key."""
        key: str = self.record["key"]
        return key

    @property
    def record(self) -> Record:
        """The record, and the key beside."""
        record = self._record
        if record is None:
            record = whole(json.loads(self._body))
        for later in self._later:
            record = fold(record, json.loads(later) if isinstance(later, bytes) else later)
            self._body = b""
        self._record, self._later = record, []
        return record

    @property
    def body(self) -> bytes:
        """The job as a compaction writes it."""
        if self._body and not self._later:
            return (
                self._body
                if self._body.startswith(b'{"e":"job"')
                else accepted_body(self._body, self.revision)
            )
        return job_body("job", self.record)

    @property
    def job(self) -> Job:
        if self._job is None:
            self._job = from_data(self.record, Job, what="job")
        return self._job

    def remember(self, job: Job) -> None:
        """Spare the making of a job that is at hand."""
        self._job = job

    def change(self, n: int, state: State, event: Event | bytes) -> None:
        """Take a change in, as it is or as JSON; it is looked into when somebody asks for the job."""
        self._later.append(event)
        self.revision = n
        self.state = state
        self._job = None


class Ledger:
    """A fold over events, in their order."""

    def __init__(self) -> None:
        self.revision = 0
        self.last_id = 0
        self.line = 0.0
        self.at = 0.0
        self.pause: Pause | None = None
        self.mark = Mark()
        self.begun = False
        self._skimmed: list[tuple[int, Piece]] = []
        self._skimmed_size = 0
        #: How many jobs have ended and wait for a compaction.
        self.ended = 0
        self._entries: dict[int, _Entry] = {}
        self._keys: dict[bytes, int] = {}
        self._queued: list[Place] = []
        self._states: Counter[State] = Counter()

    @property
    def queued(self) -> Sequence[Job]:
        """The queued jobs in the order of the line; it changes with the ledger."""
        return _Line(self._queued, self._entries)

    @property
    def states(self) -> Counter[State]:
        """How many jobs are in which state."""
        return self._states

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, job_id: int) -> bool:
        return job_id in self._entries

    def get(self, job_id: int) -> Job:
        """Return a job, or raise ``job-unknown``."""
        entry = self._entries.get(job_id)
        if entry is None:
            raise unknown_job(job_id)
        return entry.job

    def record(self, job_id: int) -> Record:
        """Return the record of a job that is here, with its key."""
        return self._entries[job_id].record

    def replace(self, record: Record) -> None:
        """Put another record of a job in the place of the one that is here."""
        entry = self._entries.pop(record["id"])
        self._states[entry.state] -= 1
        self.ended -= entry.state in FINAL
        if entry.state is State.QUEUED:
            del self._queued[bisect.bisect_left(self._queued, entry.place)]
        self._put_record(record)

    def stored(self, job_id: int) -> Stored:
        """Return a job with its key."""
        entry = self._entries[job_id]
        return Stored(entry.key, entry.job)

    def remember(self, job: Job) -> None:
        """Spare the making of a job that is at hand."""
        self._entries[job.id].remember(job)

    def ids(
        self, *, newest: bool = False, states: frozenset[State] = frozenset(), user: str = ""
    ) -> list[int]:
        """Return the ids of the jobs in *states*, of all where that is empty, sorted; only those of *user* if one is named."""
        entries = [entry for entry in self._entries.values() if not states or entry.state in states]
        if user:
            theirs = names(user, "")[:-1]
            entries = [entry for entry in entries if entry.who.startswith(theirs)]
        return sorted((entry.id for entry in entries), reverse=newest)

    def id_of(self, who: bytes) -> int | None:
        """Return the id of the job that was submitted under these `names`."""
        return self._keys.get(who)

    def take(self, bodies: Iterable[bytes]) -> None:
        """Take events in, given as JSON.

        Raises:
            HostError: ``queue-damaged``: one does not follow from those before it.
        """
        for body in bodies:
            if change := CHANGE.match(body):
                n = int(change[1])
                self._count(n, body)
                self._change(int(change[2]), n, STATES[change[3]], body)
            elif new := NEW.match(body):
                self._take_new(new, body)
            else:
                self.apply(json.loads(body))

    def skim(self, piece: Piece) -> bool:
        """Learn of *piece* what a submitter has to know: revision, highest id, line, and who has used which key.

        Its records are neither checked nor taken in until `skimmed` is asked for them.

        Returns: False where it has to be taken in whole: then nothing was learned.
        """
        data = piece.data
        if not data:
            return True
        last = LAST.match(data, data.rfind(b"\n", 0, -1) + 1)
        missing = last is None or int(last[1]) - self.revision != data.count(b"\n")
        if last is None or missing or WEIGHTY.search(data) or self._skimmed_size > SKIMMED_MOST:
            return False
        self._skimmed.append((self.revision, piece))
        self._skimmed_size += len(data)
        self.revision = int(last[1])
        for job_id, line, who, at in WHO.findall(data):
            self._keys[who] = self.last_id = int(job_id)
            self.line, self.at = float(line), float(at)
        return True

    def skimmed(self) -> list[tuple[int, Piece]]:
        """Return the pieces that were skimmed, each with the revision before it; they are to be taken in now."""
        pieces, self._skimmed, self._skimmed_size = self._skimmed, [], 0
        return pieces

    def take_late(self, revision: int, bodies: Iterable[bytes]) -> None:
        """Take in what was skimmed at *revision*."""
        now, self.revision = self.revision, revision
        self.take(bodies)
        self.revision = now

    def _take_new(self, new: re.Match[bytes], body: bytes) -> None:
        kind, n, job_id, priority, line, who, state, at = new.groups()
        if kind != b"job":
            self._count(int(n), body)
        since = float(line)
        self.line = max(self.line, since)
        self.at = float(at) if at else self.at
        place = place_in_line(since, int(priority), int(job_id))
        self._put(_Entry.of_body(int(job_id), int(n), place, STATES[state or b"queued"], body), who)

    def missing_before(self, event: Event) -> int:
        """Return how many events are missing before *event*."""
        n = event.get("n", 0)
        counted = event.get("e") not in {"base", *UNCOUNTED} and isinstance(n, int)
        return max(0, n - self.revision - 1) if counted else 0

    def apply(self, event: Event, *, gaps: bool = False) -> None:
        """Take one event in; *gaps* lets some be missing before it. Raises what `take` raises."""
        kind = event.get("e")
        if gaps:
            self.revision += self.missing_before(event)
        try:
            if kind == "base":
                self._begin(event)
                return
            if kind not in UNCOUNTED:
                self._count(event.setdefault("n", self.revision + 1), event)  # format 1 counts silently
            self._do(event)
        except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
            raise _damaged(event, f"{type(error).__name__}: {error}") from None

    def _do(self, event: Event) -> None:
        kind = event["e"]
        if kind in {"submit", "job", "adopt"}:
            self._put_record(whole(event))
        elif kind == "pause":
            self.pause = from_data(event["pause"], Pause)
        elif kind == "resume":
            self.pause = None
        elif kind != "beat" and "id" in event:
            self._change_by(event)

    def compacted(self, mark: Mark, *, states: frozenset[State]) -> list[bytes]:
        """Return the events of a journal that begins anew with the jobs in *states*, as JSON.

        Args:
            mark: What the history then holds.
            states: All but those whose jobs have just been moved there.
        """
        base: Event = {
            "e": "base",
            "n": self.revision,
            "last": self.last_id,
            "line": self.line,
            "at": self.at,
        }
        if self.pause is not None:
            base["pause"] = to_data(self.pause)
        base["history"] = to_data(mark)
        begin = to_json(base).encode("ascii")
        return [begin, *(self._entries[job_id].body for job_id in self.ids(states=states)), begin]

    def follow(self, body: bytes) -> bool:
        """Take in the first record of a journal that was begun anew behind the last event that was taken.

        Returns: whether it says what is known here; the jobs that have ended are then in the history.
        """
        base = json.loads(body)
        if base.get("e") != "base" or (base["n"], base["last"]) != (self.revision, self.last_id):
            return False
        for job_id in self.ids(states=FINAL):
            self.drop(job_id)
        self._begin(base)
        return True

    def drop(self, job_id: int) -> None:
        """Leave a job out: the history has it."""
        entry = self._entries.pop(job_id)
        del self._keys[entry.who]
        self._states[entry.state] -= 1
        self.ended -= entry.state in FINAL
        if entry.state is State.QUEUED:
            self._leave_line(entry)

    def go_on_behind(self, mark: Mark, lost: int) -> None:
        """Give no id or revision again that the history has, and leave out *lost* ids more."""
        self.revision = max(self.revision, mark.revision)
        self.last_id = max(self.last_id, mark.last_id) + lost

    def endings(self) -> list[Stored]:
        """Return all jobs that have ended, in the order of their revisions."""
        ended = [entry for entry in self._entries.values() if entry.state in FINAL]
        ended.sort(key=lambda entry: entry.revision)
        return [Stored(entry.key, entry.job, bare(entry.record)) for entry in ended]

    def changed(self, after: int) -> list[Job]:
        """Return the jobs that have changed since revision *after*, in that order."""
        changed = [entry for entry in self._entries.values() if entry.revision > after]
        return [entry.job for entry in sorted(changed, key=lambda entry: entry.revision)]

    def _begin(self, event: Event) -> None:
        self.revision, self.last_id, self.line = event["n"], event["last"], event["line"]
        self.at = event.get("at", self.line)
        self.begun = True
        self.pause = from_data(event["pause"], Pause) if "pause" in event else None
        self.mark = from_data(event["history"], Mark)

    def _count(self, n: int, event: object) -> None:
        """See that no event is missing."""
        if n != self.revision + 1:
            raise _damaged(event, f"after change {self.revision} comes {n}")
        self.revision = n

    def _put_record(self, record: Record) -> None:
        self.line, self.at = max(self.line, record.get("line", 0.0)), record["submitted_at"]
        self._put(_Entry.of_record(record), names(record["user"], record["key"]))

    def _put(self, entry: _Entry, who: bytes) -> None:
        if entry.id in self._entries:
            raise _damaged(entry.id, "this id comes twice")
        entry.who = who
        self._entries[entry.id] = entry
        self._keys[who] = entry.id
        self._states[entry.state] += 1
        self.ended += entry.state in FINAL
        if entry.state is State.QUEUED:
            bisect.insort(self._queued, entry.place)
        self.last_id = max(self.last_id, entry.id)

    def _change_by(self, event: Event) -> None:
        """Take in a change that does not say what state it leads to, as in format 1."""
        entry = self._entries[event["id"]]
        state = State(event["state"]) if "state" in event else state_after(entry.state, event)
        self._change(event["id"], event["n"], state, event)

    def _change(self, job_id: int, n: int, state: State, event: Event | bytes) -> None:
        entry = self._entries.get(job_id)
        if entry is None:
            raise _damaged(event, f"there is no job {job_id}")
        before = entry.state
        entry.change(n, state, event)
        if state is before:
            return
        self._states[before] -= 1
        self._states[state] += 1
        self.ended += state in FINAL
        if before is State.QUEUED:
            self._leave_line(entry)
        elif state is State.QUEUED:
            bisect.insort(self._queued, entry.place)

    def _leave_line(self, entry: _Entry) -> None:
        del self._queued[bisect.bisect_left(self._queued, entry.place)]


class _Line(Sequence[Job]):
    """The queued jobs, looked up one by one: who takes the first does not pay for the rest."""

    def __init__(self, order: list[Place], entries: dict[int, _Entry]) -> None:
        self._order = order
        self._entries = entries

    def __len__(self) -> int:
        return len(self._order)

    @overload
    def __getitem__(self, index: int) -> Job: ...
    @overload
    def __getitem__(self, index: slice) -> list[Job]: ...
    def __getitem__(self, index: int | slice) -> Job | list[Job]:
        if isinstance(index, slice):
            return [self._entries[job_id].job for _, job_id in self._order[index]]
        return self._entries[self._order[index][1]].job


def _damaged(event: Any, why: str) -> HostError:
    return HostError(
        "queue-damaged",
        f"a record of the queue does not follow from those before it: {why}",
        context=str(event)[:120],
        hint="ml queue check --repair",
    )
