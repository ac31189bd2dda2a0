"""The agent: one client's conversation over a byte stream, request by request.

It holds nothing: every change is in the queue before it is answered, so that its death costs the client an answer
and nothing else.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import select
import socket
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NoReturn

import fetchml_core
from fetchml_core.clock import Clock
from fetchml_core.config.findings import InvalidConfigError
from fetchml_core.errors import BugError, FetchError, UnreachableError, explain_os_error
from fetchml_core.permission.policy import Identity
from fetchml_core.service.host import Host, open_host
from fetchml_core.service.own_log import start_logging
from fetchml_core.service.perform import perform
from fetchml_core.service.reading import broken_note, open_to_read
from fetchml_core.wire.frame import MAGIC
from fetchml_core.wire.messages import OLDEST_PROTOCOL, PROTOCOL, Call, Hello, Welcome
from fetchml_core.wire.session import Data, Event, ServerSession, send, send_data

if TYPE_CHECKING:
    import argparse

_WAITING = 64
"""Events read ahead of the use case that takes them: bounds memory during an upload."""


class ClientGoneError(Exception):
    """The stream has ended: nobody is there to answer."""


class Conversation:
    """One client, from hello to the end of the stream."""

    def __init__(self, reader: BinaryIO, writer: BinaryIO) -> None:
        self._reader = reader
        self._writer = writer
        self._session = ServerSession()
        self._events: queue.Queue[Event | FetchError | None] = queue.Queue(_WAITING)
        # its end of file is the client's leaving: a thing that can be waited for beside other descriptors
        self._gone, self._here = os.pipe()
        self._request = 0

    def listen(self) -> None:
        """Start to read, on a thread, so that the client's leaving is seen while a request runs."""
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        try:
            while data := self._reader.read1(1 << 18):  # type: ignore[attr-defined]
                for event in self._session.receive(data):
                    self._events.put(event)
        except FetchError as error:
            self._events.put(error)
        except (OSError, ValueError):
            pass
        os.close(self._here)
        self._events.put(None)

    def next_event(self) -> Event:
        """Return the next event; raise ClientGoneError at the end."""
        event = self._events.get()
        if event is None:
            raise ClientGoneError
        if isinstance(event, FetchError):
            raise event
        return event

    def answer(self, call: Call, host: Host, identity: Identity) -> None:
        """Do one request and send its answer."""
        self._request = call.request
        try:
            answer = self._session.done(call.request, perform(host, identity, call.verb, call.args, self))
        except FetchError as error:
            answer = self._session.failure(call.request, error)
        except OSError as error:
            if isinstance(error, BrokenPipeError):
                raise ClientGoneError from None
            answer = self._session.failure(call.request, explain_os_error(error, f"do {call.verb}"))
        self.write(answer)

    def write(self, data: bytes) -> None:
        """Send bytes; raise ClientGoneError when nobody takes them."""
        try:
            self._writer.write(data)
            self._writer.flush()
        except (OSError, ValueError):
            raise ClientGoneError from None

    # --- what a use case may do (fetchml_core.service.perform.Conversation) ---

    def uploaded(self) -> Iterator[bytes]:
        """Yield the data frames that come next."""
        while True:
            event = self.next_event()
            if not isinstance(event, Data) or event.request != self._request:
                raise UnreachableError("protocol-error", "data was expected", context=type(event).__name__)
            yield event.chunk

    def item(self, item: Any) -> None:
        """Send a piece of the answer."""
        self.write(self._session.item(self._request, item))

    def data(self, chunk: bytes) -> None:
        """Send bytes."""
        self.write(send_data(self._request, chunk))

    def gone(self, seconds: float, also: int = -1) -> bool:
        """Wait up to *seconds*, or until the descriptor *also* is readable; say whether the client has left."""
        poll = select.poll()
        poll.register(self._gone, select.POLLIN)
        if also >= 0:
            poll.register(also, select.POLLIN)
        return any(fd == self._gone for fd, _ in poll.poll(seconds * 1000))

    def close(self) -> None:
        """Give the descriptor back; nothing may be asked any more."""
        os.close(self._gone)


