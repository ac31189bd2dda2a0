"""The sealed history: jobs of the native queue that have ended, out of the way of those that have not.

When the journal is compacted, the jobs that have ended since go here, in blocks that never change again; the new
journal begins with the `Mark` that says how much of the history counts. What a crash leaves behind the mark does not,
and is overwritten. The formats are in `sealed` and `keytable`.

The files are read in place, a few bytes at a time: that a million jobs are here costs nobody anything who does not
look at them. Whatever is read is checked; a place that cannot be trusted is reported, never skipped.

Whoever seals, examines or mends holds the queue's lock alone, whoever reads shares it.
"""

from __future__ import annotations

import bisect
import itertools
import zlib
from collections import Counter, OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path

from fetchml_core.errors import BugError, FetchError, explain_os_error
from fetchml_core.fsio import make_folder, sync_folder
from fetchml_core.jobs.job import Job

from .base import Damage, Filter, Stored
from .history_check import Examination
from .keytable import KeyTable, key_hash, key_slot
from .sealed import (
    MAX_ID,
    NOTHING,
    ROWS,
    STATES,
    WIDEST_GAP,
    Block,
    File,
    Mark,
    Place,
    Table,
    damaged,
    pack_member,
    parse_block,
    parse_member,
    parse_place,
    user_byte,
)
from .stored import decode, encode

_PAGE = 1024
_CACHED = 16


