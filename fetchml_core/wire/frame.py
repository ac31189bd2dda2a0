"""Cut one byte stream into frames, and nothing else.

Sans-IO: bytes in, frames out; no sockets, threads, clocks or logging. Every transport feeds this decoder.

    offset  size  field    meaning
    0       4     length   size of what follows the kind, big-endian, at most MAX_PAYLOAD
    4       1     kind     1 message (JSON, see messages), 2 data (4 bytes request number, then bytes)
    5       n     payload

Before the first frame the host sends MAGIC once; what comes before it is noise of a login script.

Invariants (tests of the same names): split_independent: how reads are cut never changes the frames;
total: any input gives frames or a ProtocolError; bounded: an oversize header fails before its payload is read.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from attrs import frozen

from fetchml_core.errors import UnreachableError

MAGIC = b"\0FETCHML/1\n"
MAX_PAYLOAD = 8 << 20
MAX_NOISE = 64 << 10
MESSAGE = 1
DATA = 2
_HEADER = struct.Struct(">IB")
_NUMBER = struct.Struct(">I")


class ProtocolError(UnreachableError):
    """The peer broke the rules of the stream: it is damaged, or not ours."""

    def __init__(self, message: str, context: str = "") -> None:
        super().__init__(
            "protocol-error", message, context=context, hint="run the command again with ml status --debug"
        )


@frozen
class Frame:
    """One frame: *kind* as in the table, *payload* opaque here."""

    kind: int
    payload: bytes


def encode(frame: Frame) -> bytes:
    """Return the bytes of *frame*."""
    if len(frame.payload) > MAX_PAYLOAD:
        raise ProtocolError(f"a frame of {len(frame.payload)} bytes is too long", str(MAX_PAYLOAD))
    return _HEADER.pack(len(frame.payload), frame.kind) + frame.payload


def data_frame(request: int, chunk: bytes) -> Frame:
    """Return the frame that carries *chunk* for *request*."""
    if not 0 <= request < 1 << 8 * _NUMBER.size:  # the peer chose it
        raise ProtocolError("a request number does not fit a data frame", str(request)[:40])
    return Frame(DATA, _NUMBER.pack(request) + chunk)


def split_data(payload: bytes) -> tuple[int, bytes]:
    """Return request number and bytes of a data frame."""
    if len(payload) < _NUMBER.size:
        raise ProtocolError("a data frame without a request number")
    return _NUMBER.unpack_from(payload)[0], payload[_NUMBER.size :]


class FrameDecoder:
    """Collects bytes and yields the frames that are whole."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Yield every frame that *data* completes."""
        self._buffer += data
        start = 0
        try:
            while len(self._buffer) - start >= _HEADER.size:
                length, kind = _HEADER.unpack_from(self._buffer, start)
                if length > MAX_PAYLOAD:
                    raise ProtocolError(f"a frame announces {length} bytes", str(MAX_PAYLOAD))
                end = start + _HEADER.size + length
                if len(self._buffer) < end:
                    break
                payload = bytes(self._buffer[start + _HEADER.size : end])
                start = end
                yield Frame(kind, payload)
        finally:
            del self._buffer[:start]

    @property
    def waiting(self) -> int:
        """Bytes of a frame that is not whole yet."""
        return len(self._buffer)
