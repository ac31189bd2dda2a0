"""`fetchml-worker stop` while a job runs."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.wait import poll_until


@pytest.mark.each_podman
def test_stopped_worker_leaves_its_job_to_the_next(ml, podman_root, image_python):
    """A worker that is stopped ends cleanly, its job goes on, and the next worker takes it up."""
    script = ml.cwd / "train.py"
    script.write_text("import time\nprint('began', flush=True)\ntime.sleep(4)\nprint('ended')\n", "utf-8")
    base = ml.home.path / ".ml" / "local"
    job = ml.ok("submit", "-q", str(script)).strip()
    poll_until(lambda: "began" in ml.ok("logs", "--no-follow", job), "the job has begun")
    podman_root.run("container", "exists", ml.json("show", job)["job"]["attempts"][0]["container"])

    argv = [sys.executable, "-m", "fetchml_core.worker.main", "stop", "--base", str(base)]
    subprocess.run(argv, env=ml.env, cwd=ml.cwd, check=True, timeout=30)
    ml.ok("wait", job)

    log = (base / "run" / "worker.log").read_text("utf-8")
    assert "Traceback" not in log, log
    assert f"job {job} goes on without this worker" in log
    assert f"job {job}: taking up attempt 1" in log
    assert len(ml.json("show", job)["job"]["attempts"]) == 1
    assert "ended" in ml.ok("logs", "--no-follow", job)
