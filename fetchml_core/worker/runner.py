"""One attempt from claim to end, on a thread of its own, step after step.

What it does is safe to stop at any point: the container does not depend on this process, its evidence is in the
queue before the job gets its go, its exit record is on disk before anybody asks. The next worker goes on from
there (`adopt`).
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import select
import signal
import threading
from collections.abc import Callable
from pathlib import Path

from fetchml_core.errors import FetchError, HostError, explain_os_error
from fetchml_core.fsio import make_folder
from fetchml_core.jobs.job import Attempt, Job, Launched, Outcome, Stop
from fetchml_core.jobs.metrics import MetricReader
from fetchml_core.jobs.states import State
from fetchml_core.launcher.base import Launcher
from fetchml_core.launcher.control import request_stop
from fetchml_core.launcher.evidence import oom_kills
from fetchml_core.launcher.log import log_end, read_log, sync_log
from fetchml_core.launcher.process import ProcessLauncher
from fetchml_core.launcher.record import ExitRecord
from fetchml_core.launcher.seccomp import default_profile
from fetchml_core.launcher.spec import LOG_LIMIT, LaunchSpec
from fetchml_core.queue.base import Change, Finished, Started
from fetchml_core.removal import remove_tree
from fetchml_core.service.gpus import inventory_of
from fetchml_core.service.host import Host
from fetchml_core.service.limits import job_limits
from fetchml_core.service.network import REASON, REFUSED, network_allowed, worker_file
from fetchml_core.service.snapshot import load_manifest
from fetchml_core.snapshot.durable import sync_tree
from fetchml_core.snapshot.store import BlobStore
from fetchml_core.snapshot.workspace import materialise, written_outside

from .gpu_guard import GpuGuard
from .gpu_memory import Over
from .outcome import blamed, end_of, judge, refused, time_limit_stop

MAX_METRIC_LINES = 200_000
MAX_COLLECTED = 8 << 20
"""How many bytes of a log are looked through for metrics before the runner looks at its job again."""
_RETRY_S = 2.0
_TAIL = 16 << 10


class DetachError(Exception):
    """The worker ends; the attempt goes on without it."""


class Runner(threading.Thread):
    """Runs one attempt.

    Args:
        host: The host.
        launcher: What starts jobs here.
        job: The job, claimed.
        image: The image it runs in.
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
        self._advance = advance
        self._make_started = make_started
        self._ended = ended
        self._fresh = fresh
        self._log = logging.getLogger("fetchml")
        self._places = host.data.attempt(job.id, self._attempt.number)
        self._metrics = _MetricFile(self._places.metrics, self._places.control)
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

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.write(self._wake_writer, b"!")

    # --- the thread ---

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

    def _give_up(self, error: Exception) -> None:
        """End the job after a mistake of ours: taking it up again and again would not mend it."""
        reason = (
            f"a mistake in the worker, not in the job ({type(error).__name__}); the worker's log tells more"
        )
        with contextlib.suppress(FetchError, DetachError):
            outcome = Outcome(State.FAILED, reason, failure="infrastructure", error="worker-bug")
            self._advance(self.job, Finished(outcome))

    def close(self) -> None:
        """Free what the main thread uses to reach a finished runner."""
        os.close(self._wake_reader)
        os.close(self._wake_writer)

    def _run(self) -> Outcome:
        try:
            launch = self._attempt.launch
            return self._start() if launch is None else self._watch(launch)
        except FetchError as error:
            return self._not_started(error)
        except OSError as error:
            return self._not_started(explain_os_error(error, "start the job", self._places.folder))

    def _not_started(self, error: FetchError) -> Outcome:
        self.trouble = True
        self._log.error("job %d: %s", self.job.id, error)
        if self._stop_wish is not None:
            return judge(None, self._stop_wish)
        return refused(error, launched=self._attempt.launch is not None)

    def _start(self) -> Outcome:
        """Prepare, launch, prove, record, go."""
        if (
            self._record() is not None
        ):  # a worker before this one died between the job's start and its record of it
            return self._judge()
        spec = self._spec()
        if not self._fresh:
            self._clean(spec.name)
        if self._stop_wish is not None:
            return judge(None, self._stop_wish)
        if self.job.spec.image and isinstance(self._launcher, ProcessLauncher):
            raise HostError(
                "image-needs-podman",
                "jobs run without a container on this host, so the image that was asked for cannot be used",
                context=self.job.spec.image,
                hint="submit again without --image, or make Podman work on the host",
            )
        if self.job.spec.network and not network_allowed(self._host):  # allowed when it was submitted
            raise HostError(
                REFUSED,
                REASON,
                context=f"{worker_file(self._host)}, as the worker read it",
                hint="submit without --network; or, where the file allows it by now: ml worker stop, and submit again",
            )
        if len(self.gpus) != self.job.spec.resources.gpus:  # the host has lost some since it was claimed
            raise HostError(
                "gpu-not-available",
                "the GPUs of this job are not there any more",
                context=f"{len(self.gpus)} of {self.job.spec.resources.gpus}",
                hint="submit it again: if the host has too few GPUs now, that is refused with the numbers",
            )
        self._prepare()
        if self.gpus:
            self._guard.begin(self._places.folder, self.gpus)
        launch = self._launch(spec)
        self._guard.proven(self.gpus)
        self._keep_started(launch)
        self._stop_wish = self._stop_wish or self.job.stop
        return self._watch(launch)

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

    def _wait_for_queue(self, error: FetchError) -> None:
        """Say why, and let some time pass before the queue is asked again; leave if the worker ends."""
        self._log.error("job %d: %s", self.job.id, error)
        self._host.clock.sleep(_RETRY_S)
        if self._detach:
            raise DetachError from None

    def _launch(self, spec: LaunchSpec) -> Launched:
        try:
            return self._launcher.launch(spec)
        except HostError as error:
            if error.code != "container-exists":
                raise
        self._clean(spec.name)  # of a queue that lay here before: its ids began at 1 too
        return self._launcher.launch(spec)

    def _prepare(self) -> None:
        """Make the attempt's folders, the workspace from the snapshot."""
        remove_tree(self._places.folder)
        for folder in (self._places.folder, self._places.results, self._host.data.checkpoint(self.job.id)):
            make_folder(folder)
        store = BlobStore(self._host.data.blobs)
        manifest = load_manifest(store, self.job.spec.snapshot)
        materialise(manifest, store, self._places.workspace, start=self.job.spec.cwd)

    def _spec(self) -> LaunchSpec:
        worker, spec = self._host.worker, self.job.spec
        limits, sandbox = job_limits(worker, inventory_of(self._host)), worker.sandbox
        profile = (
            self._host.base.folder / sandbox.seccomp_profile if sandbox.seccomp_profile else default_profile()
        )
        return LaunchSpec(
            job_id=self.job.id,
            attempt=self._attempt.number,
            folder=self._places.folder,
            checkpoint=self._host.data.checkpoint(self.job.id),
            argv=spec.argv,
            cwd=spec.cwd,
            env=spec.env,
            image=self._image,
            workspace=worker.container_workspace,
            results=worker.container_results,
            cpus=spec.resources.cpus or limits.cpus,
            memory=spec.resources.memory or limits.memory,
            gpus=self.gpus,
            seccomp_profile=profile,
            network="full" if spec.network and network_allowed(self._host) else "none",
            limits="best-effort" if self._host.embedded or sandbox.limits == "best-effort" else "required",
        )

    def _record(self) -> ExitRecord | None:
        return self._launcher.record(self._places.folder, self._attempt.number)

    def _clean(self, what: Launched | str) -> None:
        self._launcher.clean(what, self._places.folder, self._host.data.checkpoint(self.job.id))

    def _watch(self, launch: Launched) -> Outcome:
        """Give the go, then wait for the end; stop the job when asked or when its time is over."""
        if self._stop_wish is None:
            with contextlib.suppress(FetchError):  # its init is gone: the record, or the lack of one, tells
                self._launcher.go(launch, self._places.folder)
        pidfd = self._launcher.open_pidfd(launch)
        try:
            stopping = _Stopping(self._launcher, launch, self._places.folder)
            while pidfd is not None and not self._wait(pidfd, stopping):
                self._metrics.collect()
                self._check_time()
                stopping.drive(self._stop_wish, self._host)
        finally:
            if pidfd is not None:
                os.close(pidfd)
        return self._judge()

    def _wait(self, pidfd: int, stopping: _Stopping) -> bool:
        """Sleep until something is to be done; say whether the job has ended."""
        timeout = self._host.worker.metrics_flush_interval.seconds
        if stopping.deadline is not None:
            timeout = min(timeout, max(0.0, stopping.deadline - self._host.clock.boot().seconds))
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
        from attrs import evolve

        self._metrics.collect(2 * LOG_LIMIT)  # all of it, unless the job wrote the files itself
        control = self._places.control
        tail = read_log(control, max(0, log_end(control) - _TAIL), _TAIL).data
        launch = self._attempt.launch
        container = self._image if launch is not None and launch.launcher == "podman" else ""
        oom = bool(launch and launch.cgroup and oom_kills(launch.cgroup))
        memory = launch.memory if launch else 0
        outcome = judge(
            self._record(), self._stop_wish, image=container, log_tail=tail, oom=oom, memory=memory
        )
        if outcome.log_problem:
            outcome = evolve(outcome, log_problem=f"{outcome.log_problem}: {control}")
            self._log.warning("job %d: output was lost: %s", self.job.id, outcome.log_problem)
        with contextlib.suppress(FetchError, OSError):
            store = BlobStore(self._host.data.blobs)
            manifest = load_manifest(store, self.job.spec.snapshot)
            elsewhere = written_outside(manifest, self._places.workspace, 20)
            return evolve(outcome, written_outside=tuple(elsewhere))
        return outcome

    def _end(self, outcome: Outcome) -> None:
        """Take the container away, hand the results over, drop the workspace, see to the GPUs, record the outcome."""
        try:
            self._clean(self._attempt.launch or self._spec().name)
            remove_tree(self._places.workspace)
        except (FetchError, OSError) as error:
            self.trouble = True
            self._log.error("job %d: clean-up: %s", self.job.id, error)
        outcome = self._free_gpus(self._kept(outcome))
        change = end_of(self.job, outcome, self._host.worker.max_retries)
        while True:
            try:
                self.job = self._advance(self.job, change)
            except FetchError as error:
                if error.code == "stale-attempt":
                    self._log.warning("job %d: %s", self.job.id, error)
                    return
                # The exit record is on disk: what cannot be recorded now can be later, or by the next worker.
                self._wait_for_queue(error)
            else:
                told = f": {outcome.reason}" if outcome.reason else ""
                self._log.info("job %d is %s%s", self.job.id, self.job.state.value, told)
                return

    def _kept(self, outcome: Outcome) -> Outcome:
        """Make what the job printed and left durable; no job has succeeded whose results a power cut takes away."""
        try:
            sync_log(self._places.control)
            sync_tree(self._places.results)
        except OSError as error:
            lost = explain_os_error(error, "keep the results")
            self._log.error("job %d: %s", self.job.id, lost)
            return refused(lost) if outcome.state is State.SUCCEEDED else outcome
        return outcome

    def _free_gpus(self, outcome: Outcome) -> Outcome:
        """Look whether the attempt's GPUs have come back, before anybody else can get them; say which have failed."""
        launch = self._attempt.launch
        gpus = launch.gpus if launch is not None else self.gpus
        if not gpus:
            return outcome
        over = Over(
            self.job.id,
            self._places.workspace,
            launch.start_ticks if launch is not None else 0,
            launch.cgroup if launch is not None else "",
        )
        try:
            outcome = blamed(outcome, gpus, self._guard.end(over, self._places.folder, gpus))
            if outcome.gpus:
                self._guard.failed(self.job.id, outcome.gpus)
        except (FetchError, OSError) as error:
            self._log.error("job %d: its GPUs cannot be looked at: %s", self.job.id, error)
        return outcome


