"""Messages: every row of VERBS travels and comes back, versions may differ, anything else is a ProtocolError."""

from __future__ import annotations

import json

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fetchml_core.convert import from_data, to_data
from fetchml_core.errors import FetchError
from fetchml_core.wire.frame import MESSAGE, Frame, ProtocolError
from fetchml_core.wire.messages import (
    Call,
    Done,
    Failure,
    Hello,
    Item,
    Welcome,
    decode_message,
    encode_message,
)
from fetchml_core.wire.verbs import VERBS, Nothing
from tests.core.wire.records import json_values, records

MESSAGES = (Hello, Welcome, Call, Item, Done, Failure)
CLASSES = sorted(
    {cls for row in VERBS.values() for cls in (row.args, row.item, row.result)}, key=lambda cls: cls.__name__
)
QUICK = settings(max_examples=20, deadline=None)


def over_the_wire(value, kind):
    """Send *value* as plain data in a message and read it back."""
    frame = encode_message(Item(1, to_data(value)))
    message = decode_message(frame.payload)
    assert isinstance(message, Item)
    return from_data(message.item, kind)


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
@QUICK
@given(data=st.data())
def test_everything_in_the_table_of_verbs_round_trips(kind, data):
    """Arguments, pieces and results of every verb are the same at the other end."""
    value = data.draw(records(kind))

    assert over_the_wire(value, kind) == value


@pytest.mark.parametrize("kind", MESSAGES, ids=lambda kind: kind.__name__)
@QUICK
@given(data=st.data())
def test_messages_round_trip(kind, data):
    """So is every message, in a frame of kind message."""
    message = data.draw(records(kind))
    frame = encode_message(message)

    assert frame.kind == MESSAGE
    assert frame.payload.isascii()
    assert decode_message(frame.payload) == message


@given(st.binary(max_size=60) | json_values.map(lambda value: json.dumps(value).encode()))
def test_total(payload):
    """Any bytes and any JSON give a message or a ProtocolError."""
    try:
        decode_message(payload)
    except ProtocolError as error:
        assert error.code == "protocol-error"


@given(
    st.sampled_from(MESSAGES),
    st.dictionaries(
        st.sampled_from(["request", "verb", "args", "error", "user", "protocol", "notes", "key"]), json_values
    ),
)
def test_total_for_the_right_type_with_any_fields(kind, fields):
    """A known type with fields of any kind gives a message or a ProtocolError."""
    try:
        decode_message(json.dumps({"type": kind.__name__, **fields}).encode())
    except ProtocolError:
        pass


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
@QUICK
@given(data=st.data())
def test_arguments_of_any_shape_are_taken_or_refused(kind, data):
    """What is no record of the verb is one error with the field's path, never another exception."""
    names = st.sampled_from([field.name for field in attrs.fields(kind)] or ["x"])
    shape = data.draw(json_values | st.dictionaries(names, json_values))
    try:
        from_data(shape, kind)
    except FetchError as error:
        assert error.code == "damaged-record"


@pytest.mark.parametrize(
    "payload",
    [
        b'{"type": []}',
        b'{"type": "Nobody"}',
        b"{}",
        b"[]",
        b"1",
        pytest.param(b"[" * 100_000, id="deep"),
        b"\xff",
        b'{"type": "Call", "request": "1", "verb": "list"}',
        b'{"type": "Call", "request": true, "verb": "list"}',
        b'{"type": "Call", "request": 1.0, "verb": "list"}',
        b'{"type": "Call", "request": 1}',
        b'{"type": "Hello", "version": null}',
        b'{"type": "Welcome", "user": "a", "host": "b", "version": "1", "notes": "abc"}',
    ],
)
def test_no_message(payload):
    """What is no message of ours is refused, a field of a wrong type like a missing one."""
    with pytest.raises(ProtocolError):
        decode_message(payload)


@pytest.mark.parametrize("kind", [*MESSAGES, *CLASSES], ids=lambda kind: kind.__name__)
@QUICK
@given(data=st.data())
def test_unknown_fields_are_ignored(kind, data):
    """A newer peer may say more."""
    value = data.draw(records(kind))

    assert from_data({**to_data(value), "of_a_later_version": {"x": [1]}}, kind) == value


def test_fields_at_their_default_do_not_travel():
    """So a field added later costs an older peer nothing."""
    sent = json.loads(encode_message(Hello("1")).payload)

    assert sent == {"type": "Hello", "version": "1"}


def test_an_unknown_type_inside_a_known_field_is_named_by_its_path():
    """The error says where."""
    with pytest.raises(FetchError, match=r"select"):
        from_data({"select": [1]}, VERBS["list"].args)


def test_a_word_is_no_list_of_words():
    """``"42"`` where a list is wanted would be the jobs 4 and 2."""
    with pytest.raises(FetchError, match="damaged-record"):
        from_data({"select": "42"}, VERBS["cancel"].args)


def test_the_key_is_in_no_repr():
    """Secrets stay out of reports."""
    call = Call(1, "submit", {"env": {"TOKEN": "hunter2"}})

    assert "hunter2" not in repr(Hello("1", "hunter2"))
    assert "hunter2" not in repr(call)


def test_every_row_names_records():
    """The table holds classes of this module's kind, all with a default-free way over the wire."""
    for verb, row in VERBS.items():
        assert verb == verb.lower()
        assert all(attrs.has(cls) for cls in (row.args, row.item, row.result))
        assert row.since >= 1
    assert over_the_wire(Nothing(), Nothing) == Nothing()


def test_encode_message_is_one_frame():
    """The frame carries compact JSON."""
    assert encode_message(Done(7)) == Frame(MESSAGE, b'{"type":"Done","request":7}')
