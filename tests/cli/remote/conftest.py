"""Fixtures for bringing an agent to a host: a small one instead of the real one."""

import os
from types import SimpleNamespace

import pytest

from fetchml_cli.remote.bootstrap import COMMAND, Starting
from fetchml_cli.remote.pack import Pack
from fetchml_cli.transport.local import open_local
from fetchml_cli.transport.open import open_stream

AGENT = """
import sys
def serve(reader, writer, *, base, embedded=False):
    print("a stray print", flush=True)
    writer.write(f"base={base} embedded={embedded} {VERSION}\\n".encode())
    writer.flush()
    while data := reader.read1(65536):
        writer.write(data)
        writer.flush()
"""


def make_pack(folder, version=1, agent=AGENT):
    """A pack of a tiny fetchml_core whose agent echoes."""
    package = folder / f"tree{version}" / "fetchml_core" / "agent"
    package.mkdir(parents=True)
    for path in (package.parent, package):
        (path / "__init__.py").write_text("", "utf-8")
    (package / "main.py").write_text(f"VERSION = {version}\n{agent}", "utf-8")
    (package / "data.json").write_text("{}", "utf-8")
    return Pack.of_folder(package.parent.parent)


@pytest.fixture
def pack(tmp_path):
    """The first version of the tiny agent."""
    return make_pack(tmp_path)


@pytest.fixture
def environ(home):
    """The client's environment."""
    return {"HOME": str(home.path), "PATH": os.environ["PATH"], "USER": "nobody"}


@pytest.fixture
def here(home, environ, tmp_path):
    """This machine as the host: streams to its Python, with a HOME of its own."""
    account = tmp_path / "account"
    account.mkdir()
    streams = []

    def open_it(command=COMMAND):
        streams.append(open_local(command, environ={**environ, "HOME": str(account)}))
        return streams[-1]

    yield SimpleNamespace(open=open_it, home=account)
    for stream in streams:
        stream.close()


@pytest.fixture
def there(sshd, home, environ):
    """A host behind SSH."""
    server = sshd()
    home.trust(server)
    home.use_key(server)
    streams = []

    def open_it(command=COMMAND, port=0):
        profile = SimpleNamespace(
            worker_host=server.host, worker_user="root", worker_port=port or server.port
        )
        streams.append(open_stream(profile, command=command, timeout=10, environ=environ))
        return streams[-1]

    yield SimpleNamespace(open=open_it, home=server.home, server=server)
    for stream in streams:
        stream.close()


@pytest.fixture(params=["here", "there"])
def host(request):
    """Both kinds of host, one after the other."""
    return request.getfixturevalue(request.param)


def start(stream, pack, *, base="~/base", archive=None, progress=None, timeout=15, early=b""):
    """Start the agent of *pack*, from *archive* where its own is not meant."""
    starting = Starting(stream, base=base, build=pack.build(), timeout=timeout, early=early)
    return starting.finish(archive or pack.archive, progress)


def read_line(stream):
    """Read one line."""
    line = b""
    while not line.endswith(b"\n"):
        byte = stream.read(1)
        assert byte, f"{line!r} {stream.last_words()}"
        line += byte
    return line.decode()


def builds(host, base="base"):
    """Names of what lies in the host's agent folder."""
    folder = host.home / base / "agent"
    return sorted(path.name for path in folder.iterdir() if path.name != ".lock") if folder.exists() else []
