"""The worker's end of `forkserver`: started with the first job, started again where it died, ended with its owner.

Layer 2.
"""

from __future__ import annotations

import os
import select
import subprocess
import threading
import weakref
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_PROGRAM = str(Path(__file__).with_name("forkserver.py"))
_NAME = f"/{Path(_PROGRAM).name}".encode()
"""Of whichever build: an init outlives an upgrade."""
_TIMEOUT = 30.0


class ForkServer:
    """Starts inits.

    Args:
        env: Variables of the inits.
        python: What runs them.
    """

    def __init__(self, env: Mapping[str, str], python: str) -> None:
        self._env = env
        self._argv = [python, "-I", "-S", _PROGRAM]
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, control: Path) -> int | None:
        """Start the init of the attempt whose control folder this is; return its pid, None where it did not start."""
        with self._lock:
            server = self._ask(os.fsencode(control).hex().encode() + b"\n")
            answer = b""
            if select.select([_pipe(server.stdout)], [], [], _TIMEOUT)[0]:
                answer = os.read(_pipe(server.stdout).fileno(), 32).strip()
            if not answer:  # it died over it, or hangs: what it may have started is found by the folder
                self._drop()
        return int(answer) if answer.isdigit() else None

    def _ask(self, request: bytes) -> subprocess.Popen[bytes]:
        """Hand a request to the server, to a new one where there is none or it has died before; return which."""
        if self._process is not None:
            try:
                os.write(_pipe(self._process.stdin).fileno(), request)
            except BrokenPipeError:
                self._drop()
        if self._process is None:
            self._process = self._run()
            os.write(_pipe(self._process.stdin).fileno(), request)
        return self._process

    def close(self) -> None:
        """End the server; the next start makes another."""
        with self._lock:
            self._drop()

    def _drop(self) -> None:
        """End the server; its inits go on."""
        if self._process is not None:
            self._end()
            self._process = None

    def _run(self) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            self._argv,
            env=dict(self._env),
            cwd="/",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        self._end = weakref.finalize(self, _kill, process)  # also of one whom nobody closed
        return process


def _kill(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.communicate()


def _pipe(file: IO[bytes] | None) -> IO[bytes]:
    assert file is not None  # noqa: S101 - a pipe was asked for
    return file


def is_fork(cmdline: bytes) -> bool:
    """Return whether a command line, as /proc has it, is that of a server or of an init that it forked."""
    return any(word.endswith(_NAME) for word in cmdline.split(b"\0"))
