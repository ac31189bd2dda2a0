"""Errors: what a person sees, what travels, and which exit status follows."""

from __future__ import annotations

import errno
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fetchml_core import errors
from fetchml_core.errors import CLASSES, FetchError, HostError, explain_os_error, from_fields, to_fields
from fetchml_core.wire.frame import ProtocolError

texts = st.text(max_size=10)


def test_the_statuses_are_those_of_the_table():
    """The module's table names each class with its status, and no status twice."""
    rows = re.findall(r"^ {4}(\d+) +(\w+Error) ", errors.__doc__ or "", re.MULTILINE)

    assert {name: int(status) for status, name in rows} == {name: cls.status for name, cls in CLASSES.items()}
    assert len({cls.status for cls in CLASSES.values()}) == len(CLASSES)


@given(st.sampled_from(list(CLASSES.values())), texts, texts, texts, texts)
def test_errors_round_trip(cls, code, message, context, hint):
    """Another machine sees the same class, code and texts."""
    error = cls(code, message, context=context, hint=hint)
    again = from_fields(to_fields(error))

    assert type(again) is cls
    assert to_fields(again) == to_fields(error)
    assert str(again) == str(error)


@given(st.dictionaries(st.sampled_from(["class", "code", "message", "context", "hint", "later"]), texts))
def test_any_fields_are_some_error(fields):
    """A newer peer's class or field is no crash."""
    assert isinstance(from_fields(fields), FetchError)


def test_a_class_of_a_module_travels_as_the_one_it_is():
    """What only we know is told as what everybody knows."""
    assert to_fields(ProtocolError("x"))["class"] == "UnreachableError"


def test_what_is_shown_has_no_empty_lines():
    """Code and sentence, then context and hint where there are any."""
    assert str(HostError("a-b", "It broke.")) == "a-b: It broke."
    assert str(HostError("a-b", "It broke.", context="/x", hint="df")).splitlines() == [
        "a-b: It broke.",
        "  context  /x",
        "  hint     df",
    ]


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (errno.ENOSPC, "disk-full"),
        (errno.EDQUOT, "disk-full"),
        (errno.EACCES, "not-permitted"),
        (errno.EPERM, "not-permitted"),
        (errno.EIO, "io-error"),
        (None, "io-error"),
    ],
)
@pytest.mark.parametrize("path", ["/some/file", None])
@pytest.mark.parametrize("place", ["/some", ""])
def test_system_errors_are_explained(number, code, path, place):
    """With what was being done, the file or at least the place where there is one, and what to do next."""
    error = OSError(number, "words", path) if number else OSError("words")
    found = explain_os_error(error, "store the snapshot", place)

    assert found.code == code
    assert "store the snapshot" in found.message
    assert found.context == ((number and path) or place)
    assert "ls -ld None" not in found.hint
    assert found.hint or number is None or (code == "not-permitted" and not found.context)
