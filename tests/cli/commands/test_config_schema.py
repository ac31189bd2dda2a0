"""``ml config schema``."""

from __future__ import annotations

import json

import pytest

from fetchml_core.config.json_schema import json_schema
from fetchml_core.config.kinds import all_kinds
from tests.cli.support import fake_cli, run_in


@pytest.mark.parametrize("kind", all_kinds(), ids=lambda kind: kind.name)
def test_it_prints_the_schema_and_nothing_else(tmp_path, kind):
    """What an editor is to read, without our own envelope."""
    ran = run_in(fake_cli(tmp_path), "config", "schema", kind.name)

    assert (ran.status, ran.err) == (0, "")
    assert json.loads(ran.out) == json.loads(json.dumps(json_schema(kind)))
    assert ran.out.isascii()


def test_another_kind_is_named_with_those_that_are(tmp_path):
    """A wrong word gives 2."""
    ran = run_in(fake_cli(tmp_path), "config", "schema", "gateway")

    assert (ran.status, ran.out) == (2, "")
    assert "one of api, worker, profile" in ran.err
