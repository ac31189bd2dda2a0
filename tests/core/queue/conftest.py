"""Fixtures of the queue's tests."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

MEMORY = "/dev/shm"


@pytest.fixture
def in_memory(tmp_path):
    """A folder in memory, where there is such a file system: for tests that make many queues and cut no power."""
    if not os.access(MEMORY, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(prefix="fetchml-", dir=MEMORY) as name:
        yield Path(name)
