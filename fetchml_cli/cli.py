"""The surroundings of one command: streams, environment, folders, clock, and what was asked of all commands.

Layer 7's ground. A command reads nothing of the process on its own; it gets a `Cli`, so the whole command line
runs inside a test with another one.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from attrs import evolve, field, frozen

from fetchml_cli.output.typed import name_profile
from fetchml_cli.output.writer import Writer
from fetchml_core.clock import Clock
from fetchml_core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

ADVICE = frozenset({"hint", "note", "results"})
"""Rows that may tell what to type next; the others tell what somebody has typed."""


@frozen
class Cli:
    """What a command may use of the world.

    Args:
        out: Where data goes (stdout).
        err: Where talk goes (stderr).
        stdin: Bytes from the user.
        environ: The environment; never shown.
        home_folder: Of ``~/.ml``; None where the system knows none (see `home`).
        start_folder: Where `ml` was called; None where that folder is gone (see `cwd`).
        columns: Asks the terminal for its width in cells; asked anew each time, windows change.
        interactive: Whether a question may be asked: stdin and stderr are terminals.
        clock: The machine's clocks.
        profile: Name of the profile, "" for the default one.
        json: Data as JSON on stdout, an error as JSON on stderr.
        verbose: More talk.
        secrets: Values that no report may hold; `keep_secret` adds to it.
    """

    out: Writer
    err: Writer
    stdin: BinaryIO
    environ: Mapping[str, str] = field(repr=False)
    home_folder: Path | None
    start_folder: Path | None
    columns: Callable[[], int]
    interactive: bool = False
    clock: Clock = field(factory=Clock)
    profile: str = ""
    json: bool = False
    verbose: bool = False
    secrets: set[str] = field(factory=set, repr=False)

    @classmethod
    def from_process(cls) -> Cli:
        """Return the surroundings of this process; what is missing shows when it is needed."""
        out = Writer.of_process(sys.stdout, os.environ)
        err = Writer.of_process(sys.stderr, os.environ)
        start = None
        with contextlib.suppress(OSError):
            start = Path.cwd()
        return cls(
            out=out,
            err=err,
            stdin=sys.stdin.buffer,
            environ=os.environ,
            home_folder=_home(os.environ),
            start_folder=start,
            columns=lambda: shutil.get_terminal_size().columns,
            interactive=err.tty and sys.stdin.isatty(),
        )

    def configured(self, *, profile: str = "", json: bool = False, verbose: bool = False) -> Cli:
        """Return the same surroundings with what the options of a command say; an option not given changes nothing."""
        return evolve(
            self,
            profile=profile or self.profile,
            json=json or self.json,
            verbose=verbose or self.verbose,
        )

    @property
    def home(self) -> Path:
        """The home folder.

        Raises:
            InputError: ``no-home``.
        """
        if self.home_folder is None:
            raise InputError("no-home", "there is no home folder", hint="export HOME=/your/home")
        return self.home_folder

    @property
    def cwd(self) -> Path:
        """The folder `ml` was called in.

        Raises:
            InputError: ``folder-gone``.
        """
        if self.start_folder is None:
            raise InputError("folder-gone", "the current folder no longer exists", hint="cd")
        return self.start_folder

    @property
    def width(self) -> int:
        """The width to write for, in cells, at least 20."""
        return max(20, self.columns())

    def keep_secret(self, value: str) -> str:
        """Return *value*, which from now on no bug report will hold."""
        if value:
            self.secrets.add(value)
        return value

    def note(self, text: str) -> None:
        """Say something about what happens, on stderr."""
        self.err.line(name_profile(text, self.profile))

    def warn(self, text: str) -> None:
        """Say what the user should know and may want to change."""
        self.note(f"warning: {text}")

    def hint(self, text: str) -> None:
        """Say what could be typed next; only to a person."""
        if self.err.tty and not self.json:
            self.note(text)

    def show_rows(self, rows: Iterable[tuple[str, str]]) -> None:
        """Write a line for each name and what there is to say of it; what is ours to advise names the profile."""
        self.out.named(
            (name, name_profile(text, self.profile) if name.strip() in ADVICE else text)
            for name, text in rows
        )

    def show_json(self, fields: Mapping[str, Any]) -> None:
        """Write one JSON object to stdout: *fields* after ``schema``."""
        from fetchml_cli.output.json import json_line

        self.out.write(json_line(fields, indent=2 if self.out.tty else None))


def _home(environ: Mapping[str, str]) -> Path | None:
    home = Path(environ.get("HOME", ""))
    if home.is_absolute():
        return home
    try:
        return Path("~").expanduser()
    except RuntimeError:
        return None
