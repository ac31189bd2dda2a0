"""``ml config``: the group of the verbs about configuration files.

Which verb is in which module, for `lazy`: help lists them, and only the one that was typed is imported.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fetchml_cli.lazy import group_app

if TYPE_CHECKING:
    from collections.abc import Mapping

COMMANDS: Mapping[str, tuple[str, str]] = {  # the order of the help: read, then write
    "validate": ("fetchml_cli.commands.config.validate", "Check files and say how to mend them."),
    "show": ("fetchml_cli.commands.config.show", "Show a file's options, defaults and origins too."),
    "explain": ("fetchml_cli.commands.config.explain", "Tell what an option does and may be."),
    "get": ("fetchml_cli.commands.config.get", "Print one option of the profile."),
    "set": ("fetchml_cli.commands.config.set", "Change one option of the profile."),
    "init": ("fetchml_cli.commands.config.init", "Write a commented starter file."),
    "migrate": ("fetchml_cli.commands.config.migrate", "Turn a TOML worker file into YAML."),
    "schema": ("fetchml_cli.commands.config.schema", "Print the JSON Schema of a kind of file."),
}

app = group_app(COMMANDS)


@app.callback()
def config() -> None:
    """Check, explain and change configuration files."""
