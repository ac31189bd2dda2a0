"""GPUs in real containers: cards and a CUDA driver that the tests make, handed over by Podman's own CDI."""

from __future__ import annotations

import shutil
import uuid
from pathlib import Path

import pytest
from attrs import evolve

from fetchml_core.errors import HostError
from fetchml_core.launcher import driver_files
from fetchml_core.launcher.gpus import CDI_HINT
from fetchml_core.launcher.podman import PodmanLauncher
from fetchml_core.launcher.versions import traits_of
from tests.core.launcher.jobs import CLOCK, Attempt, make_spec
from tests.core.launcher.test_podman import as_account
from tests.support.cuda import CRASHES, card, cdi, fake_cuda, install_driver

LIST = "ls /dev | grep nvidia | tr '\\n' ' '"


@pytest.fixture
def launcher(podman_root):
    """The Podman launcher, on rootful Podman."""
    return PodmanLauncher(env=podman_root.env, clock=CLOCK)


@pytest.fixture
def run(launcher, tmp_path):
    """Launch a shell line with GPUs, let it end, and return the attempt, cleaned up."""

    def run(line: str, **fields) -> Attempt:
        attempt = Attempt(launcher, make_spec(tmp_path, ("sh", "-c", line), **fields)).go()
        attempt.record()
        attempt.clean()
        return attempt

    return run


@pytest.fixture
def refused(launcher, podman_root, tmp_path):
    """Launch an attempt that must not start; return its error. Nothing of it ran, and nothing is left."""

    def refused(**fields) -> HostError:
        spec = make_spec(tmp_path, ("sh", "-c", "echo ran >$FETCHML_RESULTS/ran"), **fields)
        with pytest.raises(HostError) as caught:
            launcher.launch(spec)
        assert not list((spec.folder / "results").iterdir())
        assert podman_root.run("ps", "-aq", f"--filter=name={spec.name}").stdout == ""
        return caught.value

    return refused


@pytest.mark.each_podman
@pytest.mark.parametrize("number", [1, 2])
def test_a_job_gets_its_gpus_and_no_other(run, image_python, tmp_path, number):
    """#26: of three cards a job gets those it was given; its record says which, and that CUDA was asked."""
    cards = [card(tmp_path) for _ in range(3)]
    with cdi(cards, fake_cuda(tmp_path, count=number)) as gpus:
        attempt = run(LIST, image=image_python, gpus=gpus[:number])

    assert attempt.output().split() == [f"nvidia{n}" for n in range(number)]
    assert attempt.launched.gpus == gpus[:number]
    assert {"only-its-gpus", "cuda"} <= set(attempt.launched.enforced)
    assert "cuda" not in attempt.launched.not_enforced


def test_a_job_without_gpus_gets_none(run, image_python):
    """Neither a card nor a word about it, whatever variables its image has."""
    attempt = run(LIST, image=image_python)

    assert attempt.output() == ""
    assert attempt.launched.gpus == ()
    assert "only-its-gpus" not in attempt.launched.enforced


def test_a_shell_looks_at_the_cards_and_says_that_cuda_was_not_asked(run, image_busybox, tmp_path):
    """An image without Python: the device files open, and the record says what nobody could ask."""
    with cdi([card(tmp_path)], fake_cuda(tmp_path, init=100)) as gpus:
        attempt = run("echo ran", image=image_busybox, gpus=gpus)

    assert attempt.output() == "ran\n"
    assert "only-its-gpus" in attempt.launched.enforced
    assert "cuda" in attempt.launched.not_enforced


def test_without_the_driver_library_cuda_was_not_asked(run, image_python, tmp_path):
    """Device files alone prove the cards; that CUDA was not asked is said."""
    with cdi([card(tmp_path)], None) as gpus:
        attempt = run("echo ran", image=image_python, gpus=gpus)

    assert attempt.output() == "ran\n"
    assert "cuda" in attempt.launched.not_enforced


@pytest.mark.parametrize(
    ("driver", "words"),
    [
        ({"init": 100}, "cuInit gave CUDA error 100 (no device)"),
        ({"init": 12345}, "cuInit gave CUDA error 12345"),
        ({"count": 0}, "CUDA sees 0 GPUs, and 1 were asked for"),
        ({"count": 2}, "CUDA sees 2 GPUs, and 1 were asked for"),
        ({"behaviour": CRASHES}, "CUDA ended its process (wait status"),
    ],
)
def test_a_driver_that_does_not_give_the_gpus(refused, image_python, tmp_path, driver, words):
    """#26: the job never starts, least of all on the CPU, and its failure has CUDA's own number."""
    with cdi([card(tmp_path)], fake_cuda(tmp_path, **driver)) as gpus:
        error = refused(image=image_python, gpus=gpus)

    assert error.code == "gpu-not-usable"
    assert words in error.context


def test_a_library_that_is_none(refused, image_python, tmp_path):
    """#26: a driver library that does not load is no missing one: the job would find no GPU."""
    library = tmp_path / "libcuda.so.1"
    library.write_text("no library")
    library.chmod(0o755)
    with cdi([card(tmp_path)], library) as gpus:
        error = refused(image=image_python, gpus=gpus)

    assert error.code == "gpu-not-usable"
    assert "libcuda.so.1 cannot be loaded" in error.context


@pytest.mark.parametrize("gone", ["library", "node"])
def test_a_specification_that_names_what_is_gone(refused, image_python, tmp_path, gone):
    """#26: after an update of the driver, or with another card in the slot: the line that makes a new one is told."""
    node, library = card(tmp_path), fake_cuda(tmp_path)
    with cdi([node], library) as gpus:
        (library if gone == "library" else node).unlink()
        error = refused(image=image_python, gpus=gpus)

    assert (error.code, error.hint.split("   ")[0]) == ("gpu-not-available", f"on the host: {CDI_HINT}")
    assert str(library if gone == "library" else node) in error.context


