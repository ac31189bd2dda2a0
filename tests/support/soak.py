"""Run the numbered proofs in their long forms: ``python -m tests.support.soak [NUMBER ...]``; all take about an hour.

A proof is a test whose docstring begins with ``#`` and its number; docs/contributing.md has the table. A size that is
set already, such as ``FETCHML_KILLS``, is kept.
"""

from __future__ import annotations

import ast
import functools
import os
import re
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LONG = {
    "FETCHML_KILLS": "10000",
    "FETCHML_CUTS": "1000",
    "FETCHML_STRIDE": "1",
    "FETCHML_DAMAGES": "2000",
    "FETCHML_CROWD": "2000",
    "FETCHML_ZOMBIES": "200",
    "FETCHML_WALK": "1000000",
    "FETCHML_LAUNCH_KILLS": "200",
    "FETCHML_OUTPUT_MB": "1000",
    "FETCHML_MODEL": "2000",
    "FETCHML_CASES": "20000",
    "FETCHML_CHAOS": "600",
}
BESIDE = (
    "tests/core/queue/test_model.py",
    "tests/core/config/test_properties.py",
    "tests/cli/commands/test_config_set.py",
    "tests/e2e/test_chaos.py",
)
"""Tests without a number that have a long form."""
OTHERS: dict[str, tuple[dict[str, str], list[str]]] = {
    "podman5": (
        {"FETCHML_PODMAN": "5"},
        [
            *("tests/core/launcher", "tests/core/worker/test_runner_gpus.py", "tests/e2e"),
            # a reboot that is only said leaves the state that this Podman refuses after one
            "--deselect=tests/e2e/test_chaos.py",
            # it is about a host on whose PATH none of our commands is
            "--deselect=tests/e2e/test_bad_login.py::test_worker_file_over_ssh",
        ],
    ),
    "valkey": (
        {"FETCHML_REDIS": "valkey"},
        [
            *("tests/core/queue/test_redis.py", "tests/core/queue/test_fallback.py"),
            *("tests/core/queue/test_model.py", "tests/cli/commands/test_redis.py"),
            *("tests/core/worker/test_redis_away.py", "tests/e2e/test_several_hosts.py"),
        ],
    ),
}
"""All that uses a program, with another one than in the short forms."""
PATIENCE_S = 7200
_NUMBER = re.compile(r"#(\d+):")


@functools.cache
def proofs(root: Path = ROOT) -> dict[int, list[str]]:
    """Return for each number its tests, as pytest names them; one that is expected to fail proves nothing."""
    found: dict[int, list[str]] = {}
    for path in sorted((root / "tests").rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.FunctionDef) or not node.name.startswith("test_"):
                continue
            number = _NUMBER.match(ast.get_docstring(node) or "")
            if number and not any("xfail" in ast.unparse(mark) for mark in node.decorator_list):
                found.setdefault(int(number[1]), []).append(f"{path.relative_to(root)}::{node.name}")
    return found


def main(wanted: list[str]) -> int:
    """Run them one number after the other, and say how each went; the exit status is 1 if one failed."""
    none: dict[str, str] = {}
    tests = {f"#{number}": (none, nodes) for number, nodes in sorted(proofs().items())}
    tests |= {path: (none, [path]) for path in BESIDE}
    failed = 0
    for name, (program, nodes) in (tests | OTHERS).items():
        if wanted and name.lstrip("#") not in wanted:
            continue
        began = time.monotonic()
        argv = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-o",
            f"timeout={PATIENCE_S}",
            "-o",
            "log_cli_level=INFO",
        ]
        done = subprocess.run(
            [*argv, "-o", "log_cli=true", *nodes],
            cwd=ROOT,
            env={**LONG, **os.environ, **program},
            check=False,
        )
        failed += done.returncode != 0
        word = "holds" if done.returncode == 0 else "FAILED"
        sys.stdout.write(f"{name} {word} ({time.monotonic() - began:.0f} s, {len(nodes)} tests)\n")
        sys.stdout.flush()
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
