"""Make the one archive that a host needs: fetchml_core and its pure-Python libraries.

Layer 6. A build is named by what is in it, so that the same sources give the same name on every machine, and a host
never has to be asked for more than a name. Works from a wheel and from a checkout alike.

Build name: the first 16 hex digits of SHA-256 over ``name NUL sha256(content)`` of all members, in order of name.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import json
import os
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import frozen

from fetchml_core.errors import BugError
from fetchml_core.fsio import read_json, replace_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

PACKAGES = (
    "fetchml_core",
    "attr",
    "attrs",
    "async_timeout",
    "cattrs",
    "durationpy",
    "exceptiongroup",
    "pynvml",
    "redis",
    "tomli",
    "typing_extensions",
    "yaml",
)
"""Top-level packages and modules that travel, with what 3.10 lacks, and PyYAML without its C part."""

OMITTED = tuple(
    f"redis/{part}/"
    for part in (
        "asyncio/http",
        "asyncio/multidb",
        "commands/bf",
        "commands/search",
        "commands/timeseries",
        "commands/vectorset",
        "http",
        "multidb",
    )
)
"""Parts of them that nothing of ours loads: they would make the upload a sixth longer."""

DATA = frozenset({".json", ".sh", ".yaml"})  # beside .py; no stubs, no compiled code
NAME_DIGITS = 16
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest date that a zip file can hold


@frozen
class Member:
    """One file: its name in the archive and where it lies here."""

    name: str
    path: Path


@frozen
class Pack:
    """All that travels, in order of name."""

    members: tuple[Member, ...]

    @classmethod
    def of(cls, packages: Iterable[str] = PACKAGES) -> Pack:
        """Find *packages* as an import here would.

        Raises:
            BugError: ``package-missing``; our installation is incomplete.
        """
        members = {member.name: member for name in packages for member in _find(name)}
        return cls(tuple(members[name] for name in sorted(members)))

    @classmethod
    def of_folder(cls, folder: Path) -> Pack:
        """Take the Python and data files below *folder*."""
        members = {member.name: member for member in _walk(folder, "")}
        return cls(tuple(members[name] for name in sorted(members)))

    def build(self, cache: Path | None = None) -> str:
        """Return the name of this build.

        Args:
            cache: A folder that may remember it; the files are then read again only when a size or time changed.
        """
        remembered = cache / "build.json" if cache is not None else None
        stamp = self._stamp()
        if remembered is not None:
            try:
                known = read_json(remembered)
                if isinstance(known, dict) and known.get("stamp") == stamp:
                    return str(known["build"])
            except Exception:  # noqa: BLE001, S110 - a cache is never worth an error
                pass
        build = self._digest((member, member.path.read_bytes()) for member in self.members)
        if remembered is not None:
            try:
                remembered.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                replace_file(remembered, json.dumps({"stamp": stamp, "build": build}).encode())
            except OSError:
                pass
        return build

    def archive(self) -> bytes:
        """Return the archive; the same members give the same bytes."""
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
            for member in self.members:
                entry = zipfile.ZipInfo(member.name, _EPOCH)
                entry.external_attr = 0o100644 << 16
                entry.compress_type = zipfile.ZIP_DEFLATED
                entry.create_system = 3
                archive.writestr(entry, member.path.read_bytes(), compresslevel=9)
        return buffer.getvalue()

    def _stamp(self) -> str:
        """Return what changes when a file was changed, without reading it."""
        whole = hashlib.sha256()
        for member in self.members:
            facts = member.path.stat()
            whole.update(f"{member.name}\0{member.path}\0{facts.st_size}\0{facts.st_mtime_ns}\n".encode())
        return whole.hexdigest()

    @staticmethod
    def _digest(contents: Iterable[tuple[Member, bytes]]) -> str:
        whole = hashlib.sha256()
        for member, content in contents:
            whole.update(member.name.encode() + b"\0" + hashlib.sha256(content).digest())
        return whole.hexdigest()[:NAME_DIGITS]


def _find(package: str) -> Iterator[Member]:
    """Yield the files of one top-level package or module."""
    spec = importlib.util.find_spec(package)
    if spec is None or (not spec.submodule_search_locations and not spec.origin):
        raise BugError(
            "package-missing",
            f"this installation lacks {package}, which the agent needs",
            hint="install fetchml again (pipx reinstall fetchml)",
        )
    if spec.submodule_search_locations:
        for place in spec.submodule_search_locations:
            yield from _walk(Path(place), f"{package}/")
    else:
        yield Member(f"{package}.py", Path(str(spec.origin)))


def _walk(folder: Path, prefix: str) -> Iterator[Member]:
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.is_dir():
                if entry.name != "__pycache__" and f"{prefix}{entry.name}/" not in OMITTED:
                    yield from _walk(Path(entry.path), f"{prefix}{entry.name}/")
            elif Path(entry.name).suffix in DATA | {".py"}:
                yield Member(prefix + entry.name, Path(entry.path))
