"""Which job came under which idempotency key: a hash table on disk, for the sealed history.

    <queue>/history/keys   a header (see `sealed`), then 2**bits + 256 slots of 16 bytes:

        offset  size  field  meaning
        0       8     hash   BLAKE2b-64 of user, NUL, key
        8       4     id     the job
        12      4     crc    CRC-32 of the 12 bytes before

A slot of ones is empty. A slot belongs at the place that the first bits of its hash give, or else in the first slot
behind that was empty; it is searched for from there to the next empty one. Nothing is ever removed and more may be
there than counts, so whoever finds a job's id looks whether the job has that key. Big-endian throughout.

The table is at most half full. The last 256 slots spare a way round the end, and that keeps a table in the order of
its hashes but for runs of neighbours: one of twice the size is written from front to back, by little memory.
"""

from __future__ import annotations

import hashlib
import os
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from fetchml_core.fsio import sync_folder

from .sealed import NOTHING, Table, damaged

MAGIC = b"FMLKEYS"
FEWEST_BITS = 10
_SPARE = 256
_WINDOW = 16
_CHUNK = 1 << 14


def key_slot(user: str, key: str, job_id: int) -> bytes:
    """Return the slot of a job."""
    return hash_slot(key_hash(user, key), job_id)


def key_hash(user: str, key: str) -> bytes:
    """Return what a key is found by, 8 bytes."""
    text = f"{user}\0{key}".encode("utf-8", "surrogatepass")
    return hashlib.blake2b(text, digest_size=8).digest()


def hash_slot(digest: bytes, job_id: int) -> bytes:
    """Return a slot."""
    data = digest + job_id.to_bytes(4, "big")
    return data + zlib.crc32(data).to_bytes(4, "big")


class FullError(Exception):
    """The table has no room where a slot belongs; a bigger one will."""


class KeyTable:
    """The file; who writes holds the queue's lock.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self.table = Table(path, MAGIC, 16)

    def find(self, digest: bytes) -> Iterator[int]:
        """Yield the ids of the jobs that came under a key with this hash.

        Raises:
            HostError: ``queue-damaged``: a slot on the way cannot be trusted.
        """
        self._renew()
        for _, slot in self._from_home(digest):
            if slot == NOTHING:
                return
            if slot[:8] == digest:
                yield int.from_bytes(slot[8:12], "big")

    def holds(self, slot: bytes) -> bool:
        """Whether *slot* is there; raises what `find` does."""
        for _, other in self._from_home(slot[:8]):
            if other in {slot, NOTHING}:
                return other == slot
        return False

    def create(self, jobs: int) -> None:
        """Write an empty table that *jobs* fit into, in place of any other."""
        self._write(_bits_for(jobs), ())

    def add(self, slots: Iterable[bytes], jobs: int) -> None:
        """Put *slots* in, those that are not there yet, and make that durable.

        Args:
            slots: Those of some jobs.
            jobs: How many there are with them.
        """
        self._renew()
        if self.table.extra < _bits_for(jobs):
            self._write(_bits_for(jobs), self._in_order())
        for slot in sorted(slots):
            while True:
                try:
                    self._put(slot)
                    break
                except FullError:
                    self._write(self.table.extra + 1, self._in_order())
        self.table.sync()

    def slots(self) -> Iterator[tuple[int, bytes]]:
        """Yield all slots that are not empty, damaged ones too, with their byte in the file."""
        count = (1 << self.table.extra) + _SPARE
        for first in range(0, count, _CHUNK):
            wanted = min(_CHUNK, count - first)
            data = self.table.entries(first + 1, wanted).ljust(wanted * 16, b"\0")
            for place in range(0, len(data), 16):
                if (slot := data[place : place + 16]) != NOTHING:
                    yield (first + 1) * 16 + place, slot

    def _renew(self) -> None:
        """Open the file anew where it was replaced by a bigger one."""
        opened = os.fstat(self.table.open())
        try:
            there = self.table.path.stat()
        except FileNotFoundError:
            raise damaged(self.table.path, 0, "a file of the history is missing") from None
        if (opened.st_dev, opened.st_ino) != (there.st_dev, there.st_ino):
            self.table.close()

    def _from_home(self, digest: bytes) -> Iterator[tuple[int, bytes]]:
        """Yield number and bytes of the slots where *digest* may be; all are checked."""
        home = int.from_bytes(digest, "big") >> (64 - self.table.extra)
        end = (1 << self.table.extra) + _SPARE + 1
        for first in range(home + 1, end, _WINDOW):
            count = min(_WINDOW, end - first)
            data = self.table.entries(first, count).ljust(count * 16, b"\0")
            for place in range(count):
                slot = data[place * 16 : place * 16 + 16]
                if not sound(slot):
                    raise self._damaged((first + place) * 16)
                yield first + place, slot

    def _put(self, slot: bytes) -> None:
        for number, other in self._from_home(slot[:8]):
            if other in {NOTHING, slot}:  # one that is there may be on no disk, where a sync has failed
                self.table.put(number, slot)
                return
        raise FullError

    def _in_order(self) -> Iterator[bytes]:
        """Yield all slots by their hashes: runs without an empty slot between are in order, their slots are not."""
        run: list[bytes] = []
        behind = 0
        for offset, slot in self.slots():
            if not sound(slot):
                raise self._damaged(offset)
            if offset != behind:
                yield from sorted(run)
                run = []
            run.append(slot)
            behind = offset + 16
        yield from sorted(run)

    def _write(self, bits: int, slots: Iterable[bytes]) -> None:
        """Replace the file by one with *slots*, which come in order."""
        temporary = self.table.path.with_name(".keys.tmp")
        new = Table(temporary, MAGIC, 16)
        new.cut(0)
        new.begin(bits)
        shift = 64 - bits
        out, number = bytearray(), 1
        behind = 1  # of the last slot that was placed
        for slot in slots:
            home = (int.from_bytes(slot[:8], "big") >> shift) + 1
            if home > behind:
                out += NOTHING * (home - behind)
                behind = home
            out += slot
            behind += 1
            if len(out) > _CHUNK * 16:
                new.put(number, out)
                number, out = behind, bytearray()
        new.put(number, out)
        end = (1 << bits) + _SPARE + 1
        if behind > end:
            raise FullError
        for first in range(behind, end, _CHUNK):
            new.put(first, NOTHING * min(_CHUNK, end - first))
        new.sync()
        new.close()
        temporary.replace(self.table.path)
        sync_folder(temporary.parent)
        self.table.close()

    def _damaged(self, offset: int) -> Exception:
        return damaged(self.table.path, offset, "a slot of the keys does not match its checksum")


def sound(slot: bytes) -> bool:
    """Whether a slot is empty or matches its checksum."""
    return slot == NOTHING or zlib.crc32(slot[:12]) == int.from_bytes(slot[12:], "big")


def _bits_for(jobs: int) -> int:
    return max(FEWEST_BITS, (2 * jobs - 1).bit_length())
