"""Every proof that the project owes is there, for every engine it is about, and stands in the docs."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.support.soak import proofs

ROOT = Path(__file__).resolve().parents[1]
WANTED = frozenset(range(1, 27))
OF_SANDBOX = {12, 13, 20, 21, 22, 23, 24, 25, 26}
OF_ENGINES = WANTED - {11, 15, 16, 17, 18, 19} - OF_SANDBOX
ABOUT_JOBS = {"tests/core/worker/test_full_disks.py"}
"""Modules in which such a proof is about something else than the queue."""
ENGINES = ("native", "sqlite", "filesystem")


def engines_of(path: Path) -> object:
    """What a module calls ENGINES."""
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "ENGINES":
            return ast.literal_eval(node.value)
    return None


def test_no_proof_is_missing():
    """Each number that is wanted has a test that is not expected to fail."""
    missing = sorted(WANTED - proofs().keys())

    assert missing == []


@pytest.mark.parametrize("number", sorted(OF_ENGINES))
def test_a_proof_is_for_all_engines(number):
    """A module with a proof about queues names all engines that lie in files."""
    modules = {node.partition("::")[0] for node in proofs().get(number, [])} - ABOUT_JOBS

    assert modules
    assert {module: engines_of(ROOT / module) for module in modules} == dict.fromkeys(modules, ENGINES)


def test_every_proof_stands_in_the_docs():
    """The table in docs/contributing.md has a row for each number, with a file that holds such a test."""
    rows = [line.split("|") for line in (ROOT / "docs/contributing.md").read_text("utf-8").splitlines()]
    told = {
        int(row[1].strip(" #")): row[3].strip(" `")
        for row in rows
        if len(row) > 4 and row[1].startswith(" #")
    }

    assert told.keys() == WANTED
    for number, file in told.items():
        assert any(node.startswith(f"tests/{file}::") for node in proofs()[number]), (number, file)
