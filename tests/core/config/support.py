"""What the tests of configuration share: load a text as a kind of file, and look at what came out."""

from __future__ import annotations

from pathlib import Path

from fetchml_core.config.kinds import api_kind, profile_kind, worker_kind
from fetchml_core.config.load import check

CONFIGS = Path(__file__).parents[3] / "configs"
KINDS = {"api": api_kind(), "workers": worker_kind(), "cli": profile_kind()}
SAMPLES = sorted(path for kind in KINDS for path in (CONFIGS / kind).iterdir())


def check_file(path: Path, kind: str, environ=None):
    """Return what `check` gives for the file at *path*."""
    return check(path, environ or {}, KINDS[kind])


def check_text(tmp_path: Path, text: str, kind: str = "api", environ=None, name: str = ""):
    """Write *text* to a file and check it as *kind*."""
    path = tmp_path / (name or {"api": "server.yaml", "workers": "worker.yaml", "cli": "config.toml"}[kind])
    path.write_text(text, "utf-8")
    return check_file(path, kind, environ)


def told(findings):
    """Findings as (code, line, column), what most tests look at."""
    return [(found.code, found.line, found.column) for found in findings]
