"""Wait for something to become true, and find a free port: what tests do instead of sleeping and guessing."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
_STEP_S = 0.05


def poll_until(condition: Callable[[], T], what: str = "", *, timeout: float = 30.0) -> T:
    """Ask every 50 ms until the answer is true, and return it.

    Args:
        condition: Called at least once.
        what: What is waited for; stands in the failure.
        timeout: Seconds; the usual ones are for a machine that does other things beside.

    Raises:
        AssertionError: When the time is over.
    """
    end = time.monotonic() + timeout
    while not (answer := condition()):
        if time.monotonic() > end:
            raise AssertionError(f"after {timeout} s still not: {what or condition}")
        time.sleep(_STEP_S)
    return answer


def free_port() -> int:
    """A TCP port of the loopback that nobody has now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])
