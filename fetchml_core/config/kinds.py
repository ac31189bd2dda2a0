"""The three kinds of file: schema, rules, names, and how to tell which one lies before us.

Layer 1, pure. Each kind is made when it is asked for: a client waits for the schema of its profile alone.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from attrs import frozen

from fetchml_core.errors import InputError

from .option import Field, fields_of

if TYPE_CHECKING:
    from pathlib import Path

    from .node import Node
    from .profile import Profile
    from .rules.base import Rule
    from .server import ServerConfig
    from .worker import WorkerConfig

T = TypeVar("T")
KindName = Literal["api", "worker", "profile"]
KIND_NAMES: tuple[KindName, ...] = ("api", "worker", "profile")
_OTHER_NAMES: dict[str, KindName] = {"server": "api", "cli": "profile"}
_FOLDERS: dict[str, KindName] = {"api": "api", "workers": "worker", "cli": "profile", ".ml": "profile"}
_STEMS: dict[str, KindName] = {"server": "api", "api": "api", "worker": "worker", "config": "profile"}


@frozen
class FileKind(Generic[T]):
    """One kind of file.

    Args:
        name: What people call it.
        title: The words for a sentence.
        file: Its usual name.
        cls: The class of its records.
        rules: What must hold across its keys.
        machine_rules: What must hold on the machine that is to use it.
    """

    name: KindName
    title: str
    file: str
    cls: type[T]
    rules: tuple[Rule[T], ...]
    machine_rules: tuple[Rule[T], ...] = ()

    @property
    def toml(self) -> bool:
        """Whether files of this kind are TOML; YAML else."""
        return self.file.endswith(".toml")


@functools.cache
def api_kind() -> FileKind[ServerConfig]:
    """Return the kind of the api file."""
    from .rules.api import MACHINE_RULES, RULES
    from .server import ServerConfig

    return FileKind("api", "the api file", "server.yaml", ServerConfig, RULES, MACHINE_RULES)


@functools.cache
def worker_kind() -> FileKind[WorkerConfig]:
    """Return the kind of the worker file."""
    from .rules.worker import MACHINE_RULES, RULES
    from .worker import WorkerConfig

    return FileKind("worker", "the worker file", "worker.yaml", WorkerConfig, RULES, MACHINE_RULES)


@functools.cache
def profile_kind() -> FileKind[Profile]:
    """Return the kind of a profile."""
    from .profile import Profile
    from .rules.profile import RULES

    return FileKind("profile", "the profile", "config.toml", Profile, RULES)


def kind_named(word: str) -> FileKind[Any]:
    """Return the kind that *word* names: ``api`` (or ``server``), ``worker``, ``profile`` (or ``cli``).

    Raises:
        InputError: ``unknown-kind``.
    """
    name = _OTHER_NAMES.get(word, word)
    makers: dict[str, Any] = {"api": api_kind, "worker": worker_kind, "profile": profile_kind}
    if name not in makers:
        raise InputError(
            "unknown-kind",
            "there is no such kind of file",
            context=word,
            hint=f"one of {', '.join(KIND_NAMES)}",
        )
    kind: FileKind[Any] = makers[name]()
    return kind


def all_kinds() -> tuple[FileKind[Any], ...]:
    """Return every kind."""
    return tuple(kind_named(name) for name in KIND_NAMES)


def find_kind(path: Path, root: Node) -> tuple[FileKind[Any], str] | None:
    """Return the kind of the file at *path* that holds *root*, and why; None where nothing tells.

    The keys decide: the kind that knows most of them. Where several know as many, the name of file or folder does,
    and then its format: a YAML file is no profile.
    """
    by_name = _STEMS.get(path.stem.lower().split("-")[0]) or _FOLDERS.get(path.parent.name)
    if path.suffix.lower() == ".toml" and by_name == "api":
        by_name = None
    counts = {kind.name: known_keys(kind.cls, root) for kind in all_kinds()}
    most = max(counts.values())
    best = [name for name, count in counts.items() if count == most]
    if most and len(best) == 1:
        return kind_named(best[0]), "from its keys"
    if by_name and (by_name in best or not most):
        return kind_named(by_name), f"from its name, {path.name}"
    fitting = [name for name in best if kind_named(name).toml == (path.suffix.lower() == ".toml")]
    if most and len(fitting) == 1:
        return kind_named(fitting[0]), "from its keys and its format"
    return None


def known_keys(cls: type[Any], node: Node) -> int:
    """Return how many keys of *node*, down to the second level, the schema *cls* has."""
    if not isinstance(node.value, dict):
        return 0
    fields = by_any_name(cls)
    count = 0
    for written, entry in node.value.items():
        field = fields.get(written)
        if field is None:
            continue
        count += 1
        if field.kind == "section" and isinstance(entry.node.value, dict):
            inner = by_any_name(field.item)
            count += sum(1 for name in entry.node.value if name in inner)
    return count


def by_any_name(cls: type[Any]) -> dict[str, Field]:
    """Return the options and sections of *cls* by key, and by alias too."""
    fields = fields_of(cls)
    return fields | {field.option.alias: field for field in fields.values() if field.option.alias}
