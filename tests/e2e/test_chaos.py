"""Whatever dies on the host, each job ends once, with what truly happened to it, and nothing is left."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.chaos_inside import SECONDS
from tests.support.leftovers import VARIABLE
from tests.support.require import need

LIMIT = SECONDS * 3 + 600


@pytest.mark.timeout(LIMIT + 60)
def test_every_job_ends_once_whatever_dies():
    """Run `chaos_inside` with mounts of its own, so that the tests beside it keep the machine's boot id."""
    need("root", "podman")
    inside = Path(__file__).with_name("chaos_inside.py")
    options = [f"timeout={LIMIT}", "log_level=INFO", "addopts="]
    argv = ["unshare", "--mount", "--propagation=private", sys.executable, "-m", "pytest", "-q", str(inside)]
    argv += [
        "-p",
        "no:cacheprovider",
        "-p",
        "no:xdist",
        *(word for option in options for word in ("-o", option)),
    ]
    # a run of its own: what it finds left at its end must not be what the tests beside it are about to use
    env = {name: value for name, value in os.environ.items() if name != VARIABLE}
    done = subprocess.run(argv, env=env, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout
