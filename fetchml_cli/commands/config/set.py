"""``ml config set``: change one option of the profile, and nothing else in its file.

A secret is never taken from the command line, where every account of the machine can read it in the list of
processes and the shell keeps it: it comes hidden from the terminal, or as the first line of standard input.

The file is replaced in one step, so a kill at any moment leaves the old or the new one; a lock keeps two changes at
once from losing one. The new text is checked by the loader before it is written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from fetchml_cli.commands.common import ProfileOption
from fetchml_cli.lazy import new_app
from fetchml_core.errors import InputError

if TYPE_CHECKING:
    from fetchml_cli.cli import Cli
    from fetchml_core.config.option import Field

app = new_app()

LONGEST = 4096
"""Bytes of a value from standard input."""

KeyArgument = Annotated[
    str, typer.Argument(metavar="KEY", help="Such as server.worker_host.", show_default=False)
]
ValueArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="VALUE",
        help='The new value; "" removes the key. A secret is asked for, or read from standard input.',
        show_default=False,
    ),
]


@app.command(name="set")
def set_(
    ctx: typer.Context, key: KeyArgument, value: ValueArgument = None, profile: ProfileOption = ""
) -> None:
    """Change one option of the profile; comments, order and everything else in the file stay.

    A file that is missing is made. It always ends up readable by you alone. ${NAME} stays as it is written, and is
    replaced by that variable when the profile is used.

    Exit status: 0; 1 the file could not be written; 2 the value does not fit; 3 the profile would be invalid; 5 no such key.
    """
    run(ctx.obj.configured(profile=profile), key, value)


def run(cli: Cli, word: str, value: str | None) -> None:
    """Do the command without Typer."""
    from fetchml_cli.commands.config import profile_file
    from fetchml_cli.commands.config.profile_key import find_option

    field = find_option(word, "set")
    if field.option.secret and value:
        raise InputError(
            "secret-in-arguments",
            "a secret does not belong on the command line, where others can read it",
            context=word,
            hint=f"ml config set {word} < FILE, or without a value to be asked",
        )
    path = profile_file.find_path(cli)
    if value is None:
        value = _ask(cli, word, field)
    if field.option.secret:
        cli.keep_secret(value)
    section, _, name = word.partition(".")
    profile_file.change(cli, path, (section, name), _typed(word, field, value) if value else None)


def _ask(cli: Cli, word: str, field: Field) -> str:
    """Return a secret from the terminal or from standard input.

    Raises:
        InputError: ``missing-argument``, ``no-value``, ``bad-value``.
    """
    if not field.option.secret:
        raise InputError(
            "missing-argument",
            "Missing argument 'VALUE'",
            context=word,
            hint=f"ml config set {word} VALUE",
        )
    text = _hidden(cli, word) if cli.stdin.isatty() else _first_line(cli, word)
    if not text:
        raise InputError(
            "no-value",
            "nothing was entered, nothing was changed",
            context=word,
            hint=f'ml config set {word} "" removes it',
        )
    return text


def _hidden(cli: Cli, word: str) -> str:
    """Ask the person at the terminal."""
    import getpass

    try:
        return getpass.getpass(f"{word} (not shown): ").strip()
    except EOFError:
        return ""
    except KeyboardInterrupt:
        cli.err.line()
        raise


def _first_line(cli: Cli, word: str) -> str:
    line = cli.stdin.readline(LONGEST + 1)
    if len(line) > LONGEST:
        raise InputError(
            "bad-value",
            f"the first line of standard input is longer than {LONGEST} bytes; nothing was changed",
            context=word,
        )
    return line.decode("utf-8", "surrogateescape").strip()


def _typed(word: str, field: Field, text: str) -> bool | int | str:
    """Return what was typed as the type of the option; a text with ``${NAME}`` stays one.

    Raises:
        InputError: ``bad-value``, with a value that fits.
    """
    from fetchml_core.config.node import resolve_plain
    from fetchml_core.config.scalars import Problem, check_scalar
    from fetchml_core.config.structure import expand

    if not text.isprintable():
        raise InputError("bad-value", "the value has a character that cannot be seen", context=word)
    value = resolve_plain(text) if field.kind in {"bool", "int"} else text
    try:
        if "${" in text:
            expand(text, _AnyName())
            return text
        typed: bool | int | str = check_scalar(field, value)
    except Problem as problem:
        fitting = f"ml config set {word} {_fitting(field, text, value)}"
        hint = problem.hint if problem.code == "bad-reference" else fitting
        raise InputError("bad-value", problem.message, context=word, hint=hint) from None
    return typed


_WORDS = {"yes": "true", "on": "true", "1": "true", "no": "false", "off": "false", "0": "false"}


def _fitting(field: Field, text: str, value: object) -> str:
    """Return the nearest value that fits."""
    about = field.option
    if field.kind == "bool":
        return _WORDS.get(text.lower(), text.lower() if text.lower() in {"true", "false"} else "true")
    if type(value) is int and about.ge is not None:
        return f"{max(about.ge, min(value, about.le or value)):.0f}"
    return about.example or str(field.default or "VALUE")


class _AnyName(dict[str, str]):
    """An environment in which every name is set: only a reference that names none is a problem."""

    def __contains__(self, name: object) -> bool:
        return True

    def __missing__(self, name: str) -> str:
        return ""
