"""Commands in a text name the profile that was chosen; every command that a text names exists."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
import typer

from fetchml_cli.lazy import COMMANDS, root_app
from fetchml_cli.output.typed import name_profile

ROOT = Path(__file__).parents[3]
OTHER = {"config explain", "config init", "config migrate", "config schema", "config show", "config validate"}
"""They take a file, or name one; `--profile` beside it would be a mistake."""


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "ml status -a lists jobs; a job is named 42",
            "ml status --profile box -a lists jobs; a job is named 42",
        ),
        ("  ml logs -f 3   comes back", "  ml logs --profile box -f 3   comes back"),
        ("ml queue pause, then ml wait 3 4", "ml queue pause --profile box, then ml wait --profile box 3 4"),
        ('ml config set server.worker_host ""', 'ml config set --profile box server.worker_host ""'),
        ("ml status --profile box", "ml status --profile box"),
        ("ml submit --help", "ml submit --help"),
        ("ml config validate worker.yaml", "ml config validate worker.yaml"),
        (
            "html status, fetchml-worker stop, ml statusbar, ml",
            "html status, fetchml-worker stop, ml statusbar, ml",
        ),
    ],
)
def test_commands_in_a_text(text, told):
    """Right behind the verb, so that it stands well before other options, arguments and words; and only once."""
    assert name_profile(text, "box") == told
    assert name_profile(told, "box") == told
    assert name_profile(text, "") == text


def test_an_odd_name_stays_one_word():
    """A profile that no file can have was typed all the same."""
    assert name_profile("ml status", "a b;c") == "ml status --profile 'a b;c'"


def commands(group, context, before=""):
    """Every command below *group*, with its name."""
    for name in group.list_commands(context):
        found = group.resolve_command(context, [name])[1]
        if hasattr(found, "list_commands"):
            yield from commands(found, context, f"{before}{name} ")
        else:
            yield before + name, found


def test_just_the_commands_that_ask_a_host():
    """All that take --profile, but those of OTHER; and no other."""
    group = typer.main.get_command(root_app(COMMANDS))
    every = dict(commands(group, typer.Context(group)))
    takes = {name for name, one in every.items() if any("--profile" in option.opts for option in one.params)}
    named = {name for name in every if name_profile(f"ml {name}", "box") != f"ml {name}"}

    assert named == takes - OTHER


def test_every_command_that_a_text_names_exists():
    """Hints are typed as they are."""
    group = typer.main.get_command(root_app(COMMANDS))
    every = {name for name, _ in commands(group, typer.Context(group))}
    words = {name.split()[0] for name in every if " " in name}
    wrong = []
    for path in (*ROOT.glob("fetchml_core/**/*.py"), *ROOT.glob("fetchml_cli/**/*.py")):
        parts = (
            node.value
            for node in ast.walk(ast.parse(path.read_text("utf-8")))
            if isinstance(node, ast.Constant)
        )
        for text in (part for part in parts if isinstance(part, str) and not part.endswith("ml config ")):
            for verb, after in re.findall(
                r"(?:^|: |; |then )ml ([a-z]+)\b(?! a mistake)(?: ([a-z]+))?", text
            ):
                command = f"{verb} {after}" if verb in words else verb
                wrong += [] if command in every else [f"{path.name}: {command}"]

    assert wrong == []