@pytest.mark.each_podman
@pytest.mark.parametrize("image", ["image_python", "image_busybox"])
def test_a_card_that_does_not_open(refused, request, image, tmp_path):
    """#26: a device file without a driver behind it is named, by the init and by its shell twin."""
    image = request.getfixturevalue(image)
    cards = [card(tmp_path), card(tmp_path, opens=False)]
    with cdi(cards, fake_cuda(tmp_path, count=2)) as gpus:
        error = refused(image=image, gpus=gpus)

    assert error.code == "gpu-not-usable"
    assert "/dev/nvidia1: " in error.context
    assert "/dev/nvidia0" not in error.context


@pytest.mark.each_podman
@pytest.mark.parametrize("count", [1, 3])
def test_rootless(rootless, rootless_python, count):
    """Without root the same: a GPU that CUDA sees reaches the job, one that it does not see stops it."""
    base = rootless.home / f"gpus-{uuid.uuid4().hex}"

    def job():
        launcher = PodmanLauncher(env=rootless.podman.env, clock=CLOCK, limits="best-effort")
        spec = make_spec(base, ("sh", "-c", LIST), image=rootless_python, limits="best-effort", gpus=gpus)
        try:
            attempt = Attempt(launcher, spec).go()
        except HostError as error:
            return error.code
        attempt.record(30)
        attempt.clean()
        return attempt.output().split(), sorted({"cuda", "only-its-gpus"} & set(attempt.launched.enforced))

    base.mkdir()
    library = fake_cuda(base / "driver", count=count)
    rootless.own(base)
    expected = str((["nvidia0"], ["cuda", "only-its-gpus"])) if count == 1 else "gpu-not-usable"
    try:
        with cdi([Path("/dev/null")], library, mounted=True) as gpus:
            assert as_account(rootless, job) == expected
    finally:
        shutil.rmtree(base)


@pytest.mark.each_podman
def test_not_in_the_cdi_specification(refused, image_python, tmp_path):
    """#26: a card that Podman knows nothing of gives the line that makes it known."""
    gpu = f"GPU-{uuid.uuid4()}"
    with cdi([card(tmp_path)], None):
        error = refused(image=image_python, gpus=(gpu,))

    assert error.code == "gpu-not-available"
    assert error.context.startswith(f"{gpu}: ")
    assert "nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml" in error.hint


@pytest.fixture
def no_cdi(monkeypatch, tmp_path):
    """A driver without a CDI specification; returns a function that makes one with so many cards, and their UUIDs."""

    def make(number: int, **driver) -> tuple[str, ...]:
        made = install_driver(tmp_path / "driver", number, **driver)
        monkeypatch.setattr(driver_files, "SPECIFICATIONS", (tmp_path / "none",))
        monkeypatch.setattr(driver_files, "CARDS", made.proc)
        monkeypatch.setattr(driver_files, "DEV", made.dev)
        monkeypatch.setattr(driver_files, "LOADER_CACHE", ("cat", str(made.cache)))
        return made.gpus

    return make


@pytest.mark.each_podman
def test_without_a_specification_by_device_files(run, no_cdi, image_python):
    """#26: the card's own device file and the driver's libraries come along, CUDA is asked, and the record tells."""
    gpus = no_cdi(3)
    attempt = run(
        f"{LIST}; ls /usr/lib | grep -e nvidia -e libcuda | tr '\\n' ' '", image=image_python, gpus=gpus[1:2]
    )

    files = ["nvidia1", "nvidiactl"]
    libraries = [
        "libcuda.so",
        "libcuda.so.1",
        "libcuda.so.550.54",
        "libnvidia-ml.so.1",
        "libnvidia-ml.so.550.54",
    ]
    assert attempt.output().split() == [*files, *libraries]
    assert {"only-its-gpus", "cuda"} <= set(attempt.launched.enforced)
    assert "cdi" in attempt.launched.not_enforced


def test_a_podman_without_cdi_by_device_files(launcher, monkeypatch, run, no_cdi, image_python, tmp_path):
    """#26: one from before 4.1 cannot be told by a specification, though the host has one."""
    gpus = no_cdi(1)
    (tmp_path / "nvidia.yaml").write_text("kind: nvidia.com/gpu\n", "ascii")
    monkeypatch.setattr(driver_files, "SPECIFICATIONS", (tmp_path,))
    monkeypatch.setattr(launcher, "_capabilities", evolve(launcher.check(), traits=traits_of((4, 0))))
    attempt = run(LIST, image=image_python, gpus=gpus)

    assert attempt.output().split() == ["nvidia0", "nvidiactl"]
    assert "cdi" in attempt.launched.not_enforced


def test_device_files_without_the_gpu(refused, no_cdi, image_python):
    """#26: where CUDA does not see the card, nothing runs, by device files either."""
    error = refused(image=image_python, gpus=no_cdi(1, count=0))

    assert error.code == "gpu-not-usable"
    assert "CUDA sees 0 GPUs" in error.context


def test_nothing_in_the_place_of_a_specification(refused, no_cdi, image_python):
    """#26: a card that the driver does not know gives the line that makes a specification."""
    no_cdi(1)
    gpu = f"GPU-{uuid.uuid4()}"
    error = refused(image=image_python, gpus=(gpu,))

    assert error.code == "gpu-not-available"
    assert error.context.startswith(f"{gpu}: Podman is told of no card by CDI, and not in ")
    assert "nvidia-ctk cdi generate" in error.hint
