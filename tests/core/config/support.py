"""What the tests of configuration share: load a text as a kind of file, and look at what came out."""

from __future__ import annotations

from pathlib import Path

from fetchml_core.config.load import check
from fetchml_core.config.profile import Profile
from fetchml_core.config.rules import PROFILE_RULES, SERVER_RULES, WORKER_RULES
from fetchml_core.config.server import ServerConfig
from fetchml_core.config.worker import WorkerConfig

CONFIGS = Path(__file__).parents[3] / "configs"
KINDS = {
    "api": (ServerConfig, SERVER_RULES),
    "workers": (WorkerConfig, WORKER_RULES),
    "cli": (Profile, PROFILE_RULES),
}
SAMPLES = sorted(path for kind in KINDS for path in (CONFIGS / kind).iterdir())


def check_file(path: Path, kind: str, environ=None):
    """Return what `check` gives for the file at *path*."""
    cls, rules = KINDS[kind]
    return check(path, environ or {}, cls, rules)


def check_text(tmp_path: Path, text: str, kind: str = "api", environ=None, name: str = ""):
    """Write *text* to a file and check it as *kind*."""
    path = tmp_path / (name or {"api": "server.yaml", "workers": "worker.yaml", "cli": "config.toml"}[kind])
    path.write_text(text, "utf-8")
    return check_file(path, kind, environ)


def told(findings):
    """Findings as (code, line, column), what most tests look at."""
    return [(found.code, found.line, found.column) for found in findings]
