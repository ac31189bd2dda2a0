"""The shipped examples do what their README says, in real containers."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.support.ml import ROOT
from tests.support.wait import poll_until

EXAMPLES = ROOT / "examples"


def log_of(ml, job: str) -> str:
    """Everything the newest attempt has printed so far."""
    text: str = ml.ok("logs", "--no-follow", job)
    return text


def checkpointed(ml, job: str) -> None:
    """Wait until the job has written a checkpoint."""
    poll_until(lambda: "checkpoint at step" in log_of(ml, job), "the job has written a checkpoint")


def stopped_at(text: str) -> int:
    """The step that a stopped run names."""
    return int(text.partition("stopped at step ")[2].split()[0])


def run_alone(script: Path, folder: Path, *args: str) -> Path:
    """Run an example without `ml`, its folders below *folder*; returns that of the results."""
    env = {
        "FETCHML_RESULTS": str(folder / "results"),
        "FETCHML_CHECKPOINT_DIR": str(folder / "checkpoint"),
        "PATH": os.environ["PATH"],
    }
    argv = [sys.executable, str(script), *args]
    subprocess.run(argv, env=env, cwd=folder, check=True, capture_output=True, timeout=60)
    return folder / "results"


def test_cancelled_run_is_resumed_by_a_new_job(ml, tmp_path, image_python):
    """A cancel makes the job write a checkpoint; sent along with a new job, that goes on where the first stopped."""
    job = ml.ok("submit", "-q", str(EXAMPLES / "resume")).strip()
    checkpointed(ml, job)

    ml.ok("cancel", "--reason", "the box is needed", job)
    ml.fails(7, "wait", job)
    text = log_of(ml, job)
    tree = tmp_path / "again"
    shutil.copytree(EXAMPLES / "resume", tree, ignore=shutil.ignore_patterns("__pycache__"))
    pulled = ml.ok("pull", job, str(tmp_path / "pulled")).strip()
    shutil.copy(Path(pulled) / "checkpoint.json", tree)
    step = stopped_at(text)
    again = ml.ok("submit", "-q", "--wait", str(tree), "--", "--steps", str(step + 500)).strip()

    assert "(the box is needed); its checkpoint is written" in text
    assert f"resumes at step {step} from /workspace/checkpoint.json" in log_of(ml, again)
    assert f"done after {step + 500} steps" in log_of(ml, again)


def test_second_attempt_resumes_from_the_checkpoint_folder(ml, podman_root, image_python):
    """A container that is killed from outside costs the steps since the last checkpoint: the next attempt goes on."""
    job = ml.ok("submit", "-q", str(EXAMPLES / "resume")).strip()
    checkpointed(ml, job)
    (attempt,) = ml.json("show", job)["job"]["attempts"]

    podman_root.run("kill", "--signal", "KILL", attempt["container"])
    poll_until(lambda: "resumes at step" in log_of(ml, job), "the second attempt has begun")
    shown = ml.json("show", job)["job"]
    ml.ok("cancel", job)
    ml.fails(7, "wait", job)

    assert [try_["outcome"] and try_["outcome"]["state"] for try_ in shown["attempts"]] == ["lost", None]
    assert "from /checkpoint/checkpoint.json" in log_of(ml, job)


def test_resumed_run_ends_where_an_unbroken_one_does(tmp_path):
    """Stopping and resuming changes nothing about what is learned, to the last bit."""
    script = EXAMPLES / "resume" / "train.py"
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    whole.mkdir()
    parts.mkdir()

    unbroken = run_alone(script, whole, "--steps", "60")
    run_alone(script, parts, "--steps", "25")
    resumed = run_alone(script, parts, "--steps", "60")

    expected = json.loads((unbroken / "checkpoint.json").read_text("utf-8"))
    assert json.loads((resumed / "checkpoint.json").read_text("utf-8")) == expected


def test_pytorch_trains_in_a_container(ml, tmp_path, image_torch):
    """PyTorch with two DataLoader workers trains under the full sandbox, without a network."""
    job = ml.ok(
        *("submit", "-q", "--wait", "--image", image_torch, str(EXAMPLES / "torch")),
        *("--", "--epochs", "2", "--pictures", "512"),
        timeout=150,
    ).strip()

    shown = ml.json("show", job)
    (attempt,) = shown["job"]["attempts"]
    pulled = Path(ml.ok("pull", job, str(tmp_path / "pulled")).strip())
    assert {"seccomp", "no-network", "own-ipc", "read-only-root"} <= set(attempt["enforced"])
    assert shown["metrics"]["loss"]["step"] == 2
    assert json.loads((pulled / "summary.json").read_text("utf-8"))["epochs"] == 2
    assert (pulled / "model.pt").stat().st_size > 10_000


def test_examples_name_no_place_of_a_container():
    """Examples use the FETCHML_* names: a fixed place such as /results is wrong without a container."""
    for path in EXAMPLES.glob("*/train.py"):
        assert not re.search(r"[\"'](/results|/workspace|/checkpoint)", path.read_text("utf-8")), path
