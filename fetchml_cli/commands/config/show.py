"""``ml config show``: what a file says, and what counts because of it."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Annotated, Any

import typer
from attrs import evolve

from fetchml_cli.commands.common import JsonOption, ProfileOption
from fetchml_cli.lazy import new_app
from fetchml_core.errors import InputError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fetchml_cli.cli import Cli
    from fetchml_core.config.kinds import FileKind
    from fetchml_core.config.origin import Setting

app = new_app()


@app.command()
def show(
    ctx: typer.Context,
    file: Annotated[
        str, typer.Argument(metavar="[FILE]", help="Without it the profile in use.", show_default=False)
    ] = "",
    kind: Annotated[
        str, typer.Option("--kind", metavar="KIND", help="What it is: api, worker or profile.")
    ] = "",
    effective: Annotated[
        bool,
        typer.Option("--effective", help="Show every option with what counts: defaults and environment too."),
    ] = False,
    origin: Annotated[bool, typer.Option("--origin", help="Tell where each value comes from.")] = False,
    as_json: JsonOption = False,
    profile: ProfileOption = "",
) -> None:
    """Show the options of a file.

    Secrets are masked. An option's environment variable beats the file, and the file beats the default; no flag of a
    command overrides an option. What is switched on and has no effect yet is marked 'not active yet'.

    Exit status: 0; 2 usage; 3 the file has errors; 5 there is no such file.
    """
    run(ctx.obj.configured(profile=profile, json=as_json), file, kind, effective=effective, origin=origin)


def run(cli: Cli, file: str, kind: str = "", *, effective: bool = False, origin: bool = False) -> None:
    """Do the command without Typer."""
    from fetchml_core.config.kinds import kind_named, profile_kind

    if file and cli.profile:
        raise InputError(
            "usage", "give a FILE or --profile, not both", context=file, hint="ml config show --help"
        )
    known = kind_named(kind) if kind else None if file else profile_kind()
    if known and not file and known is not profile_kind():
        hint = f"ml config show {known.file} --kind {known.name}"
        raise InputError(
            "missing-argument", f"say which file, for {known.title}", context=f"--kind {kind}", hint=hint
        )
    path = cli.cwd / file if file else _profile(cli)
    name = file or str(path or "")
    found, settings = _read(cli, path, name, known) if path else _defaults(known or profile_kind())
    if not effective:
        settings = tuple(one for one in settings if one.written is not None)
    if cli.json:
        from fetchml_core.config.origin import to_fields

        cli.show_json({"file": name, "kind": found.name, "options": [to_fields(one) for one in settings]})
        return
    toml = found.toml or name.lower().endswith(".toml")
    for line in _lines(settings, toml=toml, effective=effective, origin=origin):
        cli.out.line(line)


def _profile(cli: Cli) -> Path | None:
    from fetchml_core.config.find import find_profile

    found = find_profile(cli.home, cli.environ, cli.profile or None)
    if found is None:
        cli.note("there is no profile: jobs run on this machine (ml config init profile)")
        return None
    return found if found.is_absolute() else cli.cwd / found


def _read(
    cli: Cli, path: Path, name: str, known: FileKind[Any] | None
) -> tuple[FileKind[Any], tuple[Setting, ...]]:
    """Return the kind of a file and its options.

    Raises:
        NotFoundError: ``file-missing``.
        InvalidConfigError: ``config-invalid``.
    """
    from fetchml_core.config.findings import Report, errors_of, invalid
    from fetchml_core.config.load import is_toml, parse
    from fetchml_core.config.origin import settings_of
    from fetchml_core.config.rules.base import secrets_of
    from fetchml_core.config.validate import validate

    checked = validate(path, cli.environ, kind=known, name=name)
    if checked.loaded is None or checked.kind is None:
        errors = errors_of(checked.findings)
        if errors[0].code == "file-missing":
            hint = f"ls -l {shlex.quote(str(path.parent))}"
            raise NotFoundError("file-missing", "there is no such file", context=name, hint=hint)
        error = invalid(checked.findings, errors)
        error.hint = f"ml config validate {shlex.quote(name)}"
        raise error
    for _, secret in secrets_of(checked.loaded.config):
        cli.keep_secret(secret)
    # What was read is read once more, for the words that stand in it; the file itself may have changed since.
    root = parse("\n".join(checked.lines), Report(name), toml=is_toml(path, checked.kind))
    return checked.kind, settings_of(checked.loaded, root, name)


def _defaults(kind: FileKind[Any]) -> tuple[FileKind[Any], tuple[Setting, ...]]:
    """Return the options where there is no file."""
    from fetchml_core.config.load import Loaded
    from fetchml_core.config.node import Node
    from fetchml_core.config.origin import settings_of

    return kind, settings_of(Loaded(kind.cls()), Node({}))


def _lines(settings: tuple[Setting, ...], *, toml: bool, effective: bool, origin: bool) -> Iterator[str]:
    from fetchml_core.config.written import Item, file_lines, lay_out

    values = {one.key: one.value if effective else one.written for one in settings}
    items = (
        Item(one.key, values[one.key], _comment(one, effective=effective, origin=origin)) for one in settings
    )
    lines = list(file_lines(items, toml=toml))
    lines = [
        evolve(line, text=f"# {line.text}") if line.key in values and values[line.key] is None else line
        for line in lines
    ]
    before: tuple[str, ...] = ()
    for line, text in zip(lines, lay_out(lines), strict=True):
        if before and ((line.head and toml) or (len(line.key) == 1 and (line.head or len(before) > 1))):
            yield ""
        yield text
        before = line.key


def _comment(setting: Setting, *, effective: bool, origin: bool) -> str:
    told = []
    if origin:
        told.append(str(setting.origin if effective else setting.at))
        if not effective and setting.origin.variable:
            told[0] += f", overridden by environment {setting.origin.variable}"
    if setting.idle:
        told.append("(not active yet)")
    return " ".join(told)
