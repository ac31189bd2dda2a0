"""The documents say what is there: links lead somewhere, commands parse, configuration loads."""

from __future__ import annotations

import importlib
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from fetchml_cli.commands.config import COMMANDS as CONFIG_COMMANDS
from fetchml_cli.commands.queue import COMMANDS as QUEUE_COMMANDS
from fetchml_cli.commands.worker import COMMANDS as WORKER_COMMANDS
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
        if typed and typed[1] != "keys":
            found.append([typed[1], *shlex.split(typed[2])])
    return found


def options_of(verb: str, words: list[str]) -> set[str]:
    """The options that a verb has; of a group, those of the verb below it that *words* begin with."""
    table = COMMANDS
    groups = {"config": CONFIG_COMMANDS, "queue": QUEUE_COMMANDS, "worker": WORKER_COMMANDS}
    if verb in groups and words and words[0] in groups[verb]:
        table, verb = groups[verb], words[0]
    command = typer.main.get_command(importlib.import_module(table[verb][0]).app)
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
        assert options <= options_of(verb, words), (verb, options)


def test_tour_has_commands():
    """The check above sees the tour's commands."""
    verbs = {verb for verb, *_ in commands((ROOT / "README.md").read_text("utf-8"))}

    assert {"submit", "logs", "status", "wait", "show", "pull"} <= verbs


def test_configuration_of_the_tour_loads(tmp_path):
    """The files of the tour are valid; only the key's hash is left to fill in."""
    text = (ROOT / "README.md").read_text("utf-8")
    worker, server = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    for name, content in {"worker.yaml": worker, "server.yaml": server}.items():
        (tmp_path / name).write_text(content, "utf-8")

    assert load_worker(tmp_path / "worker.yaml", {}).findings == ()
    (finding,) = load_server(tmp_path / "server.yaml", {}).findings
    assert finding.blocks_start


def test_profile_of_the_tour_is_made(tmp_path):
    """The tour's commands, typed one after the other, make a profile that works."""
    typed = [words for words in commands((ROOT / "README.md").read_text("utf-8")) if words[0] == "config"]
    environ = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    for words in typed:
        if words[1] in {"init", "set"}:
            argv = [sys.executable, "-m", "fetchml_cli", *words]
            subprocess.run(argv, env=environ, cwd=ROOT, input="THE-KEY\n", text=True, check=True, timeout=60)
    profile = load_profile(tmp_path / ".ml" / "config.toml", {}).config

    assert (profile.server.worker_host, profile.server.worker_user) == ("box1", "ml")
    assert (profile.server.worker_base, profile.auth.api_key) == ("fetchml", "THE-KEY")