class _Stopping:
    """The one way a job is ended: say why, signal, grace, kill of everything."""

    def __init__(self, launcher: Launcher, launch: Launched, folder: Path) -> None:
        self._launcher = launcher
        self._launch = launch
        self._folder = folder
        self._signalled = False
        self.deadline: float | None = None

    def drive(self, stop: Stop | None, host: Host) -> None:
        """Do the next step of ending the job, if it is time for one."""
        if stop is None:
            return
        now = host.clock.boot().seconds
        if not self._signalled:
            self._signalled = True
            request_stop(self._folder, stop.reason or "cancelled")
            self._launcher.signal(self._launch, signal.SIGTERM)
            self.deadline = now + host.worker.graceful_timeout.seconds
        if stop.now or (self.deadline is not None and now >= self.deadline):
            self._launcher.kill(self._launch)
            self.deadline = now + 1.0


class _MetricFile:
    """Copies the metrics that a job prints into a file of their own."""

    def __init__(self, path: Path, control: Path) -> None:
        self._path = path
        self._control = control
        self._reader = MetricReader()
        self._offset = 0
        self._lines = 0

    def collect(self, most: int = MAX_COLLECTED) -> None:
        """Read what is new in the log, about *most* bytes of it: a job may print faster than anybody reads.

        Metrics are a comfort: a disk that is full does not stop the job.
        """
        while most > 0 and self._lines < MAX_METRIC_LINES:
            chunk = read_log(self._control, self._offset, 1 << 18)
            if not chunk.data:
                return
            most -= len(chunk.data)
            self._offset = chunk.next
            self._write(b"\n" + chunk.data if chunk.dropped else chunk.data)

    def _write(self, data: bytes) -> None:
        """Append the metrics of the lines that *data* completes."""
        lines = [
            json.dumps({"step": metric.step, "values": metric.values}) for metric in self._reader.feed(data)
        ]
        lines = lines[: MAX_METRIC_LINES - self._lines]
        if not lines:
            return
        with (
            contextlib.suppress(OSError),
            self._path.open("a" if self._lines else "w", encoding="utf-8") as file,
        ):
            file.write("\n".join(lines) + "\n")
        self._lines += len(lines)
