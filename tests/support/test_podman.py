"""The test machine's Podman does what the tests build on."""

import os
import signal
import uuid

import pytest

from fetchml_core.launcher.evidence import read_stat
from tests.support.cache import cache_folder
from tests.support.engine import Machine, containers_conf
from tests.support.leftovers import VARIABLE, our_containers, processes_of_run
from tests.support.wait import poll_until


def test_settings_are_only_those_needed():
    """A machine with systemd, cgroup v2 and full capabilities gets no setting at all."""
    machine = Machine(may_raise_limits=True, cgroup_v2=True, systemd=True, has_runc=True)

    assert containers_conf(machine) == "[containers]\n[engine]\n"


def test_settings_of_a_container_without_systemd():
    """Without systemd, cgroup v2 and the right to raise limits, all four settings are written."""
    machine = Machine(may_raise_limits=False, cgroup_v2=False, systemd=False, has_runc=True)

    text = containers_conf(machine)

    assert 'runtime = "runc"' in text
    assert 'cgroup_manager = "cgroupfs"' in text
    assert 'events_logger = "file"' in text
    assert "default_ulimits" in text


@pytest.mark.each_podman
def test_busybox_runs(podman_root, image_busybox):
    """The busybox image has a shell."""
    done = podman_root.run(
        "run", "--rm", "--network", "none", "--pull", "never", image_busybox, "sh", "-c", "echo hi"
    )

    assert done.stdout == "hi\n"


def test_python_image_is_what_its_name_says(podman_root, image_python):
    """The image that the shipped configuration names is found without a registry, and is Python 3.9."""
    done = podman_root.run(
        "run", "--rm", "--network", "none", "--pull", "never", "python:3.9-slim", "python3", "-V"
    )

    assert image_python == "docker.io/library/python:3.9-slim"
    assert done.stdout.startswith("Python 3.9.")


def test_image_with_nothing(podman_root, image_none):
    """The empty image runs its one program and has neither shell nor Python."""
    run = ("run", "--rm", "--network", "none", "--pull", "never", image_none)

    assert podman_root.run(*run, "/hello").stdout == "static\n"
    assert podman_root.run(*run, "/bin/sh", check=False).returncode == 127
    assert podman_root.run(*run, "/usr/bin/python3", check=False).returncode == 127


@pytest.mark.timeout(600)
def test_torch_image_computes(podman_root, image_torch):
    """The PyTorch image does a matrix product."""
    script = "import torch; print(int((torch.ones(2, 3) @ torch.ones(3, 2)).sum()))"
    done = podman_root.run(
        "run", "--rm", "--network", "none", "--pull", "never", image_torch, "python3", "-c", script
    )

    assert done.stdout == "12\n"


@pytest.mark.parametrize("account", ["root", "rootless"])
def test_podman_5_is_another_with_a_store_of_its_own(request, account):
    """Both are called by the same name; what one keeps the other does not know."""
    own = request.getfixturevalue("podman_root" if account == "root" else "rootless")
    five = request.getfixturevalue("podman5_root" if account == "root" else "rootless5")
    stores = []
    for podman in (getattr(own, "podman", own), getattr(five, "podman", five)):
        version, store = podman.run(
            "info", "--format", "{{.Version.Version}} {{.Store.GraphRoot}}"
        ).stdout.split()
        stores.append(store)

    assert version.startswith("5.")
    assert stores[0] != stores[1]


def test_failure_shows_what_podman_said(podman_root):
    """A podman command that fails raises with its own words."""
    with pytest.raises(AssertionError, match="no such container"):
        podman_root.run("inspect", "--type", "container", "no-such-container")


def test_store_is_private(podman_root):
    """The tests' images are not in the store of the machine's user."""
    root = podman_root.run("info", "--format", "{{.Store.GraphRoot}}").stdout

    assert root == f"{cache_folder()}/store\n"


def test_left_containers_are_found_and_no_others(podman_root, image_busybox, monkeypatch):
    """A container of this run is named as left behind; one of another run is none of our business."""
    name = f"left-{uuid.uuid4().hex[:8]}"
    podman_root.run("create", "--name", name, "--network", "none", "--pull", "never", image_busybox, "true")
    try:
        assert name in our_containers(["podman"], podman_root.env)
        monkeypatch.setenv(VARIABLE, "another-run")
        assert name not in our_containers(["podman"], podman_root.env)
    finally:
        podman_root.run("rm", "--force", name)


@pytest.mark.parametrize("conmon_lives", [True, False])
def test_what_a_killed_podman_leaves_is_found(
    podman_root, image_busybox, tmp_path, tmp_path_factory, conmon_lives
):
    """A conmon whose container never began, and a runc init without conmon, are this run's, and no other's."""
    name = f"orphan-{uuid.uuid4().hex[:8]}"
    options = ("--pull=never", "--network=none", f"--name={name}", f"--volume={tmp_path}:/mine:ro")
    podman_root.run("create", *options, image_busybox, "true")
    try:
        podman_root.run("init", name)
        form = "--format={{.State.ConmonPid}} {{.State.Pid}}"
        conmon, init = map(int, podman_root.run("inspect", form, name).stdout.split())
        if not conmon_lives:
            os.kill(conmon, signal.SIGKILL)
            poll_until(lambda: (stat := read_stat(conmon)) is None or stat.state in "ZX", "conmon is gone")
        found = {process.pid: process.command for process in processes_of_run(tmp_path_factory.getbasetemp())}
        assert (conmon in found) is conmon_lives
        assert found[init].endswith("runc init")
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(VARIABLE, "another-run")
            assert not {process.pid for process in processes_of_run(tmp_path / "other")} & {conmon, init}
    finally:
        podman_root.run("rm", "--force", "--time=0", name)
