"""Lines of a journal: what `journal` reads and appends, made and checked.

line     meaning
first    FETCHML-QUEUE 2 GENERATION BASE: how often the journal was begun anew, and how many bytes of records it
         began with, in decimal. FETCHML-QUEUE 1 is older and has neither
others   CRC LENGTH JSON: CRC-32 of the JSON in 8 hex digits, its bytes in decimal, one event (see `events`)
"""

from __future__ import annotations

import json
import os
import zlib
from pathlib import Path
from typing import Any, NamedTuple

from attrs import frozen

from fetchml_core.errors import HostError

Event = dict[str, Any]
MAGIC = b"FETCHML-QUEUE "
VERSIONS = (1, 2)
SHORTEST = 64
"""No journal with a record in it is as short as this, and no first line as long."""
to_json = json.JSONEncoder(separators=(",", ":"), ensure_ascii=True).encode


@frozen
class Header:
    """The first line of a journal."""

    version: int = 2
    generation: int = 0
    base: int = 0

    def __bytes__(self) -> bytes:
        return b"%s%d %d %d\n" % (MAGIC, self.version, self.generation, self.base)


class Piece(NamedTuple):
    """Whole records, and where they begin in the journal."""

    offset: int
    data: bytes


def write_all_at(fd: int, data: bytes, offset: int) -> None:
    """Write all of *data* at *offset*; a short write goes on, an error is raised."""
    view = memoryview(data)
    while view:
        written = os.pwrite(fd, view, offset)
        view, offset = view[written:], offset + written


def read_all_at(fd: int, offset: int, size: int) -> bytes:
    """Return *size* bytes from *offset*, less where the file ends."""
    data = os.pread(fd, size, offset)
    if len(data) == size or not data:
        return data
    parts = [data]
    while chunk := os.pread(fd, size - len(data), offset + len(data)):
        parts.append(chunk)
        data = b"".join(parts)
    return data


def read_header(data: bytes, path: Path) -> tuple[Header, int]:
    """Return the header of a journal and its length; 0 where its writer was cut before it was whole.

    Raises:
        HostError: ``queue-format``.
    """
    line, newline, _ = data.partition(b"\n")
    line = line.rstrip(b"\0")  # a cut may have left the room without the words
    words = line.removeprefix(MAGIC).split(b" ") if line.startswith(MAGIC) else []
    if not newline and len(line) < SHORTEST and MAGIC.startswith(line[: len(MAGIC)]):
        return Header(), 0  # its writer was cut before the first record
    if words == [b"1"]:
        return Header(version=1), len(line) + 1
    if len(words) == 3 and words[0] == b"2" and words[1].isdigit() and words[2].isdigit():
        return Header(2, int(words[1]), int(words[2])), len(line) + 1
    version = words[0][:20].decode("ascii", "replace") if words else ""
    raise HostError(
        "queue-format",
        f"this queue has format {version}, we read {VERSIONS[-1]}"
        if version
        else "this file is no FetchML queue",
        context=str(path),
        hint="use the version of FetchML that wrote it, or move the folder aside",
    )


def to_line(body: bytes) -> bytes:
    """Return the record of an event, given as JSON."""
    return b"%08x %d %s\n" % (zlib.crc32(body), len(body), body)


def check_line(line: bytes) -> bytes | None:
    """Return the JSON in *line*, or None where it does not match its checksum."""
    crc, _, rest = line.partition(b" ")
    length, _, body = rest.partition(b" ")
    try:
        if int(length) == len(body) and int(crc, 16) == zlib.crc32(body):
            return body
    except ValueError:
        pass
    return None


def damaged(path: Path, offset: int) -> HostError:
    """Return the error for a record that does not match its checksum."""
    return HostError(
        "queue-damaged",
        "a record of the queue does not match its checksum",
        context=f"{path} at byte {offset}",
        hint="ml queue check --repair",
    )
