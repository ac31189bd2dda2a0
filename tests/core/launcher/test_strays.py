"""Which processes are Podman's for a container of ours, and that no other is ever touched."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
import time
import uuid
from pathlib import Path

import pytest

from fetchml_core.launcher import control, strays
from fetchml_core.launcher.argv import podman_run_argv
from fetchml_core.launcher.engine import Engine
from fetchml_core.launcher.environment import container_view, job_environment
from fetchml_core.launcher.podman import PodmanLauncher
from fetchml_core.launcher.spec import LaunchSpec, Leftover
from tests.core.launcher.jobs import CLOCK, make_spec
from tests.core.launcher.test_podman import as_account
from tests.support.wait import poll_until

ID = "4fca9b94" * 8


@pytest.mark.parametrize(
    ("argv", "found"),
    [
        (["/usr/bin/conmon", "-c", ID, "-u", "x", "-n", "ml-1-2-3"], ("conmon", "ml-1-2-3", ID)),
        (["conmon", "-n", "a", "-c", "../x", "--exit-command-arg", "-n", "b"], ("conmon", "a", "")),
        (["conmon", "-c"], ("conmon", "", "")),
        (["podman", "run", "--detach", "--name=a", "image"], ("run", "a", "")),
        (["podman", "container", "cleanup", "--name=a"], None),
        (["podman", "run", "image"], None),
        (["sh", "-c", "conmon -n a"], None),
        ([], None),
    ],
)
def test_command_lines(argv, found):
    """Conmon and a start are told by their words; an id that is none is not handed to a runtime."""
    assert strays.stray_of(argv) == found


def sleeping(name: str, *prefix: str) -> subprocess.Popen[bytes]:
    """A process that looks like the conmon of a container."""
    argv = [*prefix, "bash", "-c", f"exec -a conmon sh -c 'sleep 60; true' conmon -n {name}"]
    return subprocess.Popen(argv, start_new_session=True)


def end(process: subprocess.Popen[bytes]) -> None:
    """Kill it with what it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def test_only_the_containers_own(tmp_path):
    """Of two that look alike the one with the name is ended, whatever it started with it."""
    mine, other = make_spec(tmp_path / "a").name, make_spec(tmp_path / "b").name
    processes = [sleeping(mine), sleeping(other)]
    try:
        both = {mine, other}
        poll_until(lambda: {stray.name for stray in strays.find(both.__contains__)} == both, "both are there")
        strays.end_rest(mine, Engine(os.environ), CLOCK, "")

        processes[0].wait(20)
        assert processes[1].poll() is None
        assert {stray.name for stray in strays.find(both.__contains__)} == {other}
    finally:
        for process in processes:
            end(process)


def test_what_looks_like_it_in_a_container_is_not_taken(podman_root, tmp_path):
    """A job can call itself conmon, but it lies in a process table of its own."""
    name = make_spec(tmp_path).name
    process = sleeping(name, "unshare", "--pid", "--fork", "--kill-child")
    try:
        words = name.encode()
        poll_until(lambda: any(words in line for line in command_lines()), "it runs")
        assert not strays.find(lambda other: other == name)
    finally:
        end(process)


def command_lines() -> list[bytes]:
    """Of all processes that call themselves conmon."""
    found = []
    for number in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{number}/cmdline", "rb") as file:
                found.append(file.read())
        except OSError:
            continue
    return [line for line in found if line.startswith(b"conmon\0")]


def kill_a_start(launcher: PodmanLauncher, env: dict[str, str], spec: LaunchSpec, seconds: float) -> None:
    """Start the container of an attempt as a worker does, and kill ``podman run`` so long after conmon is there."""
    view = container_view(spec)
    control.prepare(spec, view, job_environment(spec, view))
    shutil.copyfile(Path(control.__file__).with_name("init.py"), spec.folder / "init")
    host = launcher.check()
    argv = podman_run_argv(
        spec,
        image=spec.image,
        rootless=host.rootless,
        user="65534:65534",
        init="python",
        enforceable=host.enforceable,
    )
    process = subprocess.Popen(
        ["podman", *argv],
        env=env,
        cwd="/",
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )

    def begun() -> bool:
        found = strays.find(lambda other: other == spec.name)
        return process.poll() is not None or any(stray.kind == "conmon" for stray in found)

    poll_until(begun, "conmon")
    time.sleep(seconds)
    process.kill()
    process.wait()


@pytest.mark.each_podman
@pytest.mark.parametrize("seed", range(3))
def test_a_killed_start_leaves_nothing(podman_root, image_python, tmp_path, seed):
    """Whenever ``podman run`` is killed: after the clean-up by name no process is left, and the name is free."""
    launcher = PodmanLauncher(env=podman_root.env, clock=CLOCK)
    spec = make_spec(tmp_path, image=image_python)
    kill_a_start(launcher, podman_root.env, spec, random.Random(seed).uniform(0, 0.1))
    launcher.clean(spec.name, spec.folder, spec.checkpoint)

    assert launcher.leftovers(tmp_path / "jobs") == []
    assert strays.find(lambda other: other == spec.name) == []
    launched = launcher.launch(spec)
    assert launcher.leftovers(tmp_path / "jobs") == [Leftover(7, 2, spec.name)]
    assert launcher.leftovers(tmp_path / "other") == []
    launcher.clean(launched, spec.folder, spec.checkpoint)
    poll_until(lambda: launcher.leftovers(tmp_path / "jobs") == [], "conmon ends by itself")


@pytest.mark.each_podman
@pytest.mark.parametrize("seconds", [0.0, 0.05])
def test_rootless(rootless, rootless_python, seconds):
    """Without root the same, by the account itself."""
    base = rootless.home / f"strays-{uuid.uuid4().hex}"

    def job():
        launcher = PodmanLauncher(env=rootless.podman.env, clock=CLOCK, limits="best-effort")
        spec = make_spec(base, image=rootless_python, limits="best-effort")
        kill_a_start(launcher, rootless.podman.env, spec, seconds)
        seen = launcher.leftovers(base / "jobs") == [Leftover(7, 2, spec.name)]
        launcher.clean(spec.name, spec.folder, spec.checkpoint)
        left = [*launcher.leftovers(base / "jobs"), *strays.find(lambda other: other == spec.name)]
        return seen, left

    base.mkdir()
    rootless.own(base)
    try:
        assert as_account(rootless, job) == str((True, []))
    finally:
        shutil.rmtree(base)
