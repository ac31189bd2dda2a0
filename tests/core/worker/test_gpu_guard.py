"""GPUs that do not come back, and GPUs that fail: a real worker, real processes, and a driver that plays them."""

from __future__ import annotations

import contextlib
import logging
import os
import subprocess

import pytest
from attrs import evolve

from fetchml_core.clock import Clock
from fetchml_core.errors import HostError
from fetchml_core.hardware import nvidia
from fetchml_core.jobs.job import Resources
from fetchml_core.jobs.states import State
from fetchml_core.launcher.evidence import read_stat
from fetchml_core.launcher.podman import PodmanLauncher
from fetchml_core.places import own_command
from fetchml_core.queue.base import UNFINISHED
from fetchml_core.service.gpus import inventory_of
from fetchml_core.service.quarantine import read_gpu_record
from fetchml_core.wire.verbs import Nothing
from fetchml_core.wire.why import WhyRequest
from fetchml_core.worker import gpu_guard
from fetchml_core.worker.gpu_guard import REST_S, GpuGuard
from tests.core.service.hosts import gpu
from tests.core.service.support import WORKER_FILE
from tests.core.worker.support import ShiftedClock
from tests.core.worker.test_gpus import with_gpus
from tests.support.cuda import card, cdi, fake_cuda
from tests.support.wait import poll_until

FIRST, SECOND = (f"GPU-00000000-0000-0000-0000-{n:012}" for n in range(2))
SMALL = {"cpus": 0.1, "memory": 1 << 20}
ONE = Resources(**SMALL, gpus=1)


@pytest.fixture
def driver(fake_driver, monkeypatch):
    """Two cards, as NVML and CUDA tell; looks after an attempt wait for next to nothing."""
    made = fake_driver("two")
    fake_cuda(made.folder)
    monkeypatch.setattr(nvidia, "LIBRARY", str(made.folder / "libnvidia-ml.so.1"))
    monkeypatch.setattr(gpu_guard, "WAIT_S", 0.3)
    for name, value in made.environ.items():
        monkeypatch.setenv(name, value)
    return made


@pytest.fixture
def go(world, tmp_path):
    """A job that waits until it is told to end, and how to tell it."""
    word = tmp_path / "go"
    line = f"echo ready; while [ ! -e {word} ]; do sleep 0.05; done; exit $(cat {word})"

    def submit(resources=ONE):
        return world.submit(argv=("sh", "-c", line), resources=resources)

    return submit, lambda status=0: word.write_text(str(status))


@contextlib.contextmanager
def another():
    """A process that is somebody else's."""
    with subprocess.Popen(["sleep", "600"]) as process:
        try:
            yield process
        finally:
            process.kill()


def with_cards(host, *gpus):
    """An inventory of a vendor that no driver is asked for."""
    return evolve(inventory_of(host), gpus=gpus, vendor="apple")


def kept(world):
    """The GPUs that no job gets, with the reason."""
    return {one.uuid: one.problem for one in read_gpu_record(world.host).out}


def beat(serving):
    """Let the worker look again at its next turn."""
    serving.worker._next_beat = 0.0


def released(serving, world):
    """Let beats pass until no GPU is kept from jobs."""

    def clean():
        beat(serving)
        return not kept(world)

    serving.until(clean)


def why(world, job):
    """What it waits for."""
    return [blocker.text for blocker in world.ask("why", WhyRequest(str(job.id))).blockers]


def test_a_gpu_that_is_still_held(world, serve, driver, go, caplog):
    """It is kept from jobs alone and by name, over a restart of the worker, until a look finds it clean."""
    caplog.set_level(logging.INFO)
    submit, end = go
    serving = serve()
    job = submit()
    serving.printed(job, "ready")
    with another() as process:
        process.kill()
        poll_until(lambda: read_stat(process.pid).state == "Z", "a process that is ending, and does not")
        driver.plays("held", process.pid)
        end()
        assert serving.ended(job).state is State.SUCCEEDED
        told = "(state Z) holds 11.0 GiB"
        assert kept(world).keys() == {FIRST}
        assert f"job {job.id} has ended, but its sleep {process.pid} {told}" in kept(world)[FIRST]
        assert f"GPU {FIRST} is given to no job: quarantined: job 1 has ended" in caplog.text

        other = world.submit(resources=ONE)
        assert serving.ended(other).attempt.launch.gpus == (SECOND,)
        both = submit(Resources(**SMALL, gpus=2))
        serving.leave()
        serving = serve()
        beat(serving)
        serving.until(lambda: serving.worker._guard._thread is not None)
        serving.worker._guard.join(30)
        assert told in kept(world)[FIRST]
        (text,) = [line for line in why(world, both) if "GPU" in line]
        assert "1 of 2 free: GPU 0 is out of use: quarantined: job 1 has ended, but its sleep" in text
        first, second = world.ask("gpus", Nothing()).gpus
        assert told in first.problem
        assert not second.problem
    driver.plays("two")
    fake_cuda(driver.folder, count=2)
    serving.until(lambda: (beat(serving), world.host.queue.get(both.id).state.final)[1])

    assert set(world.host.queue.get(both.id).attempt.launch.gpus) == {FIRST, SECOND}
    assert f"GPU {FIRST} is clean, and given to jobs again" in caplog.text
    assert kept(world) == {}


