"""Real Redis servers: on free ports of the loopback, with their data in a folder of the test.

A test that is marked ``each_redis`` runs once more with the Valkey 8 of Debian trixie. ``FETCHML_REDIS=valkey`` (or
``redis``) names the one that all tests get.
"""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import redis

from tests.support.leftovers import run_folder
from tests.support.require import find_program, need
from tests.support.wait import free_port, poll_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

VARIABLE = "FETCHML_REDIS"
REDIS, VALKEY = "redis", "valkey"
_DATABASES = 4096


class RedisServer:
    """One server that keeps what it has acknowledged, whatever becomes of it; it can be killed and started again.

    Args:
        folder: For its files.
        program: Its path.
        *options: Further words of its command line.
        host: Where it listens.
        tls: Whether it speaks nothing but TLS.
    """

    def __init__(
        self, folder: Path, program: str, *options: str, host: str = "127.0.0.1", tls: bool = False
    ) -> None:
        self.folder, self.host, self.port = folder, host, free_port()
        folder.mkdir(parents=True, exist_ok=True)
        durable = ["--appendonly", "yes", "--appendfsync", "always", "--save", "", "--dir", str(folder)]
        port = ["--tls-port", str(self.port), "--port", "0"] if tls else ["--port", str(self.port)]
        self._argv = [
            program,
            *durable,
            *("--bind", host, "--databases", str(_DATABASES), "--daemonize", "no"),
            *port,
            *options,
        ]
        self._process: subprocess.Popen[bytes] | None = None

    def url(self, database: int = 0) -> str:
        """The URL of one of its databases."""
        return f"redis://{self.host}:{self.port}/{database}"

    def start(self) -> None:
        """Start it and wait until it answers."""
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(self._argv, stdout=log, stderr=log)
        poll_until(self._answers, "redis-server")

    def kill(self) -> None:
        """Kill it in the middle of whatever it does."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """Let it hang: its port is open, and nobody answers."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def _answers(self) -> bool:
        """Whether it says something, be it that it wants a password or TLS."""
        try:
            with redis.Redis.from_url(self.url(), socket_timeout=1) as client:
                client.ping()
        except redis.AuthenticationError:
            return True
        except redis.ConnectionError as error:
            return "Connection refused" not in str(error) and "loading" not in str(error)
        return True


def pytest_configure(config: pytest.Config) -> None:
    """Make the mark known."""
    config.addinivalue_line("markers", "each_redis: run with Redis and with Valkey")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that has the mark, and needs a server, with both."""
    marked = metafunc.definition.get_closest_marker("each_redis") is not None
    if marked and "redis_program" in metafunc.fixturenames and VARIABLE not in os.environ:
        metafunc.parametrize("redis_program", [REDIS, VALKEY], indirect=True)


@pytest.fixture(scope="session")
def redis_program(request) -> str:
    """The path of the server's program."""
    name = getattr(request, "param", os.environ.get(VARIABLE, REDIS))
    if name == VALKEY:
        return str(request.getfixturevalue("trixie").programs / "valkey-server")
    if name != REDIS:
        raise pytest.UsageError(f"{VARIABLE} is {name}; known: {REDIS}, {VALKEY}")
    need("redis")
    return find_program("redis-server") or "redis-server"


@pytest.fixture(scope="session")
def shared_redis(redis_program: str) -> Iterator[RedisServer]:
    """A server that the tests of this process share; each takes a database of its own."""
    server = RedisServer(run_folder() / f"shared-{Path(redis_program).name}", redis_program)
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="session")
def _databases() -> Iterator[int]:
    return itertools.count()


@pytest.fixture
def redis_url(shared_redis: RedisServer, _databases: Iterator[int]) -> str:
    """An empty database of the shared server."""
    return shared_redis.url(next(_databases))


@pytest.fixture
def redis_server(tmp_path: Path, redis_program: str) -> Iterator[Callable[..., RedisServer]]:
    """A factory of servers of the test's own, started: ``redis_server(*options, tls=False)``."""
    made: list[RedisServer] = []

    def make(*options: str, **where: Any) -> RedisServer:
        server = RedisServer(tmp_path / f"redis-{len(made)}", redis_program, *options, **where)
        made.append(server)
        server.start()
        return server

    yield make
    for server in made:
        server.kill()
