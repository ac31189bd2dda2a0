"""Verify the sealed history, and mend it: what `History.check` and `History.repair` do.

``jobs.gz`` is the truth, and the rest derived: a wrong entry is written anew from the jobs. A block that does not match
its checksum is lost. A repair copies it to ``<queue>/damaged/history-block-NUMBER-CRC.gz`` and puts an empty member of the same
length in its place, so that all other blocks stay where they are and zcat goes on behind it. No job's line is ever
written anew, so fields of a newer version stay.

Where the journal has lost the mark, all blocks count that are there: those that a crash has left hold jobs that have
ended, too.
"""

from __future__ import annotations

import itertools
import json
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

from attrs import evolve

from fetchml_core.errors import HostError
from fetchml_core.fsio import make_folder, sync_folder, write_durably

from .base import Damage
from .keytable import KeyTable, key_slot, sound
from .sealed import (
    MAX_ID,
    NOTHING,
    SIGNATURE,
    STATES,
    WIDEST_GAP,
    Block,
    File,
    Mark,
    Place,
    Table,
    damaged,
    empty_member,
    member_length,
    parse_block,
    parse_member,
    parse_place,
    user_byte,
)

_NUMBERS = {state.value: number for number, state in enumerate(STATES, 1)}
_CHUNK = 1 << 20
_PAGE = 4096
_ENOUGH = 1024
_SLOTS = 1 << 16  # for one sync


class _Row(NamedTuple):
    """What the derived files know of a job."""

    id: int
    user: str
    key: str
    state: str
    revision: int


