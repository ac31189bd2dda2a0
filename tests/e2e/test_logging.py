"""``logging.level``, ``logging.file`` and FETCHML_LOG_LEVEL, in agent and worker."""

from __future__ import annotations

import pytest


@pytest.fixture
def base(home, ml, tmp_path):
    """A base whose jobs run as plain processes, and a tree with a job that ends at once."""
    folder = tmp_path / "base"
    folder.mkdir(mode=0o700)
    (folder / "worker.yaml").write_text("launcher: process\nworker_id: here\n")
    home.profile(f'[server]\nworker_base = "{folder}"\n')
    ml.cwd = tmp_path / "tree"
    ml.cwd.mkdir()
    (ml.cwd / "train.py").write_text("print(1)\n")
    return folder


def configure(base, name, text):
    """Write a file of the base, private."""
    path = base / name
    path.write_text(text)
    path.chmod(0o600)


def test_both_log_to_the_file_of_the_api_file(base, ml):
    """Agent and worker write to ``logging.file``, each line with its author; a folder that lacks is made."""
    configure(base, "server.yaml", "logging:\n  level: info\n  file: logs/fetchml.log\n")
    ml.ok("submit", "train.py", "--wait")
    text = (base / "logs" / "fetchml.log").read_text()

    assert "INFO local: submit" in text
    assert "INFO job 1: claimed, attempt 1" in text
    assert "agent[" in text
    assert "worker[" in text


def test_level_leaves_out_what_is_below_it(base, ml):
    """With ``level: error`` a job that goes well leaves no line."""
    configure(base, "server.yaml", "logging:\n  level: error\n  file: fetchml.log\n")
    ml.ok("submit", "train.py", "--wait")

    assert (base / "fetchml.log").read_text() == ""


def test_variable_beats_the_file(base, ml):
    """FETCHML_LOG_LEVEL decides in both, whatever the file says; a word that is no level is named."""
    configure(base, "server.yaml", "logging:\n  level: error\n  file: fetchml.log\n")
    ml.env["FETCHML_LOG_LEVEL"] = "info"
    ml.ok("submit", "train.py", "--wait")
    text = (base / "fetchml.log").read_text()
    assert "agent[" in text
    assert "claimed" in text

    ml.env["FETCHML_LOG_LEVEL"] = "loud"
    assert "FETCHML_LOG_LEVEL" in ml.fails(3, "status").stderr


def test_worker_file_decides_for_the_worker(base, ml):
    """A ``logging.file`` in the worker file is the worker's own."""
    configure(base, "server.yaml", "logging:\n  file: agent.log\n")
    configure(base, "worker.yaml", "launcher: process\nworker_id: here\nlogging:\n  file: worker.log\n")
    ml.ok("submit", "train.py", "--wait")

    assert "claimed" in (base / "worker.log").read_text()
    assert "claimed" not in (base / "agent.log").read_text()
