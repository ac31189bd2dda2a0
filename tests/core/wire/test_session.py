"""Sessions: who may say what, when."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fetchml_core.errors import HostError, NotFoundError, from_fields
from fetchml_core.wire.frame import Frame, ProtocolError, encode
from fetchml_core.wire.jobs import ListRequest
from fetchml_core.wire.messages import Call, Done, Failure, Hello, Item, Welcome
from fetchml_core.wire.session import CHUNK, ClientSession, Data, ServerSession, send, send_data
from fetchml_core.wire.verbs import Nothing

HELLO = Hello("1", "key")
WELCOME = Welcome("anna", "box1", "1")
EVENTS = {
    "Hello": HELLO,
    "Welcome": WELCOME,
    "Call": Call(1, "list"),
    "Item": Item(1),
    "Done": Done(1),
    "Failure": Failure(1, {"class": "HostError", "code": "x"}),
    "Data": Data(1, b"bytes"),
}
# (session, greeted) -> what may be said to it then
MAY = {
    (ServerSession, False): {"Hello"},
    (ServerSession, True): {"Call", "Data"},
    (ClientSession, False): {"Welcome", "Failure"},
    (ClientSession, True): {"Item", "Done", "Failure", "Data"},
}


def to_bytes(event):
    """Return *event* as it travels."""
    return send_data(event.request, event.chunk) if isinstance(event, Data) else send(event)


def greeted(kind):
    """Return a session of *kind* whose greeting is over."""
    session = kind()
    list(session.receive(send(HELLO if kind is ServerSession else WELCOME)))
    return session


@pytest.mark.parametrize(("kind", "after", "name"), [(*key, name) for key in MAY for name in EVENTS])
def test_only_what_is_in_turn_is_taken(kind, after, name):
    """Every event at every stage at both ends: taken where the table says so, else a ProtocolError."""
    session = greeted(kind) if after else kind()
    event = EVENTS[name]
    if name in MAY[kind, after]:
        assert list(session.receive(to_bytes(event))) == [event]
    else:
        with pytest.raises(ProtocolError, match=f"{name} is out of turn"):
            list(session.receive(to_bytes(event)))


@pytest.mark.parametrize("kind", [ClientSession, ServerSession])
@given(st.binary(max_size=100))
def test_total(kind, junk):
    """Any bytes give events or a ProtocolError."""
    session = kind()
    try:
        list(session.receive(junk))
    except ProtocolError:
        pass


def test_frames_of_an_unknown_kind_are_skipped():
    """A newer peer's extra disturbs nothing."""
    session = greeted(ServerSession)
    extra = encode(Frame(77, b"\xff\xfe"))

    assert list(session.receive(extra + send(EVENTS["Call"]) + extra)) == [EVENTS["Call"]]


def test_a_whole_conversation_in_any_cut():
    """Hello, a call with data, items, data and an end, byte by byte."""
    client, server = ClientSession(), ServerSession()
    number, call = client.call("list", ListRequest(select=("last",)))
    asked = client.hello(HELLO) + call + send_data(number, b"up")
    heard = [event for byte in asked for event in server.receive(bytes([byte]))]
    answer = send(WELCOME) + server.item(number, Nothing()) + send_data(number, b"down")
    answer += server.done(number, Nothing())
    told = [event for byte in answer for event in client.receive(bytes([byte]))]

    assert heard == [HELLO, Call(1, "list", {"select": ["last"]}), Data(1, b"up")]
    assert told == [WELCOME, Item(1), Data(1, b"down"), Done(1)]


def test_requests_are_numbered_one_two_three():
    """Each call has its own number."""
    client = ClientSession()

    assert [client.call("list", ListRequest())[0] for _ in range(3)] == [1, 2, 3]


@pytest.mark.parametrize(
    "error", [NotFoundError("job-unknown", "no such job", context="7", hint="ml status"), HostError("x", "y")]
)
def test_errors_travel_as_fields(error):
    """Class, code and all texts arrive; nothing else does."""
    client = greeted(ClientSession)
    (failure,) = client.receive(ServerSession().failure(3, error))
    assert isinstance(failure, Failure)
    again = from_fields(failure.error)

    assert failure.request == 3
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert set(failure.error) == {"class", "code", "message", "context", "hint"}


def test_a_chunk_fits_a_frame():
    """The largest piece that a door sends is one frame."""
    (event,) = greeted(ClientSession).receive(send_data(1, bytes(CHUNK)))

    assert event == Data(1, bytes(CHUNK))


def test_the_table_of_turns_is_whole():
    """The parametrised test covers every message class."""
    assert set(itertools.chain(*MAY.values())) == set(EVENTS)
