"""What all engines do alike: a wish is decided by `moves` on what is true now, in one step that nobody comes between."""

from __future__ import annotations

from collections.abc import Callable

from fetchml_core.clock import Clock
from fetchml_core.jobs.job import Job, Lease, Stop

from .base import boot_lease, boot_lease_ended
from .moves import Move, hold_move, release_move, stop_move


class Engine:
    """The part of `fetchml_core.queue.base.Queue` that needs nothing but `_change`."""

    _clock: Clock

    def _change(self, job_id: int, decide: Callable[[Job], Move | None]) -> Job:
        """Do to a job what *decide* says, durably; nothing where that is None."""
        raise NotImplementedError

    @property
    def home(self) -> str:
        """See `Queue.home`."""
        return ""

    def stop(self, job_id: int, stop: Stop) -> Job:
        """See `Queue.stop`."""
        return self._change(job_id, lambda job: stop_move(job, stop, self._clock.now()))

    def hold(self, job_id: int) -> Job:
        """See `Queue.hold`."""
        return self._change(job_id, lambda job: hold_move(job, self._clock.now()))

    def release(self, job_id: int) -> Job:
        """See `Queue.release`."""
        return self._change(job_id, lambda job: release_move(job, self._clock.now()))

    def lease(self, worker: str, seconds: float) -> Lease:
        """See `Queue.lease`. On the boot clock, as all is on one host."""
        return boot_lease(self._clock, worker, seconds)

    def lease_ended(self, lease: Lease) -> bool:
        """See `Queue.lease_ended`."""
        return boot_lease_ended(self._clock, lease)
