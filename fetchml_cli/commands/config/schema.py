"""``ml config schema``: the JSON Schema of a kind of file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from fetchml_cli.commands.common import KindArgument
from fetchml_cli.lazy import new_app

if TYPE_CHECKING:
    from fetchml_cli.cli import Cli

app = new_app()


@app.command()
def schema(ctx: typer.Context, kind: KindArgument) -> None:
    """Print the JSON Schema of a kind of file.

    Editors complete and check a file by it: save it as the name that the first line of a starter file says (ml config
    init). What holds across keys is checked by ml config validate alone.

    Exit status: 0; 2 there is no such kind of file.
    """
    run(ctx.obj, kind)


def run(cli: Cli, kind: str) -> None:
    """Do the command without Typer."""
    from fetchml_core.config.json_schema import schema_text
    from fetchml_core.config.kinds import kind_named

    cli.out.write(schema_text(kind_named(kind)))
