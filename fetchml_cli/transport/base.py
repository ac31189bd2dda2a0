"""What every transport gives: one stream of bytes to one program on one host.

Layer 5. A transport knows nothing of frames, agents or jobs; it starts a command and carries bytes both ways. The
contract is the text below, and tests/cli/transport/contract.py holds every transport to it.
"""

from __future__ import annotations

from typing import Protocol

from attrs import frozen

STDERR_KEPT = 8192  # bytes of the remote standard error that are kept for an error message


@frozen
class RemoteCommand:
    """One program to start, said twice.

    Args:
        shell: For a host: a constant text that every login shell understands. Nothing that varies is ever put
            into it; that travels on standard input.
        argv: The same program for this machine, as an argument list.
    """

    shell: str
    argv: tuple[str, ...]


class ByteStream(Protocol):
    """Standard input and output of a program on a host.

    One thread may read while another writes and a third closes. Standard error of the program never mixes
    into the stream.
    """

    facts: dict[str, str]
    """For ``ml status --debug``: transport, host, user, port, host key, and ``*_ms`` timings in milliseconds."""

    def read(self, size: int) -> bytes:
        """Wait for data and return at least 1 and at most *size* bytes.

        Returns: ``b""`` once the program has ended its output, the link broke, or the stream was closed (by any
            thread, also while this call waits); then again for every later call.
        """
        ...

    def write(self, data: bytes) -> None:
        """Hand over all of *data*; waits while the peer does not read.

        Raises:
            UnreachableError: ``connection-lost`` when the peer is gone or the stream is closed. What was written
                before may or may not have arrived.
        """
        ...

    def close(self) -> None:
        """End the stream and let go of everything behind it; idempotent, never raises, takes a few seconds at most."""
        ...

    def last_words(self) -> str:
        """Return the last lines that the program wrote to standard error, made safe to show; often empty."""
        ...