def test_memory_that_no_process_explains(world, serve, driver, go):
    """The driver lists nobody, and has not given it back: told by the next worker, if the first one is gone."""
    submit, end = go
    serving = serve()
    job = submit()
    serving.printed(job, "ready")
    serving.leave()
    driver.plays("held")
    end()
    serving = serve()
    serving.ended(job)

    assert "12.0 GiB more are in use than before it, and no process is known" in kept(world)[FIRST]
    driver.plays("two")
    released(serving, world)


def test_a_driver_that_takes_a_moment(world, serve, driver, go, monkeypatch):
    """What is given back at the second look was never kept."""
    submit, end = go
    serving = serve()
    job = submit()
    serving.printed(job, "ready")
    driver.plays("held")
    looks = []

    def look(host):
        looks.append(gpu_guard_look(host))
        driver.plays("two")
        return looks[-1]

    gpu_guard_look = gpu_guard.seen_now
    monkeypatch.setattr(gpu_guard, "WAIT_S", 30)
    monkeypatch.setattr(gpu_guard, "seen_now", look)
    end()
    serving.ended(job)

    assert [one.gpus[0].memory_used >> 30 for one in looks] == [12, 0]
    assert kept(world) == {}


def test_what_others_have_is_no_reason(world, serve, driver, go):
    """Somebody who came while the job ran keeps his memory, and the GPU goes to the next job."""
    submit, end = go
    serving = serve()
    job = submit()
    serving.printed(job, "ready")
    with another() as process:
        driver.plays("held", process.pid)
        end()
        serving.ended(job)
        assert kept(world) == {}
        assert serving.ended(world.submit(resources=ONE)).attempt.launch.gpus == (FIRST,)


def test_a_card_that_is_lost_under_a_job(world, serve, driver, go):
    """Its program is not to blame: it is tried again at the host's cost, once the card is well; the other card is free."""
    submit, end = go
    fake_cuda(driver.folder, count=2)
    serving = serve()
    job = submit(Resources(**SMALL, gpus=2))
    serving.printed(job, "ready")
    driver.plays("dead")
    end(1)
    serving.until(lambda: world.host.queue.get(job.id).state is State.QUEUED)
    outcome = world.host.queue.get(job.id).outcome

    assert (outcome.failure, outcome.error, outcome.gpus) == ("infrastructure", "gpu-lost", (SECOND,))
    assert outcome.reason == "exit 1, and its GPU has failed (GPU 1: the driver says: GPU is lost)"
    assert kept(world) == {SECOND: "the driver says: GPU is lost"}
    end(0)
    driver.plays("two")
    serving.until(lambda: (beat(serving), world.host.queue.get(job.id).state.final)[1])
    assert world.host.queue.get(job.id).state is State.SUCCEEDED


def test_a_card_that_is_lost_before_the_launch(world, driver, tmp_path):
    """Nothing is started on it."""
    driver.plays("dead")
    guard = GpuGuard(world.host, lambda: None)
    guard.begin(tmp_path, [FIRST])

    with pytest.raises(HostError) as caught:
        guard.begin(tmp_path, [FIRST, SECOND])
    assert (caught.value.code, caught.value.context) == (
        "gpu-not-usable",
        "GPU 1: the driver says: GPU is lost",
    )


