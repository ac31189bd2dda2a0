"""``ml config migrate``: a legacy TOML worker file as YAML."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fetchml_cli.lazy import new_app
from fetchml_core.errors import ConfigError, InputError

if TYPE_CHECKING:
    from fetchml_cli.cli import Cli
    from fetchml_core.config.findings import Finding

app = new_app()

FileArgument = Annotated[
    str, typer.Argument(metavar="FILE.toml", help="The worker file.", show_default=False)
]
OutArgument = Annotated[
    str,
    typer.Argument(metavar="OUT", help="File to make; without it the YAML is printed.", show_default=False),
]


@app.command()
def migrate(ctx: typer.Context, file: FileArgument, out: OutArgument = "") -> None:
    """Turn a TOML worker file into YAML.

    Keys, values, order and comments stay. OUT is made with mode 0600 and is never overwritten.

    Exit status: 0; 1 OUT could not be written; 2 OUT exists; 3 the file is no TOML worker file.
    """
    run(ctx.obj, file, out)


def run(cli: Cli, file: str, out: str) -> None:
    """Do the command without Typer."""
    path = cli.cwd / file
    text, findings = _read(path, file, cli)
    written = to_yaml(text)
    if out:
        _create(cli.cwd / out, out, written)
        cli.note(f"wrote {out}")
    else:
        cli.out.write(written)
    for found in findings:
        if found.code == "unknown-key":
            cli.note(f"kept as it is: {found.message}")
    errors = sum(found.severity == "error" for found in findings)
    if errors:
        plural = "s" if errors > 1 else ""
        cli.note(
            f"the file has {errors} error{plural}, as {file} has: ml config validate {out or 'worker.yaml'}"
        )
    target = "" if out else f"ml config migrate {file} worker.yaml; "
    cli.hint(f"next: {target}fetchml-worker run --config {out or 'worker.yaml'} --validate")


def to_yaml(text: str) -> str:
    """Return the TOML file *text* as YAML: the same keys, values, order and comments.

    Raises:
        ConfigError: ``cannot-migrate``: it is no TOML, or a value has no counterpart; the context names it.
    """
    from fetchml_cli.commands.config import yaml_from_toml

    return yaml_from_toml.to_yaml(text)


def _read(path: Path, file: str, cli: Cli) -> tuple[str, tuple[Finding, ...]]:
    """Return the text of a worker file, and what is wrong with it.

    Raises:
        ConfigError: ``not-a-worker-file``, ``cannot-migrate``.
    """
    from fetchml_core.config.findings import Report
    from fetchml_core.config.kinds import find_kind, worker_kind
    from fetchml_core.config.load import check_tree
    from fetchml_core.config.source import SourceError, read_text
    from fetchml_core.config.toml_loader import parse_toml

    report = Report(file)
    try:
        text = read_text(path)
        root = parse_toml(text)
    except SourceError as error:
        place = f"{file}:{error.place.line}:{error.place.column}" if error.place.line else file
        yaml = path.suffix.lower() in {".yaml", ".yml"} and error.code == "toml-syntax"
        raise ConfigError(
            "cannot-migrate",
            "this is YAML already, by its name" if yaml else error.message,
            context=place,
            hint=f"ml config validate {file}" if yaml else error.hint,
        ) from None
    found = find_kind(path, root)
    if found is None or found[0].name != "worker":
        title = f"this is {found[0].title}, {found[1]}" if found else "no key of it is one of the worker file"
        raise ConfigError(
            "not-a-worker-file",
            f"{title}: only worker files were TOML and are YAML now",
            context=file,
            hint=f"ml config validate {file}",
        )
    findings = check_tree(root, path.with_suffix(".yaml"), report, cli.environ, worker_kind())[1]
    return text, findings


def _create(path: Path, out: str, text: str) -> None:
    """Make the file *path*, whole and durable, or no file at all.

    Raises:
        InputError: ``file-exists``.
        HostError: it cannot be written.
    """
    import os

    from fetchml_core.errors import explain_os_error
    from fetchml_core.fsio import sync_folder, write_all

    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise InputError(
            "file-exists",
            "this file exists, and is not overwritten",
            context=out,
            hint="name another, or remove it",
        ) from None
    except OSError as error:
        raise explain_os_error(error, "make the file") from None
    try:
        try:
            write_all(fd, text.encode("utf-8"))
            os.fsync(fd)
        finally:
            os.close(fd)
        sync_folder(path.parent)
    except OSError as error:
        path.unlink(missing_ok=True)
        error.filename = error.filename or out
        raise explain_os_error(error, "write the file") from None
