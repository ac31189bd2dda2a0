"""What is wrong with a configuration file, and where.

Layer 1, pure. A finding never carries the value of a secret, and its texts are safe to show on a terminal.
Columns and lines count from 1; 0 means the finding has no place in the file.
"""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

from attrs import frozen

from fetchml_core.errors import ConfigError
from fetchml_core.places import worker_command

if TYPE_CHECKING:
    from collections.abc import Iterable

Severity = Literal["error", "warning", "info"]
Key = tuple[str, ...]

_PLAIN_KEY = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
SHOWN = 40
MAX_FINDINGS = 100
# There is nothing in such a file that another command could show.
_NOT_READ = frozenset({"file-missing", "file-unreadable", "not-a-file", "file-too-large"})


class Place(NamedTuple):
    """A line and a column of a file, from 1; a tuple, as a big file has many."""

    line: int = 0
    column: int = 0


NOWHERE = Place()


@frozen
class Finding:
    """One problem: what is wrong, where, what was expected and how to mend it."""

    code: str
    severity: Severity
    message: str
    file: str = ""
    line: int = 0
    column: int = 0
    key: str = ""
    expected: str = ""
    hint: str = ""
    #: A door must not start with it, although the file can be loaded (placeholder secrets).
    blocks_start: bool = False
    #: Further places that have to do with it: where the key stands for the first time.
    also: tuple[Place, ...] = ()

    @property
    def where(self) -> str:
        """``file:line:column``, as far as it is known."""
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file

    def __str__(self) -> str:
        return f"{self.where}: {self.message}" if self.where else self.message


class InvalidConfigError(ConfigError):
    """A configuration that cannot be used; `findings` has every problem, the text the first few."""

    def __init__(
        self,
        code: str,
        message: str,
        *,
        context: str = "",
        hint: str = "",
        findings: tuple[Finding, ...] = (),
    ) -> None:
        super().__init__(code, message, context=context, hint=hint)
        self.findings = findings


class Report:
    """Collects findings about one file, up to a limit: a file of garbage must not fill the memory.

    The limit holds for each severity alone, so that no crowd of warnings hides an error.
    """

    def __init__(self, file: str) -> None:
        self.file = file
        self._findings: list[Finding] = []
        self._room: dict[Severity, int] = dict.fromkeys(get_args(Severity), MAX_FINDINGS)

    @property
    def full(self) -> bool:
        """Whether further errors are dropped; whoever searches for advice may stop."""
        return not self._room["error"]

    def add(  # noqa: PLR0913 - what a finding has
        self,
        code: str,
        message: str,
        place: Place = NOWHERE,
        *,
        severity: Severity = "error",
        key: str = "",
        expected: str = "",
        hint: str = "",
        blocks_start: bool = False,
        also: tuple[Place, ...] = (),
    ) -> None:
        """Note one problem of this file."""
        self.take(
            Finding(
                code,
                severity,
                message,
                self.file,
                place.line,
                place.column,
                key,
                expected,
                hint,
                blocks_start,
                also,
            )
        )

    def take(self, found: Finding) -> None:
        """Note a problem that a rule found."""
        if self._room[found.severity]:
            self._room[found.severity] -= 1
            self._findings.append(found)

    def sorted(self) -> tuple[Finding, ...]:
        """The findings in the order of the file."""
        return tuple(sorted(self._findings, key=lambda found: (found.line, found.column)))


def show(value: object) -> str:
    """Return *value* quoted, cut and with its control characters spelt out, fit for any terminal."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    text = ascii(value) if isinstance(value, str) else ascii(str(value))[1:-1]
    if isinstance(value, str) and value.isprintable() and len(value) <= SHOWN:
        return f"'{value}'"
    return text if len(text) <= SHOWN + 2 else f"{text[:SHOWN]}…"


def show_path(path: object) -> str:
    """Return a file's name as a word of a command that can be typed; control characters are spelt out."""
    text = str(path)
    return shlex.quote(text) if text.isprintable() else ascii(text)


def show_kind(value: object) -> str:
    """Return *value* as `show` does, but sections and lists by their kind alone."""
    if isinstance(value, dict):
        return "a section"
    return "a list" if isinstance(value, list) else show(value)


def show_key(key: Key) -> str:
    """Return *key* as a person would type it: ``auth.api_keys.alice.hash``."""
    return ".".join(part if _PLAIN_KEY.fullmatch(part) else show(part) for part in key)


def errors_of(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Those of *findings* that make a configuration unusable."""
    return tuple(found for found in findings if found.severity == "error")


def invalid(
    findings: Iterable[Finding],
    shown: Iterable[Finding],
    *,
    code: str = "config-invalid",
    of_worker: bool = False,
) -> InvalidConfigError:
    """Return the error for a file that cannot be used.

    Args:
        findings: Everything that was found in it.
        shown: Those that stop us; the first three are told, one a line.
        code: The error's code.
        of_worker: It is a worker file: on a host that has the worker alone, the worker checks it.
    """
    lines = list(shown)
    first, rest = lines[0], lines[1:3]
    file = show_path(first.file)
    command = (
        f"{worker_command()} run --config {file} --validate" if of_worker else f"ml config validate {file}"
    )
    if len(lines) > 1:
        hint = f"{command} shows all {len(lines)} problems"
    elif first.code in _NOT_READ or not first.line:
        hint = first.hint  # there is no line to show
    else:
        hint = f"{first.hint} ({command} shows the line)" if first.hint else command
    return InvalidConfigError(
        code,
        str(first),
        context="\n           ".join(map(str, rest)),
        hint=hint,
        findings=tuple(findings),
    )
