"""The worker's end of `forkserver`: started with the first job, started again where it died, ended with its owner.

Layer 2.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import threading
import weakref
from pathlib import Path
from typing import TYPE_CHECKING

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
        self._argv = [python, "-I", "-S", "-B", _PROGRAM]
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, control: Path) -> int | None:
        """Start the init of the attempt whose control folder this is; return its pid, None where it did not start."""
        request = json.dumps(os.fspath(control)).encode() + b"\n"
        with self._lock:
            answer = self._ask(request) or self._ask(request)
        return int(answer) if answer.isdigit() else None

    def _ask(self, request: bytes) -> bytes:
        """Return the answer of the living server, or of a new one; empty where it died or hangs."""
        if self._process is None:
            self._process = self._run()
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None  # noqa: S101 - a pipe
        assert stdout is not None  # noqa: S101 - likewise
        with contextlib.suppress(BrokenPipeError):
            os.write(stdin.fileno(), request)
            if select.select([stdout], [], [], _TIMEOUT)[0]:
                answer = os.read(stdout.fileno(), 32).strip()
                if answer:
                    return answer
        _end(self._process)
        self._process = None
        return b""

    def _run(self) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            self._argv,
            env=dict(self._env),
            cwd="/",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        weakref.finalize(self, _end, process)
        return process


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a server; its inits go on."""
    process.kill()
    process.communicate()


def is_fork(cmdline: bytes) -> bool:
    """Return whether a command line, as /proc has it, is that of a server or of an init that it forked."""
    return any(word.endswith(_NAME) for word in cmdline.split(b"\0"))
