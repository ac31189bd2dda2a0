"""The documents say what is there: links lead somewhere, commands parse, configuration loads."""

from __future__ import annotations

import importlib
import re
import shlex
from pathlib import Path

import pytest
import typer

from fetchml_cli.lazy import COMMANDS
from fetchml_core.config.load import load_profile, load_server, load_worker

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("examples/**/*.md")])
IDS = [str(page.relative_to(ROOT)) for page in PAGES]


def code_lines(text: str) -> list[str]:
    """The lines of indented blocks, and code within a line, without the prompt."""
    lines = [line.strip().removeprefix("$ ") for line in text.splitlines() if line.startswith("    ")]
    return lines + re.findall(r"`([^`\n]+)`", text)


def commands(text: str) -> list[list[str]]:
    """The `ml VERB …` of a page, as words, up to what separates it from a remark or another command."""
    found = []
    for line in code_lines(text):
        typed = re.match(r"ml ([a-z]+)(?=\s|$)(.*)", re.split(r"\s+#|\s{3}| && |\|", line)[0])
        if typed and typed[1] not in {"keys", "worker"}:
            found.append([typed[1], *shlex.split(typed[2])])
    return found


def options_of(verb: str) -> set[str]:
    """The options that a verb has."""
    command = typer.main.get_command(importlib.import_module(COMMANDS[verb][0]).app)
    return {name for param in command.params for name in (*param.opts, *param.secondary_opts)} | {"--help"}


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_links_lead_somewhere(page):
    """A relative link names a file or folder of the repository."""
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", page.read_text("utf-8"))

    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_commands_exist(page):
    """Every `ml` command on a page is a verb, with options that it has."""
    for verb, *words in commands(page.read_text("utf-8")):
        assert verb in COMMANDS, verb
        own = words[: words.index("--")] if "--" in words else words
        options = {word.partition("=")[0] for word in own if word.startswith("-")}
        assert options <= options_of(verb), (verb, options)


def test_tour_has_commands():
    """The check above sees the tour's commands."""
    verbs = {verb for verb, *_ in commands((ROOT / "README.md").read_text("utf-8"))}

    assert {"submit", "logs", "status", "wait", "show", "pull"} <= verbs


def test_configuration_of_the_tour_loads(tmp_path):
    """The files of the tour are valid; only the key's hash is left to fill in."""
    text = (ROOT / "README.md").read_text("utf-8")
    worker, server = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    (profile,) = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    files = {"worker.yaml": worker, "server.yaml": server, "config.toml": profile}
    for name, content in files.items():
        (tmp_path / name).write_text(content, "utf-8")

    assert load_worker(tmp_path / "worker.yaml", {}).findings == ()
    (finding,) = load_server(tmp_path / "server.yaml", {}).findings
    assert finding.blocks_start
    assert load_profile(tmp_path / "config.toml", {}).config.server.worker_host == "box1"
