"""A seccomp profile on its way from the check to the kernel, with a Podman that meddles with it."""

from __future__ import annotations

import json
import os
import sys

import pytest

from fetchml_core.errors import HostError
from fetchml_core.launcher.podman import PodmanLauncher
from fetchml_core.launcher.seccomp import check_profile, default_profile
from tests.core.launcher.jobs import CLOCK, Attempt, make_spec
from tests.core.launcher.test_podman import info
from tests.core.launcher.test_seccomp import SHIPPED, UNSOUND

NOTING = """#!/bin/sh
echo "$1" >>{notes}
cat {answer}
"""
"""A Podman that answers one thing, and keeps what it was asked."""
SWAPPING = """#!{python}
import shutil, subprocess, sys
if sys.argv[1] == "run":
    given = [word.partition("=seccomp=")[2] for word in sys.argv if "=seccomp=" in word][0]
    place = {place!r} or given
    shutil.copy(place, {kept!r})
    shutil.copy({other!r}, place)
status = subprocess.run(["podman", *sys.argv[1:]]).returncode
if sys.argv[1] == "run" and {back}:
    shutil.copy({kept!r}, place)
sys.exit(status)
"""
"""A Podman before which another profile is put in the place of the one it was given, or of the one that was checked."""


@pytest.fixture
def noting(tmp_path):
    """A launcher, and the file in which its Podman notes what it is asked."""
    program, notes, answer = tmp_path / "podman", tmp_path / "notes", tmp_path / "answer"
    enforcing = {"cgroupControllers": ["cpu", "memory", "pids"]}
    answer.write_text(json.dumps(info(**enforcing)))
    program.write_text(NOTING.format(notes=notes, answer=answer))
    program.chmod(0o755)
    launcher = PodmanLauncher(env=dict(os.environ), clock=CLOCK, program=str(program))
    launcher.check()
    return launcher, notes


def test_an_unsound_profile_never_reaches_podman(noting, tmp_path):
    """#22: empty, cut, {}, a typo, a key twice and every other way to be wrong refuse the job before Podman is asked."""
    launcher, notes = noting
    profile, link = tmp_path / "profile.json", tmp_path / "link.json"
    link.symlink_to(default_profile())
    codes = {"missing": "missing", "link": "unreadable", "folder": "unreadable"}
    codes |= {name: code for name, (_, code) in UNSOUND.items()}
    found = {}
    for name in codes:
        content = UNSOUND.get(name, ("", ""))[0]
        profile.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
        path = {"missing": tmp_path / "none", "link": link, "folder": tmp_path}.get(name, profile)
        with pytest.raises(HostError) as caught:
            launcher.launch(make_spec(tmp_path, seccomp_profile=path))
        found[name] = caught.value.code.removeprefix("seccomp-profile-")

    assert found == codes
    assert notes.read_text().split() == ["info"]


@pytest.fixture
def profile(tmp_path):
    """A copy of the shipped profile, for what meddles here would spoil the shipped one where our code is wrong."""
    path = tmp_path / "profile.json"
    path.write_bytes(default_profile().read_bytes())
    return path


@pytest.fixture
def swapping(podman_root, tmp_path):
    """Make a launcher whose Podman swaps profiles."""

    def make(other: object, *, place: str = "", back: bool = False) -> PodmanLauncher:
        program, file = tmp_path / "podman", tmp_path / "other.json"
        file.write_text(json.dumps(other))
        kept = str(tmp_path / "kept.json")
        text = SWAPPING.format(python=sys.executable, other=str(file), kept=kept, place=place, back=back)
        program.write_text(text)
        program.chmod(0o755)
        return PodmanLauncher(env=podman_root.env, clock=CLOCK, program=str(program))

    return make


def test_a_profile_that_changes_after_the_check(swapping, image_busybox, tmp_path, profile):
    """#22: the job runs under the very bytes that were checked, and that are in its record, whatever becomes of the file."""
    launcher = swapping({}, place=str(profile))
    argv = ("grep", "Seccomp:", "/proc/self/status")
    attempt = Attempt(launcher, make_spec(tmp_path, argv, image=image_busybox, seccomp_profile=profile)).go()
    attempt.record()
    attempt.clean()

    assert profile.read_text() == "{}"
    assert attempt.output().split() == ["Seccomp:", "2"]
    assert attempt.launched.profile_sha256 == check_profile(default_profile()).sha256


@pytest.mark.parametrize(
    ("other", "back", "code"),
    [
        ({}, False, "seccomp-profile-changed"),
        (SHIPPED | {"defaultErrnoRet": 2}, False, "seccomp-profile-changed"),
        ({}, True, "sandbox-not-proven"),
    ],
    ids=["empty", "sound", "empty-for-a-moment"],
)
def test_a_profile_that_podman_did_not_get(swapping, image_busybox, tmp_path, profile, other, back, code):
    """#22: another digest than the one that was checked, or no filter in the kernel, refuses the go."""
    argv = ("touch", "/results/ran")
    spec = make_spec(tmp_path, argv, image=image_busybox, seccomp_profile=profile)
    with pytest.raises(HostError) as caught:
        swapping(other, back=back).launch(spec)

    assert caught.value.code == code
    assert not list((spec.folder / "results").iterdir())
