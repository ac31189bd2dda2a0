"""The typed client: one conversation with a host's agent, whatever transport carries it.

Layer 6. `connect` opens the stream, starts the agent and says hello (`Opening` does it in two halves); `Client.call`
asks for a verb of `fetchml_core.wire.verbs.VERBS` and returns its result.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Any

import fetchml_core
from fetchml_cli.remote.bootstrap import COMMAND, Starting
from fetchml_cli.transport.open import open_stream
from fetchml_core.convert import from_data
from fetchml_core.errors import BugError, FetchError, UnreachableError, from_fields
from fetchml_core.places import EMBEDDED_BASE
from fetchml_core.wire.messages import Done, Failure, Hello, Item, Welcome
from fetchml_core.wire.session import ClientSession, Data, Event, send_data
from fetchml_core.wire.verbs import VERBS

if TYPE_CHECKING:
    from typing_extensions import Self

    from fetchml_cli.cli import Cli
    from fetchml_cli.transport.base import ByteStream
    from fetchml_core.config.profile import Profile

_READ = 1 << 18


class Client:
    """One conversation. Requests go one after the other.

    Args:
        stream: To the agent, just started; the hello has been sent.
        session: The client's end of the protocol, its hello used.
        timeout: Seconds to wait for each answer that is not followed.
    """

    def __init__(self, stream: ByteStream, session: ClientSession, timeout: float) -> None:
        self._stream = stream
        self._session = session
        self._timeout = timeout
        self._events: list[Event] = []
        self.welcome = self._welcomed()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        self.close()

    @property
    def facts(self) -> dict[str, str]:
        """What is known of the connection, for ``ml status --debug``."""
        return self._stream.facts

    def close(self) -> None:
        """End the conversation."""
        self._stream.close()

    def call(
        self,
        verb: str,
        args: Any,
        *,
        upload: Iterable[bytes] = (),
        on_item: Callable[[Any], None] | None = None,
        on_data: Callable[[bytes], None] | None = None,
    ) -> Any:
        """Ask for *verb* and return its result.

        Args:
            verb: A row of VERBS.
            args: Of the class that the row names.
            upload: Bytes that go along, in pieces of at most `CHUNK`.
            on_item: Called with each piece of the answer; giving it means to follow, without a time limit.
            on_data: Called with the bytes of the answer.

        Raises:
            FetchError: what the host answered, or ``connection-lost``.
        """
        row = VERBS[verb]
        request, data = self._session.call(verb, args)
        self._stream.write(data)
        for chunk in upload:
            self._stream.write(send_data(request, chunk))
        limit = None if on_item or on_data else self._timeout
        while True:
            event = self._next(limit)
            if getattr(event, "request", request) not in {request, 0}:
                continue
            if isinstance(event, Data) and on_data is not None:
                on_data(event.chunk)
            elif isinstance(event, Item) and on_item is not None:
                on_item(from_data(event.item, row.item, what="answer"))
            elif isinstance(event, Done):
                return from_data(event.result, row.result, what="answer")
            elif isinstance(event, Failure):
                raise self._explained(from_fields(event.error))

    def _explained(self, error: FetchError) -> FetchError:
        """Add the agent's last words to a mistake of ours over there: its traceback is in them."""
        if isinstance(error, BugError) and not error.context:
            error.context = self._stream.last_words()
        return error

    def _welcomed(self) -> Welcome:
        event = self._next(self._timeout)
        if isinstance(event, Failure):
            self.close()
            raise from_fields(event.error)
        if not isinstance(event, Welcome):
            raise UnreachableError(
                "protocol-error", "the host did not say welcome", context=type(event).__name__
            )
        return event

    def _next(self, limit: float | None) -> Event:
        """Return the next event; where *limit* seconds pass without one, the connection counts as lost."""
        while not self._events:
            with _Watchdog(self._stream, limit) as watchdog:
                data = self._stream.read(_READ)
            if not data:
                raise self._lost(limit if watchdog.barked else None)
            self._events.extend(self._session.receive(data))
        return self._events.pop(0)

    def _lost(self, waited: float | None) -> UnreachableError:
        if waited is not None:
            return UnreachableError(
                "no-answer",
                f"the host did not answer within {waited:g} s",
                context=self._stream.last_words(),
                hint="run the same command again, or raise [cli] default_timeout in the profile",
            )
        return UnreachableError(
            "connection-lost",
            "the connection to the host ended before its answer",
            context=self._stream.last_words(),
            hint="run the same command again",
        )


class _Watchdog:
    """Closes *stream* when the block takes longer than *limit* seconds; None is no limit."""

    def __init__(self, stream: ByteStream, limit: float | None) -> None:
        self.barked = False
        self._stream = stream
        self._timer = None if limit is None else threading.Timer(limit, self._bark)

    def __enter__(self) -> Self:
        if self._timer is not None:
            self._timer.daemon = True
            self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _bark(self) -> None:
        self.barked = True
        self._stream.close()


class Opening:
    """A conversation that has begun: the host is reached and starts its agent; `client` waits until it is there.

    Between the two there is time for work of our own, such as to hash a tree.

    Args:
        cli: The surroundings.
        profile: The host's.

    Raises:
        FetchError: the host or its key is not what it should be.
    """

    def __init__(self, cli: Cli, profile: Profile) -> None:
        from fetchml_cli.remote.pack import Pack

        self._cli = cli
        self._timeout = float(profile.cli.default_timeout)
        self._verbose = profile.cli.verbose
        self._session = ClientSession()
        self._client: Client | None = None
        hello = self._session.hello(Hello(fetchml_core.__version__, cli.keep_secret(profile.auth.api_key)))
        self._pack = Pack.of() if profile.server.worker_host else None
        build = self._pack.build(cli.home / ".ml" / "cache") if self._pack else ""
        self._stream = open_stream(
            profile.server, command=COMMAND, timeout=self._timeout, environ=cli.environ
        )
        base = profile.server.worker_base or EMBEDDED_BASE
        self._starting = Starting(self._stream, base=base, build=build, timeout=self._timeout, early=hello)

    def client(self) -> Client:
        """Wait for the agent, brought there if needed, and its welcome; later calls return the same conversation.

        Raises:
            FetchError: the host's Python or the API key is not what it should be.
        """
        if self._client is None:
            self._finish()
            try:
                self._client = Client(self._stream, self._session, self._timeout)
            except BaseException:
                self.close()
                raise
            self._tell(self._client)
        return self._client

    def _tell(self, client: Client) -> None:
        """Say what the host says at once and, where the profile is verbose, what was reached."""
        welcome = client.welcome
        for note in welcome.notes:
            self._cli.note(f"note: {note}")
        if self._verbose:
            how = client.facts.get("transport", "")
            self._cli.note(f"on {welcome.host} as {welcome.user} ({how}, agent {welcome.version})")

    def close(self) -> None:
        """End it, wherever it is."""
        self._stream.close()

    def _finish(self) -> None:
        from fetchml_cli.output.progress import progress

        with progress(self._cli, "agent", None) as advance:
            sent = 0

            def report(done: int, _: int) -> None:
                nonlocal sent
                advance(done - sent)
                sent = done

            self._starting.finish(self._pack.archive if self._pack else None, report)


def connect(cli: Cli, profile: Profile) -> Client:
    """Reach the profile's host, bring the agent there if needed, and say hello; its notes are said.

    Raises:
        FetchError: the host, its key, its Python or the API key is not what it should be.
    """
    return Opening(cli, profile).client()
