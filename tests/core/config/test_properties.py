"""Whatever a file holds, it gives records or findings, never another exception; nothing shown can harm a terminal."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st

from fetchml_core.config.findings import Report
from fetchml_core.config.option import Cpus, Duration, Size, fields_of
from fetchml_core.config.source import SourceError
from fetchml_core.config.toml_loader import parse_toml
from fetchml_core.config.yaml_loader import parse_yaml
from tests.core.config.support import SAMPLES, check_file

# CI asks for more; a run by hand stays quick.
CASES = int(os.environ.get("FETCHML_CASES", "150"))
BITS = st.sampled_from(
    [
        *(
            "\t",
            "  ",
            "\n",
            ": ",
            "- ",
            "[",
            "]",
            "{",
            "}",
            '"',
            "'",
            "#",
            "&a ",
            "*a",
            "<<: ",
            "!!int ",
            "---\n",
            "%",
        ),
        *(
            "true",
            "no",
            "010",
            "1e3",
            "9" * 400,
            "~",
            "null",
            "${X}",
            "${UNSET}",
            "$${",
            "=",
            ".",
            "\0",
            "\x1b[2J",
        ),
        *(
            "\ufeff",
            "\u202e",
            "\ud7ff",
            "é",
            "\r",
            "\x85",
            "auth",
            "enabled",
            "a.b.c = 1\n",
            "[[a]]\n",
            "'''",
            '"""',
        ),
    ]
)
PIECE = st.one_of(BITS, st.text(max_size=8), st.binary(max_size=6))
EDIT = st.tuples(st.floats(0, 1), st.integers(0, 40), PIECE)


def mutate(data: bytes, edits) -> bytes:
    """*data* with each edit's piece put in place of some bytes."""
    for where, removed, piece in edits:
        at = int(where * len(data))
        new = piece if isinstance(piece, bytes) else piece.encode("utf-8", "surrogatepass")
        data = data[:at] + new + data[at + removed :]
    return data


def assert_typed(record):
    """Every value of *record* has the type of its option."""
    kinds = {"bool": bool, "int": int, "text": str, "duration": Duration, "size": Size, "cpus": Cpus}
    for name, field in fields_of(type(record)).items():
        value = getattr(record, name)
        if field.kind == "section":
            assert_typed(value)
        elif field.kind == "list":
            assert all(type(item) is str for item in value)
        elif field.kind == "map":
            for item in value.values():
                assert_typed(item) if attrs.has(field.item) else None
                assert type(item) is field.item
        else:
            assert type(value) is kinds[field.kind] or (field.optional and value is None)


@settings(max_examples=CASES, deadline=None)
@given(st.sampled_from(SAMPLES), st.lists(EDIT, min_size=1, max_size=5))
def test_mutated_samples(sample, edits):
    """A damaged sample gives typed records or findings with safe texts."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / sample.name
        path.write_bytes(mutate(sample.read_bytes(), edits))
        loaded, findings = check_file(path, sample.parent.name, {"X": "5", "REDIS_PASSWORD": "x"})

    for found in findings:
        assert f"{found.message}{found.hint}{found.expected}{found.key}".isprintable()
    if loaded:
        assert_typed(loaded.config)
    else:
        assert any(found.severity == "error" for found in findings)


TEXTS = st.lists(PIECE.filter(lambda piece: isinstance(piece, str)), max_size=12).map("".join)


@settings(max_examples=CASES, deadline=None)
@given(TEXTS, st.booleans())
def test_total_yaml(text, pure):
    """Any text gives a tree or a `SourceError`, with either parser."""
    with contextlib.suppress(SourceError):
        assert parse_yaml(text, Report(""), pure=pure).value is not None


@settings(max_examples=CASES, deadline=None)
@given(TEXTS)
def test_total_toml(text):
    """Any text gives a tree or a `SourceError`."""
    with contextlib.suppress(SourceError):
        assert isinstance(parse_toml(text).value, dict)
