"""Start the agent on a host: one command, one channel, and one round trip where this build is already there.

Layer 6. The command is a constant; everything that varies goes over standard input (see `loader`, which is the other
end of this module). The local transport does the same with the package that is installed here.

    1  the login shell runs /bin/sh, which looks for a Python >= 3.10 and has it read the loader
    2  ->  loader, one JSON line, the first frames
    3  <-  (noise of login scripts) MAGIC, one JSON line: the build is there, or not
    4  ->  if not: installer, one JSON line, the archive;  <-  one JSON line
    5  frames
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import sys
import threading
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import frozen

from fetchml_cli.transport.base import ByteStream, RemoteCommand
from fetchml_cli.transport.plain import printable
from fetchml_core.errors import HostError, UnreachableError, from_fields
from fetchml_core.wire.frame import MAGIC, MAX_NOISE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LINE = 16 << 10  # bytes of one JSON line
CHUNK = 64 << 10
INSTALL_S = 120.0  # unpacking and compiling on a slow disk
TOO_OLD = 97

# No quotes and nothing that a shell or a very old Python would take amiss: it must parse everywhere.
CODE = (
    f"import sys;sys.version_info<(3,10) and sys.exit({TOO_OLD});"
    "f=sys.stdin.buffer;exec(f.read(int(f.readline())));main(f)"
)

# One line, no single quote, backslash only before the 0 and n of printf, no exclamation mark: csh and fish read it too.
_SCRIPT = (
    "for p in python3 python3.14 python3.13 python3.12 python3.11 python3.10; do "
    "command -v $p >/dev/null 2>&1 || continue; "
    f'$p -E -s -c "{CODE}"; r=$?; '
    f"test $r -eq {TOO_OLD} || exit $r; "
    'v="$v $p=$($p -V 2>&1 | tr -cd "[:alnum:]." | cut -c 1-40)"; '
    "done; "
    r'printf "\0FETCHML/1\n{\"no_python\": \"%s\"}\n" "$v"'
)

COMMAND = RemoteCommand(  # noqa: S604 - a constant, for the login shell of the host
    shell=f"exec /bin/sh -c '{_SCRIPT}'", argv=(sys.executable, "-E", "-s", "-c", CODE)
)
"""What every transport starts."""


@frozen
class Started:
    """What the host said: its Python, its name, and whether the build had to be uploaded."""

    python: str
    host: str
    uploaded: bool


class Starting:
    """Brings the agent to the other end of a stream and starts it; afterwards the stream carries its frames.

    It has two halves: made, the host has all it needs to start; `finish` waits for its answer. A fifth of a second lies
    between them, in which the client may do something else. Where one fails the stream is closed.

    Args:
        stream: Where `COMMAND` has just been started.
        base: The profile's worker_base: absolute, ``~/...``, or relative to the account's home folder.
        build: Name of the build, from `pack`; empty: run the package that is installed there (local transport).
        timeout: Seconds for each answer.
        early: First bytes for the agent, sent without waiting for an answer: saves a round trip.
    """

    def __init__(
        self, stream: ByteStream, *, base: str, build: str = "", timeout: float, early: bytes = b""
    ) -> None:
        self._stream = stream
        self._timeout = timeout
        self._build = build
        self._silent = False
        wish = {
            "base": base,
            "build": build,
            "early": len(early),
            "installed": not build,
            "path": _our_path(),
        }
        with self._closed_on_failure():
            self._send(b"".join((_text("loader.py"), json.dumps(wish).encode(), b"\n", early)))

    def finish(
        self,
        archive: Callable[[], bytes] | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Started:
        """Wait for the host's answer, and upload the build where it is missing.

        Args:
            archive: Makes the archive of the build; called only where the host lacks it.
            progress: Called with bytes sent and bytes in all during an upload.

        Raises:
            HostError: ``python-missing``, ``python-too-old``, ``disk-full``, ``agent-not-installed``,
                ``agent-archive-refused``, ``agent-damaged``.
            UnreachableError: ``noisy-login``, ``agent-not-started``, ``host-silent``, ``connection-lost``.
        """
        with self._closed_on_failure():
            answer = self._timed(self._timeout, self._preamble)
            uploaded = not answer.get("have")
            if uploaded:
                if archive is None:
                    raise HostError("agent-not-installed", "the host lacks the agent", context=self._build)
                self._upload(archive(), progress)
                self._timed(max(self._timeout, INSTALL_S), self._line)
        started = Started(printable(str(answer.get("python"))), printable(str(answer.get("host"))), uploaded)
        self._stream.facts |= {
            "python": started.python,
            "build": self._build or "installed",
            "uploaded": str(uploaded),
        }
        return started

    @contextlib.contextmanager
    def _closed_on_failure(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self._stream.close()
            raise

    def _send(self, data: bytes) -> None:
        """Write; where the other end is gone already, what it said before tells more than a broken pipe."""
        try:
            self._stream.write(data)
        except UnreachableError:
            self._timed(self._timeout, self._preamble)
            raise

    def _upload(self, data: bytes, progress: Callable[[int, int], None] | None) -> None:
        head = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        self._stream.write(_text("installer.py") + json.dumps(head).encode() + b"\n")
        for offset in range(0, len(data), CHUNK):
            self._stream.write(data[offset : offset + CHUNK])
            if progress is not None:
                progress(min(offset + CHUNK, len(data)), len(data))

    def _timed(self, seconds: float, step: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Do a step that reads, but close the stream if it takes longer than *seconds*."""

        def give_up() -> None:
            self._silent = True
            self._stream.close()

        watchdog = threading.Timer(seconds, give_up)
        watchdog.daemon = True
        watchdog.start()
        try:
            return step()
        finally:
            watchdog.cancel()

    def _preamble(self) -> dict[str, Any]:
        """Skip noise up to MAGIC, then read the line behind it; never a byte more, for those are frames."""
        seen = b""
        matched = 0
        while matched < len(MAGIC):
            chunk = self._stream.read(len(MAGIC) - matched)
            if not chunk:
                raise self._no_answer(seen)
            seen += chunk
            matched = next(n for n in range(min(len(MAGIC), len(seen)), -1, -1) if seen.endswith(MAGIC[:n]))
            if len(seen) - matched > MAX_NOISE:
                raise UnreachableError(
                    "noisy-login",
                    f"a login script on the host printed more than {MAX_NOISE >> 10} KiB before the agent could speak",
                    context=f"it begins: {_first_line(seen)}",
                    hint="make ~/.bashrc there silent for shells that are not interactive",
                )
        return self._line()

    def _line(self) -> dict[str, Any]:
        line = b""
        while not line.endswith(b"\n"):
            byte = self._stream.read(1)
            if not byte or len(line) > LINE:
                raise self._no_answer(line)
            line += byte
        answer = json.loads(line)
        if "no_python" in answer:
            raise _no_python(str(answer["no_python"]))
        if "error" in answer:
            raise from_fields({key: printable(str(value)) for key, value in answer["error"].items()})
        return dict(answer)

    def _no_answer(self, seen: bytes) -> UnreachableError:
        where = self._stream.facts.get("host", "the host")
        if self._silent:
            return UnreachableError(
                "host-silent",
                f"{where} did not answer within {self._timeout:g} s",
                context=f"it printed: {_first_line(seen)}" if seen.strip() else "",
                hint="try again; raise default_timeout in the profile if the host is slow",
            )
        said = self._stream.last_words() or _first_line(seen)
        return UnreachableError(
            "agent-not-started",
            f"the login at {where} worked, but its shell ended before the agent could speak",
            context=f"it said: {said}" if said else "",
            hint="does the account have a login shell, and nothing in ~/.bashrc that exits?",
        )


def _first_line(noise: bytes) -> str:
    lines = [line for line in noise.splitlines() if line.strip()]
    return printable(lines[0], limit=120) if lines else ""


def _no_python(seen: str) -> HostError:
    if seen.strip():
        return HostError(
            "python-too-old",
            "the host's Python is too old: 3.10 or newer is needed",
            context=f"found {printable(seen.strip(), limit=200)}",
            hint="install a newer one on the host so that python3.11, or another from 3.10 on, is on its PATH",
        )
    return HostError(
        "python-missing",
        "there is no Python on the host: 3.10 or newer is needed",
        hint="on the host: apt install python3",
    )


def _text(name: str) -> bytes:
    """Return a program of ours as ``length line + text``."""
    text = resources.files(__package__ or "fetchml_cli.remote").joinpath(name).read_bytes()
    return b"%d\n" % len(text) + text


def _our_path() -> str:
    """Return the folder that our own fetchml_core is imported from."""
    import fetchml_core

    return str(Path(fetchml_core.__file__).resolve().parent.parent)
