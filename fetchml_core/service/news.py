"""Wait for news of the queue and for the client's leaving, both at once.

Where the system tells of changes nobody looks until it does, but for `LONGEST_S`: a worker's death changes no file.
Where it cannot, the queue's revision is asked for again and again, as often as the use case wants.
"""

from __future__ import annotations

import select
from types import TracebackType
from typing import TYPE_CHECKING

from .context import Context

if TYPE_CHECKING:
    from typing_extensions import Self

LONGEST_S = 1.0


class QueueNews:
    """What has happened to the queue since it was last asked; a context manager.

    Args:
        context: The request.
        poll_s: How often to look where the system cannot tell of changes.
    """

    def __init__(self, context: Context, poll_s: float) -> None:
        self._talk = context.talk
        self._queue = context.host.queue
        self._poll_s = poll_s
        self._revision = -1
        self._look = Every(context, LONGEST_S)
        self._watch = self._queue.watch()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        self._watch.close()

    def come(self) -> bool:
        """Say whether anything has changed since the last time; to be asked before looking at jobs."""
        if not (self._look.due() or self._told()):
            return False
        self._watch.clear()
        revision, before = self._queue.revision(), self._revision
        self._revision = revision
        return revision != before

    def gone(self, longest_s: float = LONGEST_S) -> bool:
        """Wait for news, at most *longest_s*; say whether the client has left."""
        fd = self._watch.fileno()
        return self._talk.gone(longest_s if fd >= 0 else min(longest_s, self._poll_s), also=fd)

    def _told(self) -> bool:
        """Whether the watch tells of news, or cannot."""
        fd = self._watch.fileno()
        if fd < 0:
            return True
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        return bool(poll.poll(0))


class Every:
    """Is due at once, and then whenever so many seconds have passed."""

    def __init__(self, context: Context, seconds: float) -> None:
        self._clock = context.host.clock
        self._seconds = seconds
        self._next = 0.0

    def due(self) -> bool:
        """Say whether it is time; the next time begins then."""
        now = self._clock.boot().seconds
        if now < self._next:
            return False
        self._next = now + self._seconds
        return True
