"""What a container is given of GPUs, and the verdict on what its init found: pure. The same without a container."""

from __future__ import annotations

import json
import os
import subprocess
import uuid
from pathlib import Path

import pytest

from fetchml_core.errors import HostError
from fetchml_core.launcher import init
from fetchml_core.launcher.gpus import (
    CudaAnswer,
    Grant,
    Report,
    grant,
    judge,
    prove,
    vendor_of,
    visible_variables,
)
from fetchml_core.launcher.process import ProcessLauncher
from tests.core.launcher.jobs import CLOCK, Attempt, make_spec
from tests.core.launcher.test_init import OLD_PYTHONS, interpreter
from tests.support.cuda import CRASHES, HANGS, fake_cuda

ONE, TWO = f"GPU-{uuid.UUID(int=1)}", f"GPU-{uuid.UUID(int=2)}"
MIG = f"MIG-{uuid.UUID(int=3)}"
NODES = {"/dev/nvidia0": "", "/dev/nvidiactl": "", "/dev/nvidia-uvm": ""}
AMD_ID = "00c0ffee00c0ffee"


@pytest.mark.parametrize(
    ("gpu", "vendor"),
    [
        (ONE, "nvidia"),
        (MIG, "nvidia"),
        ("nvidia-3", "nvidia"),
        ("amd-0", "amd"),
        (f"GPU-{AMD_ID}", "amd"),
        ("apple-0", "apple"),
    ],
)
def test_vendor(gpu, vendor):
    """A name tells whose card it is: NVIDIA and AMD both begin with GPU-."""
    assert vendor_of(gpu) == vendor


def test_nvidia_comes_by_cdi():
    """UUIDs, instances of divided cards, and numbers where there is no UUID."""
    given = grant([ONE, MIG, "nvidia-3"])

    assert given.devices == (f"nvidia.com/gpu={ONE}", f"nvidia.com/gpu={MIG}", "nvidia.com/gpu=3")
    assert given.cuda
    assert not given.groups
    assert grant([]) == Grant()


@pytest.fixture
def amd(tmp_path):
    """A host with an Intel card between two of AMD's, one of which has an id; returns /sys and /dev."""
    (tmp_path / "dev/dri").mkdir(parents=True)
    (tmp_path / "dev/kfd").touch()
    for card, (render, vendor, unique) in enumerate(
        [("renderD128", "0x1002", ""), ("renderD129", "0x8086", ""), ("renderD130", "0x1002", AMD_ID)]
    ):
        device = tmp_path / f"sys/class/drm/card{card}/device"
        (device / "drm" / render).mkdir(parents=True)
        (device / "vendor").write_text(vendor + "\n")
        (device / "mem_info_vram_total").write_text("17163091968\n")
        if unique:
            (device / "unique_id").write_text(unique + "\n")
        (tmp_path / "dev/dri" / render).touch()
    (tmp_path / "sys/class/drm/card0-DP-1").mkdir()
    if os.geteuid() == 0:
        os.chown(tmp_path / "dev/dri/renderD128", -1, 105)
        os.chown(tmp_path / "dev/dri/renderD130", -1, 105)
    return {"sys": tmp_path / "sys", "dev": tmp_path / "dev"}


@pytest.mark.parametrize(
    ("gpu", "name"),
    [("amd-0", "renderD128"), ("amd-1", "renderD130"), (f"GPU-{AMD_ID}", "renderD130")],
)
def test_amd_comes_by_its_device_files(amd, gpu, name):
    """The compute device of all cards and the card's own, which the init opens, for the group that may."""
    given = grant([gpu], **amd)
    files = (str(amd["dev"] / "kfd"), str(amd["dev"] / "dri" / name))

    assert (given.devices, given.files) == (files, files)
    assert set(given.groups) == {Path(name).stat().st_gid for name in files} - {0}
    assert not given.cuda


@pytest.mark.parametrize("gpu", ["amd-2", "GPU-0000000000000000", "apple-0"])
def test_a_card_that_is_not_there(amd, gpu):
    """No card is taken for another one."""
    with pytest.raises(HostError, match="gpu-not-available"):
        grant([gpu], **amd)


@pytest.mark.parametrize("gpu", ["", "all;x", "a/b", "-x", "nvidia.com/gpu=all", "x" * 200])
def test_a_name_that_podman_would_misread(gpu, tmp_path):
    """What is no name of a GPU does not come near an argv."""
    with pytest.raises(HostError, match="gpu-not-available"):
        make_spec(tmp_path, gpus=(gpu,))


@pytest.mark.parametrize(
    ("gpus", "files", "cuda", "said"),
    [
        ([ONE], NODES, CudaAnswer(1), []),
        ([ONE], NODES, None, []),
        ([ONE], {"/dev/dxg": ""}, CudaAnswer(1), []),
        ([ONE, TWO], NODES, CudaAnswer(1), ["CUDA sees 1 GPUs, and 2 were asked for"]),
        ([ONE, TWO], NODES, None, ["there are device files of 1 cards, and 2 were asked for"]),
        ([MIG, f"{MIG}x"], NODES, CudaAnswer(1), []),
        ([MIG, f"{MIG}x"], NODES, CudaAnswer(0), ["CUDA sees 0 GPUs, and 2 were asked for"]),
        ([MIG], NODES, CudaAnswer(2), ["CUDA sees 2 GPUs, and 1 were asked for"]),
        ([ONE], NODES | {"/dev/nvidia0": "busy"}, CudaAnswer(1), ["/dev/nvidia0: busy"]),
        ([ONE], {}, None, ["nothing proves them: no CUDA driver (libcuda.so.1), and no device file of them alone"]),
        ([ONE], NODES, CudaAnswer(problem="cuInit gave CUDA error 802"), [
            "cuInit gave CUDA error 802 (the system is not ready: is nvidia-fabricmanager running?)"
        ]),
    ],
)  # fmt: skip
def test_verdict(gpus, files, cuda, said):
    """What the init found is compared with what was asked, card by card."""
    assert judge(Report(files, cuda), gpus, grant(gpus)) == said


