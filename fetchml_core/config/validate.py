"""Look at one file from outside: what kind it is, and everything that is wrong with it.

Layer 1; the file is read by `source`. What loads a file to use it calls `load`, which stops at errors; here they are
the result.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from .findings import Finding, Report, show_path
from .kinds import FileKind, find_kind
from .load import Loaded, check_tree, is_toml, parse
from .node import Node
from .source import SourceError, read_source

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from fetchml_core.errors import FetchError

    from .rules.base import Machine

#: Characters of a text of which all lines are kept.
BIG = 1 << 20
_AS_TOML = "write it as TOML, key = value below [section], and name it .toml"


@frozen
class Checked:
    """What is known about a file.

    Args:
        path: The file.
        name: What people call it.
        kind: What it is, None where that could not be told.
        reason: Why it is taken for that kind.
        findings: Everything found, in the order of the file.
        lines: The text, for excerpts; empty where it could not be read.
        loaded: Its records, None when errors leave nothing to use.
    """

    path: Path
    name: str
    kind: FileKind[Any] | None
    reason: str
    findings: tuple[Finding, ...]
    lines: tuple[str, ...] = field(default=(), repr=False)
    loaded: Loaded[Any] | None = None


def validate(
    path: Path,
    environ: Mapping[str, str],
    *,
    kind: FileKind[Any] | None = None,
    machine: Machine | None = None,
    name: str = "",
    reason: str = "as you said",
) -> Checked:
    """Return everything there is to say about the file at *path*; never raises for what it holds.

    Args:
        path: The file.
        environ: For ``${NAME}`` and the variables of options.
        kind: What it is; None: look at its keys and its name.
        machine: The machine that is to use it; None: what depends on it is not looked at.
        name: What to call it; empty: its path.
        reason: Why it is of *kind*, if that is given.
    """
    name = name or str(path)
    report = Report(name)
    text, toml = "", False
    reason = reason if kind else ""
    try:
        source = read_source(path)
        text, toml = source.text, is_toml(path, kind)
        root = parse(text, report, toml=toml)
        if kind is None:
            kind, reason = _tell_kind(path, root)
        _check_format(kind, toml=toml)
        loaded, findings = check_tree(root, path, report, environ, kind, machine, source.mode)
    except SourceError as error:
        report.add(error.code, error.message, error.place, hint=error.hint)
        loaded, findings = None, report.sorted()
        if kind is None and (guess := find_kind(path, Node({}))):
            kind, reason = guess
    lines = _lines_of(text, findings, toml=toml)
    return Checked(path, name, kind, reason, findings, lines, loaded)


def not_found(error: FetchError, path: Path, kind: FileKind[Any], reason: str) -> Checked:
    """Return what is to be said of a file that is misnamed, or cannot be looked for.

    Args:
        error: Why, from `find`.
        path: Where it should be.
        kind: What it would be.
        reason: Why it is looked for.
    """
    name = error.context or str(path)
    found = Finding(error.code, "error", error.message, file=name, hint=error.hint)
    return Checked(path, name, kind, reason, (found,))


def _check_format(kind: FileKind[Any], *, toml: bool) -> None:
    if kind.toml and not toml:
        raise SourceError("wrong-format", f"{kind.title} is TOML, this is YAML", hint=_AS_TOML)


def _lines_of(text: str, findings: tuple[Finding, ...], *, toml: bool) -> tuple[str, ...]:
    """The lines of *text*; of a big one only those near a finding, since millions of lines fill the memory."""
    if not toml:
        from .yaml_loader import one_line_end

        text = one_line_end(text)
    if len(text) <= BIG:
        return tuple(text.split("\n"))
    from .excerpt import NEAR

    places = {found.line for found in findings} | {place.line for found in findings for place in found.also}
    near = {line for place in places for line in range(place - NEAR, place + 1)}
    lines = enumerate(io.StringIO(text, newline="\n"), start=1)
    return tuple(line.rstrip("\n") if number in near else "" for number, line in lines)


def _tell_kind(path: Path, root: Node) -> tuple[FileKind[Any], str]:
    found = find_kind(path, root)
    if found is None:
        raise SourceError(
            "unknown-kind",
            "neither its keys nor its name tell what kind of file this is",
            hint=f"ml config validate --kind api {show_path(path)}",
        )
    return found
