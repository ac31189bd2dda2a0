"""What a host can never give is refused at submit, with what it has."""

from __future__ import annotations

import pytest

from fetchml_core.errors import InputError
from fetchml_core.jobs.job import Resources
from fetchml_core.service.wanted import check_wanted
from tests.core.service.hosts import GIB, gpu, host

ELSEWHERE = "or use a host that has them: --profile NAME"
FOUR = host(8, 32, gpu(0, 80), gpu(1, 24), gpu(2, 24, problem="lost"), gpu(3, None))


@pytest.mark.parametrize(
    ("wanted", "capacity", "said"),
    [
        (
            Resources(gpus=1),
            host(),
            f"too-many-gpus: this host has no GPUs (--gpus 1); submit without --gpus, {ELSEWHERE}",
        ),
        (
            Resources(gpus=2),
            host(8, 32, gpu(0)),
            f"too-many-gpus: this host has 1 GPU (--gpus 2); --gpus 1, {ELSEWHERE}",
        ),
        (
            Resources(gpus=5),
            FOUR,
            f"too-many-gpus: this host has 4 GPUs (--gpus 5); --gpus 4, {ELSEWHERE}",
        ),
        (
            Resources(gpus=2, gpu_memory=40 * GIB),
            FOUR,
            (
                "too-much-gpu-memory: of this host's 4 GPUs 1 has so much memory (--gpus 2 --gpu-memory 40.0 GiB); "
                f"--gpu-memory 24576m, {ELSEWHERE}"
            ),
        ),
        (
            Resources(gpus=4, gpu_memory=GIB),
            FOUR,
            (
                "too-much-gpu-memory: of this host's 4 GPUs 3 have so much memory (--gpus 4 --gpu-memory 1.0 GiB); "
                f"submit without --gpu-memory, {ELSEWHERE}"
            ),
        ),
        (
            Resources(cpus=1.0),
            host(0.5),
            "too-many-cpus: this host has 0.5 CPUs in all (--cpus 1); --cpus 0.5",
        ),
        (
            Resources(memory=GIB),
            host(8, 0.5),
            "too-much-memory: this host has 512.0 MiB of memory in all (--memory 1.0 GiB); --memory 512m",
        ),
    ],
)
def test_more_than_the_host_has(wanted, capacity, said):
    """The numbers, what was typed, and what would do."""
    with pytest.raises(InputError) as caught:
        check_wanted(wanted, capacity)
    error = caught.value

    assert f"{error.code}: {error.message} ({error.context}); {error.hint}" == said


@pytest.mark.parametrize(
    "wanted",
    [Resources(), Resources(cpus=1.0, memory=GIB), Resources(gpus=4), Resources(gpus=3, gpu_memory=24 * GIB)],
)
def test_what_the_host_has(wanted):
    """The other side of each limit; a GPU with a problem may be well again."""
    check_wanted(wanted, FOUR)
