"""Which verb is in which module, so that help is shown without importing any of them.

Layer 8. Importing a command brings in the wire, the configuration and a transport: a tenth of a second that
``ml --help`` and a mistyped verb need not wait for. Typer gets stubs that know name and summary; the module is
imported when its verb was really typed.

Typer 0.28 carries its own copy of Click, so classes come from `typer.core`, never from `click`; the types of
that copy are private, which the pin in pyproject.toml allows.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperCommand, TyperGroup

from fetchml_core import __version__
from fetchml_core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from typer._click import Command, Context

COMMANDS: Mapping[str, tuple[str, str]] = {  # the order of the help: the way a job takes
    "submit": ("fetchml_cli.commands.submit", "Freeze the code and queue it as a job."),
    "status": ("fetchml_cli.commands.status", "Show jobs and what they wait for."),
    "logs": ("fetchml_cli.commands.logs", "Print or follow what a job writes."),
    "wait": ("fetchml_cli.commands.wait", "Wait until jobs end; the status tells how."),
    "cancel": ("fetchml_cli.commands.cancel", "Stop queued or running jobs."),
    "hold": ("fetchml_cli.commands.hold", "Keep queued jobs from starting."),
    "release": ("fetchml_cli.commands.release", "Let held jobs start."),
    "show": ("fetchml_cli.commands.show", "Tell everything about one job."),
    "why": ("fetchml_cli.commands.why", "Tell why a job waits: what is missing, and who has it."),
    "gpus": ("fetchml_cli.commands.gpus", "Show the host's GPUs and who holds them."),
    "pull": ("fetchml_cli.commands.pull", "Fetch the results of a job."),
    "queue": ("fetchml_cli.commands.queue", "Look after a host's queue; for its admins."),
    "worker": ("fetchml_cli.commands.worker", "Look after a host's worker."),
    "config": ("fetchml_cli.commands.config", "Check, explain and change configuration files."),
}


def new_app(**settings: Any) -> typer.Typer:
    """Return a Typer made our way; every command file builds its own with this.

    Typer's defaults would load rich for help and show tracebacks with it, and its completion runs Python, and
    in zsh text that a stranger wrote, at every Tab.
    """
    return typer.Typer(
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        **settings,
    )


class LazyGroup(TyperGroup):
    """A group of verbs; a subclass fills in the table: name -> (module with an ``app``, summary).

    That ``app`` may be a group of this kind again (`group_app`).
    """

    table: Mapping[str, tuple[str, str]] = {}

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        for name, (_, summary) in self.table.items():
            self.add_command(TyperCommand(name, help=summary, rich_markup_mode=None))

    def resolve_command(self, ctx: Context, args: list[str]) -> tuple[str | None, Command | None, list[str]]:
        """Return the verb, its command, now really imported, and what follows it.

        Raises:
            InputError: ``unknown-command``, with the nearest one.
        """
        word = args[0]
        if word not in self.table and not word.startswith("-"):
            raise _unknown(word, list(self.table), ctx.command_path)
        name, command, rest = super().resolve_command(ctx, args)
        if name is not None:
            command = typer.main.get_command(importlib.import_module(self.table[name][0]).app)
        return name, command, rest


def group_app(commands: Mapping[str, tuple[str, str]]) -> typer.Typer:
    """Return a group of *commands*, each imported when it was typed; its help comes from its callback."""
    return new_app(
        cls=type("Verbs", (LazyGroup,), {"table": commands}),
        no_args_is_help=True,
        context_settings={"help_option_names": ["-h", "--help"]},
    )


def root_app(commands: Mapping[str, tuple[str, str]] = COMMANDS) -> typer.Typer:
    """Return the program: the options before the verb, and the verbs of *commands*.

    Its context object is a function that gives the surroundings; it is called when a verb was really typed.
    """
    app = group_app(commands)

    @app.callback()
    def root(
        ctx: typer.Context,
        *,
        _version: bool = typer.Option(
            False, "--version", help="Show the version and exit.", is_eager=True, callback=_show_version
        ),
    ) -> None:
        """Run training jobs over SSH on the machines you own."""
        ctx.obj = ctx.obj()

    return app


def _show_version(shown: bool) -> None:  # noqa: FBT001 - Typer calls it
    if shown:
        typer.echo(f"ml {__version__}")
        raise typer.Exit


def _unknown(word: str, names: list[str], path: str) -> InputError:
    from difflib import get_close_matches

    near = get_close_matches(word, names, n=1)
    return InputError(
        "unknown-command",
        "there is no such command",
        context=word,
        hint=f"{path} {near[0] if near else '--help'}",
    )
