"""One attempt from claim to end, on a thread of its own, step after step.

What it does is safe to stop at any point: the container does not depend on this process, its evidence is in the
queue before the job gets its go, its exit record is on disk before anybody asks. The next worker goes on from
there (`_run`).
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import threading
from collections.abc import Callable

from fetchml_core.errors import FetchError, HostError, explain_os_error
from fetchml_core.jobs.job import Attempt, Job, Launched, Outcome, Stop
from fetchml_core.jobs.states import State
from fetchml_core.launcher.base import Launcher
from fetchml_core.launcher.record import ExitRecord
from fetchml_core.launcher.spec import LOG_LIMIT, LaunchSpec
from fetchml_core.queue.base import Change, Finished, Requeued, Started
from fetchml_core.removal import remove_tree
from fetchml_core.service.host import Host
from fetchml_core.service.limits import JobLimits

from .ending import free_gpus, keep, outcome_of
from .gpu_guard import GpuGuard
from .metric_file import MetricFile
from .outcome import end_of, judge, refused, time_limit_stop
from .preparation import check_still_possible, keep_folders, launch_spec, prepare
from .stopping import Stopping

_RETRY_S = 2.0


class DetachError(Exception):
    """The worker ends; the attempt goes on without it."""


class Runner(threading.Thread):
    """Runs one attempt.

    Args:
        host: The host.
        launcher: What starts jobs here.
        job: The job, claimed.
        image: The image it runs in.
        limits: What it gets where it asks for nothing.
        gpus: UUIDs of the GPUs that it is given.
        guard: Looks at them before and after.
        advance: Records a change of the attempt in the queue and returns the job.
        ended: Called at the very end.
        fresh: The attempt was claimed just now, so that no worker before this one can have launched it.
    """

    def __init__(  # noqa: PLR0913 - what an attempt needs
        self,
        host: Host,
        launcher: Launcher,
        job: Job,
        *,
        image: str,
        limits: JobLimits,
        gpus: tuple[str, ...] = (),
        guard: GpuGuard,
        advance: Callable[[Job, Change | Stop], Job],
        make_started: Callable[[Launched], Started],
        ended: Callable[[], None],
        fresh: bool,
    ) -> None:
        super().__init__(name=f"job-{job.id}", daemon=True)
        self.job = job
        self.gpus = gpus
        self._guard = guard
        self._host = host
        self._launcher = launcher
        self._image = image
        self._limits = limits
        self._advance = advance
        self._make_started = make_started
        self._ended = ended
        self._fresh = fresh
        self._log = logging.getLogger("fetchml")
        self._places = host.data.attempt(job.id, self._attempt.number)
        self._metrics = MetricFile(self._places.metrics, self._places.control, host.clock)
        self._stop_wish: Stop | None = job.stop  # `_stop` is a method of Thread
        self._wake_reader, self._wake_writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._detach = False
        self.finished = False
        self.trouble = False
        """A launch or a clean-up went wrong, so that something may be left on the host."""

    @property
    def _attempt(self) -> Attempt:
        assert self.job.attempt is not None  # noqa: S101 - a claimed job has one
        return self.job.attempt

    # --- called by the worker's main thread ---

    def ask_to_stop(self, stop: Stop) -> None:
        """Pass on a wish to end the job; a sharper one may follow."""
        if stop != self._stop_wish:
            self._stop_wish = stop
            self._wake()

    def use(self, host: Host) -> None:
        """Go on with the settings of *host*, whose worker file was read again."""
        self._host = host

    def detach(self) -> None:
        """Leave the job alone and end the thread."""
        self._detach = True
        self._wake()

    def close(self) -> None:
        """Free what the main thread uses to reach a finished runner."""
        os.close(self._wake_reader)
        os.close(self._wake_writer)

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.write(self._wake_writer, b"!")

    # --- the thread: from claim to end ---

    def run(self) -> None:
        """See the class."""
        try:
            self._end(self._run())
        except DetachError:
            self._log.info("job %d goes on without this worker", self.job.id)
        except Exception as error:  # noqa: BLE001 - a mistake of ours must not cost the job its end
            self._log.exception("job %d: a bug in the worker", self.job.id)
            self._give_up(error)
        finally:
            self.finished = True
            self._ended()

    def _run(self) -> Outcome:
        try:
            launch = self._attempt.launch
            return self._start() if launch is None else self._watch(launch)
        except FetchError as error:
            return self._not_started(error)
        except OSError as error:
            return self._not_started(explain_os_error(error, "start the job", self._places.folder))

    def _start(self) -> Outcome:
        """Prepare, launch, prove, record, go."""
        if not self._fresh and self._record() is not None:
            self._keep_folders()
            return self._judge()  # a worker before this one died before it could record the start
        spec = self._spec()
        if not self._fresh:
            self._clean(spec.name)
        if self._stop_wish is not None:
            return judge(None, self._stop_wish)
        check_still_possible(self._host, self._launcher, self.job, self.gpus)
        prepare(self._host, self.job, self._places)
        if self.gpus:
            self._guard.begin(self._places.folder, self.gpus)
        launch = self._launch(spec)
        self._guard.proven(self.gpus)
        self._keep_started(launch)
        self._stop_wish = self._stop_wish or self.job.stop
        return self._watch(launch)

    def _launch(self, spec: LaunchSpec) -> Launched:
        try:
            return self._launcher.launch(spec)
        except HostError as error:
            if error.code != "container-exists":
                raise
        self._clean(spec.name)  # of a queue that lay here before: its ids began at 1 too
        return self._launcher.launch(spec)

    def _keep_started(self, launch: Launched) -> None:
        """Record what was launched; its init waits for the go meanwhile."""
        while True:
            try:
                self.job = self._advance(self.job, self._make_started(launch))
            except FetchError as error:
                if error.code != "queue-unreachable":
                    raise
                self._wait_for_queue(error)
            else:
                return

    def _watch(self, launch: Launched) -> Outcome:
        """Give the go, then wait for the end; stop the job when asked or when its time is over."""
        if self._stop_wish is None:
            with contextlib.suppress(FetchError):  # its init is gone: the record, or the lack of one, tells
                self._launcher.go(launch, self._places.folder)
        pidfd = self._launcher.open_pidfd(launch)
        try:
            self._keep_folders()  # now, for the job need not wait for the disk
            stopping = Stopping(self._launcher, launch, self._places.folder)
            while pidfd is not None and not self._wait(pidfd, stopping):
                self._metrics.collect()
                self._check_time()
                stopping.drive(self._stop_wish, self._host)
        finally:
            if pidfd is not None:
                os.close(pidfd)
        return self._judge()

    def _keep_folders(self) -> None:
        """Let the attempt's folders last; a job that has run for hours already is not ended because they may not."""
        try:
            keep_folders(self._places)
        except OSError as error:
            if self._fresh:
                raise
            self._log.error("job %d: %s", self.job.id, explain_os_error(error, "keep the job's folders"))

    def _wait(self, pidfd: int, stopping: Stopping) -> bool:
        """Sleep until something is to be done; say whether the job has ended."""
        now, interval = self._host.clock.boot().seconds, self._host.worker.metrics_flush_interval.seconds
        # All runners at once: to wake a CPU costs more than what they then do.
        timeout = interval - now % interval
        if stopping.deadline is not None:
            timeout = min(timeout, max(0.0, stopping.deadline - now))
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        poll.register(self._wake_reader, select.POLLIN)
        ready = {fd for fd, _ in poll.poll(timeout * 1000)}
        if self._wake_reader in ready:
            os.read(self._wake_reader, 64)
        if self._detach:
            raise DetachError
        return pidfd in ready

    def _check_time(self) -> None:
        limit, started = self.job.spec.time_limit, self._attempt.started_at
        if limit is None or started is None or self._stop_wish is not None:
            return
        if self._host.clock.now() - started >= limit:
            self._stop_wish = time_limit_stop(limit)
            try:
                self.job = self._advance(self.job, self._stop_wish)
            except FetchError as error:  # it ends all the same
                self._log.error("job %d: %s", self.job.id, error)
            else:
                self._stop_wish = self.job.stop

    def _judge(self) -> Outcome:
        self._metrics.collect(2 * LOG_LIMIT)  # all of it, unless the job wrote the files itself
        return outcome_of(
            self._host,
            self.job,
            self._places,
            record=self._record(),
            stop=self._stop_wish,
            image=self._image,
        )

    def _end(self, outcome: Outcome) -> None:
        """Take the container away, hand the results over, drop the workspace, see to the GPUs, record the outcome."""
        try:
            self._clean(self._attempt.launch or self._spec().name)
            remove_tree(self._places.workspace)
        except (FetchError, OSError) as error:
            self.trouble = True
            self._log.error("job %d: clean-up: %s", self.job.id, error)
        outcome = keep(self.job, self._places, outcome)
        outcome = free_gpus(self._guard, self.job, self._places, outcome, self.gpus)
        self._keep_end(outcome, end_of(self.job, outcome, self._host.worker.max_retries))

    def _keep_end(self, outcome: Outcome, change: Finished | Requeued) -> None:
        """Record how it ended; the exit record is on disk: what the queue cannot take now it can later."""
        while True:
            try:
                self.job = self._advance(self.job, change)
            except FetchError as error:
                if error.code == "stale-attempt":
                    self._log.warning("job %d: %s", self.job.id, error)
                    return
                self._wait_for_queue(error)
            else:
                told = f": {outcome.reason}" if outcome.reason else ""
                self._log.info("job %d is %s%s", self.job.id, self.job.state.value, told)
                return

    # --- what these need ---

    def _not_started(self, error: FetchError) -> Outcome:
        self.trouble = True
        self._log.error("job %d: %s", self.job.id, error)
        if self._stop_wish is not None:
            return judge(None, self._stop_wish)
        return refused(error, launched=self._attempt.launch is not None)

    def _give_up(self, error: Exception) -> None:
        """End the job after a mistake of ours: taking it up again and again would not mend it."""
        reason = (
            f"a mistake in the worker, not in the job ({type(error).__name__}); the worker's log tells more"
        )
        with contextlib.suppress(FetchError, DetachError):
            outcome = Outcome(State.FAILED, reason, failure="infrastructure", error="worker-bug")
            self._advance(self.job, Finished(outcome))

    def _wait_for_queue(self, error: FetchError) -> None:
        """Say why, and let some time pass before the queue is asked again; leave if the worker ends."""
        self._log.error("job %d: %s", self.job.id, error)
        self._host.clock.sleep(_RETRY_S)
        if self._detach:
            raise DetachError from None

    def _spec(self) -> LaunchSpec:
        return launch_spec(
            self._host,
            self.job,
            self._places,
            attempt=self._attempt.number,
            image=self._image,
            gpus=self.gpus,
            limits=self._limits,
        )

    def _record(self) -> ExitRecord | None:
        return self._launcher.record(self._places.folder, self._attempt.number)

    def _clean(self, what: Launched | str) -> None:
        self._launcher.clean(what, self._places.folder, self._host.data.checkpoint(self.job.id))
