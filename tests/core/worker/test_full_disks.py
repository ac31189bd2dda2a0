"""A disk that is full where a job prints, saves or ends, or where the audit trail lies, each alone; then it has space again."""

from __future__ import annotations

import json
import shutil

import pytest
from attrs import evolve

from fetchml_core.errors import FetchError
from fetchml_core.jobs.states import State
from fetchml_core.wire.jobs import CancelRequest, ListRequest, SubmitRequest
from fetchml_core.wire.output import LogsRequest
from tests.core.service.support import WORKER_FILE, Talk, World
from tests.support.disk import fill
from tests.support.printed import printed

LOG_LIMIT = 1 << 16
JOB = """
at() { touch $1; while ! [ -e $1-on ]; do sleep 0.05; done; }
echo old >$FETCHML_RESULTS/model; echo old >$FETCHML_CHECKPOINT_DIR/saved
put() {
    for file in $FETCHML_RESULTS/model $FETCHML_CHECKPOINT_DIR/saved; do
        { head -c 2000000 /dev/zero >$file.new && mv $file.new $file; } || rm -f $file.new
    done
    head -c 100000 /dev/zero | tr '\\0' x
    echo
}
echo the beginning
at before; put; at full; put
echo the end
exit 3
"""
"""Prints and saves twice; it asks in its workspace, whose disk is not full, whether it may go on."""


@pytest.mark.parametrize("what", ["space", "inodes"])
@pytest.mark.parametrize("place", ["control", "results", "checkpoint"])
def test_a_full_disk_of_a_job(world, serve, small_filesystem, place, what):
    """#14: a job whose log, results or checkpoint finds no room goes on; what was there stays, and with room the rest works."""
    serving = serve()
    folder = (
        world.host.data.checkpoint(1)
        if place == "checkpoint"
        else world.host.data.attempt(1, 1).folder / place
    )
    real = serving.launcher.launch

    def launch(spec):
        if (spec.job_id, spec.attempt) == (1, 1):
            folder.mkdir(exist_ok=True)
            small_filesystem("3m", inodes=40, at=folder)
        return real(evolve(spec, log_limit=LOG_LIMIT))

    serving.launcher.launch = launch
    job = world.submit(argv=("sh", "-c", JOB))
    places = world.host.data.attempt(1, 1)
    serving.until(lambda: (places.workspace / "before").exists())
    ballast = fill(folder, what)
    accepted = world.submit(argv=("true",))
    (places.workspace / "before-on").touch()
    serving.until(lambda: (places.workspace / "full").exists())
    kept = {
        file: file.read_bytes()
        for file in (places.results / "model", world.host.data.checkpoint(1) / "saved")
    }
    shutil.rmtree(ballast)
    (places.workspace / "full-on").touch()
    job = serving.ended(job)
    output = printed(places.control)

    assert (job.state, job.outcome.code, len(job.attempts)) == (State.FAILED, 3, 1)
    assert output.startswith(b"the beginning\n")
    assert output.endswith(b"x\nthe end\n")
    for file, content in kept.items():
        assert content == (b"old\n" if file.is_relative_to(folder) else bytes(2_000_000))
        assert file.read_bytes() == bytes(2_000_000)
    told = f"No space left on device: {places.control}"
    assert job.outcome.log_problem == (told if place == "control" else "")
    assert (b"No space left" in output) == (place != "control")
    assert serving.ended(accepted).state is State.SUCCEEDED


def test_a_log_that_never_found_space_again_says_so(world, serve, small_filesystem):
    """What is missing at its end is told to whoever reads it."""
    serving = serve()
    control = world.host.data.attempt(1, 1).control
    real = serving.launcher.launch
    serving.launcher.launch = lambda spec: (small_filesystem("1m", at=control), real(spec))[-1]
    job = world.submit(argv=("sh", "-c", "echo the beginning; head -c 5000000 /dev/zero"))
    job = serving.ended(job)
    talk = Talk()
    reply = world.ask("logs", LogsRequest("1"), talk)
    missing = 5_000_014 - len(talk.received)

    assert (job.state, job.outcome.log_bytes, job.outcome.log_dropped) == (
        State.SUCCEEDED,
        5_000_014,
        missing,
    )
    assert [(item.dropped, item.log_at) for item in talk.items if item.dropped] == [(missing, 5_000_014)]
    assert reply.offset == 5_000_014


@pytest.mark.parametrize("what", ["space", "inodes"])
def test_a_full_disk_of_the_audit_trail(tmp_path, small_filesystem, what):
    """#14: what cannot be recorded is not done, the message names the file, and with room it is done by the same process."""
    disk = small_filesystem("256k", inodes=20)
    trail = disk / "audit.log"
    audit = f"security:\n  audit_logging:\n    enabled: true\n    log_path: {trail}\n"
    world = World(tmp_path / "base", server=audit, worker=WORKER_FILE)
    running, spec, accepted = world.running(), world.spec(), []

    def submit(count: int) -> None:
        for _ in range(count):
            request = SubmitRequest(f"key-{len(accepted) + 1}", spec)
            accepted.append(world.ask("submit", request).job.id)

    with world.worker_lives():
        trail.unlink()  # as after somebody has moved the old one away
        submit(1 if what == "space" else 0)
        ballast = fill(disk, what)
        with pytest.raises(FetchError) as caught:
            submit(100)  # what is left of a block is used up first
        assert (caught.value.code, caught.value.context) == ("disk-full", str(trail))
        with pytest.raises(FetchError, match="disk-full"):
            world.ask("cancel", CancelRequest((str(running.id),)))

        listed = world.ask("list", ListRequest(everyone=True)).jobs
        assert sorted(job.id for job in listed) == [running.id, *accepted]
        assert world.host.queue.get(running.id).stop is None
        shutil.rmtree(ballast)
        submit(1)
        world.ask("cancel", CancelRequest((str(running.id),)))
    told = [json.loads(line) for line in trail.read_text("utf-8").splitlines() if line.endswith("}")]

    assert [record["seq"] for record in told] == list(range(1, len(told) + 1))
    assert sum(record["object"].startswith("job train") for record in told) == len(accepted)
    assert told[-1]["object"] == f"cancel job {running.id}"
    assert world.host.queue.get(running.id).stop is not None
