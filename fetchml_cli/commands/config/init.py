"""``ml config init``: a commented file to start from."""

from __future__ import annotations

import contextlib
import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fetchml_cli.commands.common import KindArgument
from fetchml_cli.lazy import new_app
from fetchml_core import fsio
from fetchml_core.errors import InputError, NotFoundError

if TYPE_CHECKING:
    from fetchml_cli.cli import Cli
    from fetchml_core.config.kinds import FileKind

app = new_app()


@app.command()
def init(
    ctx: typer.Context,
    kind: KindArgument,
    file: Annotated[
        str,
        typer.Argument(metavar="[FILE]", help="Where to write it; - prints it.", show_default=False),
    ] = "",
    profile: Annotated[
        str, typer.Option("--profile", metavar="NAME", help="Write ~/.ml/config-NAME.toml.")
    ] = "",
) -> None:
    """Write a commented starter file.

    It has every option with its meaning, commented out, so that as it is written the defaults count. Without FILE it
    is server.yaml or worker.yaml in the current folder, or ~/.ml/config.toml. Only you may read it (mode 0600). A file
    that is there already is never changed.

    Exit status: 0; 1 the folder cannot be written; 2 there is such a file already, or no such kind.
    """
    run(ctx.obj.configured(profile=profile), kind, file)


def run(cli: Cli, word: str, file: str) -> None:
    """Do the command without Typer."""
    from fetchml_core.config.kinds import kind_named
    from fetchml_core.config.starter import starter

    kind = kind_named(word)
    if file == "-":
        cli.out.write(starter(kind))
        return
    path = _path(cli, kind, file)
    shown = file or (path.name if path.parent == cli.start_folder else str(path))
    text = starter(kind, shlex.quote(shown))
    _write(path, text.encode("utf-8"), shown)
    cli.note(f"wrote {shown}; every option in it is still the default")
    named = cli.environ.get("CLI_CONFIG", "")
    if kind.toml and named and not cli.profile and path != Path(named):
        cli.warn(f"CLI_CONFIG names another profile, which is used instead: {named}")
    cli.hint("  edit it, then type")
    cli.hint(f"  ml config validate {shlex.quote(shown)}")


def _path(cli: Cli, kind: FileKind[Any], file: str) -> Path:
    """Where the file is to be.

    Raises:
        InputError: ``usage``, ``wrong-format``, ``bad-profile-name``.
    """
    if cli.profile and (not kind.toml or file):
        what = f"{kind.title} has no profile name" if not kind.toml else "give a FILE or --profile, not both"
        raise InputError("usage", what, context=f"--profile {cli.profile}", hint="ml config init --help")
    if file:
        path = cli.cwd / file
        if path.suffix.lower() == ".toml" and not kind.toml:
            raise InputError(
                "wrong-format",
                f"{kind.title} is YAML, this is named TOML",
                context=file,
                hint=f"ml config init {kind.name} {kind.file}",
            )
        return path
    if not kind.toml:
        return cli.cwd / kind.file
    if not cli.profile:
        return cli.home / ".ml" / kind.file
    from fetchml_core.config.find import find_profile

    try:
        found = find_profile(cli.home, {}, cli.profile)
    except NotFoundError as error:  # as it should be; its context is the path that it looked for
        found = Path(error.context)
    return found or cli.home / ".ml" / kind.file


def _write(path: Path, data: bytes, shown: str) -> None:
    """Write a file that is not there yet, for its owner alone.

    Raises:
        InputError: ``file-exists``, ``no-folder``.
    """
    if path.parent.name == ".ml":
        fsio.make_folder(path.parent)
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise InputError(
            "file-exists",
            "there is such a file already; it was not changed",
            context=str(path),
            hint=f"ml config validate {shlex.quote(shown)}",
        ) from None
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(
            "no-folder",
            "the folder for the file is not there",
            context=str(path),
            hint=f"mkdir -p {shlex.quote(str(path.parent))}",
        ) from None
    try:
        try:
            fsio.write_all(fd, data)
        finally:
            os.close(fd)
    except BaseException:  # half a file would be taken for one
        with contextlib.suppress(OSError):
            path.unlink()
        raise
