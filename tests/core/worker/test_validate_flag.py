"""``fetchml-worker run --validate``: what is wrong with the files of a base, where no command line is installed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fetchml_core.config.render import plain, render
from fetchml_core.config.validate import validate
from fetchml_core.hardware.machine import machine_of

ROOT = Path(__file__).parents[3]
WORKER = "max_wrokers: 2\nredis_password: 's3cret'\n"
API = "auth:\n  enabled: 1\n"
PROBE = (
    "import sys; from fetchml_core.worker.main import main; status = main(sys.argv[1:]); "
    "bad = [name for name in sys.modules if name.split('.')[0] in ('fetchml_cli', 'typer', 'rich', 'cryptography')]; "
    "print(*bad, file=sys.stderr, end=''); sys.exit(status)"
)


@pytest.fixture
def run(tmp_path):
    """Run the worker's program in a base that has these files."""

    def run(*argv, files=None, python=sys.executable, **environ):
        for name, text in (files or {}).items():
            (tmp_path / name).write_text(text, "utf-8")
            (tmp_path / name).chmod(0o600)
        environ = {"PATH": os.defpath, "HOME": str(tmp_path), "PYTHONPATH": str(ROOT), **environ}
        return subprocess.run(
            [python, "-B", "-c", PROBE, "run", *argv],
            cwd=tmp_path,
            env=environ,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


def test_both_files_of_the_base(run, tmp_path):
    """Worker file and api file are checked, with the text that `ml config validate` prints."""
    done = run("--validate", files={"worker.yaml": WORKER, "server.yaml": API})

    assert (done.returncode, done.stderr) == (3, "")
    assert "error: unknown-key: unknown key 'max_wrokers'" in done.stdout
    assert f"{tmp_path}/worker.yaml: worker file (in use here): 1 error" in done.stdout
    assert f"{tmp_path}/server.yaml: api file (in use here): 1 error" in done.stdout
    assert "s3cret" not in done.stdout


def test_the_text_is_the_same(run, tmp_path):
    """A bare host reads what the command line would show."""
    done = run("--validate", files={"worker.yaml": WORKER})
    path = tmp_path / "worker.yaml"
    checked = validate(path, {}, machine=machine_of(tmp_path, {}), reason="in use here")
    shown = "".join(plain(line).rstrip() + "\n" for line in render(checked))

    assert done.stdout.startswith(shown.replace("(from its keys)", "(in use here)"))


def test_a_file_by_name(run, tmp_path):
    """--config names the worker file; the api file is that of the base."""
    done = run(
        "--config", "box.yaml", "--validate", files={"box.yaml": "max_workers: 0\n", "worker.yaml": WORKER}
    )

    assert done.returncode == 3
    assert "box.yaml:1:14" in done.stdout
    assert "max_wrokers" not in done.stdout
    assert f"{tmp_path}: there is no server.yaml: the defaults count" in done.stdout


@pytest.mark.parametrize(
    ("files", "status"),
    [
        ({}, 0),
        ({"worker.yaml": "max_workers: 2\n"}, 0),
        ({"server.yaml": "logging:\n  level:\n"}, 0),
        ({"server.yml": "logging: {}\n"}, 3),
        ({"worker.yaml": "- a\n"}, 3),
    ],
)
def test_status(run, files, status):
    """0 without errors, warnings or not; 3 with."""
    assert run("--validate", files=files).returncode == status


def test_a_missing_file(run):
    """A worker file that is not there is a finding, not a traceback."""
    done = run("--config", "none.yaml", "--validate")

    assert (done.returncode, done.stderr) == (3, "")
    assert "error: file-missing: there is no such file" in done.stdout


def test_nothing_is_started_or_made(run, tmp_path):
    """The base holds afterwards what it held before."""
    files = {"worker.yaml": "launcher: process\nbase_path: work\n"}
    run("--validate", files=files)

    assert sorted(path.name for path in tmp_path.iterdir()) == ["worker.yaml"]


def test_the_environment_is_looked_at(run):
    """A variable that a worker reads must have a legal value too."""
    done = run("--validate", files={"worker.yaml": "max_workers: 2\n"}, FETCH_ML_GPU_COUNT="many")

    assert done.returncode == 3
    assert "FETCH_ML_GPU_COUNT" in done.stdout


def test_any_locale(run):
    """A key that the locale cannot show is spelt out."""
    done = run(
        "--validate", files={"worker.yaml": "grüße: 2\n"}, LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0"
    )

    assert (done.returncode, done.stderr) == (3, "")
    assert "gr\\xfc\\xdfe" in done.stdout
