"""Load a configuration file: text -> tree -> records -> rules, with every problem at once.

Layer 1; the file is read by `source`, the environment is an argument. A file with errors gives
`InvalidConfigError` (``config-invalid``, exit status 3); warnings come with the records. The kinds of file are
imported when one is loaded: a client waits for its profile alone.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from attrs import evolve, frozen

from .findings import MAX_FINDINGS, Finding, Key, Place, Report, errors_of, invalid, show_path
from .kinds import api_kind, profile_kind, worker_kind
from .node import Node
from .option import fields_of
from .rules.base import View
from .source import SourceError, read_source
from .structure import Structure

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from .kinds import FileKind
    from .profile import Profile
    from .rules.base import Machine
    from .server import ServerConfig
    from .worker import WorkerConfig

T = TypeVar("T")
_REDIS = ("redis_url", "redis_addr", "redis_password", "redis_db")
#: Of a file of garbage; looking for advice on each one takes time.
MOST_OF_A_RULE = 10_000


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
    return _load(path, environ, api_kind())


def load_worker(path: Path | None, environ: Mapping[str, str]) -> Loaded[WorkerConfig]:
    """Load the worker file, YAML or legacy TOML; without one, the defaults.

    Raises:
        InvalidConfigError: ``config-invalid``.
    """
    return _load(path, environ, worker_kind())


def load_places(path: Path | None, environ: Mapping[str, str]) -> WorkerConfig | None:
    """Return of a worker file with errors what it says about where queue and data lie; the rest may be a default.

    Returns: None where an error is about that, or hides it: one in the form of the file, or an unknown key.
    """
    from .worker import WorkerConfig

    kind = worker_kind()
    sure = fields_of(WorkerConfig).keys() - {"base_path", "queue", *_REDIS}
    errors = errors_of(check(path, environ, kind)[1])
    if (
        path is None
        or len(errors) >= MAX_FINDINGS
        or any(one.key.split(".")[0] not in sure for one in errors)
    ):
        return None
    report = Report(str(path))
    root = parse(read_source(path).text, report, toml=is_toml(path, kind))
    return Structure(report, environ, lambda _: "").record(WorkerConfig, root)


def load_profile(path: Path | None, environ: Mapping[str, str]) -> Loaded[Profile]:
    """Load a profile of the command line; without a file, the embedded default.

    Raises:
        InvalidConfigError: ``config-invalid``.
    """
    return _load(path, environ, profile_kind())


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
    path: Path | None, environ: Mapping[str, str], kind: FileKind[T]
) -> tuple[Loaded[T] | None, tuple[Finding, ...]]:
    """Load the file at *path* and return all findings, errors too.

    Returns: what was loaded (None when errors leave nothing to use), and the findings in the order of the file.
    """
    report = Report(str(path or ""))
    try:
        if path is None:
            return check_tree(Node({}), None, report, environ, kind)
        source = read_source(path)
        root = parse(source.text, report, toml=is_toml(path, kind))
        return check_tree(root, path, report, environ, kind, mode=source.mode)
    except SourceError as error:
        report.add(error.code, error.message, error.place, hint=error.hint)
        return None, report.sorted()


def is_toml(path: Path, kind: FileKind[Any] | None) -> bool:
    """Whether the file at *path* is read as TOML: by its name, and a profile whatever its name."""
    return path.suffix.lower() == ".toml" or (kind is not None and kind.toml)


def parse(text: str, report: Report, *, toml: bool) -> Node:
    """Return the tree of *text*.

    Raises:
        SourceError: it gives no tree.
    """
    if toml:
        from .toml_loader import parse_toml

        return parse_toml(text)
    from .yaml_loader import parse_yaml

    return parse_yaml(text, report)


def check_tree(
    root: Node,
    path: Path | None,
    report: Report,
    environ: Mapping[str, str],
    kind: FileKind[T],
    machine: Machine | None = None,
    mode: int | None = None,
) -> tuple[Loaded[T] | None, tuple[Finding, ...]]:
    """Return what `check` returns, for a tree that was read already.

    Args:
        root: The tree.
        path: Where it was read from.
        report: The findings so far.
        environ: The environment.
        kind: What it is.
        machine: The machine that is to use it; None: what depends on it is not looked at.
        mode: The file's mode, None where it is not known.

    Raises:
        SourceError: ``wrong-format``.
    """
    if path is not None:
        _check_format(path, kind, report)
    walk = Structure(report, environ, functools.partial(_stranger, kind.cls))
    config = walk.record(kind.cls, root)
    if kind.name == "worker":
        _check_environment(environ, report)
    view = View(config, report.file, walk.places, walk.references, mode, machine)
    rules = (
        (*kind.rules, *(kind.machine_rules if machine else ())) if root.value else ()
    )  # defaults break none
    for rule in rules:
        for number, found in enumerate(rule(view)):
            if number == MOST_OF_A_RULE:
                report.add(
                    "too-many-findings", f"more than {number} problems of one sort: the rest is not looked at"
                )
                break
            report.take(found)
    findings = report.sorted()
    if errors_of(findings):
        return None, findings
    return Loaded(config, path, findings, walk.places, tuple(walk.overrides)), findings


def _load(path: Path | None, environ: Mapping[str, str], kind: FileKind[T]) -> Loaded[T]:
    loaded, findings = check(path, environ, kind)
    if loaded is None:
        raise invalid(findings, errors_of(findings), of_worker=kind.name == "worker")
    return loaded


def _check_format(path: Path, kind: FileKind[Any], report: Report) -> None:
    """A kind has one format; only the worker file may still be TOML."""
    if kind.toml or path.suffix.lower() != ".toml":
        return
    if kind.name != "worker":
        raise SourceError(
            "wrong-format", f"{kind.title} is YAML, this is named TOML", hint=f"write it as {kind.file}"
        )
    report.add(
        "legacy-toml",
        "TOML worker files are deprecated",
        severity="warning",
        hint=f"ml config migrate {show_path(path.name)} > worker.yaml",
    )


def _check_environment(environ: Mapping[str, str], report: Report) -> None:
    """What a worker reads from the environment beside the options of its file must have legal values too."""
    from .environment import check_overrides, variable_named

    for found in check_overrides(environ)[1]:
        variable = variable_named(found.key)
        if variable is not None and not variable.key:  # that of an option was looked at with the option
            report.take(evolve(found, file=report.file))


def _stranger(cls: type[object], name: str) -> str:
    """Return where the key *name* belongs if it is one of another kind of file, else ""."""
    kinds = (api_kind(), worker_kind())
    return next(
        (
            f"this key belongs in {kind.title} ({kind.file})"
            for kind in kinds
            if kind.cls is not cls and name in fields_of(kind.cls)
        ),
        "",
    )
