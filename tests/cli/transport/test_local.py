"""The local transport keeps the contract of all transports."""

import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from fetchml_cli.transport.base import RemoteCommand
from fetchml_cli.transport.local import open_local
from fetchml_core.errors import HostError

from .contract import ByteStreamContract


@pytest.fixture
def start():
    """Start a Python program on this machine."""
    streams = []

    def open_it(program):
        streams.append(open_local(RemoteCommand("", (sys.executable, "-c", program)), environ=os.environ))
        return streams[-1]

    yield open_it
    for stream in streams:
        stream.close()


class TestLocal(ByteStreamContract):
    """See the contract."""


def test_program_that_does_not_listen_is_ended(start):
    """Closing takes seconds, not forever, with a program that ignores the end of its input and SIGTERM."""
    stream = start(
        "import os, signal, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "print(os.getpid(), flush=True)\n"
        "time.sleep(60)\n"
    )
    pid = int(_line(stream))
    stream.close()

    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.parametrize("_", range(20))
def test_closed_by_several_threads(_):
    """A watchdog may close the stream while its owner does: both find it closed, with its last words kept."""
    stream = open_local(RemoteCommand("", ("sh", "-c", "echo sorry >&2; echo; cat")), environ=os.environ)
    _line(stream)
    together = threading.Barrier(4)

    def close(_):
        together.wait(10)
        stream.close()
        return stream.read(1), stream.last_words()

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(close, range(4))) == [(b"", "sorry")] * 4


def test_ctrl_c_is_not_for_the_program(start):
    """The program does not share our process group, so that Ctrl-C on the terminal leaves it alone."""
    stream = start("import os; print(os.getpgrp(), flush=True); input()")

    assert int(_line(stream)) != os.getpgrp()


def test_program_missing():
    """A program that is not there is an error that names it."""
    with pytest.raises(HostError) as caught:
        open_local(RemoteCommand("", ("/nowhere/python",)), environ={})
    assert (caught.value.code, caught.value.context) == ("cannot-start", "/nowhere/python")


def _line(stream):
    line = b""
    while not line.endswith(b"\n"):
        byte = stream.read(1)
        assert byte, stream.last_words()
        line += byte
    return line
