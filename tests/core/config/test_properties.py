"""Whatever a file holds, it gives records or findings, never another exception; nothing shown can harm a terminal.

The files are the shipped samples with some bytes put in or taken out. Their secrets are replaced by words of our own, which
must not be seen again in anything that is said about the file.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
import tempfile
from pathlib import Path

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fetchml_core.config.findings import Report
from fetchml_core.config.option import Cpus, Duration, Size, fields_of, walk
from fetchml_core.config.render import plain, render
from fetchml_core.config.rules.base import Machine, TlsPair
from fetchml_core.config.source import SourceError
from fetchml_core.config.toml_loader import parse_toml
from fetchml_core.config.validate import validate
from fetchml_core.config.yaml_loader import parse_yaml
from tests.core.config.support import KINDS, SAMPLES

# All samples together; CI asks for 20,000, a run by hand stays quick.
CASES = int(os.environ.get("FETCHML_CASES", "150"))
if sys.version_info < (3, 11):  # the core's tests run a second time there
    CASES //= 10
FEW = max(50, CASES // 20)
SIGNS = [
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
]
WORDS = [
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
]
ODD = [
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
]
PIECE = st.one_of(st.sampled_from(SIGNS + WORDS + ODD), st.text(max_size=8), st.binary(max_size=6))
EDIT = st.tuples(st.integers(0, 1 << 16), st.integers(0, 40), PIECE)
EDITS = st.lists(EDIT, min_size=1, max_size=5)
# What hands do to the line of a secret: (what stands there, what stands there then); S is the secret.
BREAKS = [
    *(
        (": ", ":"),
        (": ", " "),
        (": ", " = "),
        (": ", ":\t"),
        (": ", ":\n    "),
        (": ", ": [\n"),
        (": ", ": {"),
    ),
    *((": ", ": |\n      "), (": ", ": &a "), (": ", ": !x "), (": ", ": *"), (": ", ": a: "), (": ", ": @")),
    *((': "S"', ":S: 1"), ('  password: "S"', "  - password:S"), (': "S"', ":S"), (': "S"', ": S: 1")),
    *(
        (" = ", " "),
        (" = ", ": "),
        (" = ", " = ["),
        (" = ", " = {a = "),
        (" = ", ' = """\n'),
        (" = ", " =\n"),
    ),
    *(
        ("S", "S\n  S"),
        ("S", 'S"'),
        ("S", '"S'),
        ("S", "'S"),
        ("S", "S: 1"),
        ("S", "S #"),
        ("S", "S\\q"),
        ("S", "S\t"),
    ),
    *(('"', ""), ('"', "'"), ('"', "“"), ("  ", "\t"), ("  ", " "), ("  ", ""), ("  ", "   "), ("  ", "- ")),
]
MACHINE = Machine(
    base=Path("/nonexistent"),
    cpus=4.0,
    now=1_800_000_000.0,
    filesystem=lambda path: "tmpfs",
    tls_pair=lambda cert, key: TlsPair(cert_problem="there is no such file"),
)
ENVIRON = {"X": "5", "REDIS_PASSWORD": "Qvzenvironpasswordzvq"}


def secret_names():
    """The names of all secret options, as files write them."""
    options = [field.option for kind in KINDS.values() for _, field in walk(kind.cls) if field.option.secret]
    names = {key[-1] for kind in KINDS.values() for key, field in walk(kind.cls) if field.option.secret}
    return names | {option.alias for option in options if option.alias}


NAMES = "|".join(sorted(secret_names()))
SECRET_LINE = re.compile(rf"""(?m)^([ \t]*(?:{NAMES})[ \t]*[:=][ \t]*)(["']?)([^"'\n#]*)(["']?)""")
SECRET = re.compile(r"Qvz[a-z]+zvq")


def plant(text):
    """*text* with a word of its own in place of every secret; an address keeps its scheme and its host."""
    letters = iter("abcdefghijklmnop")

    def word(match):
        secret = f"Qvz{next(letters) * 12}zvq"
        value = f"redis://:{secret}@redis:6379/0" if "://" in match[3] else secret
        return f'{match[1]}"{value}"'

    return SECRET_LINE.sub(word, text)


