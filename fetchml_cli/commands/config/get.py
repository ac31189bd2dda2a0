"""``ml config get``: the value of one option of the profile.

A secret was asked for by name, so it is told, but not to a terminal: what stands there is seen over shoulders, kept
in scroll-back and recorded. A pipe or a file is where a script wants it.
"""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fetchml_cli.commands.common import JsonOption, ProfileOption
from fetchml_cli.lazy import new_app

if TYPE_CHECKING:
    from fetchml_cli.cli import Cli

app = new_app()

KeyArgument = Annotated[
    str, typer.Argument(metavar="KEY", help="Such as server.worker_host.", show_default=False)
]


@app.command()
def get(
    ctx: typer.Context, key: KeyArgument, as_json: JsonOption = False, profile: ProfileOption = ""
) -> None:
    """Print one option of the profile: what counts, the default where the profile is silent.

    A terminal sees *** for a secret; a pipe or a file gets it.

    Exit status: 0; 3 the profile is invalid; 5 no such key or profile.
    """
    run(ctx.obj.configured(profile=profile, json=as_json), key)


def run(cli: Cli, word: str) -> None:
    """Do the command without Typer."""
    from fetchml_cli.commands.config.profile_key import find_option
    from fetchml_core.config.find import find_profile
    from fetchml_core.config.load import load_profile
    from fetchml_core.config.origin import MASK

    option = find_option(word, "get").option
    loaded = load_profile(find_profile(cli.home, cli.environ, cli.profile or None), cli.environ)
    value: Any = operator.attrgetter(word)(loaded.config)
    hidden = option.secret and bool(value) and cli.out.tty
    if option.secret:
        cli.keep_secret(str(value))
    if hidden:
        value = MASK
    if cli.json:
        cli.show_json({"key": word, "value": value})
    else:
        cli.out.line(str(value).lower() if isinstance(value, bool) else str(value))
    if hidden:
        cli.hint(f"not shown on a terminal: ml config get {word} > FILE")
