"""An attempt gets the GPUs that the worker gave it, or does not start; an image that the host lacks is told."""

from __future__ import annotations

import os
import uuid

import pytest

from fetchml_core.clock import Clock
from fetchml_core.jobs.job import Lease, Resources
from fetchml_core.jobs.states import State
from fetchml_core.launcher.podman import PodmanLauncher
from fetchml_core.launcher.process import ProcessLauncher
from fetchml_core.queue.base import Started
from fetchml_core.service.limits import JobLimits
from fetchml_core.worker.gpu_guard import GpuGuard
from fetchml_core.worker.runner import Runner
from tests.support.cuda import fake_cuda

GPU = f"GPU-{uuid.uuid4()}"


@pytest.fixture
def run(world, tmp_path):
    """Run a job from its claim to its end on a thread's work, done here; return it as the queue has it."""
    queue = world.host.queue
    process = ProcessLauncher(env={**os.environ, "LD_LIBRARY_PATH": str(tmp_path)}, clock=Clock())

    def run(*, gpus=(), launcher=process, image="localhost/none", **fields):
        job = world.submit(argv=("sh", "-c", "echo on $CUDA_VISIBLE_DEVICES"), **fields)
        lease = Lease("box1", "boot-1", 1e12)
        runner = Runner(
            world.host,
            launcher,
            queue.claim(lambda jobs: jobs[0], lease),
            image=image,
            limits=JobLimits(1.0, 64 << 20),
            gpus=gpus,
            advance=lambda job, change: queue.advance(job.id, 1, change),
            make_started=lambda launch: Started(launch, lease),
            ended=lambda: None,
            fresh=True,
            guard=GpuGuard(world.host, lambda: None),
        )
        runner.run()
        runner.close()
        log = world.host.data.attempt(job.id, 1).control / "log"
        return queue.get(job.id), log.read_text() if log.exists() else None

    return run


def test_its_gpus_reach_the_job_and_the_record(run, tmp_path):
    """The launch that is recorded names them, so that after a restart nobody else gets them."""
    fake_cuda(tmp_path)
    job, log = run(gpus=(GPU,), resources=Resources(gpus=1))

    assert (job.state, log) == (State.SUCCEEDED, f"on {GPU}\n")
    assert job.attempt.launch.gpus == (GPU,)


def test_gpus_that_cannot_be_proven(run, tmp_path):
    """#26: the attempt fails as infrastructure, with CUDA's number in its reason, and nothing ran."""
    fake_cuda(tmp_path, init=100)
    job, log = run(gpus=(GPU,), resources=Resources(gpus=1))

    assert job.state is State.QUEUED  # a GPU that failed once is tried again, at the host's cost
    assert (job.outcome.failure, job.outcome.error) == ("infrastructure", "gpu-not-usable")
    assert "cuInit gave CUDA error 100" in job.outcome.reason
    assert job.outcome.gpus == (GPU,)
    assert not log


@pytest.mark.parametrize(("asked", "given"), [(1, ()), (2, (GPU,)), (0, (GPU,))])
def test_never_with_other_gpus_than_asked(run, asked, given):
    """#26: whatever computed the gift, a job that asked for a GPU does not start without it."""
    job, log = run(gpus=given, resources=Resources(gpus=asked))

    assert (job.outcome.failure, job.outcome.error) == ("infrastructure", "gpu-not-available")
    assert log is None


def test_an_image_that_the_host_lacks(run, podman_root):
    """A failure of its own, with the line that fetches it."""
    launcher = PodmanLauncher(env=podman_root.env, clock=Clock())
    job, log = run(launcher=launcher, image="docker.io/library/no-such:1")

    assert (job.state, job.outcome.error) == (State.FAILED, "image-missing")
    assert job.outcome.hint == "on the host: podman pull docker.io/library/no-such:1"
    assert "docker.io/library/no-such:1" in job.outcome.reason
    assert log is None
