"""``ml config validate``: everything that is wrong with a configuration file, and how to mend it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fetchml_cli.commands.common import JsonOption, ProfileOption
from fetchml_cli.lazy import new_app

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from fetchml_cli.cli import Cli
    from fetchml_core.config.kinds import FileKind
    from fetchml_core.config.render import Line
    from fetchml_core.config.rules.base import Machine
    from fetchml_core.config.validate import Checked

app = new_app()

INVALID = 3
IN_USE = "in use here"
_COLOURS = {"error": "\x1b[1;31m", "warning": "\x1b[1;33m", "info": "\x1b[36m"}
_RESET = "\x1b[0m"

FilesArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[FILE]...", help="Files; without one, those that count here.", show_default=False
    ),
]
KindOption = Annotated[
    str,
    typer.Option(
        "--kind", metavar="KIND", help="What the files are: api, worker or profile.", show_default=False
    ),
]
StrictOption = Annotated[bool, typer.Option("--strict", help="Exit 3 for warnings too.")]


@app.command()
def validate(
    ctx: typer.Context,
    files: FilesArgument = None,
    kind: KindOption = "",
    strict: StrictOption = False,
    as_json: JsonOption = False,
    profile: ProfileOption = "",
) -> int:
    """Check configuration files: every problem at once, each with its line and the fix.

    Without FILE these are checked: the profile in use, and when it means this machine, its api and worker file.

    Exit status: 0 no errors; 2 no such kind; 3 errors, or warnings with --strict; 5 no such profile.
    """
    return run(ctx.obj.configured(profile=profile, json=as_json), files or [], kind=kind, strict=strict)


def run(cli: Cli, files: Sequence[str], *, kind: str = "", strict: bool = False) -> int:
    """Do the command without Typer; return the exit status."""
    from fetchml_core.config.kinds import kind_named
    from fetchml_core.config.render import count

    wanted = kind_named(kind) if kind else None
    checks = _named(cli, files, wanted) if files else _in_use(cli, wanted)
    every: list[Checked] = []
    for checked in checks:
        _keep_secrets(cli, checked)
        if not cli.json:
            _show(cli, checked, first=not every)
        every.append(checked)
    errors = sum(count(checked.findings, "error") for checked in every)
    warnings = sum(count(checked.findings, "warning") for checked in every)
    if cli.json:
        cli.show_json(
            {"files": [_fields(checked) for checked in every], "errors": errors, "warnings": warnings}
        )
    return INVALID if errors or (strict and warnings) else 0


def _named(cli: Cli, files: Sequence[str], kind: FileKind[Any] | None) -> Iterator[Checked]:
    """The files that were typed."""
    from fetchml_core.config.find import SERVER_FILE, WORKER_FILE
    from fetchml_core.config.validate import validate as check

    for file in files:
        path = cli.cwd / file
        base = path.parent if path.name in {SERVER_FILE, WORKER_FILE} else cli.cwd
        yield check(path, cli.environ, kind=kind, machine=_machine(cli, base), name=file)


def _in_use(cli: Cli, kind: FileKind[Any] | None) -> Iterator[Checked]:
    """The files that count here: the profile's, and of this machine's base both files if the profile means it."""
    from fetchml_core.config.find import find_profile, find_server_file, find_worker_file
    from fetchml_core.config.kinds import api_kind, profile_kind, worker_kind
    from fetchml_core.config.profile import Profile
    from fetchml_core.places import EMBEDDED_BASE

    path = find_profile(cli.home, cli.environ, cli.profile or None)
    config = Profile()
    if path is not None:
        checked = _look(cli, path, profile_kind(), cli.cwd)
        config = checked.loaded.config if checked.loaded else config
        if kind in {None, profile_kind()}:
            yield checked
        if checked.loaded is None:
            cli.note("which other files count is known once the profile has no errors")
            return
    elif kind in {None, profile_kind()}:
        _note_absent(cli, profile_kind(), f"in {cli.home / '.ml'}")
    if config.server.worker_host:
        cli.note(
            f"the files of {config.server.worker_host} lie there: ml worker status tells whether they have errors"
        )
        return
    base = cli.home / (config.server.worker_base or EMBEDDED_BASE).removeprefix("~/")
    finders = (
        (api_kind(), lambda: find_server_file(base, cli.environ)),
        (worker_kind(), lambda: find_worker_file(base, None)),
    )
    for each, find in finders:
        if kind not in {None, each}:
            continue
        yield from _found(cli, each, base, find)


def _found(cli: Cli, kind: FileKind[Any], base: Path, find: Any) -> Iterator[Checked]:
    """The file of *kind* in *base*, or a word about its absence."""
    from fetchml_core.config.validate import not_found
    from fetchml_core.errors import ConfigError

    try:
        path = find()
    except ConfigError as error:
        yield not_found(error, base / kind.file, kind, IN_USE)
        return
    if path is None:
        _note_absent(cli, kind, f"in {base}")
    else:
        yield _look(cli, path, kind, base)


def _look(cli: Cli, path: Path, kind: FileKind[Any], base: Path) -> Checked:
    from fetchml_core.config.validate import validate as check

    return check(path, cli.environ, kind=kind, machine=_machine(cli, base), reason=IN_USE)


def _note_absent(cli: Cli, kind: FileKind[Any], where: str) -> None:
    cli.note(f"there is no {kind.file} {where}: the defaults count (ml config init {kind.name} writes one)")


def _machine(cli: Cli, base: Path) -> Machine:
    """This machine, which can look at certificates."""
    from fetchml_cli.tls import tls_pair
    from fetchml_core.hardware.machine import machine_of

    return machine_of(base, cli.environ, tls_pair=tls_pair)


def _keep_secrets(cli: Cli, checked: Checked) -> None:
    """Let no bug report hold a secret of the file."""
    from fetchml_core.config.rules.base import secrets_of

    if checked.loaded is not None:
        for _, value in secrets_of(checked.loaded.config):
            cli.keep_secret(value)


def _show(cli: Cli, checked: Checked, *, first: bool) -> None:
    from fetchml_core.config.render import render

    if not first:
        cli.out.line()
    lines = render(checked)
    for line in lines[:-1]:
        cli.out.write(_painted(cli, line))
    replacement = _replacement(checked)
    if replacement:
        cli.out.line("as YAML:")
        for text in replacement.splitlines():
            cli.out.line(f"  {text}".rstrip())
        cli.out.line()
    cli.out.write(_painted(cli, lines[-1]))


def _painted(cli: Cli, line: Line) -> str:
    """*line* for this stream: safe, and with colour where a person sees it."""
    from fetchml_cli.output.safe import safe_text

    spans = [
        f"{_COLOURS[style]}{safe_text(text)}{_RESET}" if style and cli.out.colour else safe_text(text)
        for style, text in line
    ]
    return "".join(spans).rstrip() + "\n"


def _replacement(checked: Checked) -> str:
    """The YAML that a legacy TOML file becomes, its secrets masked; "" for any other file."""
    from fetchml_core.config.excerpt import hide_secrets
    from fetchml_core.errors import ConfigError

    if not any(found.code == "legacy-toml" for found in checked.findings):
        return ""
    from fetchml_cli.commands.config.migrate import to_yaml

    try:
        written = to_yaml("\n".join(checked.lines))
    except ConfigError:  # migrate says why
        return ""
    return "\n".join(hide_secrets(written.splitlines())) + "\n"


def _fields(checked: Checked) -> dict[str, Any]:
    """A file for ``--json``."""
    fields: dict[str, Any] = {
        "file": checked.name,
        "kind": checked.kind.name if checked.kind else None,
        "reason": checked.reason,
        "findings": [
            {
                "code": found.code,
                "severity": found.severity,
                "message": found.message,
                "file": found.file,
                "line": found.line,
                "column": found.column,
                "key": found.key,
                "expected": found.expected,
                "hint": found.hint,
                "blocks_start": found.blocks_start,
                "also": [{"line": place.line, "column": place.column} for place in found.also],
            }
            for found in checked.findings
        ],
    }
    replacement = _replacement(checked)
    return {**fields, "replacement": replacement} if replacement else fields
