"""Real Redis servers: on free ports of the loopback, with their data in a folder of the test."""

from __future__ import annotations

import itertools
import signal
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import redis

from tests.support.leftovers import run_folder
from tests.support.require import find_program, need
from tests.support.wait import free_port, poll_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_DATABASES = 4096


class RedisServer:
    """One server that keeps what it has acknowledged, whatever becomes of it; it can be killed and started again.

    Args:
        folder: For its files.
        *options: Further words of its command line.
        host: Where it listens.
        tls: Whether it speaks nothing but TLS.
    """

    def __init__(self, folder: Path, *options: str, host: str = "127.0.0.1", tls: bool = False) -> None:
        self.folder, self.host, self.port = folder, host, free_port()
        folder.mkdir(parents=True, exist_ok=True)
        durable = ["--appendonly", "yes", "--appendfsync", "always", "--save", "", "--dir", str(folder)]
        port = ["--tls-port", str(self.port), "--port", "0"] if tls else ["--port", str(self.port)]
        self._argv = [
            find_program("redis-server") or "redis-server",
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


@pytest.fixture(scope="session")
def shared_redis() -> Iterator[RedisServer]:
    """A server that the tests of this process share; each takes a database of its own."""
    need("redis")
    server = RedisServer(run_folder() / "redis")
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
def redis_server(tmp_path: Path) -> Iterator[Callable[..., RedisServer]]:
    """A factory of servers of the test's own, started: ``redis_server(*options, tls=False)``."""
    need("redis")
    made: list[RedisServer] = []

    def make(*options: str, **where: Any) -> RedisServer:
        server = RedisServer(tmp_path / f"redis-{len(made)}", *options, **where)
        made.append(server)
        server.start()
        return server

    yield make
    for server in made:
        server.kill()
