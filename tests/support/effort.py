"""Bounds on what work costs that hold on a busy machine: calls are counted; a clock only tells seconds from minutes."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

SECONDS = 30.0


def calls_of(work: Callable[[], object]) -> int:
    """How many functions, of Python and built in, *work* calls: the same number on every machine."""
    count = 0

    def see(_frame: FrameType, event: str, _: object) -> None:
        nonlocal count
        count += event in {"call", "c_call"}

    before = sys.getprofile()
    sys.setprofile(see)
    try:
        work()
    finally:
        sys.setprofile(before)
    return count


@contextmanager
def seconds_not_minutes(clock: Callable[[], float] = time.process_time) -> Iterator[None]:
    """The body takes a few seconds of *clock*; the bound is far off, what it refuses is without end."""
    began = clock()
    yield
    assert clock() - began < SECONDS