def serve(
    reader: BinaryIO,
    writer: BinaryIO,
    *,
    base: Path,
    embedded: bool = False,
    environ: Mapping[str, str] | None = None,
) -> None:
    """Hold one conversation, to its end.

    Args:
        reader: What the client sends, after the preamble.
        writer: What it gets.
        base: The folder given to FetchML on this host.
        embedded: No host was configured: this is the user's own machine.
        environ: Environment, the process's own unless given.
    """
    talk = Conversation(reader, writer)
    talk.listen()
    with contextlib.closing(talk), contextlib.suppress(ClientGoneError):
        try:
            _converse(talk, base, embedded, os.environ if environ is None else environ)
        except FetchError as error:
            talk.write(ServerSession().failure(0, error))
        except ClientGoneError:
            raise
        except Exception:  # at the end of the interpreter its words would be lost, see `leave`
            logging.getLogger("fetchml").exception("a bug in the agent")
            bug = BugError("agent-bug", "the agent failed before it could answer", hint="see what it printed")
            talk.write(ServerSession().failure(0, bug))


def _converse(talk: Conversation, base: Path, embedded: bool, environ: Mapping[str, str]) -> None:  # noqa: FBT001
    hello = talk.next_event()
    if not isinstance(hello, Hello):
        raise UnreachableError("protocol-error", "the first message must be Hello")
    if hello.oldest > PROTOCOL or hello.protocol < OLDEST_PROTOCOL:
        raise UnreachableError(
            "version-mismatch",
            f"the host speaks protocol {OLDEST_PROTOCOL} to {PROTOCOL}, you {hello.oldest} to {hello.protocol}",
            hint="update FetchML on the older side",
        )
    try:
        host = open_host(base, environ, Clock(), embedded=embedded)
    except InvalidConfigError as error:
        host = open_to_read(base, environ, Clock(), error)
    log = start_logging(host.server.logging, base, "agent")
    try:
        identity = host.identify(hello.key)
    except FetchError as error:
        log.warning("refused: %s", error.code)
        raise
    unused = bool(hello.key) and not host.server.auth.enabled
    notes = ("authentication is off on this host: your API key was not needed",) if unused else ()
    talk.write(
        send(
            Welcome(
                user=identity.user,
                host=socket.gethostname(),
                version=fetchml_core.__version__,
                protocol=min(PROTOCOL, hello.protocol),
                admin=identity.admin,
                auth=host.server.auth.enabled,
                train_script=host.worker.train_script,
                notes=(*notes, *broken_note(host)),
            )
        )
    )
    while True:
        call = talk.next_event()
        if not isinstance(call, Call):
            continue  # data of a request that was refused before it was read
        log.info("%s: %s", identity.user, call.verb)
        try:
            talk.answer(call, host, identity)
        except ClientGoneError:
            raise
        except Exception:
            log.exception("a bug in %s", call.verb)
            raise BugError(
                "agent-bug",
                f"the agent failed in {call.verb}",
                hint=f"see the agent's log ({host.server.logging.file or 'stderr'})",
            ) from None


def leave() -> NoReturn:
    """End the process now.

    After a refusal a thread still reads the stream; the interpreter's own end would want its lock, and abort.
    """
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.flush()
    os._exit(0)  # what was said is flushed with every message


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command; the manual page is made from it."""
    import argparse  # not for `serve`, which is what a client starts

    parser = argparse.ArgumentParser(
        prog="fetchml-agent", description="Speak FetchML's protocol on stdin and stdout."
    )
    parser.add_argument("--base", type=Path, default=Path.cwd(), help="folder given to FetchML on this host")
    parser.add_argument("--version", action="version", version=fetchml_core.__version__)
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run ``fetchml-agent``: speak the protocol on stdin and stdout."""
    options = make_parser().parse_args(arguments)
    sys.stdout.buffer.write(MAGIC)
    sys.stdout.buffer.flush()
    serve(sys.stdin.buffer, sys.stdout.buffer, base=options.base.expanduser().absolute())
    leave()
