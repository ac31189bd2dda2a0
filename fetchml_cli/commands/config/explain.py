"""``ml config explain``: what an option does and may be."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Annotated

import typer

from fetchml_cli.commands.common import JsonOption
from fetchml_cli.lazy import new_app
from fetchml_cli.output.table import Column, write_table
from fetchml_core.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fetchml_cli.cli import Cli
    from fetchml_core.config.environment import Variable
    from fetchml_core.config.explain import Topic

app = new_app()
COLUMNS = (Column("FILE"), Column("KEY"), Column("TYPE"), Column("DEFAULT"), Column("MEANING", cut=True))
TREE = (Column("KEY"), Column("MEANING", cut=True))


@app.command()
def explain(
    ctx: typer.Context,
    keys: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KEY...]", help="A key, the end of one, a section, or a variable.", show_default=False
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Tell what an option does and may be.

    A KEY is written with dots, as in auth.api_keys.alice.hash; its last part is enough (podman_memory). Environment
    variables are explained too. Without a KEY all options are listed.

    Exit status: 0; 5 there is no such option.
    """
    run(ctx.obj.configured(json=as_json), keys or [])


def run(cli: Cli, words: list[str]) -> None:
    """Do the command without Typer."""
    from fetchml_core.config.environment import VARIABLES
    from fetchml_core.config.explain import find, find_variable, to_fields, topics

    variables = [variable for word in words if (variable := find_variable(word))]
    found = {word: find(word) for word in words if not find_variable(word)}
    for word, named in found.items():
        if not named:
            raise _unknown(word)
    if cli.json:
        told = [topic for named in found.values() for topic in named] if words else list(topics())
        cli.show_json(
            {
                "options": [to_fields(topic) for topic in told],
                "variables": [_variable_fields(one) for one in (variables if words else VARIABLES)],
            }
        )
        return
    if not words:
        _list_all(cli)
        return
    texts = [_variable(one) for one in variables]
    for word, named in found.items():
        if len({topic.key for topic in named}) > 1:
            _list(cli, named)
        else:
            texts += [_topic(topic) for topic in named]
            texts[-1] += _also(word, named)
    for number, lines in enumerate(texts):
        for line in ["", *lines] if number else lines:
            cli.out.line(line)


def _unknown(word: str) -> NotFoundError:
    from fetchml_core.config.explain import nearest

    near = nearest(word)
    hint = f"did you mean {near}? ml config explain {shlex.quote(near)}" if near else "ml config explain"
    return NotFoundError("unknown-key", "there is no such option", context=word, hint=hint)


def _list_all(cli: Cli) -> None:
    """List every option: for people as the tree that a file is, for programs one row each."""
    from fetchml_core.config.environment import VARIABLES
    from fetchml_core.config.explain import topics_of
    from fetchml_core.config.kinds import all_kinds

    if not cli.out.tty:
        for kind in all_kinds():
            _list(cli, topics_of(kind))
        write_table(
            cli, COLUMNS, [("environment", one.name, one.type, one.default, one.help) for one in VARIABLES]
        )
        return
    for kind in all_kinds():
        cli.out.line(f"{kind.title} ({kind.file})")
        write_table(cli, TREE, [(_branch(topic), topic.field.option.help) for topic in topics_of(kind)])
        cli.out.line()
    cli.out.line("the environment")
    write_table(cli, TREE, [(f"  {one.name}", one.help) for one in VARIABLES])
    cli.hint("\nml config explain KEY tells more about one of them")


def _branch(topic: Topic) -> str:
    """The last part of a key, below the section that it stands in."""
    parts = topic.name.split(".")
    chosen = topic.key[-2:-1] == ("*",)
    last = ".".join(parts[-2:]) if chosen else parts[-1]
    return "  " * (len(parts) - topic.key.count("*")) + last


def _list(cli: Cli, topics: Iterable[Topic]) -> None:
    from fetchml_core.config.explain import default_of
    from fetchml_core.config.reference import type_of

    rows = [
        (
            ",".join(kind.name for kind in topic.kinds),
            topic.name,
            type_of(topic.field),
            "" if topic.field.kind == "section" else default_of(topic.field),
            topic.field.option.help,
        )
        for topic in topics
    ]
    write_table(cli, COLUMNS, rows)


def _topic(topic: Topic) -> list[str]:
    from fetchml_core.config.explain import facts, members, snippet

    lines = [topic.name, f"  {topic.field.option.help}", "", *_rows(facts(topic))]
    example = snippet(topic)
    if example:
        lines += ["", "  example", *(f"    {line}" for line in example)]
    inside = members(topic)
    if inside:
        width = max(len(one.name) for one in inside)
        lines += ["", "  keys", *(f"    {one.name:<{width}}  {one.field.option.help}" for one in inside)]
    return lines


def _also(word: str, named: Iterable[Topic]) -> list[str]:
    """What else ends with *word*."""
    from fetchml_core.config.explain import by_ending

    told = {topic.key for topic in named}
    others = dict.fromkeys(topic.name for topic in by_ending(word) if topic.key not in told)
    return ["", f"  see also  {', '.join(others)}"] if others else []


def _variable(variable: Variable) -> list[str]:
    from fetchml_core.config.explain import variable_facts

    return [variable.name, f"  {variable.help}", "", *_rows(variable_facts(variable))]


def _rows(rows: Iterable[tuple[str, str]]) -> list[str]:
    return [f"  {name:<10}  {text}" for name, text in rows]


def _variable_fields(variable: Variable) -> dict[str, object]:
    return {
        "name": variable.name,
        "help": variable.help,
        "type": variable.type,
        "choices": variable.choices,
        "default": variable.default,
        "overrides": variable.overrides,
        "side": variable.side,
        "example": variable.example,
        "active": bool(variable.read_by),
        "read_by": variable.read_by,
    }
