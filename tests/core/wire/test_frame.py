"""Frames: bytes in, frames out, whatever the bytes and however they are cut."""

from __future__ import annotations

import re
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fetchml_core.wire import frame
from fetchml_core.wire.frame import (
    DATA,
    MAGIC,
    MAX_PAYLOAD,
    MESSAGE,
    Frame,
    FrameDecoder,
    ProtocolError,
    data_frame,
    encode,
    split_data,
)

frames = st.lists(st.builds(Frame, kind=st.integers(0, 255), payload=st.binary(max_size=64)), max_size=8)
HEADER = 5


@given(frames, st.data())
def test_split_independent(sent, data):
    """Any way of cutting the stream into reads yields the frames that were sent."""
    stream, decoder, got = b"".join(map(encode, sent)), FrameDecoder(), []
    while stream:
        n = data.draw(st.integers(1, len(stream)))
        got += decoder.feed(stream[:n])
        stream = stream[n:]

    assert got == sent
    assert decoder.waiting == 0


@given(st.lists(st.binary(max_size=40), max_size=20))
def test_total(chunks):
    """Any input gives frames or a ProtocolError, nothing else, and never more bytes than came in."""
    decoder, given_back = FrameDecoder(), 0
    try:
        for chunk in chunks:
            given_back += sum(len(got.payload) + HEADER for got in decoder.feed(chunk))
    except ProtocolError:
        pass

    assert given_back + decoder.waiting <= sum(map(len, chunks))


@given(st.integers(MAX_PAYLOAD + 1, 2**32 - 1), st.integers(0, 255))
def test_bounded(length, kind):
    """An oversize header fails before its payload is read, and goes on failing."""
    decoder = FrameDecoder()
    with pytest.raises(ProtocolError, match=str(length)):
        list(decoder.feed(struct.pack(">IB", length, kind)))
    with pytest.raises(ProtocolError):
        list(decoder.feed(b""))


def test_the_largest_frame_passes_and_one_byte_more_is_refused():
    """The bound is the same at both ends."""
    largest = Frame(MESSAGE, bytes(MAX_PAYLOAD))

    assert list(FrameDecoder().feed(encode(largest))) == [largest]
    with pytest.raises(ProtocolError):
        encode(Frame(MESSAGE, bytes(MAX_PAYLOAD + 1)))


def test_frames_before_a_damaged_one_count():
    """What was whole before the damage is given out first."""
    decoder = FrameDecoder()
    feed = decoder.feed(encode(Frame(MESSAGE, b"a")) + b"\xff" * 9)

    assert next(feed) == Frame(MESSAGE, b"a")
    with pytest.raises(ProtocolError):
        next(feed)


@given(st.integers(0, 255), st.binary(max_size=300))
def test_encode_writes_the_table_of_the_header(kind, payload):
    """Each field lies at the offset and has the size that the module's table says."""
    rows = re.findall(r"^ {4}(\d+) +(\d+|n) +(\w+)", frame.__doc__ or "", re.MULTILINE)
    assert [name for _, _, name in rows] == ["length", "kind", "payload"]
    data = encode(Frame(kind, payload))
    fields = {name: data[int(at) :][: None if size == "n" else int(size)] for at, size, name in rows}

    assert int.from_bytes(fields["length"], "big") == len(payload)
    assert fields["kind"] == bytes([kind])
    assert fields["payload"] == payload


def test_the_kinds_are_those_of_the_table():
    """The numbers in the text are the constants."""
    assert f"kind     {MESSAGE} message" in (frame.__doc__ or "")
    assert f"{DATA} data (4 bytes request number" in (frame.__doc__ or "")


def test_magic_starts_with_a_byte_that_no_text_has():
    """A login script's text cannot look like the beginning of the frames."""
    assert MAGIC.startswith(b"\0")
    assert MAGIC.endswith(b"\n")


@given(st.integers(0, 2**32 - 1), st.binary(max_size=64))
def test_data_frames_round_trip(request_number, chunk):
    """Number and bytes come out as they went in; the number takes four bytes, big-endian."""
    sent = data_frame(request_number, chunk)

    assert sent.kind == DATA
    assert sent.payload[:4] == request_number.to_bytes(4, "big")
    assert split_data(sent.payload) == (request_number, chunk)


@pytest.mark.parametrize("payload", [b"", b"\0", b"\0\0\0"])
def test_data_without_a_number_is_refused(payload):
    """Three bytes are no request number."""
    with pytest.raises(ProtocolError):
        split_data(payload)


@pytest.mark.parametrize("number", [-1, 2**32, 2**70])
def test_a_number_that_does_not_fit_is_a_protocol_error(number):
    """A peer may name any integer in a call; one that no data frame can carry is its mistake, not our crash."""
    with pytest.raises(ProtocolError):
        data_frame(number, b"")
