"""The two ends of a conversation, without I/O: events in, bytes out.

    client   start -> greeted (after Welcome) -> greeted ...
    server   start -> greeted (after Hello)   -> greeted ...

Both ends use one decoder and one table of who may say what; a peer that says anything else is a ProtocolError.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from attrs import frozen

from fetchml_core.convert import to_data
from fetchml_core.errors import FetchError, to_fields

from .frame import DATA, MESSAGE, FrameDecoder, ProtocolError, data_frame, encode, split_data
from .messages import Call, Done, Failure, Hello, Item, Message, Welcome, decode_message, encode_message

CHUNK = 256 << 10


@frozen
class Data:
    """Bytes that belong to a request."""

    request: int
    chunk: bytes


Event = Message | Data


class _Session:
    """What both ends share."""

    first: type[Message]
    later: tuple[type[Event], ...]

    def __init__(self) -> None:
        self._decoder = FrameDecoder()
        self._greeted = False

    def receive(self, data: bytes) -> Iterator[Event]:
        """Yield the events that *data* completes."""
        for frame in self._decoder.feed(data):
            event: Event
            if frame.kind == MESSAGE:
                event = decode_message(frame.payload)
            elif frame.kind == DATA:
                event = Data(*split_data(frame.payload))
            else:
                continue  # a newer peer's extra
            if not self._greeted and isinstance(event, self.first):
                self._greeted = True
            elif not (isinstance(event, self.later) and (self._greeted or isinstance(event, Failure))):
                raise ProtocolError(f"{type(event).__name__} is out of turn")
            yield event


def send(message: Message) -> bytes:
    """Return the bytes of *message*."""
    return encode(encode_message(message))


def send_data(request: int, chunk: bytes) -> bytes:
    """Return the bytes that carry *chunk* (at most `CHUNK`) for *request*."""
    return encode(data_frame(request, chunk))


class ClientSession(_Session):
    """The client's end: numbers the requests."""

    first = Welcome
    later = (Item, Done, Failure, Data)

    def __init__(self) -> None:
        super().__init__()
        self._requests = 0

    def hello(self, hello: Hello) -> bytes:
        """Return the bytes that open the conversation."""
        return send(hello)

    def call(self, verb: str, args: Any) -> tuple[int, bytes]:
        """Return a new request's number and its bytes."""
        self._requests += 1
        return self._requests, send(Call(self._requests, verb, to_data(args)))


class ServerSession(_Session):
    """The host's end."""

    first = Hello
    later = (Call, Data)

    def item(self, request: int, item: Any) -> bytes:
        """Return the bytes of one piece of an answer."""
        return send(Item(request, to_data(item)))

    def done(self, request: int, result: Any) -> bytes:
        """Return the bytes that end an answer."""
        return send(Done(request, to_data(result)))

    def failure(self, request: int, error: FetchError) -> bytes:
        """Return the bytes that end an answer that went wrong."""
        return send(Failure(request, to_fields(error)))
