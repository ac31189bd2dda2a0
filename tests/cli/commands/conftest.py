"""Fixtures of the verbs' tests."""

import pytest

from tests.cli.support import fake_cli, plain_environ, run_in
from tests.core.service.support import World


@pytest.fixture
def world(tmp_path):
    """The embedded default's base in a home folder of the test, its worker alive."""
    (tmp_path / ".ml").mkdir(mode=0o700)
    made = World(tmp_path / ".ml" / "local")
    with made.worker_lives():
        yield made


@pytest.fixture
def run_verb(tmp_path):
    """Run a verb; returns status, stdout and stderr."""
    return lambda *argv: run_in(fake_cli(tmp_path, **plain_environ(tmp_path)), *argv)
