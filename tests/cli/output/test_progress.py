"""Progress on the terminal of whoever waits."""

import io
import os
import pty
import signal
import subprocess
import sys

import pytest

from fetchml_cli.output.progress import progress
from tests.cli.support import ROOT, fake_cli, plain_environ, text_of

SHOW_CURSOR = "\x1b[?25h"
HIDE_CURSOR = "\x1b[?25l"
FOREVER = """
import sys
import time
from fetchml_cli.boundary import guard
from fetchml_cli.cli import Cli
from fetchml_cli.output.progress import progress
made = Cli.from_process()
def work():
    with progress(made, "upload", 1000, delay=0) as advance:
        while True:
            advance(1)
            time.sleep(0.05)
sys.exit(guard(work, argv=[], make_cli=lambda: made))
"""


def drawn(cli, total=1 << 20, steps=8, delay=0.0) -> str:
    """What is on stderr after a transfer."""
    with progress(cli, "upload", total, delay=delay) as advance:
        for _ in range(steps):
            advance(1 << 17)
    return text_of(cli.err)


def test_a_bar_with_bytes_is_drawn_and_taken_away(tmp_path):
    """While it lasts the bar shows the bytes; afterwards its line is erased and the cursor visible."""
    shown = drawn(fake_cli(tmp_path, tty=True, colour=True))

    assert "upload" in shown
    assert "1.0 MiB" in shown
    assert shown.rindex(SHOW_CURSOR) > shown.rindex(HIDE_CURSOR)
    assert shown.rindex("\x1b[2K") > shown.rindex("upload")


@pytest.mark.parametrize("settings", [{}, {"tty": True, "TERM": "dumb"}])
def test_silent_without_a_terminal(tmp_path, settings):
    """A pipe, a file or a dumb terminal gets nothing."""
    assert drawn(fake_cli(tmp_path, **settings)) == ""


def test_silent_beside_json(tmp_path):
    """With --json stderr is for an error object alone."""
    assert drawn(fake_cli(tmp_path, tty=True).configured(json=True)) == ""


def test_a_short_transfer_draws_nothing(tmp_path):
    """Before half a second there is no bar."""
    assert drawn(fake_cli(tmp_path, tty=True), delay=60) == ""


@pytest.mark.parametrize("width", [1, 10, 20, 49, 50, 80, 300])
@pytest.mark.parametrize("total", [1 << 20, 0, None, 1])
def test_any_width_and_any_total(tmp_path, width, total):
    """A narrow terminal, an unknown or a wrong total never raise, and the bar keeps to one line."""
    shown = drawn(fake_cli(tmp_path, tty=True, width=width), total)

    assert shown.count("\n") <= 1


def test_a_link_that_drops_takes_the_bar_with_it(tmp_path):
    """The error goes to the caller, the cursor comes back."""
    cli = fake_cli(tmp_path, tty=True)

    def transfer():
        with progress(cli, "download", 10, delay=0) as advance:
            advance(1)
            raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        transfer()
    shown = text_of(cli.err)
    assert shown.rindex(SHOW_CURSOR) > shown.rindex(HIDE_CURSOR)


def test_a_terminal_that_is_gone_does_not_stop_the_transfer(tmp_path):
    """When nothing can be drawn any more the bytes still move."""

    class Gone(io.StringIO):
        def write(self, text):
            raise OSError(5, "Input/output error")

    cli = fake_cli(tmp_path, tty=True)
    cli.err.stream = Gone()
    moved = 0
    with progress(cli, "upload", 100, delay=0) as advance:
        for _ in range(100):
            advance(1)
            moved += 1

    assert moved == 100


def test_ctrl_c_gives_the_cursor_back(tmp_path):
    """After Ctrl-C in the middle of a transfer the terminal is as before, and the status 130."""
    leader, follower = pty.openpty()
    environ = plain_environ(tmp_path, TERM="xterm")
    running = subprocess.Popen(
        [sys.executable, "-c", FOREVER],
        stdin=follower,
        stdout=follower,
        stderr=follower,
        env=environ,
        cwd=ROOT,
    )
    os.close(follower)
    shown = b""
    while b"upload" not in shown:
        shown += os.read(leader, 4096)
    running.send_signal(signal.SIGINT)
    try:
        while True:
            shown += os.read(leader, 4096)
    except OSError:  # EIO: the other side is closed
        pass
    os.close(leader)

    assert running.wait(60) == 130
    assert shown.rindex(SHOW_CURSOR.encode()) > shown.rindex(HIDE_CURSOR.encode())
    assert b"Traceback" not in shown
