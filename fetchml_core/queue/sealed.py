"""The files of the sealed history: formats, and reading and writing their parts. `history` says what they are for.

    <queue>/history/
        jobs.gz   the jobs, and the only file that is not derived: gzip members one behind the other, so that zcat reads
                  it. A member is a block of up to 256 jobs in the order of their revisions, a line of JSON each (see
                  `stored`). Its gzip header has the comment FETCHML-HISTORY 1, and no time.
        blocks    an entry per block, number 0 first:

                  offset  size  field    meaning
                  0       8     offset   first byte of the member in jobs.gz
                  8       4     length   its bytes
                  12      4     jobs     its lines
                  16      8     first    revision of its first job
                  24      8     last     revision of its last job
                  32      4     tag      CRC-32 of the member
                  36      4     crc      CRC-32 of the fields before, the block's number being its start value

        ids       an entry per job, that of job N begins at byte N*16:

                  offset  size  field    meaning
                  0       4     block    number of the block
                  4       1     row      line in it, from 0
                  5       1     state    1 succeeded, 2 failed, 3 cancelled, 4 timed-out, 5 lost
                  6       1     user     first byte of the BLAKE2b-64 of the user's name
                  7       1     -        zero
                  8       4     tag      that of the block: of another block, the entry does not count
                  12      4     crc      CRC-32 of the fields before, the job's id being its start value

                  16 bytes of ones: no such job here. Zeros are damage, unless the `Mark` is sparse.
        keys      see `keytable`

Numbers are unsigned and big-endian. The three derived files begin with a header of 16 bytes, which in `blocks` is filled
up with zeros to 40, so that entry N begins at (N+1)*40:

    offset  size  field    meaning
    0       7     magic    FMLBLCK, FMLJOBS (ids), FMLKEYS
    7       1     version  ASCII 1
    8       4     extra    of `keys`: the number of bits, else zero
    12      4     crc      CRC-32 of the 12 bytes before

How much of all this counts says the `Mark`, which the journal holds.
"""

from __future__ import annotations

import hashlib
import os
import re
import struct
import weakref
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from attrs import field, frozen

from fetchml_core.errors import HostError
from fetchml_core.jobs.states import State

ROWS = 256
VERSION = b"1"
STATES = (State.SUCCEEDED, State.FAILED, State.CANCELLED, State.TIMED_OUT, State.LOST)
NOTHING = b"\xff" * 16
MAX_ID = (1 << 32) - 1
WIDEST_GAP = 1 << 20
"""Ids further apart get no entries between them: each costs 16 bytes."""

_MEMBER = b"\x1f\x8b\x08\x10\0\0\0\0\0\xff"  # gzip, deflate, with a comment, without a time
_COMMENT = b"FETCHML-HISTORY "
SIGNATURE = _MEMBER + _COMMENT
_HEADER = struct.Struct(">7scII")
_BLOCK = struct.Struct(">QIIQQI")
_PLACE = struct.Struct(">IBBBxI")
_CRC = struct.Struct(">I")


@frozen
class Mark:
    """How much of the history counts; what lies behind it is what a crash has left.

    Args:
        blocks: So many blocks.
        size: So many bytes of ``jobs.gz``.
        jobs: So many jobs.
        revision: The last of them in the order of revisions has this one.
        last_id: The highest id.
        sparse: Ids are so far apart that those between have no entry; their loss is then found by a check only.
        counts: Jobs by their state's word.
    """

    blocks: int = 0
    size: int = 0
    jobs: int = 0
    revision: int = 0
    last_id: int = 0
    sparse: bool = False
    counts: dict[str, int] = field(factory=dict)


def damaged(path: Path, offset: int, problem: str) -> HostError:
    """Return the error for a place that cannot be trusted."""
    return HostError(
        "queue-damaged", problem, context=f"{path} at byte {offset}", hint="ml queue check --repair"
    )


def _too_new(path: Path, version: str) -> HostError:
    return HostError(
        "queue-format",
        f"this history has format {version}, we read {VERSION.decode()}",
        context=str(path),
        hint="use the version of FetchML that wrote it, or move the folder aside",
    )


class Block(NamedTuple):
    """An entry of ``blocks``."""

    offset: int
    length: int
    jobs: int
    first: int
    last: int
    tag: int

    def pack(self, number: int) -> bytes:
        """Return the entry of block *number*."""
        data = _BLOCK.pack(*self)
        return data + _CRC.pack(zlib.crc32(data, number))


def parse_block(data: bytes, number: int) -> Block | None:
    """Return the entry of block *number*, None where it is damaged."""
    if len(data) != _BLOCK.size + 4 or _CRC.unpack(data[-4:])[0] != zlib.crc32(data[:-4], number):
        return None
    return Block._make(_BLOCK.unpack(data[:-4]))


class Place(NamedTuple):
    """An entry of ``ids``: where a job lies, and what to know of it without reading that."""

    block: int
    row: int
    state: int
    user: int
    tag: int

    def pack(self, job_id: int) -> bytes:
        """Return the entry of job *job_id*."""
        data = _PLACE.pack(*self)
        return data + _CRC.pack(zlib.crc32(data, job_id))


def parse_place(data: bytes, job_id: int) -> Place | None:
    """Return the entry of job *job_id*, None where it is damaged."""
    if len(data) != 16 or int.from_bytes(data[12:], "big") != zlib.crc32(data[:12], job_id):
        return None
    return Place._make(_PLACE.unpack(data[:12]))