def test_verdict_on_amd(amd):
    """Both files must be there and open; CUDA is nobody's to ask."""
    given = grant(["amd-0"], **amd)
    kfd, card = given.files

    assert judge(Report({kfd: "", card: ""}), ["amd-0"], given) == []
    assert judge(Report({kfd: ""}), ["amd-0"], given) == [f"{card}: not there"]


def test_no_report_is_no_proof(tmp_path):
    """An init that said nothing proved nothing; a report that is none is an error."""
    with pytest.raises(HostError, match="gpu-not-usable"):
        prove(tmp_path, [ONE], grant([ONE]))
    (tmp_path / "gpus.json").write_text('{"files": {"/dev/nvidia0": 1}}')
    with pytest.raises(HostError):
        prove(tmp_path, [ONE], grant([ONE]))


def test_visible_variables():
    """Each vendor's libraries get the names that they take."""
    assert visible_variables([ONE, MIG, "nvidia-3"]) == {
        "CUDA_VISIBLE_DEVICES": f"{ONE},{MIG},3",
        "ROCR_VISIBLE_DEVICES": "",
    }
    assert visible_variables(["amd-1", f"amd-{AMD_ID}"]) == {
        "CUDA_VISIBLE_DEVICES": "",
        "ROCR_VISIBLE_DEVICES": f"1,GPU-{AMD_ID}",
    }


@pytest.mark.parametrize("version", OLD_PYTHONS)
@pytest.mark.parametrize(
    ("driver", "answer"),
    [
        ({"count": 3}, {"count": 3, "problem": ""}),
        ({"init": 3}, {"count": 0, "problem": "cuInit gave CUDA error 3"}),
        ({"behaviour": CRASHES}, {"count": 0, "problem": "CUDA ended its process (wait status 6)"}),
        ({"behaviour": HANGS}, {"count": 0, "problem": "CUDA gave no answer in 1 s"}),
        (None, None),
    ],
)
def test_the_init_asks_in_a_child(tmp_path, version, driver, answer):
    """The answer, whatever the driver does; the init itself never loads it, and no child is left."""
    script = (
        f"import sys; sys.path.insert(0, {str(Path(init.__file__).parent)!r}); import init, json, os\n"
        "init.CUDA_TIMEOUT = 1\n"
        "print(json.dumps(init.ask_cuda(init.ContainerTree(), os.environ)))\n"
        "assert 'libcuda' not in open('/proc/self/maps').read()\n"
        "try: os.waitpid(-1, 0); sys.exit('a child is left')\n"
        "except ChildProcessError: pass\n"
    )
    if driver is not None:
        fake_cuda(tmp_path, **driver)
    python = interpreter(f"python{version}")[0]
    env = {"LD_LIBRARY_PATH": str(tmp_path)}
    # A driver that aborts shall leave no core file behind.
    done = subprocess.run(
        ["prlimit", "--core=0", python, "-B", "-c", script],
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == answer


def on_host(tmp_path, **fields):
    """An attempt without a container, on a host whose CUDA driver lies in *tmp_path*."""
    launcher = ProcessLauncher(env={"LD_LIBRARY_PATH": str(tmp_path), "PATH": "/usr/bin:/bin"}, clock=CLOCK)
    return Attempt(launcher, make_spec(tmp_path, **fields))


def test_without_a_container(tmp_path):
    """The variable keeps well-behaved programs to the GPU, whatever the user said; the record says that nothing more does."""
    fake_cuda(tmp_path)
    line = ("sh", "-c", "echo $CUDA_VISIBLE_DEVICES")
    attempt = on_host(tmp_path, argv=line, gpus=(ONE,), env={"CUDA_VISIBLE_DEVICES": "7"}).go()
    attempt.record()
    attempt.clean()

    assert attempt.output() == f"{ONE}\n"
    assert attempt.launched.gpus == (ONE,)
    assert "cuda" in attempt.launched.enforced
    assert "only-its-gpus" in attempt.launched.not_enforced


def test_a_job_without_gpus_sees_none(tmp_path):
    """Both variables are set, and empty: without them its libraries would take the first card of the host."""
    line = ("sh", "-c", "echo ${CUDA_VISIBLE_DEVICES-all} ${ROCR_VISIBLE_DEVICES-all}.")
    attempt = on_host(tmp_path, argv=line, env={"CUDA_VISIBLE_DEVICES": "0"}).go()
    attempt.record()
    attempt.clean()

    assert attempt.output() == ".\n"


@pytest.mark.parametrize(
    ("driver", "words"),
    [({"init": 100}, "CUDA error 100"), ({"count": 2}, "CUDA sees 2"), (None, "no CUDA driver")],
)
def test_without_a_container_and_without_a_gpu(tmp_path, driver, words):
    """#26: a job that asked for a GPU does not run on the CPU either, and no init is left."""
    if driver is not None:
        fake_cuda(tmp_path, **driver)
    with pytest.raises(HostError, match="gpu-not-usable") as caught:
        on_host(tmp_path, argv=("touch", "ran"), gpus=(ONE,))
    marker = str(tmp_path).encode()
    left = [path for path in Path("/proc").glob("[0-9]*/cmdline") if marker in _read(path)]

    assert words in caught.value.context
    assert left == []


def _read(path):
    try:
        return path.read_bytes()
    except OSError:
        return b""
