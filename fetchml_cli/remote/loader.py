"""First code on a host: finds this build of the agent there, or has it installed, and becomes it.

Sent as text and run by whatever Python >= 3.10 the host has, in the process that a constant shell command started
(see `bootstrap`). Standard library only; imports nothing of ours before the build is found.

Standard input:  (this text), one JSON line ``{base, build, early, installed, path}``, *early* bytes for the agent; where
                 the answer was ``have: false`` also `installer` as length line and text, one JSON line ``{size, sha256}``
                 and the archive; from then on all bytes are the agent's.
Standard output: MAGIC once, one JSON line ``{have, python, host}`` or ``{error}``; after an upload one more of them; from
                 then on all bytes are the agent's.
"""

from __future__ import annotations

import sys

# "python -c" puts the current folder first, where somebody's json.py may lie.
sys.path[:] = [entry for entry in sys.path if entry]

import contextlib  # noqa: E402
import fcntl  # noqa: E402
import gc  # noqa: E402
import io  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any, BinaryIO  # noqa: E402

MAGIC = b"\0FETCHML/1\n"
# The last file written into a build; locked by those who use it, and its time says when that was.
COMPLETE = ".complete"
NO_SPACE = (28, 122)  # ENOSPC, EDQUOT

Answer = dict[str, Any]


def say(answer: Answer) -> None:
    """Write one JSON line."""
    sys.stdout.buffer.write(json.dumps(answer).encode() + b"\n")
    sys.stdout.buffer.flush()


def failure(code: str, message: str, context: str = "", hint: str = "") -> Answer:
    """Return the answer for an error; the words are those of fetchml_core.errors."""
    return {
        "error": {"class": "HostError", "code": code, "message": message, "context": context, "hint": hint}
    }


def explain(error: OSError) -> Answer:
    """Return the answer for an operating system error."""
    context = f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror)
    if error.errno in NO_SPACE:
        hint = "free space there (df -h; df -i), then run the same command again"
        return failure("disk-full", "no space left on the host to install the agent", context, hint)
    return failure(
        "agent-not-installed",
        "the host cannot install the agent",
        context,
        "check worker_base in the profile",
    )


def hold(folder: Path) -> int | None:
    """Lock a complete build, so that nobody removes it while this process lives; None where there is none."""
    marker = folder / COMPLETE
    try:
        lock = os.open(marker, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    fcntl.flock(lock, fcntl.LOCK_SH)
    if not marker.exists():  # removed between the two lines above
        os.close(lock)
        return None
    with contextlib.suppress(OSError):  # a full or read-only disk does not keep a build from running
        os.utime(marker)
    return lock


class Chained(io.RawIOBase):
    """The bytes *first*, then those of *rest*."""

    def __init__(self, first: bytes, rest: Any) -> None:
        self.first, self.rest = first, rest

    def readable(self) -> bool:
        """Say yes."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill *buffer* with what is there."""
        if self.first:
            data, self.first = self.first[: len(buffer)], self.first[len(buffer) :]
        else:
            data = self.rest.read1(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def prepare(wish: Answer, base: Path, facts: Answer, reader: Any) -> Any:
    """See that the build is there, with the help of the other end where it is not.

    Returns: what the agent is to read from, None when the other end is gone, or an answer ``{error}``.
    """
    before = os.umask(0o077)
    try:
        base.mkdir(parents=True, exist_ok=True)
        if wish["installed"]:
            return reader
        folder = base / "agent" / wish["build"]
        if hold(folder) is not None:
            return reader
        say({**facts, "have": False})
        early = reader.read(wish["early"])
        space: dict[str, Any] = {"__name__": "installer"}
        exec(reader.read(int(reader.readline() or 0)), space)  # noqa: S102 - from the same hand as this text
        if "install" not in space:
            return None
        refused = space["install"](reader, folder, hold, COMPLETE)
        facts["fresh"] = True
        if refused is not None:
            return failure(*refused) if refused else None
        return io.BufferedReader(Chained(early, reader))
    except OSError as error:
        return explain(error)
    finally:
        os.umask(before)


def become(folder: Path, base: Path, facts: Answer, reader: BinaryIO) -> None:
    """Import the agent, say that it is there, and be it."""
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    gc.set_threshold(50_000)  # what is imported stays: collecting seldom saves a tenth of the time
    try:
        from fetchml_core.agent.main import serve
    except Exception as error:  # noqa: BLE001 - whatever a damaged file raises
        context = f"{type(error).__name__}: {error}"
        hint = "is the Python there complete? apt install python3"
        if (
            "build" in facts and "fresh" not in facts
        ):  # damaged on disk: aside with it, the next call installs it anew
            hint = "run the same command again, which installs it anew"
            try:
                folder.rename(f"{folder}.damaged-{os.getpid()}")
            except OSError as kept:
                hint = f"on the host: rm -r {folder} ({kept.strerror})"
        say(failure("agent-damaged", "the agent on the host does not start", context, hint))
        return
    say(facts)
    # Nothing that prints by mistake may get between the frames.
    writer = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    serve(reader, writer, base=base, embedded="build" not in facts)
    # A thread of the agent may still read: the interpreter's own end would want its lock, and abort.
    sys.stderr.flush()
    os._exit(0)


def main(reader: Any) -> None:
    """Read the wish, fulfil it, become the agent."""
    line = reader.readline()
    if not line.endswith(b"\n"):
        return  # the other end is gone
    wish = json.loads(line)
    sys.stdout.buffer.write(MAGIC)
    base = Path.home() / Path(wish["base"]).expanduser()
    version = "{}.{}.{}".format(*sys.version_info)
    facts: Answer = {"have": True, "python": version, "host": os.uname().nodename}
    folder = Path(wish["path"])
    if not wish["installed"]:
        facts["build"] = wish["build"]
        folder = base / "agent" / wish["build"]
    ready = prepare(wish, base, facts, reader)
    if isinstance(ready, dict):
        say(ready)
    elif ready:
        become(folder, base, facts, ready)
