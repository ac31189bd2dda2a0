"""Keeps jobs away from GPUs that do not come back: looks at them before and after each attempt, and again at each beat.

A runner asks for its own GPUs on its thread, before it lets go of them; the main thread only starts looks and reads
what they found. What keeps a GPU out of use is written down first (see `service.quarantine`).
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from attrs import evolve

from fetchml_core.errors import FetchError, HostError
from fetchml_core.fsio import read_json, replace_file
from fetchml_core.hardware.inventory import Gpu
from fetchml_core.service.blockers import gpu_label
from fetchml_core.service.gpus import seen_now
from fetchml_core.service.host import Host
from fetchml_core.service.quarantine import (
    Faults,
    GpuRecord,
    OutOfUse,
    out_by_driver,
    read_gpu_record,
    write_gpu_record,
)
from fetchml_core.units import format_duration

from .gpu_memory import MARGIN, Over, held, still_held, unexplained

WAIT_S, AGAIN_S = 5.0, 0.5
"""How long a driver has for taking back the memory of processes that have ended, and how often it is asked meanwhile."""
FAULTS, REST_S = 2, 600.0
"""So many jobs that fail on a GPU, one after the other, put it out of use for so long: one job may be at fault itself."""
SHARE = 20
"""A look that takes a second is not made again for so many: a driver that has to wake its cards is left alone more."""
_BEFORE = "gpus.json"


class GpuGuard:
    """What a worker knows of its GPUs.

    Args:
        host: The host.
        changed: Called after a GPU was put out of use or is given to jobs again.
    """

    def __init__(self, host: Host, changed: Callable[[], None]) -> None:
        self._host = host
        self._changed = changed
        self._log = logging.getLogger("fetchml")
        self._lock = threading.Lock()
        self._record = read_gpu_record(host)
        self._due_at = 0.0
        self._thread: threading.Thread | None = None
        self.changes = 0
        """How often a GPU was put out of use or given to jobs again: who has an older inventory reads it anew."""

    # --- on a runner's thread ---

    def begin(self, folder: Path, gpus: Sequence[str]) -> None:
        """Look at the GPUs of an attempt before its launch, and remember in its *folder* what is in use of them.

        Raises:
            HostError: ``gpu-not-usable``: the driver says so.
        """
        seen = self._look(gpus)
        bad = [gpu for gpu in seen if gpu.problem]
        if bad:
            raise HostError(
                "gpu-not-usable",
                "the job's GPUs cannot be used, so it was not started",
                context="; ".join(f"{gpu_label(gpu)}: {gpu.problem}" for gpu in bad),
                hint="on the host: nvidia-smi; dmesg",
            )
        before = {gpu.uuid: unexplained(gpu) for gpu in seen}
        replace_file(folder / _BEFORE, json.dumps(before).encode())

    def proven(self, gpus: Sequence[str]) -> None:
        """Note that a job could use these GPUs."""
        self._update(lambda now: evolve(now, faults=tuple(row for row in now.faults if row.uuid not in gpus)))

    def end(self, over: Over, folder: Path, gpus: Sequence[str]) -> tuple[Gpu, ...]:
        """Look at the GPUs of an attempt that is over, and put those out of use that do not come back.

        Takes `WAIT_S` at most, beside the driver's own time.

        Returns: those with which something is wrong by the driver's word.
        """
        before = self._before(folder)
        deadline = self._host.clock.boot().seconds + WAIT_S
        while True:
            seen = self._look(gpus)
            bad = tuple(gpu for gpu in seen if gpu.problem)
            found = [held(gpu, over, before.get(gpu.uuid)) for gpu in seen if not gpu.problem]
            kept = [out for out in found if out is not None]
            if not kept or self._host.clock.boot().seconds >= deadline:
                break
            self._host.clock.sleep(AGAIN_S)
        self._put_out([*kept, *map(out_by_driver, bad)])
        return bad

    def failed(self, job: int, gpus: Sequence[str]) -> None:
        """Note that a job met a fault on these GPUs; after `FAULTS` jobs in a row a GPU rests."""
        until = self._host.clock.boot().seconds + REST_S

        def change(now: GpuRecord) -> GpuRecord:
            rows = {row.uuid: row.jobs for row in now.faults}
            rows |= {uuid: (*(one for one in rows.get(uuid, ()) if one != job), job) for uuid in gpus}
            return evolve(now, faults=tuple(Faults(uuid, jobs) for uuid, jobs in rows.items()))

        self._update(change)
        out = {one.uuid for one in self._record.out}
        rows = [
            row
            for row in self._record.faults
            if row.uuid in gpus and row.uuid not in out and len(row.jobs) >= FAULTS
        ]
        self._put_out([OutOfUse(row.uuid, "faults", _resting(row), until=until) for row in rows])

    # --- on the main thread ---

    def turn(self) -> None:
        """Start a look at the GPUs that are out of use, if there are some and it is time."""
        now = self._host.clock.boot().seconds
        running = self._thread is not None and self._thread.is_alive()
        if not self._record.out or now < self._due_at or running:
            return
        self._thread = threading.Thread(target=self._look_again, name="gpus", daemon=True)
        self._thread.start()

    def join(self, seconds: float) -> None:
        """Wait for a look to end."""
        if self._thread is not None:
            self._thread.join(seconds)

    # --- looks ---

    def _look(self, gpus: Sequence[str]) -> list[Gpu]:
        return [gpu for gpu in seen_now(self._host).gpus if gpu.uuid in gpus]

    def _look_again(self) -> None:
        began = self._host.clock.boot().seconds
        try:
            seen = {gpu.uuid: gpu for gpu in seen_now(self._host).gpus}
        except (FetchError, OSError) as error:
            self._log.warning("the GPUs cannot be looked at: %s", error)
        else:
            now = self._host.clock.boot().seconds
            self._update(lambda record: evolve(record, out=_renewed(record.out, seen, now)))
        ended = self._host.clock.boot().seconds
        self._due_at = ended + SHARE * (ended - began)

    def _before(self, folder: Path) -> dict[str, int]:
        """Return what may be in use by nobody that is known, of each GPU of which that was known before the attempt."""
        try:
            data = read_json(folder / _BEFORE)
        except (FetchError, OSError):
            return {}
        known = data.items() if isinstance(data, dict) else ()
        return {uuid: size + MARGIN for uuid, size in known if type(size) is int}

    # --- the record ---

    def _put_out(self, new: Sequence[OutOfUse]) -> None:
        uuids = {out.uuid for out in new}
        self._update(lambda now: evolve(now, out=(*(out for out in now.out if out.uuid not in uuids), *new)))

    def _update(self, change: Callable[[GpuRecord], GpuRecord]) -> None:
        with self._lock:
            before, after = self._record, change(self._record)
            if after == before:
                return
            self._record = after
            try:
                write_gpu_record(self._host, after)
            except OSError as error:  # it holds as long as this worker lives
                self._log.error("what is wrong with GPUs cannot be written down: %s", error)
            self.changes += after.out != before.out
        self._tell(before, after)

    def _tell(self, before: GpuRecord, after: GpuRecord) -> None:
        was, now = ({out.uuid: out for out in record.out} for record in (before, after))
        for uuid in now.keys() - was.keys():
            self._log.warning("GPU %s is given to no job: %s", uuid, now[uuid].problem)
        for uuid in was.keys() - now.keys():
            self._log.info("GPU %s is clean, and given to jobs again", uuid)
        if was.keys() != now.keys():
            self._changed()


def _renewed(out: Sequence[OutOfUse], seen: dict[str, Gpu], now: float) -> tuple[OutOfUse, ...]:
    """Return what is out of use by the newest look; a GPU that jobs are not given any more needs no such word."""
    found = (_renew(one, seen[one.uuid], now) for one in out if one.uuid in seen)
    return tuple(one for one in found if one is not None)


def _renew(out: OutOfUse, gpu: Gpu, now: float) -> OutOfUse | None:
    if out.kind == "driver":
        return out_by_driver(gpu) if gpu.problem else None
    if gpu.problem:  # whether it is clean cannot be told
        return out
    if out.kind == "memory":
        return still_held(gpu, out)
    return out if now < out.until else None


def _resting(row: Faults) -> str:
    jobs = " and ".join(str(job) for job in row.jobs[-FAULTS:])
    return f"quarantined for {format_duration(REST_S)}: jobs {jobs} failed on it, one after the other"
