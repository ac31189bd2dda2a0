"""Read a journal that may be damaged: what of it can be trusted, and what cannot."""

from __future__ import annotations

import json
import re
from pathlib import Path

from attrs import define, field, frozen

from fetchml_core.errors import HostError, explain_os_error
from fetchml_core.fsio import make_folder, write_durably
from fetchml_core.jobs.states import State

from .base import Damage
from .journal_format import Header, check_line, read_header
from .ledger import Ledger
from .moves import Event, state_of
from .sealed import Mark

_SHORTEST_SUBMIT = 100
_HELD = (State.RUNNING, State.STARTING, State.STOPPING)
_BEFORE = {
    "claim": (State.QUEUED,),
    "start": (State.STARTING, State.STOPPING),
    "finish": _HELD,
    "requeue": _HELD,
    "return": (State.STARTING,),
    "hold": (State.QUEUED,),
    "release": (State.HELD,),
}
"""In which states a job may be before an event: see `fetchml_core.jobs.states`."""
_ID = re.compile(rb'"id":(\d{1,18})')


@frozen
class Piece:
    """Bytes of a journal that cannot be trusted: where they stand, and the job they seem to be about, 0 if none."""

    offset: int
    data: bytes
    problem: str
    job: int = 0


@define
class Read:
    """What a damaged journal says.

    Args:
        header: Its first line; a new one where that is damaged.
        ledger: The jobs, by all events that still can be told.
        pieces: What cannot.
        lost_ids: So many ids may have been given to jobs that are lost.
    """

    header: Header
    ledger: Ledger = field(factory=Ledger)
    pieces: list[Piece] = field(factory=list)
    lost_ids: int = 0

    @property
    def mark(self) -> Mark | None:
        """How much of the history counts; None where the records of that may be lost."""
        lost = not self.ledger.begun and (self.pieces or not self.ledger.revision)
        return None if lost else self.ledger.mark

    def damages(self, path: Path, *, repaired: bool) -> list[Damage]:
        """Return what is wrong, for people."""
        aside = "moved to damaged/" if repaired else "a repair moves it to damaged/"
        told = []
        for piece in self.pieces:
            repair = aside if piece.data else "the rest is served"
            jobs = (piece.job,) if piece.job and piece.job not in self.ledger else ()
            if piece.job in self.ledger:
                repair += f"; job {piece.job} is then as the records before say"
            told.append(Damage(f"{path} at byte {piece.offset}", piece.problem, repair, jobs))
        return told


def read_damaged(path: Path, end: int) -> Read:
    """Read the journal at *path*.

    Args:
        path: The file.
        end: Where its records end at least, as far as that is known.

    Raises:
        HostError: ``queue-format``: it is of a newer version, or no journal at all.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        data = b""
    except OSError as error:
        raise explain_os_error(error, "read the queue", path) from None
    found, start = _begin(data, path)
    data = data.rstrip(b"\0")
    while start < len(data):
        stop = data.find(b"\n", start) + 1
        if not stop and start >= end:
            break  # a write that was cut, and never acknowledged
        stop = stop or len(data)
        _take(found, start, data[start:stop])
        start = stop
    if len(data) < end:
        what = "the end of the journal" if data else "the journal"
        found.pieces.append(Piece(len(data), b"", f"{what} is missing"))
    # What is lost may have given out ids, each in a record of this length at least: they are skipped, not given again.
    lost = sum(len(piece.data) for piece in found.pieces) + max(0, end - len(data))
    found.lost_ids = -(-lost // _SHORTEST_SUBMIT)
    return found


def _begin(data: bytes, path: Path) -> tuple[Read, int]:
    """Return what the first line says, and where the second begins."""
    line, _, rest = data.partition(b"\n")
    try:
        header, size = read_header(data[:64], path)
    except HostError:
        # A newer version's first line is whole. Behind a damaged one stand records that are ours.
        if check_line(rest.partition(b"\n")[0]) is None:
            raise
        return Read(Header(), pieces=[Piece(0, line + b"\n", "the first line cannot be read")]), len(line) + 1
    return Read(header), size


def _take(found: Read, offset: int, line: bytes) -> None:
    body = check_line(line.rstrip(b"\n"))
    if body is None:
        about = _ID.search(line)
        job = int(about[1]) if about else 0
        found.pieces.append(Piece(offset, line, "a record does not match its checksum", job))
        return
    event = json.loads(body)
    missing = found.ledger.missing_before(event)
    if missing and not found.pieces:
        found.pieces.append(Piece(offset, b"", f"{missing} records before it are missing"))
    try:
        if event.get("e") in _BEFORE:
            _make_possible(found.ledger, event)
        found.ledger.apply(event, gaps=True)
    except (HostError, KeyError, TypeError) as error:
        problem = error.message if isinstance(error, HostError) else "it does not follow from those before it"
        found.pieces.append(Piece(offset, line, problem, event.get("id", 0)))


def _make_possible(ledger: Ledger, event: Event) -> None:
    """Let *event* be what it says although one before it is lost: where a job has come to counts more than the way."""
    record = ledger.record(event["id"])
    states, attempt = _BEFORE[event["e"]], event.get("attempt", 0)
    attempts = record.get("attempts", [])
    if state_of(record) in states and len(attempts) >= attempt:
        return
    lost = range(len(attempts) + 1, attempt + 1)
    attempts = [*attempts, *({"number": n, "worker": "", "claimed_at": event["at"]} for n in lost)]
    ledger.replace({**record, "attempts": attempts, "state": states[0].value})


def move_aside(folder: Path, found: Read) -> None:
    """Keep what cannot be trusted as ``journal-GENERATION-OFFSET`` in *folder*."""
    try:
        make_folder(folder)
        for piece in found.pieces:
            if piece.data:
                write_durably(folder / f"journal-{found.header.generation}-{piece.offset}", piece.data)
    except OSError as error:
        raise explain_os_error(error, "move what is damaged aside", folder) from None
