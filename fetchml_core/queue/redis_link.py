"""The way to a Redis server: a pool of connections, patience, and what goes wrong in our words.

A lost connection is made again, and what was asked is asked again, until `PATIENCE_S` is over: whoever asks must not
mind being heard twice. The password is in no message and in no `repr`.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import Any, TypeVar

import redis
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    BusyLoadingError,
    NoPermissionError,
    RedisError,
    ResponseError,
)
from redis.retry import Retry

from fetchml_core.config.redis_url import show_url
from fetchml_core.errors import ConfigError, FetchError, HostError

T = TypeVar("T")

PATIENCE_S = 4.0
"""How long a server that is away is asked again before that is an error: a restart of it takes a second or two."""
CONNECT_S = 2.0
ANSWER_S = 5.0
RECONNECT_S = 2.0
_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 0.5
_DENIED = (AuthenticationError, AuthorizationError, NoPermissionError)
_LOST = (redis.ConnectionError, redis.TimeoutError, BusyLoadingError)


class Link:
    """Connections to one database of a Redis or Valkey server; made when they are first needed.

    Args:
        url: ``redis://``, ``rediss://`` (certificates are checked) or ``unix://``, with the password in it.
        connections: How many at once, beside one for each `Watch`.
        patience: Seconds.

    Raises:
        ConfigError: ``bad-redis-url``.
    """

    def __init__(self, url: str, *, connections: int = 10, patience: float = PATIENCE_S) -> None:
        self._patience = patience
        options: dict[str, Any] = {
            "decode_responses": True,
            "encoding_errors": "surrogateescape",  # damaged bytes are shown and moved as they are
            "protocol": 2,
            "retry": Retry(NoBackoff(), 0),  # the retrying is done here
            "socket_connect_timeout": min(CONNECT_S, patience),
            "socket_timeout": min(ANSWER_S, 2 * patience),
        }
        try:
            self._pool = redis.BlockingConnectionPool.from_url(
                url, max_connections=connections, timeout=ANSWER_S, **options
            )
        except ValueError:  # its words may hold the URL
            raise ConfigError(
                "bad-redis-url",
                "this is no Redis URL",
                hint="write it like redis://redis:6379/0; ml config validate says more",
            ) from None
        self._redis = redis.Redis(connection_pool=self._pool)
        self._options = self._pool.connection_kwargs
        self.database = int(self._options.get("db") or 0)
        self.label = show_url(url)

    def __repr__(self) -> str:
        return f"Link({self.label})"

    def ask(self, call: Callable[[redis.Redis], T]) -> T:
        """Return what *call* gets from the server; it may be called again.

        Raises:
            HostError: ``queue-unreachable``, ``queue-denied``, ``queue-refused``.
        """
        end, pause = time.monotonic() + self._patience, _FIRST_PAUSE_S
        while True:
            try:
                return call(self._redis)
            except RedisError as error:
                hopeless = isinstance(error, _DENIED) or "CERTIFICATE_VERIFY" in str(error)
                if hopeless or not isinstance(error, _LOST) or time.monotonic() + pause > end:
                    raise self.explain(error) from None
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_S)

    def run(self, script: str, *args: str | int) -> Any:
        """Return the answer of a script of `redis_lua`."""
        return self.ask(lambda server: server.register_script(script)(args=args))

    def explain(self, error: RedisError) -> FetchError:
        """Return *error* in our words."""
        told = str(error)
        for secret in (self._options.get("password"), self._options.get("username")):
            told = told.replace(secret, "***") if secret else told
        if isinstance(error, _DENIED):
            return HostError(
                "queue-denied",
                f"Redis does not let us in: {told}",
                context=self.label,
                hint="check the password of Redis in the host's files: ml config show",
            )
        if isinstance(error, _LOST):
            return HostError(
                "queue-unreachable",
                f"Redis does not answer: {told}",
                context=self.label,
                hint=f"redis-cli -u {self.label} ping",
            )
        hint = "make room: see maxmemory in redis.conf" if told.startswith("OOM") else ""
        what = "Redis refuses" if isinstance(error, ResponseError) else "Redis cannot be used"
        return HostError("queue-refused", f"{what}: {told}", context=self.label, hint=hint)

    def subscribe(self, channel: str) -> RedisWatch:
        """Return what becomes readable when *channel* is written to."""
        return RedisWatch(lambda: self._pool.connection_class(**self._options), channel)


class RedisWatch:
    """`fetchml_core.queue.base.Watch` over a subscription; while the server is away it has no descriptor."""

    def __init__(self, make: Callable[[], Any], channel: str) -> None:
        self._make = make
        self._channel = channel
        self._connection: Any = None
        self._not_before = 0.0
        self._connect()

    def fileno(self) -> int:
        """See `Watch.fileno`."""
        socket = getattr(self._connection, "_sock", None)  # redis-py has no name for it that is public
        return -1 if socket is None else int(socket.fileno())

    def clear(self) -> None:
        """See `Watch.clear`; a subscription that was lost is made again."""
        try:
            while self._connection is not None and self._connection.can_read(0):
                self._connection.read_response()
        except (RedisError, OSError):
            self.close()
        if self._connection is None and time.monotonic() >= self._not_before:
            self._connect()

    def close(self) -> None:
        """See `Watch.close`."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(RedisError, OSError):
                connection.disconnect()

    def _connect(self) -> None:
        """Subscribe, and wait for the answer: from then on nothing is missed."""
        self._connection = self._make()
        try:
            self._connection.connect()
            self._connection.send_command("SUBSCRIBE", self._channel)
            self._connection.read_response()
        except (RedisError, OSError):
            self.close()
            self._not_before = time.monotonic() + RECONNECT_S  # a server that is away may cost seconds to ask


def settings_notes(server: Any) -> tuple[str, ...]:
    """What the settings of *server* may lose. Some servers for hire hide a part of them."""
    info = {**server.info("persistence"), **server.info("memory")}
    try:
        sync = server.config_get("appendfsync").get("appendfsync", "")
    except ResponseError:
        sync = ""
    said = []
    if not int(info.get("aof_enabled", 1)):
        said.append("Redis runs without appendonly: a crash of it loses jobs. Set: appendonly yes")
    elif sync not in {"", "always"}:
        said.append(
            f"Redis has appendfsync {sync}: a power cut may lose the jobs of the last second. Set: appendfsync always"
        )
    policy = info.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        said.append(
            f"Redis has maxmemory-policy {policy}: it may throw jobs away when its memory is full. Set: maxmemory-policy noeviction"
        )
    return tuple(said)
