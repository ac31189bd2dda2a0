"""Fixtures of the hardware's tests."""

import pytest

from fetchml_core.hardware import nvidia

from .trees import NO_LIBRARY


@pytest.fixture
def no_driver(monkeypatch):
    """A machine without NVIDIA's library, whatever this one has."""
    monkeypatch.setattr(nvidia, "LIBRARY", NO_LIBRARY)
