"""Run ``ml`` as a person does: a program of its own, with its own home folder and a clean environment."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.leftovers import VARIABLE as RUN_VARIABLE
from tests.support.leftovers import end_processes, run_id

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.support.home import Home

ROOT = Path(__file__).resolve().parents[2]
VARIABLE = "FETCHML_TEST_ML"


class Ml:
    """The program with one home folder.

    Attributes:
        home: HOME of the client.
        cwd: Where it is called; change it freely.
        env: Its complete environment; add to it freely.
    """

    def __init__(self, home: Home, cwd: Path, env: Mapping[str, str]) -> None:
        self.home, self.cwd = home, cwd
        self.id = uuid.uuid4().hex[:12]
        self.env = client_environment(home, env) | {VARIABLE: self.id}
        self._started: list[subprocess.Popen[str]] = []

    def run(
        self, *args: str, env: Mapping[str, str] | None = None, stdin: str | None = None, timeout: float = 60
    ) -> subprocess.CompletedProcess[str]:
        """Run ``ml ARGS`` to its end, whatever its exit status."""
        return subprocess.run(
            self._argv(args),
            cwd=self.cwd,
            env={**self.env, **(env or {})},
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            errors="surrogateescape",
            timeout=timeout,
            check=False,
        )

    def ok(self, *args: str, **options: Any) -> str:
        """Run it, expect success, and return what it printed on stdout."""
        return self.fails(0, *args, **options).stdout

    def fails(self, status: int, *args: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run it and expect this exit status, and no traceback."""
        done = self.run(*args, **options)
        told = f"ml {' '.join(args)} ended with {done.returncode}, not {status}\n{done.stdout}\n{done.stderr}"
        assert done.returncode == status, told
        assert "Traceback (most recent call last)" not in done.stderr, told
        return done

    def json(self, *args: str, **options: Any) -> Any:
        """Run it with ``--json``, expect success, and return the one value it printed."""
        return json.loads(self.ok(*args, "--json", **options))

    def start(self, *args: str, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        """Start ``ml ARGS`` and return it running, with pipes; it is ended with the test."""
        pipe = subprocess.PIPE
        process = subprocess.Popen(
            self._argv(args),
            cwd=self.cwd,
            env={**self.env, **(env or {})},
            text=True,
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
        )
        self._started.append(process)
        return process

    def end(self) -> None:
        """End all that was started and is still running, detached workers included."""
        for process in self._started:
            if process.poll() is None:
                process.kill()
            process.communicate()
        end_processes(VARIABLE, self.id)

    def _argv(self, args: tuple[str, ...]) -> list[str]:
        return [sys.executable, "-m", "fetchml_cli", *args]


def client_environment(home: Home, more: Mapping[str, str]) -> dict[str, str]:
    """A small, known environment for a client: nothing of the developer's own settings reaches it."""
    return {
        "HOME": str(home.path),
        "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
        "PYTHONPATH": str(ROOT),
        "PYTHONDONTWRITEBYTECODE": os.environ.get("PYTHONDONTWRITEBYTECODE", ""),
        "LANG": "C.UTF-8",
        "TERM": "xterm-256color",
        RUN_VARIABLE: run_id(),
        **more,
    }


@pytest.fixture
def ml(home, tmp_path, podman_environment) -> Iterator[Ml]:
    """``ml`` with an empty home folder, called in an empty folder; what it started ends with the test."""
    cwd = tmp_path / "cwd"
    cwd.mkdir()
    program = Ml(home, cwd, podman_environment)
    yield program
    program.end()
