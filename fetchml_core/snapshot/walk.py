"""Walk a tree that is to be sent: what is ignored is left out, what cannot travel is refused by name.

Layer 2, client only. Links travel as what they point to, when that lies in the tree; a link that leaves the tree, a
link to a folder that holds it, a broken link, a FIFO, socket or device and a name that another system could not hold
are errors that name the place: leaving them out in silence would make a job fail far away.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import define, field, frozen

from fetchml_core.errors import InputError

from . import names
from .git import find_work_tree
from .ignore import ENVIRONMENT_MARKS, GIT_FILE, ML_FILE, IgnoreRules

if TYPE_CHECKING:
    from collections.abc import Iterator

LEAVE_OUT = f"name it in {ML_FILE} to leave it out"
MAX_IGNORE_FILE = 1 << 20

_Identity = tuple[int, int]
"""Device and inode."""


def _real(path: Path) -> str:
    return os.path.realpath(path)


@frozen
class Found:
    """One file that travels: its path in the tree, where its bytes are, and its status when it was met."""

    path: str
    source: str
    status: os.stat_result


@define
class Walker:
    """Walks one tree, once; `ignored` counts what was left out (an ignored folder counts as one)."""

    _root: str = field(converter=_real, alias="root")
    ignored: int = 0
    _rules: IgnoreRules = field(init=False)
    _prefix: str = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._rules, self._prefix = _rules_above(Path(self._root))

    def walk(self) -> Iterator[Found]:
        """Yield the files that travel, folder by folder, by name.

        Raises:
            InputError: ``link-leaves-tree``, ``link-dangles``, ``link-loop``, ``special-file``, ``name-refused`` or
                ``unreadable``; the context names the place.
        """
        status = Path(self._root).stat()
        yield from self._folder("", self._root, self._rules, frozenset({(status.st_dev, status.st_ino)}))

    def one(self, path: str) -> Found:
        """Return the file *path* alone, under the same rules."""
        _check_name(path)
        source = f"{self._root}/{path}"
        status = os.lstat(source)
        if stat.S_ISLNK(status.st_mode):
            source, status = self._resolve(path, source)
        if not stat.S_ISREG(status.st_mode):
            raise _special(path)
        return Found(path, source, status)

    def _folder(
        self, path: str, source: str, rules: IgnoreRules, above: frozenset[_Identity]
    ) -> Iterator[Found]:
        entries = self._list(path, source)
        if path and self._is_environment(path, entries, rules):
            self.ignored += 1
            return
        present = {entry.name for entry in entries}
        rules = rules.enter(
            (self._prefix + path).rstrip("/"),
            git_text=_read_rules(source, GIT_FILE) if GIT_FILE in present else "",
            ml_text=_read_rules(source, ML_FILE) if ML_FILE in present else "",
        )
        way = f"{path}/" if path else ""
        for entry in entries:
            met = self._meet(way + entry.name, entry, rules)
            if met is None:
                continue
            if stat.S_ISREG(met.status.st_mode):
                yield met
                continue
            identity = (met.status.st_dev, met.status.st_ino)
            if identity in above:
                raise _refused("link-loop", "a link points to a folder that holds it", met.path)
            yield from self._folder(met.path, met.source, rules, above | {identity})

    def _meet(self, path: str, entry: os.DirEntry[str], rules: IgnoreRules) -> Found | None:
        """Return the file or folder that *entry* is or points to; None when it is ignored or gone."""
        try:
            if rules.ignored(self._prefix + path, is_folder=_is_folder(entry)):
                self.ignored += 1
                return None
            _check_name(path)
            source, status = entry.path, entry.stat(follow_symlinks=False)
            if stat.S_ISLNK(status.st_mode):
                source, status = self._resolve(path, source)
        except FileNotFoundError:
            return None
        except OSError:
            raise _unreadable(path) from None
        if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
            raise _special(path)
        return Found(path, source, status)

    def _resolve(self, path: str, source: str) -> tuple[str, os.stat_result]:
        """Return the file or folder behind the link *source*, which must lie in the tree."""
        target = os.path.realpath(source)
        if os.path.commonpath([target, self._root]) != self._root:
            raise InputError(
                "link-leaves-tree",
                "a link leaves the tree that is sent",
                context=f"{names.show(path)} -> {names.show(target)}",
                hint=f"{LEAVE_OUT}, or put a copy in its place",
            )
        try:
            return target, os.lstat(target)
        except OSError:
            raise InputError(
                "link-dangles", "a link points to nothing", context=names.show(path), hint=LEAVE_OUT
            ) from None

    def _list(self, path: str, source: str) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(source) as entries:
                return sorted(entries, key=lambda entry: entry.name)
        except PermissionError:
            raise _unreadable(path) from None
        except FileNotFoundError:
            return []

    def _is_environment(self, path: str, entries: list[os.DirEntry[str]], rules: IgnoreRules) -> bool:
        marked = any(entry.name in ENVIRONMENT_MARKS for entry in entries)
        return marked and not rules.brought_back(self._prefix + path)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """A link to a folder is a folder for the rules: ``data/`` must keep a linked data set at home."""
    try:
        return entry.is_dir()
    except OSError:  # a link that points to itself, or into a folder that cannot be read
        return False


def _rules_above(root: Path) -> tuple[IgnoreRules, str]:
    """Return the rules of the folders between the top of the git work tree and *root*, and the way from the top.

    Where they ignore *root* itself they do not count: somebody named it all the same.
    """
    top = find_work_tree(root) or root
    rules = IgnoreRules()
    parts = root.relative_to(top).parts
    for depth in range(len(parts)):
        folder = "/".join(parts[:depth])
        source = str(top / folder)
        rules = rules.enter(
            folder, git_text=_read_rules(source, GIT_FILE), ml_text=_read_rules(source, ML_FILE)
        )
        if rules.ignored("/".join(parts[: depth + 1]), is_folder=True):
            return IgnoreRules(), ""
    return rules, "".join(f"{part}/" for part in parts)


def _read_rules(folder: str, name: str) -> str:
    path = f"{folder}/{name}"
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return ""
    except OSError:
        raise _unreadable(path) from None
    with os.fdopen(fd, "rb", closefd=True) as file:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            return ""
        if status.st_size > MAX_IGNORE_FILE:
            raise InputError(
                "ignore-file-too-large",
                "this ignore file is larger than 1 MiB",
                context=names.show(path),
            )
        return os.fsdecode(file.read(MAX_IGNORE_FILE))


def _check_name(path: str) -> None:
    problem = names.fault(path)
    if problem:
        raise _refused(
            "name-refused", f"a file cannot travel: {problem}", path, hint=f"rename it, or {LEAVE_OUT}"
        )


def _special(path: str) -> InputError:
    return _refused("special-file", "a FIFO, socket or device cannot travel", path)


def _unreadable(path: str) -> InputError:
    return _refused("unreadable", "a file or folder of the tree cannot be read", path)


def _refused(code: str, message: str, path: str, *, hint: str = LEAVE_OUT) -> InputError:
    return InputError(code, message, context=names.show(path), hint=hint)
