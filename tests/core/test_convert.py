"""Between records and plain data: a value has its type, or the conversion fails with its path."""

from __future__ import annotations

import pytest
from attrs import field, frozen

from fetchml_core.convert import from_data, to_data
from fetchml_core.errors import HostError


@frozen
class Inner:
    """A record in a record."""

    n: int


@frozen
class Outer:
    """One field of each kind."""

    b: bool = False
    n: int = 0
    x: float = 0.0
    s: str = ""
    words: tuple[str, ...] = ()
    rows: tuple[Inner, ...] = ()
    table: dict[str, float] = field(factory=dict)
    maybe: int | None = None


@pytest.mark.parametrize(
    "data",
    [
        {"b": 1},
        {"b": "no"},
        {"n": True},
        {"n": 1.0},
        {"n": "1"},
        {"x": True},
        {"x": "1"},
        {"x": None},
        {"s": 1},
        {"s": None},
        {"words": "abc"},
        {"words": {"a": 1}},
        {"words": [1]},
        {"words": None},
        {"rows": [{"n": "x"}]},
        {"rows": [{}]},
        {"table": {"a": "1"}},
        {"table": []},
        {"maybe": "1"},
        [],
        "text",
        1,
        None,
    ],
)
def test_nothing_is_turned_into_something_else(data):
    """Each is refused; the error names the field where there is one."""
    with pytest.raises(HostError, match="damaged-record") as caught:
        from_data(data, Outer, what="sample")

    assert "sample" in caught.value.message
    if isinstance(data, dict):
        assert next(iter(data)) in caught.value.context


def test_what_fits_is_taken():
    """An int is a number; unknown fields are a newer writer's."""
    made = from_data(
        {"x": 1, "words": ["a"], "rows": [{"n": 1, "m": 2}], "table": {"a": 1}, "maybe": None, "later": 0},
        Outer,
    )

    assert made == Outer(x=1.0, words=("a",), rows=(Inner(1),), table={"a": 1.0})
    assert isinstance(made.x, float)


def test_fields_at_their_default_are_left_out():
    """So that an older reader is not told what it need not know."""
    assert to_data(Outer()) == {}
    assert from_data(to_data(Outer(n=7)), Outer) == Outer(n=7)


def test_the_error_is_bounded():
    """A hostile record does not make a long error."""
    with pytest.raises(HostError) as caught:
        from_data({"table": {str(n): "x" for n in range(10_000)}}, Outer)

    assert len(caught.value.context) <= 400