class History:
    """One process's view of the files. A `Mark` says what counts; where it says nothing, no file is touched.

    Args:
        folder: The queue's folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "history"
        self._data = File(self._folder / "jobs.gz")
        self._blocks = Table(self._folder / "blocks", b"FMLBLCK", 40)
        self._ids = Table(self._folder / "ids", b"FMLJOBS", 16)
        self._keys = KeyTable(self._folder / "keys")
        self._cache: OrderedDict[tuple[int, int], list[bytes]] = OrderedDict()

    @property
    def there(self) -> bool:
        """Whether anything was ever sealed, whatever of it counts."""
        return self._data.path.exists()

    def seal(self, batch: Sequence[Stored], mark: Mark) -> Mark:
        """Add jobs that have ended; durable, but they count only for who has the mark that is returned.

        Args:
            batch: By revision, all higher than ``mark.revision``.
            mark: What counts so far.

        Raises:
            FetchError: nothing has changed for who has *mark*.
        """
        if not batch:
            return mark
        _check_batch(batch, mark)
        try:
            return self._seal(batch, mark)
        except OSError as error:
            raise explain_os_error(error, "write to the queue", self._folder) from None

    def get(self, job_id: int, mark: Mark) -> Stored | None:
        """Return one job, None where it is not here.

        Raises:
            HostError: ``queue-damaged``, like all that reads.
        """
        if not 0 < job_id <= mark.last_id:
            return None
        place = self._place(job_id, self._entries(job_id, 1), mark)
        return None if place is None or not self._counts(place, mark) else self._stored(job_id, place)

    def find_key(self, user: str, key: str, mark: Mark) -> int | None:
        """Return the id of the job that *user* submitted under *key*, None where it is not here."""
        if not mark.jobs:
            return None
        try:
            for job_id in self._keys.find(key_hash(user, key)):
                stored = self.get(job_id, mark)
                if stored is not None and (stored.job.user, stored.key) == (user, key):
                    return job_id
        except OSError as error:
            raise explain_os_error(error, "read the queue", self._folder) from None
        return None

    def jobs(
        self, wanted: Filter, mark: Mark, *, newest: bool = False, after: int = 0, limit: int | None = None
    ) -> Iterator[Job]:
        """Yield jobs as `Queue.jobs` describes; those of other states or users are hardly looked at."""
        found = (stored.job for stored in self._all(wanted, mark, newest=newest, after=after))
        return itertools.islice(filter(wanted.fits, found), limit)

    def changes(self, after: int, mark: Mark, *, limit: int | None = None) -> Iterator[Job]:
        """Yield the jobs whose revision is higher than *after*, lowest first."""
        return itertools.islice(self._changes(after, mark), limit)

    def export(self, mark: Mark) -> Iterator[Stored]:
        """Yield everything, by id."""
        return self._all(Filter(), mark, newest=False, after=0)

    def check(self, mark: Mark | None) -> list[Damage]:
        """Verify everything against its checksums, and the derived files against the jobs.

        Args:
            mark: What counts; None where that is lost: then all that is here does.

        Raises:
            HostError: ``queue-format``: a file is of a newer version.
        """
        return self._examine(mark, repair=False)[1]

    def repair(self, mark: Mark | None) -> tuple[Mark, list[Damage]]:
        """Do what `check` does, copy damaged blocks to ``<queue>/damaged``, and mend the rest.

        Returns: the mark that counts from now on, and what was wrong. Until that is in the journal, jobs that are
        lost still count; a further repair brings the same.
        """
        return self._examine(mark, repair=True)

    def _examine(self, mark: Mark | None, *, repair: bool) -> tuple[Mark, list[Damage]]:
        if not (self.there if mark is None else mark.blocks):
            return mark or Mark(), []
        examination = Examination(self._data, self._blocks, self._ids, self._keys, mark, repair=repair)
        try:
            return examination.run()
        except OSError as error:
            raise explain_os_error(error, "check the queue", self._folder) from None

    def _seal(self, batch: Sequence[Stored], mark: Mark) -> Mark:
        make_folder(self._folder)
        if not mark.blocks:
            self._blocks.begin()
            self._ids.begin()
            self._keys.create(len(batch))
        self._data.open(write=True)
        if self._data.size() < mark.size:
            raise damaged(self._data.path, self._data.size(), "the end of the history is missing")
        self._data.cut(mark.size)
        places: dict[int, bytes] = {}
        blocks = bytearray()
        size, number = mark.size, mark.blocks
        for start in range(0, len(batch), ROWS):
            rows = batch[start : start + ROWS]
            member = pack_member([encode(stored).encode("ascii") + b"\n" for stored in rows])
            tag = zlib.crc32(member)
            block = Block(size, len(member), len(rows), rows[0].job.revision, rows[-1].job.revision, tag)
            self._data.write(size, member)
            blocks += block.pack(number)
            for row, stored in enumerate(rows):
                places[stored.job.id] = _place_of(stored.job, number, row, tag).pack(stored.job.id)
            size, number = size + len(member), number + 1
        _ = self._blocks.extra  # of a newer version, it is left alone
        self._blocks.put(mark.blocks + 1, blocks)
        sparse = self._write_places(places, mark)
        self._keys.add((key_slot(s.job.user, s.key, s.job.id) for s in batch), mark.jobs + len(batch))
        for file in (self._data, self._blocks, self._ids):
            file.sync()
        sync_folder(self._folder)
        counts = Counter(mark.counts)
        counts.update(stored.job.state.value for stored in batch)
        return Mark(
            blocks=number,
            size=size,
            jobs=mark.jobs + len(batch),
            revision=batch[-1].job.revision,
            last_id=max(mark.last_id, *places),
            sparse=sparse,
            counts=dict(counts),
        )

    def _write_places(self, places: dict[int, bytes], mark: Mark) -> bool:
        """Write entries of ``ids``; return whether some between them were left out."""
        _ = self._ids.extra
        sparse, end = mark.sparse, mark.last_id + 1
        out = bytearray()
        for job_id in sorted(places):
            if job_id < end:
                self._ids.put(job_id, places[job_id])
                continue
            gap = job_id - end - len(out) // 16
            if gap > WIDEST_GAP:
                self._ids.put(end, out)
                end, out, gap, sparse = job_id, bytearray(), 0, True
            out += NOTHING * gap + places[job_id]
        self._ids.put(end, out)
        return sparse

    def _all(self, wanted: Filter, mark: Mark, *, newest: bool, after: int) -> Iterator[Stored]:
        states = {number for number, state in enumerate(STATES, 1) if state in wanted.states}
        if wanted.states and not states:
            return
        user = user_byte(wanted.user)
        low, high = (1, after - 1) if newest and after else (after + 1, mark.last_id)
        firsts = range(low, min(high, mark.last_id) + 1, _PAGE)
        for first in reversed(firsts) if newest else firsts:
            page = self._entries(first, min(_PAGE, min(high, mark.last_id) + 1 - first))
            if mark.sparse and not any(page):
                continue
            ids = range(first, first + len(page) // 16)
            for job_id in reversed(ids) if newest else ids:
                data = page[(job_id - first) * 16 : (job_id - first) * 16 + 16]
                place = self._place(job_id, data, mark)
                if place is None or (states and place.state not in states):
                    continue
                if (not wanted.user or place.user == user) and self._counts(place, mark):
                    yield self._stored(job_id, place)

    def _changes(self, after: int, mark: Mark) -> Iterator[Job]:
        def last(number: int) -> int:
            return self._block(number).last

        for number in range(bisect.bisect_right(range(mark.blocks), after, key=last), mark.blocks):
            block = self._block(number)
            for row in range(block.jobs):
                job = self._decode(number, block, row).job
                if job.revision > after:
                    yield job

    def _entries(self, first: int, count: int) -> bytes:
        try:
            return self._ids.entries(first, count).ljust(count * 16, b"\0")
        except OSError as error:
            raise explain_os_error(error, "read the queue", self._folder) from None

    def _place(self, job_id: int, data: bytes, mark: Mark) -> Place | None:
        """Return what an entry of ``ids`` says, None where it says that there is no such job."""
        if data == NOTHING or (mark.sparse and not any(data)):
            return None
        place = parse_place(data, job_id)
        if place is None:
            raise damaged(self._ids.path, job_id * 16, f"the entry of job {job_id} cannot be trusted")
        return place

    def _counts(self, place: Place, mark: Mark) -> bool:
        """Whether the job was sealed for good, not by one whose journal never came."""
        return place.block < mark.blocks and self._block(place.block).tag == place.tag

    def _block(self, number: int) -> Block:
        try:
            block = parse_block(self._blocks.entries(number + 1, 1), number)
        except OSError as error:
            raise explain_os_error(error, "read the queue", self._folder) from None
        if block is None:
            raise damaged(
                self._blocks.path, (number + 1) * 40, f"the entry of block {number} cannot be trusted"
            )
        return block

    def _stored(self, job_id: int, place: Place) -> Stored:
        block = self._block(place.block)
        stored = self._decode(place.block, block, place.row)
        if stored.job.id != job_id:
            raise damaged(self._ids.path, job_id * 16, f"the entry of job {job_id} names another job")
        return stored

    def _decode(self, number: int, block: Block, row: int) -> Stored:
        lines = self._lines(number, block)
        try:
            return decode(lines[row])
        except (FetchError, ValueError, LookupError, TypeError):
            problem = f"line {row} of block {number} is no job"
            raise damaged(self._data.path, block.offset, problem) from None

    def _lines(self, number: int, block: Block) -> list[bytes]:
        """Return the lines of a block; the last few are remembered."""
        known = self._cache.get((number, block.tag))
        if known is not None:
            self._cache.move_to_end((number, block.tag))
            return known
        try:
            data = self._data.read(block.offset, block.length)
        except OSError as error:
            raise explain_os_error(error, "read the queue", self._folder) from None
        lines = parse_member(data, self._data.path) if zlib.crc32(data) == block.tag else None
        if lines is None or len(lines) != block.jobs:
            raise damaged(self._data.path, block.offset, f"block {number} does not match its checksum")
        self._cache[number, block.tag] = lines
        if len(self._cache) > _CACHED:
            self._cache.popitem(last=False)
        return lines


def _place_of(job: Job, number: int, row: int, tag: int) -> Place:
    return Place(number, row, STATES.index(job.state) + 1, user_byte(job.user), tag)


def _check_batch(batch: Sequence[Stored], mark: Mark) -> None:
    """Refuse what would break the order of the blocks, or has not ended."""
    revision = mark.revision
    for stored in batch:
        job = stored.job
        if job.revision <= revision or job.state not in STATES or not 0 < job.id <= MAX_ID:
            raise BugError("seal-refused", "this job cannot be sealed here", context=f"job {job.id}")
        revision = job.revision