class Examination:
    """One walk through the files.

    Args:
        data: ``jobs.gz``.
        blocks: The table of that name, as are *ids* and *keys*.
        mark: What counts; None: all that is there.
        repair: Mend what is wrong.
    """

    def __init__(
        self, data: File, blocks: Table, ids: Table, keys: KeyTable, mark: Mark | None, *, repair: bool
    ) -> None:
        self._data, self._blocks, self._ids, self._keys = data, blocks, ids, keys
        self._known = mark is not None
        self._mark = mark or Mark()
        self._repair = repair
        self._aside = data.path.parent.parent / "damaged"
        self._found: list[Damage] = []
        self._table: list[Block] = []
        #: Blocks that are lost, with the ids of their jobs.
        self._lost: dict[int, list[int]] = {}
        #: Blocks whose own entry was lost, too.
        self._found_blocks: set[int] = set()
        self._wrong_ids: set[int] = set()
        self._wrong_keys = False
        self._counts: Counter[str] = Counter()
        self._revision = self._last_id = 0

    def run(self) -> tuple[Mark, list[Damage]]:
        """Return the mark that counts after a repair, and what is wrong."""
        self._look_at_headers()
        if not self._known:
            self._mark = self._all_that_is_there()
        self._read_table()
        for number, block in enumerate(self._table):
            rows = self._rows(block)
            if rows is None:
                self._lost[number] = []
            else:
                self._compare(number, block, rows)
        if not self._known:
            self._count_all()
        self._walk_ids()
        self._look_at_keys()
        for number, jobs in self._lost.items():
            self._lose(number, sorted(jobs))
        if self._wrong_ids:
            problem = f"{len(self._wrong_ids)}{'+' * self._many()} entries of jobs are wrong"
            self._note(self._ids, min(self._wrong_ids) * 16, problem, "they are written anew from the jobs")
        mark = evolve(self._mark, jobs=self._counts.total(), counts=dict(self._counts))
        if not self._known:
            problem = "the journal does not say any more how many of these jobs count"
            self._note(self._data, 0, problem, f"all {mark.jobs} do")
        elif (mark.jobs, mark.counts) != (self._mark.jobs, self._mark.counts) and not self._lost:
            self._note(
                self._data,
                0,
                f"{mark.jobs} jobs are here, {self._mark.jobs} are counted",
                "they are counted anew",
            )
        if self._repair and self._found:
            self._finish(mark)
        return mark, self._found

    def _note(self, file: File, offset: int, problem: str, repair: str, jobs: tuple[int, ...] = ()) -> None:
        self._found.append(Damage(f"{file.path} at byte {offset}", problem, repair, jobs))

    def _many(self) -> bool:
        return len(self._wrong_ids) >= _ENOUGH

    def _read(self, file: File, offset: int, size: int) -> bytes:
        """Return *size* bytes, zeros where there are none: the file may be missing, or cut."""
        try:
            data = file.read(offset, size)
        except HostError:
            data = b""
        return data.ljust(size, b"\0")

    def _look_at_headers(self) -> None:
        for table in (self._blocks, self._ids, self._keys.table):
            try:
                _ = table.extra
            except HostError as error:
                if error.code != "queue-damaged":
                    raise
                if table is self._keys.table:
                    self._wrong_keys = True
                    continue
                self._note(table, 0, error.message, "it is written anew")
                if self._repair:
                    make_folder(table.path.parent)
                    table.begin()

    def _all_that_is_there(self) -> Mark:
        """Return a mark behind the last block, by the table as far as it is sound, and then by the blocks themselves."""
        size, number, end = 0, 0, self._data_ends()
        while block := parse_block(self._read(self._blocks, (number + 1) * 40, 40), number):
            if block.offset != size or size + block.length > end:
                break
            size, number = size + block.length, number + 1
        beginnings = list(self._beginnings(size, end))
        if beginnings:
            rest = member_length(self._read(self._data, beginnings[-1], end - beginnings[-1]))
            size = beginnings[-1] + rest if rest else end
        return Mark(blocks=number + len(beginnings), size=size)

    def _count_all(self) -> None:
        """Let the mark say what was found, lost jobs that only ``ids`` still knows included."""
        last_id = max(self._last_id, self._ids_end() - 1)
        sparse = last_id - self._counts.total() > WIDEST_GAP
        self._mark = evolve(self._mark, revision=self._revision, last_id=last_id, sparse=sparse)

    def _read_table(self) -> None:
        """Take the entries of the blocks; where some cannot be trusted, find the blocks themselves."""
        data = self._read(self._blocks, 40, self._mark.blocks * 40)
        known = [parse_block(data[n * 40 : n * 40 + 40], n) for n in range(self._mark.blocks)]
        number = 0
        while number < len(known):
            block = known[number]
            if block is not None:
                self._table.append(block)
                number += 1
                continue
            behind = next((n for n in range(number, len(known)) if known[n] is not None), len(known))
            following = known[behind] if behind < len(known) else None
            end = self._mark.size if following is None else following.offset
            self._note(
                self._blocks,
                (number + 1) * 40,
                f"{behind - number} entries of blocks are wrong",
                "they are written anew from the jobs",
            )
            self._find_blocks(number, behind - number, end)
            number = behind

    def _find_blocks(self, number: int, count: int, end: int) -> None:
        """Add *count* blocks that lie before byte *end*."""
        start = sum(self._table[-1][:2]) if self._table else 0
        cuts = [start, *self._beginnings(start + 1, end)][:count]
        cuts += [end] * (count + 1 - len(cuts))
        for n, (offset, behind) in enumerate(itertools.pairwise(cuts), number):
            data = self._read(self._data, offset, behind - offset)
            rows = _parse(parse_member(data, self._data.path))
            before = self._table[-1].last if self._table else 0
            first, last = (rows[0].revision, rows[-1].revision) if rows else (before, before)
            block = Block(offset, len(data), len(rows or ()), first, last, zlib.crc32(data))
            if rows is None:
                self._lost[n] = []
            self._table.append(block)
            self._found_blocks.add(n)
            if self._repair:
                self._blocks.put(n + 1, block.pack(n))

    def _beginnings(self, start: int, end: int) -> Iterator[int]:
        """Yield where members begin between two bytes of ``jobs.gz``: no JSON in ASCII holds their first bytes."""
        for offset in range(start, end, _CHUNK):
            data = self._read(self._data, offset, min(_CHUNK + len(SIGNATURE) - 1, end - offset))
            place = data.find(SIGNATURE)
            while place >= 0:
                yield offset + place
                place = data.find(SIGNATURE, place + 1)

    def _rows(self, block: Block) -> list[_Row] | None:
        """Return what a block holds, None where it is damaged."""
        data = self._read(self._data, block.offset, block.length)
        if zlib.crc32(data) != block.tag or self._data_ends() < block.offset + block.length:
            return None
        if not block.jobs:
            return []
        rows = _parse(parse_member(data, self._data.path))
        return rows if rows is not None and len(rows) == block.jobs else None

    def _data_ends(self) -> int:
        try:
            return self._data.size()
        except HostError:
            return 0

    def _ids_end(self) -> int:
        """Return the first id that has no entry."""
        try:
            return min(self._ids.size() // self._ids.width, MAX_ID + 1)
        except HostError:
            return 0

    def _compare(self, number: int, block: Block, rows: list[_Row]) -> None:
        """Look whether the derived files say of these jobs what they are."""
        for place, row in enumerate(rows):
            self._counts[row.state] += 1
            self._revision, self._last_id = max(self._revision, row.revision), max(self._last_id, row.id)
            entry = Place(number, place, _NUMBERS[row.state], user_byte(row.user), block.tag).pack(row.id)
            there = self._read(self._ids, row.id * 16, 16)
            if there != entry:
                if self._repair:
                    self._ids.put(row.id, entry)
                self._wrong_id(row.id)
            if not self._wrong_keys:
                try:
                    self._wrong_keys = not self._keys.holds(key_slot(row.user, row.key, row.id))
                except HostError:
                    self._wrong_keys = True

    def _wrong_id(self, job_id: int) -> None:
        if not self._many():
            self._wrong_ids.add(job_id)

    def _walk_ids(self) -> None:
        """Find entries that cannot be trusted, and those of the blocks that are lost."""
        for first in range(1, self._mark.last_id + 1, _PAGE):
            count = min(_PAGE, self._mark.last_id + 1 - first)
            page = self._read(self._ids, first * 16, count * 16)
            if self._mark.sparse and not any(page):
                continue
            for n in range(count):
                data = page[n * 16 : n * 16 + 16]
                if data != NOTHING and not (self._mark.sparse and not any(data)):
                    self._judge(first + n, parse_place(data, first + n))

    def _judge(self, job_id: int, place: Place | None) -> None:
        if place is None:
            self._wrong_id(job_id)
        elif place.block in self._lost and (
            place.tag == self._table[place.block].tag or place.block in self._found_blocks
        ):
            self._lost[place.block].append(job_id)
        else:
            return
        if self._repair:
            self._ids.put(job_id, NOTHING)

    def _look_at_keys(self) -> None:
        if not self._wrong_keys:
            self._wrong_keys = any(not sound(slot) for _, slot in self._keys.slots())
        if self._wrong_keys:
            self._note(
                self._keys.table,
                0,
                "the keys are incomplete or damaged",
                "they are written anew from the jobs",
            )

    def _lose(self, number: int, jobs: list[int]) -> None:
        """Report a block, and in a repair put it aside."""
        block = self._table[number]
        self._note(
            self._data,
            block.offset,
            f"block {number} does not match its checksum",
            f"it is copied to {self._aside}; all other jobs are served",
            tuple(jobs),
        )
        if not self._repair:
            return
        left = max(0, min(block.length, self._data_ends() - block.offset))
        data = self._data.read(block.offset, left) if left else b""
        if data:
            make_folder(self._aside)
            write_durably(self._aside / f"history-block-{number}-{zlib.crc32(data):08x}.gz", data)
        empty = empty_member(block.length) or bytes(block.length)
        self._data.write(block.offset, empty)
        block = block._replace(jobs=0, tag=zlib.crc32(empty))
        self._blocks.put(number + 1, block.pack(number))
        self._table[number] = block

    def _finish(self, mark: Mark) -> None:
        """Write the keys anew where that is needed, and make all durable."""
        if self._wrong_keys:
            self._keys.create(mark.jobs)
            slots = self._all_slots()
            while some := list(itertools.islice(slots, _SLOTS)):
                self._keys.add(some, mark.jobs)
        for file in (self._data, self._blocks, self._ids):
            file.sync()
        sync_folder(self._data.path.parent)

    def _all_slots(self) -> Iterator[bytes]:
        """Yield what the keys must hold."""
        for block in self._table:
            rows = self._rows(block)
            if rows is None:  # it was whole a moment ago
                raise damaged(self._data.path, block.offset, "a block changes while it is read")
            yield from (key_slot(row.user, row.key, row.id) for row in rows)


def _parse(lines: list[bytes] | None) -> list[_Row] | None:
    """Return what stands in the lines of a block, None where they are no jobs."""
    if lines is None:
        return None
    rows = []
    for line in lines:
        with suppress(ValueError, LookupError, TypeError):
            data = json.loads(line)
            job = data["job"]
            if job["state"] in _NUMBERS:
                rows.append(_Row(job["id"], job["user"], data["key"], job["state"], job.get("revision", 0)))
    return rows if len(rows) == len(lines) else None
