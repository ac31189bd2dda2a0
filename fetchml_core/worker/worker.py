"""The worker's main loop: claim what fits, pass on wishes to stop, beat, sleep until something happens.

The queue is the truth. What this process holds in memory is only which attempts it watches; a worker that is
killed and started again finds them in the queue and takes them up where they are.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import select
import signal
import threading
from collections.abc import Sequence

from attrs import evolve

from fetchml_core.config.find import find_worker_file
from fetchml_core.config.load import load_worker
from fetchml_core.errors import FetchError, NotFoundError, explain_os_error
from fetchml_core.fsio import try_lock
from fetchml_core.jobs.job import Job, Launched, Lease, Outcome, Stop
from fetchml_core.jobs.states import ACTIVE, State
from fetchml_core.launcher.base import Launcher
from fetchml_core.queue.base import Beat, Change, Filter, Started
from fetchml_core.service.capacity import capacity_of
from fetchml_core.service.drain import read_drain
from fetchml_core.service.front import front
from fetchml_core.service.heal import may_claim, wants_worker
from fetchml_core.service.host import Host
from fetchml_core.service.own_log import set_level, worker_logging
from fetchml_core.service.room import Holding, holdings
from fetchml_core.service.worker_info import update_own_record

from .claim import Choice
from .gpu_guard import GpuGuard
from .outcome import end_of, judge
from .reaper import Reaper
from .reload import reloaded
from .runner import Runner
from .storage import Storage

IDLE_S = 60.0
"""How long a worker that was started on demand stays without work."""
_LOCK_TRIES = 40
"""A door that looks whether a worker lives holds the lock for an instant: try again for two seconds."""
WATCHED_S, POLL_S = 15.0, 2.0
"""How often the queue is looked at without a wake-up where no file says so: where its changes are told, and not."""
HELD_BY_WORKERS = Filter(states=ACTIVE)


class Worker:
    """Serves one base.

    Args:
        host: The host.
        launcher: What starts jobs here.
        worker_id: Its name.
        image: Image of jobs that name none.
        lock: Descriptor of the base's worker lock, held.
        on_demand: End when there has been no work for `IDLE_S`.
    """

    def __init__(
        self, host: Host, launcher: Launcher, *, worker_id: str, image: str, lock: int, on_demand: bool
    ) -> None:
        self._host = host
        self._launcher = launcher
        self._id = worker_id
        self._image = image
        self._lock = lock
        self._on_demand = on_demand
        self._log = logging.getLogger("fetchml")
        self._queue_lock = threading.Lock()
        self._runners: dict[int, Runner] = {}
        self._reaper = Reaper(host, launcher, self._is_live)
        self.storage = Storage(host.base, lock, host.data.folder)
        self._ending = False
        self._reload = False
        self._revision = -1  # of the queue, as far as it was looked at or changed here
        self._only_changes = False
        self._capacity = capacity_of(host)
        self._idle_since = host.clock.boot().seconds
        self._next_beat = 0.0
        self._next_try = math.inf
        with contextlib.suppress(FileExistsError):
            os.mkfifo(host.base.wake, 0o600)
        # opened for both, so that the last agent's leaving is no end of file
        self._wake = os.open(host.base.wake, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        self._changes = host.queue.watch()
        self._guard = GpuGuard(host, self._poke)
        self._gpus_read = self._guard.changes

    def hear_signals(self) -> None:
        """From now on SIGTERM ends the worker, and SIGHUP lets it read its file again."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._end)
        signal.signal(signal.SIGHUP, self._hear_reload)

    def run(self) -> None:
        """Work until told to end, or for lack of work.

        Raises:
            StorageLostError: a file system that it needs is gone; whatever it had open there is closed.
        """
        try:
            while not self._ending:
                if self._reload:
                    self._read_again()
                self._turn()
                if self._moved_away() or ((self._idle_too_long() or self._drained()) and self._leave()):
                    return
                self._sleep()
            # a door that asks for a worker from now on waits for the end of this one; whoever holds it ends or starts one
            try_lock(self._host.base.start_lock)
        finally:
            self._detach()

    def _end(self, number: int, _: object) -> None:
        self._ending = True
        self._log.info("%s: ending; running jobs go on", signal.Signals(number).name)
        self._poke()

    def _hear_reload(self, _: int, __: object) -> None:
        self._reload = True
        self._poke()

    def _read_again(self) -> None:
        """Take over what may change of the worker file as it is now; a bad file changes nothing."""
        self._reload = False
        host = self._host
        try:
            read = load_worker(find_worker_file(host.base.folder, host.worker_file), host.environ).config
        except FetchError as error:
            update_own_record(host, refused_at=host.clock.now(), refused=error.message)
            self._log.error("SIGHUP: all stays as it was: %s", error)
            return
        worker, kept = reloaded(host.worker, read)
        self._host = evolve(host, worker=worker)
        self._capacity = capacity_of(self._host)
        for runner in self._runners.values():
            runner.use(self._host)
        set_level(worker_logging(worker.logging, host.server.logging))
        self._next_beat = 0.0  # the time between two may be shorter now
        update_own_record(
            self._host, slots=worker.slots, read_at=host.clock.now(), kept=kept, refused_at=0.0, refused=""
        )
        self._log.info("SIGHUP: the worker file was read again")
        if kept:
            self._log.warning("SIGHUP: kept until the worker is started anew: %s", ", ".join(kept))

    def _turn(self) -> None:
        """One look at the queue, and what follows from it."""
        self._drop_finished()
        try:
            with self._queue_lock:
                self._changes.clear()
                revision = self._host.queue.revision()
                news = revision != self._revision or self._due()
                if self._only_changes and not news:
                    return  # they were our own
                jobs = self._held() if news else ()
                self._revision = revision
            self._next_try = math.inf
            self._pass_on(jobs)
            self._take_up(jobs)
            if read_drain(self._host.base) is None:
                self._claim()
            self._beat()
            self._reaper.turn()
        except FetchError as error:
            self._look_again(error)
        except OSError as error:
            self._look_again(explain_os_error(error, "look after the jobs"))

    def _look_again(self, error: FetchError) -> None:
        """What an error kept from being done is done with the next look."""
        self._log.error("%s", error)
        self._revision = -1
        # What is due stays due until a look succeeds: without a pause the next one would follow at once.
        self._next_try = math.inf
        self._next_beat = max(self._next_beat, self._host.clock.boot().seconds + POLL_S)
        self.storage.check()

    def _drop_finished(self) -> None:
        for job_id, runner in list(self._runners.items()):
            if runner.finished:
                del self._runners[job_id]
                runner.close()
                if runner.trouble:
                    self._reaper.ask()
                    self.storage.check()

    def _due(self) -> bool:
        return self._host.clock.boot().seconds >= self._next_beat

    def _held(self) -> Sequence[Job]:
        """Return the jobs of this home that a worker, this one or another, holds."""
        queue = self._host.queue
        return [job for job in queue.jobs(HELD_BY_WORKERS) if job.home == queue.home]

    def _is_live(self, job_id: int, attempt: int) -> bool:
        """Whether the queue says that a worker of this home holds this attempt of the job."""
        with self._queue_lock:
            try:
                job = self._host.queue.get(job_id)
            except NotFoundError:
                return False
            held = job.state.active and job.home == self._host.queue.home
        return held and job.attempts[-1].number == attempt

    def _holders(self) -> Sequence[Job]:
        """Return the jobs that hold something of this host; those of a Redis that is away only their runners know."""
        ours = {job_id: runner.job for job_id, runner in self._runners.items() if runner.job.state.active}
        return list({**ours, **{job.id: job for job in self._held()}}.values())

    def _pass_on(self, jobs: Sequence[Job]) -> None:
        """Tell the runners of wishes to stop."""
        for job in jobs:
            if job.stop is not None and job.id in self._runners:
                self._runners[job.id].ask_to_stop(job.stop)

    def _take_up(self, jobs: Sequence[Job]) -> None:
        """Go on with attempts that this worker left when it ended; end those whose other worker is gone."""
        for job in jobs:
            if not job.state.active or job.id in self._runners or job.lease is None:
                continue
            if job.lease.worker == self._id:
                self._log.info("job %d: taking up attempt %d", job.id, len(job.attempts))
                self._watch(job, self._gpus_of(job, jobs))
            elif self._host.queue.lease_ended(job.lease):
                self._give_up_for(job)

    def _give_up_for(self, job: Job) -> None:
        """End an attempt whose worker, another one, gives no sign of life; a new attempt fences it out."""
        launched = job.attempts[-1].launch
        if launched is not None and self._launcher.alive(launched):
            return  # the job runs: its worker may come back for it
        reason = f"its worker {job.attempts[-1].worker} gave no sign of life"
        # whoever wanted it to end does not want it tried again
        lost = Outcome(State.LOST, reason, failure="infrastructure")
        outcome = lost if job.stop is None else judge(None, job.stop)
        self._log.warning("job %d: %s", job.id, reason)
        self._advance(job, end_of(job, outcome, self._host.worker.max_retries))

    def _claim(self) -> None:
        """Take queued jobs while there is room for one."""
        while len(self._runners) < self._host.worker.slots and not self._ending:
            with self._queue_lock:
                self._read_gpus()  # here: of a job that is seen to have ended, the GPUs were looked at
                choice = Choice(self._holdings(self._holders()), self._capacity, self._host.clock.now())
                job = self._host.queue.claim(choice, self._lease())
                self._next_try = choice.next_try
                self._note_own(job)
            if job is None:
                return
            self._log.info("job %d: claimed, attempt %d", job.id, len(job.attempts))
            self._watch(job, choice.gpus, fresh=True)

    def _read_gpus(self) -> None:
        """Take note of GPUs that were put out of use, or are well again."""
        if self._gpus_read != self._guard.changes:
            self._gpus_read = self._guard.changes
            self._capacity = capacity_of(self._host)

    def _holdings(self, active: Sequence[Job]) -> Sequence[Holding]:
        """Return what the jobs that a worker holds have; only this worker knows the GPUs of those it starts just now."""
        given = {job_id: runner.gpus for job_id, runner in self._runners.items()}
        return holdings(active, self._capacity, given)

    def _gpus_of(self, job: Job, active: Sequence[Job]) -> tuple[str, ...]:
        """Return the GPUs of a job that a worker before this one claimed."""
        return next(one.gpus for one in self._holdings(active) if one.job.id == job.id)

    def _watch(self, job: Job, gpus: tuple[str, ...], *, fresh: bool = False) -> None:
        runner = Runner(
            self._host,
            self._launcher,
            job,
            image=job.spec.image or self._image,
            limits=self._capacity.limits,
            advance=self._advance,
            make_started=self._started,
            ended=self._poke,
            fresh=fresh,
            gpus=gpus,
            guard=self._guard,
        )
        self._runners[job.id] = runner
        runner.start()

    def _advance(self, job: Job, change: Change | Stop) -> Job:
        """Record what a runner says; runners share this worker's view of the queue."""
        with self._queue_lock:
            if isinstance(change, Stop):
                changed = self._host.queue.stop(job.id, change)
            else:
                assert job.attempt is not None  # noqa: S101 - a claimed job has one
                changed = self._host.queue.advance(job.id, job.attempt.number, change)
            self._note_own(changed)
            return changed

    def _note_own(self, job: Job | None) -> None:
        """Take note that the queue's last change was ours, if nobody else's came before it."""
        if job is not None and job.revision == self._revision + 1:
            self._revision = job.revision

    def _started(self, launch: Launched) -> Started:
        return Started(launch, self._lease())

    def _lease(self) -> Lease:
        return self._host.queue.lease(self._id, self._host.worker.task_lease_duration.seconds)

    def _beat(self) -> None:
        """Renew the leases in time."""
        if not self._due():
            return
        self._next_beat = self._host.clock.boot().seconds + self._host.worker.heartbeat_interval.seconds
        self.storage.check()
        with contextlib.suppress(OSError):  # the time of its record is the last sign of life that people see
            os.utime(self._host.base.worker_record)
        for runner in list(self._runners.values()):
            try:
                self._advance(runner.job, Beat(self._lease()))
            except FetchError as error:
                self._log.warning("job %d: no heartbeat: %s", runner.job.id, error)
        self._guard.turn()

    def _idle_too_long(self) -> bool:
        now = self._host.clock.boot().seconds
        if self._runners or not self._on_demand:
            self._idle_since = now
        return self._on_demand and now - self._idle_since >= IDLE_S

    def _leave(self) -> bool:
        """Give up the lock, then look once more: a door that queued a job before sees the lock free, or we see it."""
        os.close(self._lock)
        drain = read_drain(self._host.base)
        stays = drain is None and not self._on_demand  # somebody ended the drain of a service in this moment
        if not stays and not self._wanted():
            self._log.info("%s: ending", f"no work for {IDLE_S:.0f} s" if drain is None else "drained")
            return True
        lock = self._lock_again()
        if lock is None:
            return True  # another worker took over
        self._lock = lock
        self._idle_since = self._host.clock.boot().seconds
        return False

    def _wanted(self) -> bool:
        queue, claims = self._host.queue, may_claim(self._host)
        try:
            return any(wants_worker(job, queue.home, claims=claims) for job in front(queue))
        except FetchError:
            return True  # the next look at the queue tells of it

    def _drained(self) -> bool:
        """Whether somebody wants this worker to end with its jobs, and no job runs any more."""
        if self._runners or read_drain(self._host.base) is None:
            return False
        try:
            return not self._held()
        except FetchError:
            return False  # the next look at the queue tells of it

    def _moved_away(self) -> bool:
        """Whether there is nothing more to do here: another queue serves the jobs, and none runs."""
        if self._runners:
            return False
        try:
            pause = self._host.queue.paused()
        except FetchError:
            return False  # the next look at the queue tells of it
        if pause is None or not pause.moved_to:
            return False
        self._log.info("the queue was moved to %s: ending", pause.moved_to)
        return True

    def _lock_again(self) -> int | None:
        for _ in range(_LOCK_TRIES):
            lock = try_lock(self._host.base.worker_lock)
            if lock is not None:
                return lock
            self._host.clock.sleep(0.05)
        return None

    def _sleep(self) -> None:
        """Wait for a wake-up, a change of the queue, the next beat, or the longest time between two looks."""
        now, watched = self._host.clock.boot().seconds, self._changes.fileno()
        timeout = max(0.0, self._next_beat - now)
        poll_s = self._host.worker.poll_interval_seconds or (POLL_S if watched < 0 else WATCHED_S)
        timeout = min(timeout, poll_s, max(0.0, self._next_try - self._host.clock.now()))
        if self._on_demand:
            timeout = min(timeout, max(0.0, self._idle_since + IDLE_S - now))
        poll = select.poll()
        poll.register(self._wake, select.POLLIN)
        if watched >= 0:
            poll.register(watched, select.POLLIN)
        ready = {fd for fd, _ in poll.poll(timeout * 1000)}
        self._only_changes = ready == {watched}
        if self._wake in ready:
            with contextlib.suppress(BlockingIOError):
                os.read(self._wake, 4096)

    def _poke(self) -> None:
        with contextlib.suppress(OSError):
            os.write(self._wake, b"!")

    def _detach(self) -> None:
        """Leave running jobs to the next worker."""
        for runner in self._runners.values():
            runner.detach()
        for runner in self._runners.values():
            runner.join(timeout=10)
        self._reaper.join(10)
        self._guard.join(10)
        self._launcher.close()
        self._changes.close()
        os.close(self._wake)
        self._wake = -1
