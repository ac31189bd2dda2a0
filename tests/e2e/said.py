"""What ``ml`` said, as text that is the same on every machine, for tests that compare whole messages.

``said`` turns what differs between runs (folders, ports, ids, fingerprints, sizes of this machine) into words in
angle brackets; the expected text of a test then reads like the screen of the person who met the error.
"""

from __future__ import annotations

import re
import textwrap
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterable
    from pathlib import Path

    from tests.support.ml import Ml

MOST_LINES = 4
"""An error has at most so many lines."""
PROCESS = "launcher: process\n"
"""A worker file whose jobs run without a container: fast, and enough where the sandbox does not matter."""
NOT_SANDBOXED = (
    "note: not sandboxed: a job can read and change whatever the account can, reach the network, "
    "and use all memory and cores\n"
)

_ALWAYS = (
    (r"SHA256:[A-Za-z0-9+/]{43}", "<fingerprint>"),
    (r"\b[0-9a-f]{64}\b", "<sha256>"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "<time>"),
)


def said(text: str, **names: object) -> str:
    """Return *text* with each value of *names* as ``<name>``, longer values first."""
    for name, value in sorted(names.items(), key=lambda pair: -len(str(pair[1]))):
        text = text.replace(str(value), f"<{name.replace('_', ' ')}>")
    for pattern, word in _ALWAYS:
        text = re.sub(pattern, word, text)
    return text


def refused(
    ml: Ml, status: int, args: Iterable[str], text: str, *, run: dict[str, Any] | None = None, **names: object
) -> None:
    """Run ``ml ARGS`` and expect this exit status, nothing on stdout, and exactly *text* on stderr.

    Args:
        ml: The program.
        status: Exit status.
        args: Words of the command line.
        text: One error of at most four lines; indented as it stands in the test.
        run: Options for `Ml.run`, such as ``env``.
        **names: Values that differ between runs.
    """
    done = ml.fails(status, *args, **(run or {}))
    same(done, text, **names)
    assert done.stdout == ""


def same(done: subprocess.CompletedProcess[str], text: str, **names: object) -> None:
    """Expect exactly *text* on stderr, with one error of at most four lines in it."""
    got = said(done.stderr, **names)
    expected = textwrap.dedent(text).lstrip("\n")
    assert got == expected, f"it said:\n{got}"
    assert "Traceback" not in got
    error = got[got.find("error: ") :] if "error: " in got else ""
    assert len(error.splitlines()) <= MOST_LINES, got


def no_jobs(ml: Ml, *args: str) -> None:
    """Expect that the queue holds no job at all: nothing was half accepted."""
    assert ml.json("status", "-a", *args)["jobs"] == []


def local_base(ml: Ml, base: Path, worker: str | None = PROCESS, name: str = "") -> Path:
    """Write a profile without a host for the folder *base*, and a worker file into it; return the folder."""
    base.mkdir(mode=0o700, exist_ok=True)
    if worker is not None:
        (base / "worker.yaml").write_text(worker, "utf-8")
        (base / "worker.yaml").chmod(0o600)
    ml.home.profile(f'[server]\nworker_base = "{base}"\n', name)
    return base


def script(ml: Ml, text: str, name: str = "train.py") -> Path:
    """Write a script into a folder of its own below where ``ml`` is called; return it."""
    folder = ml.cwd / "job"
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(textwrap.dedent(text), "utf-8")
    return path
