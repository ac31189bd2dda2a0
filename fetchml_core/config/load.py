"""Load a configuration file: text -> tree -> records -> rules, with every problem at once.

Layer 1; the file is read by `source`, the environment is an argument. A file with errors gives
`InvalidConfigError` (``config-invalid``, exit status 3); warnings come with the records. The kinds of file are
imported when one is loaded: a client waits for its profile alone.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Generic, TypeVar

from attrs import frozen

from .findings import Finding, Key, Place, Report, errors_of, invalid
from .node import Node
from .option import fields_of
from .profile import Profile
from .rules import PROFILE_RULES, SERVER_RULES, WORKER_RULES, Rule, View
from .source import SourceError, read_text
from .structure import Structure
from .toml_loader import parse_toml

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from .server import ServerConfig
    from .worker import WorkerConfig

T = TypeVar("T")


@frozen
class Loaded(Generic[T]):
    """A configuration that can be used.

    Args:
        config: The records.
        file: Where they came from; None: there is no file, these are the defaults.
        findings: Warnings and infos, in the order of the file.
        places: The place of each value that the file names and that is not empty.
        overrides: Environment variables that overrode an option.
    """

    config: T
    file: Path | None = None
    findings: tuple[Finding, ...] = ()
    places: Mapping[Key, Place] = {}
    overrides: tuple[str, ...] = ()


def load_server(path: Path | None, environ: Mapping[str, str]) -> Loaded[ServerConfig]:
    """Load the api file; without one, the defaults (auth is off).

    Args:
        path: The file that `find.find_server_file` named, or None.
        environ: For ``${NAME}`` and the variables of options.

    Raises:
        InvalidConfigError: ``config-invalid``.
    """
    from .server import ServerConfig

    return _load(path, environ, ServerConfig, SERVER_RULES)


def load_worker(path: Path | None, environ: Mapping[str, str]) -> Loaded[WorkerConfig]:
    """Load the worker file, YAML or legacy TOML; without one, the defaults.

    Raises:
        InvalidConfigError: ``config-invalid``.
    """
    from .worker import WorkerConfig

    return _load(path, environ, WorkerConfig, WORKER_RULES)


def load_profile(path: Path | None, environ: Mapping[str, str]) -> Loaded[Profile]:
    """Load a profile of the command line; without a file, the embedded default.

    Raises:
        InvalidConfigError: ``config-invalid``.
    """
    return _load(path, environ, Profile, PROFILE_RULES)


def require_startable(loaded: Loaded[T]) -> Loaded[T]:
    """Return *loaded* unless no door may start with it: a secret is still the sample's placeholder.

    Raises:
        InvalidConfigError: ``placeholder-secret``.
    """
    blocking = [found for found in loaded.findings if found.blocks_start]
    if blocking:
        raise invalid(loaded.findings, blocking, code="placeholder-secret")
    return loaded


def check(
    path: Path | None, environ: Mapping[str, str], cls: type[T], rules: tuple[Rule[T], ...]
) -> tuple[Loaded[T] | None, tuple[Finding, ...]]:
    """Load the file at *path* and return all findings, errors too.

    Returns: what was loaded (None when errors leave nothing to use), and the findings in the order of the file.
    """
    file = str(path or "")
    report = Report(file)
    try:
        root = _parse(path, cls, report) if path else Node({})
    except SourceError as error:
        report.add(error.code, error.message, error.place, hint=error.hint)
        return None, report.sorted()
    walk = Structure(report, environ, functools.partial(_stranger, cls))
    config = walk.record(cls, root)
    view = View(config, file, walk.places)
    for rule in rules:
        for found in rule(view):
            report.take(found)
    findings = report.sorted()
    if errors_of(findings):
        return None, findings
    return Loaded(config, path, findings, walk.places, tuple(walk.overrides)), findings


def _load(
    path: Path | None, environ: Mapping[str, str], cls: type[T], rules: tuple[Rule[T], ...]
) -> Loaded[T]:
    loaded, findings = check(path, environ, cls, rules)
    if loaded is None:
        raise invalid(findings, errors_of(findings))
    return loaded


def _parse(path: Path, cls: type[object], report: Report) -> Node:
    text = read_text(path)
    if cls is Profile:
        return parse_toml(text)
    from .worker import WorkerConfig
    from .yaml_loader import parse_yaml

    if path.suffix.lower() != ".toml":
        return parse_yaml(text, report)
    if cls is not WorkerConfig:
        raise SourceError(
            "wrong-format", "the api file is YAML, this is named TOML", hint="write it as server.yaml"
        )
    report.add(
        "legacy-toml",
        "TOML worker files are deprecated",
        severity="warning",
        hint="write it as YAML: the keys and values stay the same",
    )
    return parse_toml(text)


def _stranger(cls: type[object], name: str) -> str:
    """Return where the key *name* belongs if it is one of another kind of file, else ""."""
    from .server import ServerConfig
    from .worker import WorkerConfig

    kinds = {
        ServerConfig: "this key belongs in the api file (server.yaml)",
        WorkerConfig: "this key belongs in the worker file (worker.yaml)",
    }
    return next((advice for kind, advice in kinds.items() if kind is not cls and name in fields_of(kind)), "")
