"""Which files of a tree stay at home: ``.mlignore``, what nobody wants, ``.gitignore``, in this order.

Layer 2, pure, client only. The last line that matches decides within a file; a file deeper in the tree is asked
before one above it; any line of any ``.mlignore`` wins over the built-in names, and these over every ``.gitignore``
(so that a ``!*/`` meant for git does not bring a virtual environment along). What is ignored is not entered, so
nothing below it can come back. Folders of version control never travel.
"""

from __future__ import annotations

import re

from attrs import field, frozen

from .wildmatch import SPECIAL, BadPatternError, translate

GIT_FILE = ".gitignore"
ML_FILE = ".mlignore"
ALWAYS = frozenset({".git", ".hg", ".svn", ".jj"})
BUILT_IN_FOLDERS = frozenset(
    {
        "__pycache__",
        ".venv",
        "node_modules",
        ".mypy_cache",
        ".pytest_cache",
        ".ruff_cache",
        ".ipynb_checkpoints",
        ".tox",
        ".nox",
    }
)
BUILT_IN_FILES = frozenset({".DS_Store"})
BUILT_IN_ENDINGS = (".pyc", ".pyo")
ENVIRONMENT_MARKS = frozenset({"pyvenv.cfg", "conda-meta"})
"""A folder that holds one of these is a virtual environment, whatever its name."""


@frozen
class Rule:
    """One line: its pattern, whether it brings back, whether it means folders only, whether it is tied to a place."""

    pattern: str
    negated: bool
    folders_only: bool
    anchored: bool


def parse_rules(text: str) -> list[Rule]:
    """Return the rules in *text*, the content of an ignore file."""
    rules = []
    for raw in text.removeprefix("\ufeff").split("\n"):
        line = _without_trailing_spaces(raw.removesuffix("\r"))
        if line.startswith("#"):
            continue
        negated = line.startswith("!")
        pattern = line[negated:]
        folders_only = pattern.endswith("/")
        pattern = pattern.removesuffix("/")
        anchored = "/" in pattern
        pattern = pattern.removeprefix("/")
        if pattern:
            rules.append(Rule(pattern, negated, folders_only, anchored))
    return rules


def _without_trailing_spaces(line: str) -> str:
    """Cut the spaces at the end that no backslash protects."""
    end = at = 0
    while at < len(line):
        step = 2 if line[at] == "\\" else 1
        if line[at] != " ":
            end = at + step
        at += step
    return line[:end]


class RuleSet:
    """The rules of one ignore file, ready to be asked about thousands of names."""

    def __init__(self, rules: list[Rule]) -> None:
        self._negated = [rule.negated for rule in rules]
        self._files = _Matcher([(index, rule) for index, rule in enumerate(rules) if not rule.folders_only])
        self._folders = _Matcher(list(enumerate(rules)))

    def decide(self, path: str, *, is_folder: bool) -> bool | None:
        """Return True to ignore *path* (relative to the ignore file), False to bring it back, None for no rule."""
        index = (self._folders if is_folder else self._files).last_match(path)
        return None if index < 0 else not self._negated[index]


class _Matcher:
    """Finds the last of many rules that matches: plain names in a dict, the others in two expressions."""

    def __init__(self, rules: list[tuple[int, Rule]]) -> None:
        self._plain: dict[str, int] = {}
        by_name: list[tuple[int, Rule]] = []
        by_path: list[tuple[int, Rule]] = []
        for index, rule in rules:
            if rule.anchored:
                by_path.append((index, rule))
            elif SPECIAL.isdisjoint(rule.pattern):
                self._plain[rule.pattern] = index
            else:
                by_name.append((index, rule))
        self._by_name = _Alternatives(by_name)
        self._by_path = _Alternatives(by_path)

    def last_match(self, path: str) -> int:
        name = path.rpartition("/")[2]
        return max(self._plain.get(name, -1), self._by_name.match(name), self._by_path.match(path))


class _Alternatives:
    """One expression with a group for each rule, the last rule first, because the first that matches is taken."""

    def __init__(self, rules: list[tuple[int, Rule]]) -> None:
        self._indexes: list[int] = []
        groups = []
        for index, rule in reversed(rules):
            try:
                groups.append(f"({translate(rule.pattern)})")
            except BadPatternError:
                continue
            self._indexes.append(index)
        self._regex = re.compile("|".join(groups), re.DOTALL) if groups else None

    def match(self, text: str) -> int:
        found = self._regex.fullmatch(text) if self._regex else None
        return -1 if found is None or found.lastindex is None else self._indexes[found.lastindex - 1]


@frozen
class _Level:
    """An ignore file in the folder that takes the first *cut* characters of a path."""

    cut: int
    rules: RuleSet


@frozen
class IgnoreRules:
    """All rules that hold in one folder of a tree; `enter` gives those of a folder below it.

    Paths are relative to the top: the git work tree that holds the tree that is sent, or that tree itself.
    """

    _ml: tuple[_Level, ...] = field(default=(), alias="ml")
    _git: tuple[_Level, ...] = field(default=(), alias="git")

    def enter(self, folder: str, *, git_text: str = "", ml_text: str = "") -> IgnoreRules:
        """Return the rules in *folder* (empty for the top), whose ignore files hold *git_text* and *ml_text*."""
        if not git_text and not ml_text:
            return self
        cut = len(folder) + 1 if folder else 0
        levels = [(_Level(cut, RuleSet(parse_rules(text))),) if text else () for text in (ml_text, git_text)]
        return IgnoreRules(ml=levels[0] + self._ml, git=levels[1] + self._git)

    def ignored(self, path: str, *, is_folder: bool) -> bool:
        """Return whether *path* stays at home; the folder that holds it does not."""
        name = path.rpartition("/")[2]
        if name in ALWAYS:
            return True
        decision = _decide(self._ml, path, is_folder=is_folder)
        if decision is None and _built_in(name, is_folder=is_folder):
            decision = True
        if decision is None:
            decision = _decide(self._git, path, is_folder=is_folder)
        return bool(decision)

    def brought_back(self, path: str) -> bool:
        """Return whether an ``.mlignore`` asks for the folder *path* by a line that starts with ``!``."""
        return _decide(self._ml, path, is_folder=True) is False


def _decide(levels: tuple[_Level, ...], path: str, *, is_folder: bool) -> bool | None:
    for level in levels:
        decision = level.rules.decide(path[level.cut :], is_folder=is_folder)
        if decision is not None:
            return decision
    return None


def _built_in(name: str, *, is_folder: bool) -> bool:
    return (
        name in BUILT_IN_FOLDERS if is_folder else name in BUILT_IN_FILES or name.endswith(BUILT_IN_ENDINGS)
    )
