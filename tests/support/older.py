"""Run the core's tests on the oldest Python that a host may have: ``python -m tests.support.older``.

The core runs on Python 3.10, the command line does not, so this has a virtual environment of its own with just what
the core may import. Where the machine has no Python 3.10 it says so loudly, or fails if ``FETCHML_REQUIRE`` names it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.support.require import PARTS, find_python, is_required

VERSION = "3.10"
ROOT = Path(__file__).resolve().parents[2]
_CORE = [
    "attrs>=26.1",
    "cattrs>=26.2",
    "pyyaml>=6.0.3",
    "tomli>=2.4",
    "durationpy>=0.11",
    "nvidia-ml-py>=13",
    "exceptiongroup>=1.3",
]
SHORT = {
    "FETCHML_KILLS": "30",
    "FETCHML_CUTS": "4",
    "FETCHML_STRIDE": "40",
    "FETCHML_MODEL": "5",
    "FETCHML_CASES": "150",
    "FETCHML_LAUNCH_KILLS": "3",
    "FETCHML_PODMAN": "own",
    "FETCHML_REDIS": "redis",
}
"""Sizes of the tests that repeat something, and one program of each kind: they ask whether the code works on this Python, not whether it is right."""
_TESTS = [
    "async-timeout>=5",
    "hypothesis>=6.155",
    "jsonschema>=4.26",
    "pytest>=9.2",
    "pytest-mock>=3.17",
    "pytest-timeout>=2.4",
    "pytest-xdist>=3.8",
    "redis>=8,<9",
]
_NO_TESTS = 5


def main() -> int:
    """Find it, prepare it, run the tests; the exit status is pytest's."""
    python = find_python(VERSION)
    if python is None:
        word = "FAILED" if is_required("python3.10") else "SKIPPED"
        reason = f"this machine has no Python {VERSION}; {PARTS['python3.10'].install}"
        sys.stdout.write(f"{word}: the core's tests on Python {VERSION}: {reason}\n")
        return int(is_required("python3.10"))
    venv = ROOT / f".venv-{VERSION}"
    _install(python, venv)
    pytest = [str(venv / "bin/python"), "-m", "pytest", "-q", "-n", "logical", "--dist", "worksteal"]
    argv = [*pytest, "-p", "no:cacheprovider", "tests/core"]
    status = subprocess.run(
        argv, cwd=ROOT, env=os.environ | SHORT | {"PYTHONPATH": "."}, check=False
    ).returncode
    return 0 if status == _NO_TESTS else status


def _install(python: str, venv: Path) -> None:
    """Create the environment, or leave it alone where it holds what is wanted."""
    wanted, stamp = "\n".join([python, *_CORE, *_TESTS]), venv / "installed"
    if stamp.exists() and stamp.read_text("utf-8") == wanted:
        return
    subprocess.run([python, "-m", "venv", "--clear", str(venv)], check=True)
    quiet = ["-qq", "--disable-pip-version-check"]
    subprocess.run([str(venv / "bin/python"), "-m", "pip", "install", *quiet, *_CORE, *_TESTS], check=True)
    stamp.write_text(wanted, "utf-8")


if __name__ == "__main__":
    sys.exit(main())
