"""However a job is ended, it is told why and has the whole grace; then all that it has started is killed."""

from __future__ import annotations

import signal
import threading
from pathlib import Path

import pytest

from fetchml_core.jobs.states import State
from fetchml_core.wire.jobs import CancelRequest
from fetchml_core.wire.worker import WorkerDrainRequest, WorkerStopRequest
from tests.core.service.support import WORKER_FILE, World
from tests.core.worker.support import Serving, ShiftedClock, sweep
from tests.support.wait import poll_until

GRACE_S = 300
SLACK_S = 100
"""What the test itself may take, on the machine's clock, without harm."""
WAIT = "while :; do sleep 0.05; done"
TOLD = "cat $FETCHML_STOP_FILE >>$FETCHML_CHECKPOINT_DIR/why"
SAVER = f"""
save() {{
    {TOLD}
    while ! [ -e $FETCHML_CHECKPOINT_DIR/gate ]; do sleep 0.05; done
    echo weights >$FETCHML_CHECKPOINT_DIR/saved
    exit 0
}}
trap save TERM; echo ready; {WAIT}
"""
"""A job whose checkpoint is written when the test lets it."""
CHILD = "sh -c 'trap \"\" TERM INT HUP; echo $$ >>$FETCHML_CHECKPOINT_DIR/pids; exec sleep 600'"
STUBBORN = f"""
{CHILD} &
setsid {CHILD} &
(setsid {CHILD} &)
setsid env -i FETCHML_CHECKPOINT_DIR=$FETCHML_CHECKPOINT_DIR PATH=$PATH {CHILD} &
trap '{TOLD}' TERM; while [ "$(wc -l <$FETCHML_CHECKPOINT_DIR/pids)" != 4 ]; do sleep 0.05; done; echo ready; {WAIT}
"""
"""A job that does not care, with children in sessions of their own, orphaned, and with nothing that names the job."""


class CountingClock(ShiftedClock):
    """The machine's clocks, so many seconds ahead; counts how often the runner of a job has asked them."""

    days = 0.0

    def __init__(self) -> None:
        super().__init__()
        self.asked = {1: 0, 2: 0}

    def now(self) -> float:
        """Seconds since the epoch."""
        return super().now() + self.days * 86400

    def boot(self):
        """The boot clock."""
        name = threading.current_thread().name
        if name.startswith("job-"):
            self.asked[int(name.removeprefix("job-"))] += 1
        return super().boot()


@pytest.fixture
def serving(tmp_path):
    """A worker that allows five minutes, and whose clock can be moved."""
    file = WORKER_FILE.replace("graceful_timeout: 1s", f"graceful_timeout: {GRACE_S}s")
    world = World(tmp_path / "base", worker=file)
    made = Serving(world, clock=CountingClock())
    yield made
    if made.worker._wake >= 0:
        made.leave()
    sweep(world)


def end_both(serving: Serving, way: str) -> threading.Thread:
    """Ask that both jobs end, in one of the ways, on a thread of its own: a stop waits for the worker."""
    base = serving.world.host.base.folder
    world = World(base, worker=(base / "worker.yaml").read_text("utf-8"))
    ask = {
        "cancel": ("cancel", CancelRequest(("1-2",), reason="new disk")),
        "drain": ("worker-drain", WorkerDrainRequest("new disk", cancel=True)),
        "stop": ("worker-stop", WorkerStopRequest(cancel=True, reason="new disk")),
    }.get(way)
    thread = threading.Thread(target=world.ask if ask else int, args=ask or (), daemon=True)
    thread.start()
    return thread


@pytest.mark.parametrize(
    ("way", "state", "why"),
    [
        ("cancel", State.CANCELLED, "new disk"),
        ("time", State.TIMED_OUT, "its time limit of 1d00h ran out"),
        ("drain", State.CANCELLED, "the worker was drained: new disk"),
        ("stop", State.CANCELLED, "the worker was stopped: new disk"),
    ],
)
def test_the_whole_grace_then_the_kill(serving, way, state, why):
    """#17: a job that writes a checkpoint on the signal has 5 minutes for it, in each way; who ignores it is killed with all its kin."""
    world, queue, clock = serving.world, serving.host.queue, serving.host.clock
    seen = set()
    limit = 86400.0 if way == "time" else None
    jobs = [world.submit(argv=("sh", "-c", line), time_limit=limit) for line in (SAVER, STUBBORN)]
    checkpoints = [world.host.data.checkpoint(job.id) for job in jobs]

    def until(condition) -> None:
        serving.until(lambda: seen.update(job.state for job in queue.jobs()) or condition())

    for job in jobs:
        serving.printed(job, "ready")
    clock.days = 2
    asking = end_both(serving, way)
    until(lambda: all((folder / "why").exists() for folder in checkpoints))
    clock.ahead = GRACE_S - SLACK_S
    before = dict(clock.asked)
    until(lambda: all(clock.asked[job.id] > before[job.id] + 5 for job in jobs))

    assert {queue.get(job.id).state for job in jobs} == {State.STOPPING}
    assert not (checkpoints[0] / "saved").exists()
    (checkpoints[0] / "gate").touch()
    until(lambda: queue.get(1).state.final)
    assert (checkpoints[0] / "saved").read_text() == "weights\n"
    assert queue.get(2).state is State.STOPPING

    clock.ahead = GRACE_S
    until(lambda: queue.get(2).state.final)
    serving.leave()
    asking.join(30)

    saved, killed = (queue.get(job.id) for job in jobs)
    assert [(folder / "why").read_text() for folder in checkpoints] == [f"{why}\n"] * 2
    assert (saved.state, saved.outcome.code, saved.outcome.signal) == (state, 0, None)
    assert (killed.state, killed.outcome.code, killed.outcome.signal) == (state, None, signal.SIGKILL)
    assert why in killed.outcome.reason
    assert seen <= {State.QUEUED, State.STARTING, State.RUNNING, State.STOPPING, state}
    pids = (checkpoints[1] / "pids").read_text().split()
    assert len(pids) == 4
    poll_until(lambda: not any(Path("/proc", pid).exists() for pid in pids), "all it has started is gone")
