"""TOML is read within bounds, and values keep their places."""

from __future__ import annotations

import pytest

from fetchml_core.config.findings import Place
from fetchml_core.config.source import SourceError
from fetchml_core.config.toml_loader import MAX_TOML, find_places, parse_toml
from tests.support.effort import seconds_not_minutes


def test_places():
    """Tables, keys and values are found again in ordinary files."""
    root = parse_toml('a = 1\n[server]\n  port = 22\n["x.y"]\nb.c = "d"\n')
    server, quoted = root.value["server"], root.value["x.y"]
    port, inner = server.node.value["port"], quoted.node.value["b"].node.value["c"]

    assert server.place == Place(2, 2)
    assert (port.place, port.node.place) == (Place(3, 3), Place(3, 10))
    assert inner.node.place == Place(5, 7)


def test_places_of_what_a_scan_cannot_see():
    """A value without a place of its own has that of its parent."""
    root = parse_toml("[a]\nb = { c = [1,\n 2] }\n")

    assert root.value["a"].node.value["b"].node.value["c"].place == Place(2, 5)


def test_a_scan_is_no_parser():
    """Lines of a multi-line text may be taken for keys, which harms nobody: the parser does not know them."""
    text = 'a = """\nb = 1\n"""\n'

    assert ("b",) in find_places(text)
    assert list(parse_toml(text).value) == ["a"]


@pytest.mark.parametrize(
    ("text", "code", "line"),
    [
        (".".join("a" * 20_000) + " = 1", "too-deep", 1),
        ("[" + ".".join(["'a'"] * 20_000) + "]", "too-deep", 1),
        ("x = 1\na = " + "9" * 5000, "toml-syntax", 2),
        ("a = " + "[" * 50_000, "too-deep", 1),
        ("a = " + "{b = " * 20_000, "too-deep", 1),
        ("a = " + "[" * 20 + "]" * 20, "too-deep", 1),
        ("a = 1\na = 2\n", "toml-syntax", 2),
        ("a = b\n", "toml-syntax", 1),
        ("a = 1\n[b\n", "toml-syntax", 2),
        ('a = "', "toml-syntax", 1),
        ("a" * 250_000, "toml-syntax", 1),
        ("#" * (MAX_TOML + 1), "file-too-large", 0),
    ],
)
def test_refused(text, code, line):
    """What is refused is refused in no time, with its line where it has one."""
    with seconds_not_minutes(), pytest.raises(SourceError) as caught:
        parse_toml(text)

    assert (caught.value.code, caught.value.place.line) == (code, line)


@pytest.mark.parametrize("value", ["0x" + "f" * 250_000, f"'{'b' * 250_000}'", "[" + "'b'," * 60_000 + "]"])
def test_long_values_take_no_time(value):
    """Looking for long keys is linear in a long word."""
    with seconds_not_minutes():
        parse_toml(f"a = {value}")


def test_giant_numbers_fit_no_option():
    """A number beyond any option arrives as text, which no number option takes."""
    assert isinstance(parse_toml("a = " + "9" * 30).value["a"].node.value, str)