def user_byte(user: str) -> int:
    """Return what ``ids`` knows of a user: most jobs of others are told apart by it."""
    return hashlib.blake2b(user.encode("utf-8", "surrogatepass"), digest_size=8).digest()[0]


def pack_member(lines: Sequence[bytes]) -> bytes:
    """Return a block of *lines*, which have their newlines, as a gzip member."""
    text = b"".join(lines)
    deflate = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
    body = deflate.compress(text) + deflate.flush()
    return SIGNATURE + VERSION + b"\0" + body + struct.pack("<II", zlib.crc32(text), len(text))


def empty_member(length: int) -> bytes:
    """Return a gzip member of *length* bytes without any content: zcat goes on behind it. Empty where none is so short."""
    tail = b"\0\x03\0" + bytes(8)
    comment = SIGNATURE + VERSION + b" lost"
    missing = length - len(comment) - len(tail)
    return b"" if missing < 0 else comment + b"." * missing + tail


def member_length(data: bytes) -> int:
    """Return how many bytes of *data* are the block that it begins with; 0 where that is not whole."""
    inflate = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        inflate.decompress(data)
    except zlib.error:
        return 0
    return len(data) - len(inflate.unused_data) if inflate.eof else 0


def parse_member(data: bytes, path: Path) -> list[bytes] | None:
    """Return the lines of a block, None where it is damaged.

    Raises:
        HostError: ``queue-format``: it is of a newer version.
    """
    inflate = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        text = inflate.decompress(data)
    except zlib.error:
        return None
    if not inflate.eof or inflate.unused_data or not data.startswith(SIGNATURE):
        return None
    version = re.match(rb"\d+", data[len(SIGNATURE) : len(SIGNATURE) + 20])
    if version is not None and int(version[0]) > int(VERSION):
        raise _too_new(path, version[0].decode())
    return text.splitlines(keepends=True)


class File:
    """A file that is opened when it is needed, and for writing only then. Offsets are given: a fork shares nothing."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd = -1
        self._writing = False
        self._close: Callable[[], object] = lambda: None

    def open(self, *, write: bool = False) -> int:
        """Return a descriptor; with *write* the file is made where it is missing.

        Raises:
            HostError: ``queue-damaged``: it is to be read and is not there.
        """
        if self._fd < 0 or (write and not self._writing):
            flags = os.O_RDWR | os.O_CREAT if write else os.O_RDONLY
            try:
                fd = os.open(self.path, flags | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            except FileNotFoundError:
                raise damaged(self.path, 0, "a file of the history is missing") from None
            self.close()
            self._fd, self._writing = fd, write
            self._close = weakref.finalize(self, os.close, fd)
        return self._fd

    def close(self) -> None:
        """Give the descriptor back; it is opened anew when needed."""
        self._close()
        self._fd = -1

    def size(self) -> int:
        """Return its length."""
        return os.fstat(self.open()).st_size

    def read(self, offset: int, size: int) -> bytes:
        """Return *size* bytes, fewer at the end of the file."""
        data = os.pread(self.open(), size, offset)
        while 0 < len(data) < size and (more := os.pread(self.open(), size - len(data), offset + len(data))):
            data += more
        return data

    def write(self, offset: int, data: bytes | bytearray) -> None:
        """Write all of *data*."""
        fd = self.open(write=True)
        view = memoryview(data)
        while view:
            written = os.pwrite(fd, view, offset)
            view, offset = view[written:], offset + written

    def cut(self, size: int) -> None:
        """Make it *size* bytes long."""
        os.ftruncate(self.open(write=True), size)

    def sync(self) -> None:
        """Make what was written durable."""
        os.fsync(self.open(write=True))


class Table(File):
    """A file of entries of one size behind a header; entry 1 is the one behind it.

    Args:
        path: The file.
        magic: What it begins with, 7 bytes.
        width: Bytes of an entry.
    """

    def __init__(self, path: Path, magic: bytes, width: int) -> None:
        super().__init__(path)
        self._magic = magic
        self.width = width
        self._extra: int | None = None

    @property
    def extra(self) -> int:
        """The number in the header.

        Raises:
            HostError: ``queue-damaged``; ``queue-format`` for a newer version.
        """
        if self._extra is None:
            data = self.read(0, _HEADER.size)
            if len(data) < _HEADER.size or zlib.crc32(data[:12]) != int.from_bytes(data[12:], "big"):
                raise damaged(self.path, 0, "the header does not match its checksum")
            magic, version, extra, _ = _HEADER.unpack(data)
            if magic != self._magic:
                raise damaged(self.path, 0, "this is another file")
            if version != VERSION:
                raise _too_new(self.path, version.decode("ascii", "replace"))
            self._extra = extra
        return self._extra

    def begin(self, extra: int = 0) -> None:
        """Write the header."""
        data = _HEADER.pack(self._magic, VERSION, extra, 0)[:12]
        self.write(0, (data + _CRC.pack(zlib.crc32(data))).ljust(self.width, b"\0"))
        self._extra = extra

    def close(self) -> None:
        """Give the descriptor back, and believe the header no more."""
        super().close()
        self._extra = None

    def entries(self, first: int, count: int) -> bytes:
        """Return *count* entries, fewer at the end of the file; raises what `extra` does."""
        _ = self.extra
        return self.read(first * self.width, count * self.width)

    def put(self, first: int, data: bytes | bytearray) -> None:
        """Write entries."""
        self.write(first * self.width, data)
