"""The report of a bug: what its reader needs, and nothing its writer must hide.

Layer 8. Goes in: versions, the words that were typed, the traceback without the values of variables. Never goes
in: the environment, the API key, values of ``--env``, the job's own arguments. The file is for its owner alone
(mode 0600), who reads it before sending it.
"""

from __future__ import annotations

import contextlib
import os
import platform
import re
import sys
import traceback
from typing import TYPE_CHECKING

from fetchml_cli.output.safe import safe_text
from fetchml_cli.output.times import rfc3339
from fetchml_core import __version__, fsio

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from fetchml_cli.cli import Cli

KEPT = 20  # reports; a loop in a script does not fill the disk
LONGEST = 200_000  # characters
HIDDEN = "***"
_SECRET_OPTION = re.compile(r"key|token|secret|passw|credential|^--env$|^-e$", re.IGNORECASE)
_TOKEN = re.compile(r"(?<![\w/.-])(?=[\w-]*\d)(?=[\w-]*[A-Za-z])[\w-]{24,}(?![\w/.-])", re.ASCII)
_LIBRARIES = ("typer", "rich", "attrs", "cattrs", "paramiko", "fabric", "PyYAML")


def write_report(error: BaseException, argv: Sequence[str], cli: Cli) -> str:
    """Write the report of *error*; returns its path, or "" where none could be written."""
    home = cli.home_folder
    if home is None or not home.is_dir():
        return ""
    when = cli.clock.now()
    secrets = [*cli.secrets, *_values(cli.environ)]
    text = report_text(error, argv, when=when, home=str(home), secrets=secrets)
    folder = home / ".ml" / "reports"
    path = folder / f"bug-{rfc3339(when).replace(':', '').replace('-', '')}-{os.getpid()}.txt"
    try:
        fsio.make_folder(folder)
        fsio.replace_file(path, text.encode("utf-8", "backslashreplace"))
    except OSError:
        return ""
    _drop_old(folder)
    return str(path)


def report_text(
    error: BaseException, argv: Sequence[str], *, when: float, home: str, secrets: Iterable[str]
) -> str:
    """Return the report.

    Args:
        error: What was raised; its causes are told too.
        argv: What was typed after ``ml``.
        when: Seconds since the epoch.
        home: The home folder, shown as ``~``.
        secrets: Values that must not appear.
    """
    # Not capture_locals: an API key is a local variable somewhere in every command.
    trace = "".join(traceback.TracebackException.from_exception(error).format())
    parts = [
        f"time     {rfc3339(when)}",
        f"typed    ml {' '.join(hide_values(argv))}".rstrip(),
        *(f"version  {line}" for line in _versions()),
        "",
        trace[-LONGEST:],
    ]
    return safe_text(_hide("\n".join(parts), home, secrets), lines=True)


def hide_values(argv: Sequence[str]) -> list[str]:
    """Return *argv* without what may be secret: values of ``--env`` and the like, and the job's own arguments."""
    words: list[str] = []
    hide_next = False
    for index, word in enumerate(argv):
        if word == "--":
            return [*words, "--", f"({len(argv) - index - 1} arguments of the job)"]
        name, equals, _ = word.partition("=")
        if hide_next:
            words.append(f"{name}={HIDDEN}" if equals else HIDDEN)
        else:
            words.append(f"{name}={HIDDEN}" if equals else word)
        hide_next = (
            not hide_next and not equals and word.startswith("-") and bool(_SECRET_OPTION.search(word))
        )
    return words


def _hide(text: str, home: str, secrets: Iterable[str]) -> str:
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    if len(home) > 1:
        text = text.replace(home, "~")
    return _TOKEN.sub(HIDDEN, text)


def _values(environ: Mapping[str, str]) -> list[str]:
    """Return the values of the environment that may be secret; paths are not, and short words are too common."""
    return [value for value in environ.values() if len(value) >= 8 and not value.startswith("/")]


def _versions() -> list[str]:
    from importlib import metadata

    system = os.uname()
    lines = [f"fetchml {__version__}", f"Python {platform.python_version()} {sys.executable}"]
    lines.append(f"{system.sysname} {system.release} {system.machine}")
    for name in _LIBRARIES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            lines.append(f"{name} {metadata.version(name)}")
    return lines


def _drop_old(folder: Path) -> None:
    with contextlib.suppress(OSError):
        for path in sorted(folder.glob("bug-*.txt"))[:-KEPT]:
            path.unlink(missing_ok=True)