PLANTED = {sample: plant(sample.read_text("utf-8")) for sample in SAMPLES}
WITH_SECRETS = [sample for sample in SAMPLES if SECRET.search(PLANTED[sample])]
BY_SAMPLE = pytest.mark.parametrize(
    "sample", SAMPLES, ids=lambda sample: f"{sample.parent.name}-{sample.stem}"
)


def each(count):
    """The settings of a test that takes *count* cases."""
    return settings(max_examples=count, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def mutate(data: bytes, edits) -> bytes:
    """*data* with each edit's piece put in place of some bytes."""
    for where, removed, piece in edits:
        at = where * len(data) >> 16
        new = piece if isinstance(piece, bytes) else piece.encode("utf-8", "surrogatepass")
        data = data[:at] + new + data[at + removed :]
    return data


def look_at(data: bytes, name: str, environ=ENVIRON):
    """Everything about a file of this name and content: what was found, and all that is said of it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(data)
        checked = validate(path, environ, machine=MACHINE, name=name)
    said = [plain(line) for line in render(checked)]
    said += [json.dumps(attrs.asdict(found), ensure_ascii=False) for found in checked.findings]
    return checked, said


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


def hidden(data: bytes) -> set[str]:
    """The secrets in *data* that still stand behind the name of a secret option in their line."""
    text = data.decode("utf-8", "replace")
    lines = (match[3] for match in SECRET_LINE.finditer(text))
    return {secret for line in lines for secret in SECRET.findall(line)} | {ENVIRON["REDIS_PASSWORD"]}


@BY_SAMPLE
def test_mutated_samples(sample):
    """A damaged sample gives typed records or findings; what is said is safe to print and holds no secret."""

    @each(max(2, CASES // len(SAMPLES)))
    @given(EDITS)
    def holds(edits):
        data = mutate(PLANTED[sample].encode(), edits)
        checked, said = look_at(data, sample.name)

        assert all(line.isprintable() for line in said)
        for secret in hidden(data):
            assert not any(secret in line for line in said)
        assert (checked.loaded is None) == any(found.severity == "error" for found in checked.findings)
        if checked.loaded:
            assert_typed(checked.loaded.config)

    holds()


@pytest.mark.parametrize(("old", "new"), BREAKS)
@pytest.mark.parametrize("sample", WITH_SECRETS, ids=lambda sample: f"{sample.parent.name}-{sample.stem}")
def test_a_broken_line_keeps_its_secret(sample, old, new):
    """What hands do to the line of a secret never shows it, whole or in part, whatever else is said."""
    text = PLANTED[sample]
    for secret in SECRET.findall(text):
        before, line, after = re.split(rf"(?m)^(.*{secret}.*)$", text)
        broken = line.replace(old.replace("S", secret), new.replace("S", secret), 1)
        _, said = look_at(f"{before}{broken}{after}".encode(), sample.name)

        assert not any(secret[3:9] in line for line in said), "\n".join([broken, *said])


TEXTS = st.lists(PIECE.filter(lambda piece: isinstance(piece, str)), max_size=12).map("".join)


@each(FEW)
@given(TEXTS, st.booleans())
def test_total_yaml(text, pure):
    """Any text gives a tree or a `SourceError`, with either parser."""
    with contextlib.suppress(SourceError):
        assert parse_yaml(text, Report(""), pure=pure).value is not None


@each(FEW)
@given(TEXTS)
def test_total_toml(text):
    """Any text gives a tree or a `SourceError`."""
    with contextlib.suppress(SourceError):
        assert isinstance(parse_toml(text).value, dict)


@each(FEW)
@given(TEXTS, st.sampled_from(["server.yaml", "worker.yaml", "config.toml", "worker.toml", "x"]))
def test_any_text(text, name):
    """Any text under any name gives findings that are safe to print."""
    checked, said = look_at(text.encode("utf-8", "surrogatepass"), name)

    assert all(line.isprintable() for line in said)
    assert (checked.loaded is None) == any(found.severity == "error" for found in checked.findings)
