"""What client and host say to each other.

A message is one JSON object ``{"type": NAME, ...fields}``; the names are the class names below. Fields that a
reader does not know are ignored, fields at their default are left out, so that versions can differ.

    client                          host
    Hello                    ->
                             <-     Welcome, or Failure(request=0) and the end
    Call(request, verb, args) ->
    data frames (upload)     ->
                             <-     Item(request, ...)*, data frames*, then one of
                             <-     Done(request, result) | Failure(request, error)

Requests are answered in order, one at a time. A client that wants to end a stream closes the connection.
The verbs are the table `fetchml_core.wire.verbs.VERBS`; their arguments and results stand by topic in the modules beside
this one.
"""

from __future__ import annotations

import json
from typing import Any

from attrs import field, frozen

from fetchml_core.convert import from_data, to_data
from fetchml_core.errors import HostError

from .frame import MESSAGE, Frame, ProtocolError

PROTOCOL = 1
OLDEST_PROTOCOL = 1


@frozen
class Hello:
    """The first message: who calls, with which key, speaking which versions."""

    version: str
    key: str = field(default="", repr=False)
    protocol: int = PROTOCOL
    oldest: int = OLDEST_PROTOCOL


@frozen
class Welcome:
    """The answer: who the host takes the caller for.

    Args:
        train_script: What a submitted folder runs here.
    """

    user: str
    host: str
    version: str
    protocol: int = PROTOCOL
    admin: bool = False
    auth: bool = False
    train_script: str = "train.py"
    notes: tuple[str, ...] = ()


@frozen
class Call:
    """A request: *verb* is a row of VERBS, *args* its arguments as plain data."""

    request: int
    verb: str
    args: dict[str, Any] = field(factory=dict, repr=False)


@frozen
class Item:
    """One piece of an answer that comes in pieces."""

    request: int
    item: dict[str, Any] = field(factory=dict)


@frozen
class Done:
    """The end of an answer."""

    request: int
    result: dict[str, Any] = field(factory=dict)


@frozen
class Failure:
    """The end of an answer that went wrong (see `fetchml_core.errors.to_fields`)."""

    request: int
    error: dict[str, str] = field(factory=dict)


Message = Hello | Welcome | Call | Item | Done | Failure
_MESSAGES: dict[str, type[Message]] = {
    cls.__name__: cls for cls in (Hello, Welcome, Call, Item, Done, Failure)
}


def encode_message(message: Message) -> Frame:
    """Return the frame that carries *message*."""
    data = {"type": type(message).__name__, **to_data(message)}
    return Frame(MESSAGE, json.dumps(data, ensure_ascii=True, separators=(",", ":")).encode("ascii"))


def decode_message(payload: bytes) -> Message:
    """Return the message in a frame's payload.

    Raises:
        ProtocolError: it is none.
    """
    try:
        data = json.loads(payload)
        kind = _MESSAGES[data.pop("type")]
        return from_data(data, kind, what="message")
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError, HostError) as error:
        raise ProtocolError("the peer sent something that is no message", str(error)[:200]) from None
