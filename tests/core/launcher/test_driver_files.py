"""What stands in the place of a CDI specification, read from made-up folders of a host."""

from __future__ import annotations

import os

import pytest

from fetchml_core.errors import HostError
from fetchml_core.launcher import driver_files
from fetchml_core.launcher.gpus import Grant, grant
from fetchml_core.launcher.spec import Capabilities
from fetchml_core.launcher.versions import traits_of
from fetchml_core.service.worker_info import podman_info

GPU = "GPU-00000000-0000-0000-0000-000000000001"
MIG = "MIG-00000000-0000-0000-0000-000000000001"


@pytest.fixture
def host(monkeypatch, tmp_path):
    """A host with one card, /dev/nvidia5, and a driver of one library."""
    (tmp_path / "cards" / "0000:41:00.0").mkdir(parents=True)
    information = tmp_path / "cards" / "0000:41:00.0" / "information"
    information.write_text(f"GPU UUID: \t {GPU}\nDevice Minor: \t 5\nGPU Excluded:\t No\n", "ascii")
    for folder in ("dev", "lib", "cdi"):
        (tmp_path / folder).mkdir()
    (tmp_path / "dev" / "nvidiactl").touch()
    (tmp_path / "lib" / "libcuda.so.1").touch()
    (tmp_path / "cache").write_text(
        f"\tlibcuda.so.1 (libc6,x86-64) => {tmp_path}/lib/libcuda.so.1\n", "ascii"
    )
    monkeypatch.setattr(driver_files, "SPECIFICATIONS", (tmp_path / "cdi", tmp_path / "none"))
    monkeypatch.setattr(driver_files, "CARDS", tmp_path / "cards")
    monkeypatch.setattr(driver_files, "DEV", tmp_path / "dev")
    monkeypatch.setattr(driver_files, "LOADER_CACHE", ("cat", str(tmp_path / "cache")))
    return tmp_path


def test_files_in_the_place_of_names(host):
    """CDI names go, device files and libraries come; everything else of the grant stays."""
    given = grant([GPU])
    changed = driver_files.without_cdi([GPU], given)

    assert changed == Grant(
        devices=(f"{host}/dev/nvidia5:/dev/nvidia5", f"{host}/dev/nvidiactl:/dev/nvidiactl"),
        libraries=tuple((f"{host}/lib/libcuda.so.1", f"/usr/{lib}/libcuda.so.1") for lib in ("lib", "lib64")),
        files=given.files,
        cuda=True,
    )


def test_other_cards_of_the_job_stay(host):
    """A job with an AMD card beside it keeps that one's device files."""
    given = Grant(("/dev/kfd", f"nvidia.com/gpu={GPU}", "/dev/dri/renderD128"), cuda=True)

    assert driver_files.without_cdi([GPU], given).devices == (
        f"{host}/dev/nvidia5:/dev/nvidia5",
        f"{host}/dev/nvidiactl:/dev/nvidiactl",
        "/dev/kfd",
        "/dev/dri/renderD128",
    )


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("nvidia.yaml", "cdiVersion: 0.5.0\nkind: nvidia.com/gpu\n", True),
        ("nvidia.json", '{"kind": "nvidia.com/gpu"}', True),
        ("vendor.json", '{"kind": "vendor.com/device"}', False),
        ("nvidia.yaml.bak", "kind: nvidia.com/gpu\n", False),
    ],
)
def test_specification(host, name, text, told):
    """Podman reads .json and .yaml, and one of another vendor's devices says nothing of cards; people are told so."""
    assert not driver_files.has_specification()
    (host / "cdi" / name).write_text(text, "ascii")

    assert driver_files.has_specification() is told
    for version, cdi in (((4, 3), told), ((3, 4), False)):
        assert podman_info(Capabilities("podman", traits=traits_of(version))).cdi is cdi


def refusal(gpu):
    """The context of the error with which a card is refused."""
    with pytest.raises(HostError, match="gpu-not-available") as caught:
        driver_files.without_cdi([gpu], grant([gpu]))
    return caught.value.context


def test_refused(host):
    """A part of a divided card, a card that the driver does not know, and a host without the libraries are named."""
    other = GPU.replace("1", "2")

    assert refusal(MIG) == f"{MIG}: Podman is told of no card by CDI, and parts of cards (MIG) need that"
    assert refusal(other) == f"{other}: Podman is told of no card by CDI, and not in {host}/cards either"
    os.truncate(host / "cache", 0)
    assert (
        refusal(GPU)
        == f"{GPU}: Podman is told of no card by CDI, and there is no libcuda.so.1 among the host's libraries"
    )
    (host / "cards" / "0000:41:00.0" / "information").write_bytes(b"\xff\0: :\nDevice Minor: x\n")
    assert refusal(GPU).endswith("/cards either")


@pytest.mark.usefixtures("host")
def test_no_loader_cache(monkeypatch):
    """A host without ldconfig, or one where it fails, has no libraries that could be found."""
    for command in (("/nowhere/ldconfig", "-p"), ("false",)):
        monkeypatch.setattr(driver_files, "LOADER_CACHE", command)
        assert refusal(GPU).endswith("among the host's libraries")
