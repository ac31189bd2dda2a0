"""YAML is read strictly, in the same way by both of PyYAML's parsers."""

from __future__ import annotations

import pytest

from fetchml_core.config.findings import Place, Report
from fetchml_core.config.node import PURE_BYTES
from fetchml_core.config.source import SourceError
from fetchml_core.config.yaml_loader import parse_yaml
from tests.support.effort import seconds_not_minutes

PARSERS = pytest.mark.parametrize("pure", [True, False], ids=["pure", "compiled"])
BOMB = "a0: &a0 [x,x]\n" + "".join(f"a{i + 1}: &a{i + 1} [*a{i},*a{i}]\n" for i in range(30))
MERGE_BOMB = "a: &a {x: 1}\nb: {<<: [*a,*a]}\n"


def value_of(text, *, pure):
    """The value of the key `a` of *text*."""
    return parse_yaml(text, Report("f"), pure=pure).value["a"].node.value


@PARSERS
@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("on", "on"),
        ("no", "no"),
        ("yes", "yes"),
        ("22:22", "22:22"),
        ("010", "010"),
        ("0x10", "0x10"),
        ("1_000", "1_000"),
        ("2024-01-01", "2024-01-01"),
        ("1e3", 1000.0),
        ("1.5", 1.5),
        ("-7", -7),
        ("9" * 40, "9" * 40),
        ("9" * 5000, "9" * 5000),
        ("1e999", float("inf")),
        ("true", True),
        ("'true'", "true"),
        ("'5'", "5"),
        ("~", None),
        ("", None),
        ("''", ""),
        ("=", "="),
        (".inf", ".inf"),
    ],
)
def test_scalars(written, meant, pure):
    """A scalar is what it looks like, after YAML 1.2."""
    value = value_of(f"a: {written}", pure=pure)

    assert value == meant
    assert type(value) is type(meant)


@PARSERS
@pytest.mark.parametrize(
    ("text", "code", "place"),
    [
        ("a: &x 1", "yaml-feature", (1, 4)),
        ("a: *x", "yaml-feature", (1, 4)),
        ("a: !!str 1", "yaml-feature", (1, 4)),
        ("a: !!python/object/apply:os.system [id]", "yaml-feature", (1, 4)),
        ("b: {x: 1}\na:\n  <<: {y: 1}", "yaml-feature", (3, 3)),
        ("? [a, b]\n: 1", "yaml-feature", (1, 3)),
        ("a: 1\n---\nb: 2", "yaml-feature", (2, 1)),
        ("a:\n\tb: 1", "yaml-syntax", (2, 1)),
        ("a: b: 1", "yaml-syntax", (1, 5)),
        ("a: [1, 2", "yaml-syntax", None),
        ("a: 'b", "yaml-syntax", None),
        ("a: 1\n b: 2", "yaml-syntax", (2, 2)),
        ("a: \x07", "control-character", None),
        ("# nothing\n", "file-empty", None),
        ("---\n", "file-empty", None),
        ("[" * 2000, "too-deep", (1, 17)),
        ("a: " + "{a: " * 2000, "too-deep", (1, 64)),
        (BOMB, "yaml-feature", (1, 5)),
        (MERGE_BOMB, "yaml-feature", (1, 4)),
    ],
)
def test_refused(text, code, place, pure):
    """What is refused is refused at once, with its place."""
    with pytest.raises(SourceError) as caught:
        parse_yaml(text, Report("f"), pure=pure)

    assert caught.value.code == code
    if place:
        assert caught.value.place == Place(*place)


@PARSERS
def test_a_star_needs_quotes(pure):
    """The commonest slip in a permissions table says how to mend it."""
    with pytest.raises(SourceError) as caught:
        parse_yaml("permissions:\n  *: true\n", Report("f"), pure=pure)

    assert "quotes" in caught.value.hint


@PARSERS
def test_duplicate_keys_name_both_lines(pure):
    """A key that stands twice is a finding with both lines, and reading goes on."""
    report = Report("f")
    parse_yaml("a: 1\nb:\n  c: 1\n  c: 2\na: 3\n", report, pure=pure)

    assert [(found.code, found.line, found.column) for found in report.sorted()] == [
        ("duplicate-key", 4, 3),
        ("duplicate-key", 5, 1),
    ]
    assert "line 3" in report.sorted()[0].message


@PARSERS
def test_places_count_characters(pure):
    """Key and value know their line and column, from 1, in characters."""
    entry = parse_yaml("# ä\nä: {ö: 'ü', a: 1}\n", Report("f"), pure=pure).value["ä"]
    inner = entry.node.value["a"]

    assert (entry.place, inner.place, inner.node.place) == (Place(2, 1), Place(2, 13), Place(2, 16))


@PARSERS
def test_windows_line_ends(pure):
    """CRLF is a line end."""
    assert value_of("b: 1\r\na: text\r\n", pure=pure) == "text"


@PARSERS
def test_keys_are_bounded(pure):
    """A file of nothing but keys is refused, in the time of an ordinary file."""
    text = "".join(f"k{i}: 1\n" for i in range(250_000))
    with seconds_not_minutes(), pytest.raises(SourceError) as caught:
        parse_yaml(text[: PURE_BYTES if pure else None], Report("f"), pure=pure)

    assert caught.value.code == "too-many-keys"


def test_the_pure_parser_reads_less():
    """A bare host refuses what would take its parser long."""
    with pytest.raises(SourceError) as caught:
        parse_yaml("a: 1\n" + "#" * PURE_BYTES, Report("f"), pure=True)

    assert caught.value.code == "file-too-large"
