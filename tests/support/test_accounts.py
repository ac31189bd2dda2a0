"""The rootless account is an ordinary user whose Podman works."""

import pytest


def test_account_is_ordinary(rootless):
    """It is not root, has a home folder of its own, and sees none of root's environment."""
    done = rootless.run(["sh", "-c", "id -u; echo $HOME; echo ${PYTHONDONTWRITEBYTECODE-unset}"])

    assert done.stdout == f"{rootless.uid}\n{rootless.home}\nunset\n"
    assert rootless.uid != 0


def test_keep_id(rootless, rootless_busybox):
    """A container with ``--userns=keep-id`` runs as the account's own uid."""
    argv = [
        "run",
        "--rm",
        "--userns=keep-id",
        "--network",
        "none",
        "--pull",
        "never",
        rootless_busybox,
        "id",
        "-u",
    ]

    assert rootless.podman.run(*argv).stdout == f"{rootless.uid}\n"


def test_python_image(rootless, rootless_python):
    """The Python image is in the rootless store too, under the same name."""
    argv = ["run", "--rm", "--userns=keep-id", "--network", "none", "--pull", "never", "python:3.9-slim"]

    assert rootless.podman.run(*argv, "python3", "-V").stdout.startswith("Python 3.9.")
    assert rootless_python


@pytest.mark.timeout(600)
def test_torch_image(rootless, rootless_torch):
    """The PyTorch image is in the rootless store too."""
    argv = ["run", "--rm", "--userns=keep-id", "--network", "none", "--pull", "never", rootless_torch]

    assert (
        rootless.podman.run(*argv, "python3", "-c", "import torch; print(torch.ones(3).sum().item())").stdout
        == "3.0\n"
    )


def test_store_is_apart(rootless):
    """Its store lies in its own home folder and uses overlay, the fast driver."""
    info = rootless.podman.run("info", "--format", "{{.Store.GraphRoot}} {{.Store.GraphDriverName}}").stdout

    assert info == f"{rootless.home}/containers overlay\n"
