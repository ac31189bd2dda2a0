"""Fixtures for the SSH transport."""

import os
import shlex
import sys
from types import SimpleNamespace

import pytest

from fetchml_cli.transport.base import RemoteCommand
from fetchml_cli.transport.open import open_stream


@pytest.fixture
def environ(home):
    """The client's environment: a home folder of its own, no SSH agent."""
    return {"HOME": str(home.path), "PATH": os.environ["PATH"], "USER": "nobody"}


@pytest.fixture
def connect(environ):
    """Open streams over SSH: ``connect(server, program, host=, user=, port=, timeout=)``."""
    streams = []

    def open_it(server=None, program="", *, host="", user="root", port=0, timeout=10, shell=""):
        profile = SimpleNamespace(
            worker_host=host or server.host,
            worker_user=user,
            worker_port=port or (server.port if server and not host else 0),
        )
        text = shell or f"exec {shlex.join([sys.executable, '-c', program])}"
        streams.append(
            open_stream(profile, command=RemoteCommand(text, ()), timeout=timeout, environ=environ)
        )
        return streams[-1]

    yield open_it
    for stream in streams:
        stream.close()


@pytest.fixture
def reachable(sshd, home):
    """A server whose host key is known and that accepts our key."""
    server = sshd()
    home.trust(server)
    home.use_key(server)
    return server