def test_a_driver_that_gives_no_answer_any_more(world, serve, driver, go, monkeypatch):
    """The worker goes on, no job gets a GPU, and each says why, until the driver answers again."""
    submit, end = go
    serving = serve()
    world.write_record(inventory=serving.worker._capacity.inventory)
    job = submit()
    serving.printed(job, "ready")
    monkeypatch.setattr(nvidia, "ANSWER_S", 0.3)
    driver.plays("hangs")
    end()
    assert serving.ended(job).state is State.SUCCEEDED
    assert kept(world) == {FIRST: "no GPU is found any more: NVML gives no answer within 0.3 s"}
    assert world.ask("worker-status", Nothing()).gpus_out[0].startswith("GPU 0 is given to no job: no GPU")
    assert serving.ended(world.submit()).state is State.SUCCEEDED
    monkeypatch.setattr(nvidia, "ANSWER_S", 60)
    driver.plays("two")
    serving.worker._guard._due_at = 0.0
    released(serving, world)


def test_jobs_that_fail_on_a_card_one_after_the_other(world):
    """One job may be at fault itself, however often; a second one puts the card to rest, and the next fault again."""
    clock = ShiftedClock()
    host = evolve(world.host, clock=clock)
    world.write_record(inventory=with_cards(host, gpu(0), gpu(1)))
    told = []
    guard = GpuGuard(host, lambda: told.append(1))

    def rest_over():
        clock.ahead += REST_S
        guard.turn()
        guard.join(30)
        return not kept(world)

    guard.failed(1, ["g0", "g1"])
    guard.failed(1, ["g0"])
    assert (kept(world), told) == ({}, [])
    guard.failed(2, ["g0"])
    assert kept(world) == {"g0": "quarantined for 10m00s: jobs 1 and 2 failed on it, one after the other"}
    guard.turn()
    guard.join(30)
    assert kept(world).keys() == {"g0"}

    assert rest_over()
    guard.failed(3, ["g0"])
    assert "jobs 2 and 3" in kept(world)["g0"]
    assert rest_over()
    guard.proven(["g0"])
    guard.failed(4, ["g0"])
    assert kept(world) == {}
    assert len(told) == 4


def test_a_worker_that_starts_with_a_lost_card(world, driver, tmp_path):
    """It says so, gives the other one, and takes the lost one back without being started anew."""
    base = world.host.base.folder
    (base / "worker.yaml").write_text(f"{WORKER_FILE}heartbeat_interval: 0.2s\n")
    driver.plays("dead")
    environ = os.environ | {"LD_LIBRARY_PATH": str(driver.folder)}
    argv = own_command("fetchml_core.worker.main", "run", "--base", str(base))
    with (
        (tmp_path / "log").open("wb") as log,
        subprocess.Popen(argv, env=environ, stdout=log, stderr=log) as worker,
    ):

        def status():
            return world.ask("worker-status", Nothing())

        try:
            poll_until(lambda: status().worker.launcher, "it serves")
            assert status().gpus_out == ("GPU 1 is given to no job: the driver says: GPU is lost",)
            job = world.submit(argv=("sh", "-c", "true"), resources=Resources(**SMALL, gpus=2))
            assert any("the driver says: GPU is lost" in text for text in why(world, job))
            driver.plays("two")
            poll_until(lambda: not status().gpus_out, "it is well")
        finally:
            worker.terminate()


def test_another_boot_begins_anew(world):
    """The driver has dropped everything by then."""
    guard = GpuGuard(world.host, lambda: None)
    guard.failed(1, ["g0"])
    guard.failed(2, ["g0"])
    assert kept(world).keys() == {"g0"}
    clock = Clock()
    clock._boot_id = "another"

    assert read_gpu_record(evolve(world.host, clock=clock)).out == ()


def test_a_fault_goes_elsewhere(world, serve, podman_root, image_python, tmp_path):
    """In a container: the device file of the first card does not open, so the next try gets the second one."""
    serving = serve()
    serving.worker._launcher = PodmanLauncher(env=podman_root.env, clock=Clock(), limits="best-effort")
    with cdi([card(tmp_path, opens=False), card(tmp_path)], fake_cuda(tmp_path / "cuda")) as gpus:
        with_gpus(serving, *(evolve(gpu(n), uuid=uuid) for n, uuid in enumerate(gpus)))
        job = serving.ended(
            world.submit(argv=("sh", "-c", "true"), image=image_python, resources=Resources(gpus=1))
        )
    bad, good = job.attempts

    assert (bad.outcome.error, bad.outcome.failure, bad.outcome.gpus) == (
        "gpu-not-usable",
        "infrastructure",
        (gpus[0],),
    )
    assert (good.outcome.state, good.launch.gpus) == (State.SUCCEEDED, (gpus[1],))
    assert not world.host.queue.jobs(UNFINISHED)
