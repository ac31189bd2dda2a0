"""A real terminal: tmux on a socket of its own, typed into and read as a person would."""

from __future__ import annotations

import subprocess
import time
import uuid
from typing import TYPE_CHECKING

import pytest

from tests.support.leftovers import run_folder
from tests.support.ml import client_environment
from tests.support.require import need

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

_SHELL = ("bash", "--norc", "--noprofile", "-i")


class Tmux:
    """One terminal of 120 x 40 characters; ``start`` it first."""

    def __init__(self, socket: Path, cwd: Path, env: Mapping[str, str]) -> None:
        self.socket, self.cwd, self.env = socket, cwd, dict(env)

    def start(self, argv: Sequence[str] = _SHELL, *, columns: int = 120, lines: int = 40) -> Tmux:
        """Open the terminal and run a program in it, an interactive bash by default, whose prompt is ``$ ``."""
        size = ["-x", str(columns), "-y", str(lines)]
        env = {"PS1": "$ ", **self.env}
        # A single word would go through a shell, which takes PS1 away.
        program = ["env", *argv]
        begin = [
            "tmux",
            "-S",
            str(self.socket),
            "-f",
            "/dev/null",
            "new-session",
            "-d",
            *size,
            "--",
            *program,
        ]
        subprocess.run(begin, env=env, cwd=self.cwd, check=True, capture_output=True, text=True)
        return self

    def type(self, text: str) -> None:
        """Type text and the Enter key."""
        self._tmux("send-keys", "-l", "--", text)
        self.send_keys("Enter")

    def send_keys(self, *keys: str) -> None:
        """Press keys by their tmux names: ``C-c``, ``Tab``, ``Up``, ``Escape``; other words are typed."""
        self._tmux("send-keys", "--", *keys)

    def screen(self) -> str:
        """What is on the screen and above it, wrapped lines joined, without the spaces at line ends."""
        text = self._tmux("capture-pane", "-p", "-J", "-S", "-2000")
        return "\n".join(line.rstrip() for line in text.splitlines()).rstrip()

    def wait_for(self, text: str, timeout: float = 20.0) -> str:
        """Wait until the text is on the screen, and return the screen; AssertionError with it otherwise."""
        end = time.monotonic() + timeout
        while text not in (screen := self.screen()):
            if time.monotonic() > end:
                raise AssertionError(f"after {timeout} s no {text!r} on the screen:\n{screen}")
            time.sleep(0.05)
        return screen

    def resize(self, columns: int, lines: int) -> None:
        """Give the terminal another size."""
        self._tmux("resize-window", "-x", str(columns), "-y", str(lines))

    def end(self) -> None:
        """Close the terminal; its programs get a hang-up."""
        argv = ["tmux", "-S", str(self.socket), "kill-server"]
        subprocess.run(argv, check=False, capture_output=True)
        self.socket.unlink(missing_ok=True)

    def _tmux(self, *args: str) -> str:
        argv = ["tmux", "-S", str(self.socket), *args]
        return subprocess.run(argv, check=True, capture_output=True, text=True, timeout=20).stdout


@pytest.fixture
def tmux(home, ml, podman_environment) -> Iterator[Tmux]:
    """A terminal with the same home folder and environment as the ``ml`` fixture; not started yet."""
    need("tmux")
    # The path of a socket may have 107 bytes at most, so it is not below tmp_path.
    terminal = Tmux(run_folder() / f"tmux-{uuid.uuid4().hex[:8]}", ml.cwd, ml.env)
    assert client_environment(home, podman_environment).items() <= terminal.env.items()
    yield terminal
    terminal.end()
