"""What `ml` imports before it knows that it must."""

import json
import subprocess
import sys

import pytest

from fetchml_core import __version__
from tests.cli.support import ml, python

HEAVY = (
    "asyncio",
    "attr",
    "attrs",
    "cattrs",
    "cryptography",
    "fabric",
    "fetchml_core.agent",
    "fetchml_core.audit",
    "fetchml_core.config",
    "fetchml_core.fsio",
    "fetchml_core.hardware",
    "fetchml_core.jobs",
    "fetchml_core.launcher",
    "fetchml_core.permission",
    "fetchml_core.queue",
    "fetchml_core.service",
    "fetchml_core.snapshot",
    "fetchml_core.wire",
    "fetchml_core.worker",
    "importlib.metadata",
    "invoke",
    "keyring",
    "logging",
    "paramiko",
    "rich",
    "yaml",
)
PROBE = """
import sys
sys.argv = ["ml", *{argv!r}]
from fetchml_cli.main import main
main()
print("\\n" + __import__("json").dumps(sorted(sys.modules)))
"""


def loaded(home, *argv) -> set[str]:
    """The modules a fresh process has loaded after ``ml`` *argv*."""
    done = python(home, "-c", PROBE.format(argv=list(argv)))
    assert done.returncode == 0, done.stderr.decode()
    return set(json.loads(done.stdout.decode().splitlines()[-1]))


@pytest.mark.parametrize("argv", [["--help"], ["-h"], ["--version", "--help"], ["--hlep"], []])
def test_help_and_mistakes_load_typer_and_nothing_heavy(tmp_path, argv):
    """Help costs what Typer costs; a mistake in what was typed costs the surroundings on top."""
    mistake = argv in (["--hlep"], [])
    modules = loaded(tmp_path, *argv)

    assert "typer" in modules
    allowed = {"attr", "attrs"} if mistake else set()
    assert {name for name in HEAVY if name in modules} <= allowed
    assert not {name for name in modules if name.startswith("fetchml_cli.commands.")}


@pytest.mark.parametrize("argv", [["config", "--help"], ["config", "-h"], ["config"], ["config", "shwo"]])
def test_help_of_a_group_imports_none_of_its_verbs(tmp_path, argv):
    """The group's own table says it all; the surroundings are there, as a verb was typed."""
    modules = loaded(tmp_path, *argv)

    commands = {name for name in modules if name.startswith("fetchml_cli.commands.")}
    assert commands == {"fetchml_cli.commands.config"}
    assert {name for name in HEAVY if name in modules} <= {"attr", "attrs"}


def test_the_version_is_told_before_typer_is_loaded(tmp_path):
    """``ml --version`` loads three small files of ours and nothing else that Python has not loaded anyway."""
    ours = {"fetchml_cli", "fetchml_cli.main", "fetchml_core"}
    bare = python(tmp_path, "-c", "import sys; print(*sys.modules)").stdout.decode().split()
    modules = loaded(tmp_path, "--version")

    extra = {name for name in modules - set(bare) if not name.startswith(("json", "encodings"))}
    assert {name for name in modules if name.startswith("fetchml")} == ours
    assert not extra & {"typer", "typing", "re", "contextlib", "enum", *HEAVY} - _from_json(tmp_path)


def _from_json(home) -> set[str]:
    """What the probe itself loads to print its answer."""
    return set(python(home, "-c", "import sys, json; print(*sys.modules)").stdout.decode().split())


def test_only_the_verb_that_was_typed_is_imported(tmp_path):
    """The module of a verb is imported when its verb was typed, and no other one."""
    code = "import sys; from fetchml_cli import lazy; from tests.cli.verbs import *; main({'do': TABLE['do'], 'no': ('missing', '')})"
    done = python(tmp_path, "-c", code, "do", "well")

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(b"count 1")


def test_python_m_is_the_same_program(tmp_path):
    """``python -m fetchml_cli`` is ``ml``."""
    assert ml(tmp_path, "--version").stdout == f"ml {__version__}\n".encode()
    assert ml(tmp_path, "--help").stdout.startswith(b"Usage: ml [OPTIONS] COMMAND")


def test_closed_streams_are_no_trouble(tmp_path):
    """A caller that closed stdin, stdout and stderr gets a status, not a crash, and its descriptors stay taken."""
    script = 'exec "$0" -m tests.cli.verbs do well <&- >&- 2>&-'
    environ = {"HOME": str(tmp_path), "PYTHONPATH": ".", "PATH": "/usr/bin:/bin"}
    done = subprocess.run(["sh", "-c", script, sys.executable], env=environ, check=False, timeout=60)

    assert done.returncode == 0
