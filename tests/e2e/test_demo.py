"""`make demo`: from a checkout and nothing else to a trained network, whatever the machine has."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.leftovers import processes_with
from tests.support.ml import ROOT, VARIABLE
from tests.support.require import find_program
from tests.support.small import SMALL
from tests.support.wait import poll_until

NEEDED = ("bash", "dirname", "env", "mktemp", "realpath", "rm")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what the demo uses, so that it may be changed and leaves nothing in ours; it learns for 2 epochs."""
    folder = tmp_path / "checkout"
    shutil.copytree(ROOT / "examples", folder / "examples", ignore=shutil.ignore_patterns("__pycache__"))
    train = folder / "examples" / "digits" / "train.py"
    text = train.read_text("utf-8")
    assert "default=40" in text
    train.write_text(text.replace("default=40", "default=2"), "utf-8")
    return folder


@pytest.fixture
def demo(ml, checkout):
    """Start the demo as `make demo` does; returns the process."""
    ml.env["DEMO_PYTHON"] = sys.executable

    def start(**env: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [str(checkout / "examples" / "demo.sh")],
            env={**ml.env, **env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,  # a Ctrl-C goes to the whole group, and to nobody else
        )

    return start


@pytest.fixture
def path_without_podman(tmp_path) -> str:
    """A PATH with what a small Debian has, and no Podman."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in NEEDED:
        (folder / name).symlink_to(find_program(name) or pytest.fail(f"no {name}"))
    (folder / "python3").symlink_to(Path(sys.executable).resolve())
    return str(folder)


def finish(process: subprocess.Popen[str], timeout: float = 90) -> str:
    """Wait for the end and return what was printed."""
    return process.communicate(timeout=timeout)[0]


def test_demo_runs_in_a_container_where_podman_has_the_image(ml, demo, checkout, image_python):
    """With Podman and the image the job is sandboxed, its metrics and results are shown, nothing runs on."""
    process = demo()

    text = finish(process)

    assert process.returncode == 0, text
    assert "sandbox  a hardened Podman container" in text
    assert "not sandboxed" not in text
    assert "metric accuracy" in text
    assert text.index("the worker has ended") < text.rindex("succeeded")
    results = checkout / "demo-results" / "digits-1"
    assert f"results  {results}" in text
    assert json.loads((results / "model.json").read_text("utf-8"))["accuracy"] > 0.8
    assert not processes_with(VARIABLE, ml.id)


def test_demo_says_what_is_lost_without_podman(ml, demo, path_without_podman):
    """Without Podman the job runs all the same, and one visible line says that it is not sandboxed and what is lost."""
    process = demo(PATH=path_without_podman)

    text = finish(process)

    assert process.returncode == 0, text
    assert "not sandboxed: a job can read and change whatever the account can" in text
    assert "sandbox  none: not sandboxed" in text
    assert not processes_with(VARIABLE, ml.id)


def test_demo_ends_with_the_status_of_its_job(ml, demo, checkout, path_without_podman):
    """A job that fails gives the demo its own exit status, and its worker is ended too."""
    (checkout / "examples" / "digits" / "train.py").write_text("raise SystemExit(3)\n", "utf-8")
    process = demo(PATH=path_without_podman)

    text = finish(process)

    assert process.returncode == 3, text
    assert "failed" in text
    assert not processes_with(VARIABLE, ml.id)


def test_demo_ignores_the_users_profile(ml, demo, path_without_podman):
    """A profile that names a host that is not there changes nothing."""
    ml.home.profile('[server]\nworker_host = "nowhere.invalid"\n')
    process = demo(PATH=path_without_podman)

    text = finish(process)

    assert process.returncode == 0, text


def test_interrupted_demo_leaves_nothing_running(ml, demo, checkout, path_without_podman):
    """Ctrl-C in the middle cancels the job and ends the worker; the exit status is that of an interrupt."""
    train = checkout / "examples" / "digits" / "train.py"
    train.write_text("import time\nprint('started')\ntime.sleep(300)\n", "utf-8")
    process = demo(PATH=path_without_podman)
    log = ml.home.path / ".ml" / "local" / "data" / "jobs" / "1" / "1" / "control" / "log"
    poll_until(lambda: log.exists() and b"started" in log.read_bytes(), "the job has started")

    os.killpg(process.pid, signal.SIGINT)
    text = finish(process)

    assert process.returncode == 130, text
    assert "job 1 cancelled" in text
    assert not processes_with(VARIABLE, ml.id)


def test_demo_leaves_another_job_alone(ml, demo, checkout, path_without_podman):
    """Where another job of the user's runs, the worker goes on for it."""
    other = ml.cwd / "other.py"
    other.write_text("import time\ntime.sleep(300)\n", "utf-8")
    ml.env["PATH"] = path_without_podman
    base = ml.home.path / ".ml" / "local"
    base.mkdir(parents=True, mode=0o700)
    (base / "worker.yaml").write_text(f"launcher: process\nmax_workers: 2\n{SMALL}", "utf-8")
    first = ml.ok("submit", "-q", str(other)).strip()
    process = demo()

    text = finish(process)

    assert process.returncode == 0, text
    assert "the worker ran before this demo and goes on" in text
    (job,) = ml.json("status", first)["jobs"]
    assert job["state"] == "running"
    ml.ok("cancel", "--now", first)
    ml.fails(7, "wait", first)
