"""The reference tells about every option what the schema knows, and no secret."""

from __future__ import annotations

import re

import pytest

from fetchml_core.config.environment import VARIABLES
from fetchml_core.config.kinds import all_kinds, kind_named
from fetchml_core.config.option import fields_of, walk
from fetchml_core.config.reference import NOT_ACTIVE, entry, parts_of, reference_page, tell_variable
from tests.core.config.specification import OURS

PAGE = reference_page()
KINDS = [kind.name for kind in all_kinds()]


def entries(kind):
    """All entries of a kind."""
    return [one for part in parts_of(kind_named(kind)) for one in part.entries]


@pytest.mark.parametrize("kind", KINDS)
def test_every_option_once(kind):
    """Each option of the schema is an entry, in the order of the schema's sections."""
    keys = {re.sub(r"<\w+>", "*", one.key) for one in entries(kind)}

    assert keys == {".".join(key) for key, _ in walk(kind_named(kind).cls)}
    assert len(entries(kind)) == len(keys)


def test_every_option_has_a_row():
    """Key, default, reader and environment variable of each option stand in its row of the page."""
    rows = {}
    for line in PAGE.splitlines():
        if line.startswith("| `"):
            rows.setdefault(line.split("`")[1], []).append(line)
    for kind in KINDS:
        for one in entries(kind):
            words = [one.read_by, one.default, one.values, one.env, one.help.replace("|", "\\|")]

            assert any(all(word in row for word in words) for row in rows[one.key]), one.key


@pytest.mark.parametrize(
    ("kind", "name", "words"),
    [
        ("worker", "max_workers", ("number", "", "1 or more (jobs)")),
        ("worker", "task_lease_duration", ("duration", "30m", "1s or longer")),
        ("worker", "launcher", ("text", "podman", "one of podman, process")),
        ("worker", "gpu_devices", ("list of texts", "", "")),
        ("worker", "local_mode", ("bool", "true", "")),
        ("worker", "port", ("number", "22", "1 to 65535")),
    ],
)
def test_words(kind, name, words):
    """Type, default and legal values are told in words."""
    one = entry(fields_of(kind_named(kind).cls)[name], (name,))

    assert (one.type, one.default, one.values) == words


def test_a_secret_has_no_example():
    """Nobody copies a secret from the reference."""
    for kind in KINDS:
        for one in entries(kind):
            assert not (one.secret and one.example), one.key


def test_what_is_not_active_is_counted_and_marked():
    """The number above the tables is the number of rows that say so."""
    for kind in KINDS:
        every = entries(kind)
        idle = sum(1 for one in every if one.read_by == NOT_ACTIVE)
        told = f"{len(every)} options, {idle} of them not active yet." if idle else f"{len(every)} options."

        assert told in PAGE


def test_aliases_deprecated_and_own_options_have_tables():
    """Other names, what is deprecated, and our own options with their reasons."""
    assert "| `logging.audit_log` | `logging.audit_file` |" in PAGE
    assert "| `auth.apikeys` | `auth.api_keys` |" in PAGE
    assert "| `ssh_key` | run the worker on the host itself |" in PAGE
    for one in entries("worker"):
        assert bool(one.reason) == (one.key in OURS)
        assert not one.reason or f"| `{one.key}` | {one.reason} |" in PAGE


def test_every_variable_has_a_row():
    """Name, legal values and effect of each variable."""
    for one in VARIABLES:
        row = next(line for line in PAGE.splitlines() if line.startswith(f"| `{one.name}`"))

        assert all(word in row for word in (one.expected, one.overrides, one.help, one.side))
        assert one.overrides in tell_variable(one)


def test_tables_are_tables():
    """Every row has as many cells as its head: no text breaks out of its cell."""
    width = 0
    for line in PAGE.splitlines():
        if not line.startswith("|"):
            width = 0
            continue
        cells = len(re.findall(r"(?<!\\)\|", line))
        assert width in {0, cells}, line
        width = cells
