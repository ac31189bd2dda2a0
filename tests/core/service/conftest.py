"""Fixtures of the service's tests."""

import pytest

from tests.core.service.support import World


@pytest.fixture
def world(tmp_path):
    """A host without authentication whose worker lives, so that nobody starts one."""
    made = World(tmp_path / "base")
    with made.worker_lives():
        yield made
