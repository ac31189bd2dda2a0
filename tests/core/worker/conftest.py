"""Fixtures of the worker's tests."""

import pytest

from tests.core.service.support import World
from tests.core.worker.support import Serving, sweep


@pytest.fixture
def world(tmp_path):
    """A host with the process launcher; what its jobs leave running is ended."""
    made = World(tmp_path / "base")
    yield made
    sweep(made)


@pytest.fixture
def serve(world):
    """Start workers on the base, one after the other; the last one ends with the test."""
    workers = []

    def start(**options):
        workers.append(Serving(world, **options))
        return workers[-1]

    yield start
    for serving in workers:
        if serving.worker._wake >= 0:
            serving.leave()
