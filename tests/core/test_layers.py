"""The house stands as it was drawn: no import runs upwards, the core keeps to itself, errors keep their names.

Reads the source with `ast`, so that an import inside a function counts as well as one at the top.
"""

from __future__ import annotations

import ast
import graphlib
import re
import sys
from collections import defaultdict
from functools import cache
from pathlib import Path

import pytest

from fetchml_core.errors import CLASSES

ROOT = Path(__file__).parents[2]
# From the ground up: a unit may import what stands on its own line or above it in this table.
LAYERS: dict[str, tuple[str, ...]] = {
    "L0": ("errors", "ids", "clock", "fsio", "units", "places", "convert", "removal"),
    "L1": ("jobs", "wire", "config", "permission"),
    "L2": ("queue", "snapshot", "hardware", "launcher", "audit"),
    "L3 service": ("service",),
    "L3 worker": ("worker",),
    "L4": ("agent", "gateway"),
    "L5": ("cli:transport", "cli:tls"),
    "L6": ("cli:cli", "cli:output", "cli:remote"),
    "L7 frame": ("cli:report", "cli:boundary", "cli:lazy"),
    "L7": ("cli:commands",),
    "L8": ("cli:main", "cli:__main__", "cli:roff", "cli:manual", "cli:manual_files", "cli:generate"),
}
RANK = {unit: rank for rank, units in enumerate(LAYERS.values()) for unit in units}
# What a host needs beside Python; typing_extensions comes with cattrs, tomli and exceptiongroup with 3.10.
CORE_MAY = {
    "attrs",
    "cattrs",
    "yaml",
    "durationpy",
    "redis",
    "pynvml",
    "tomli",
    "exceptiongroup",
    "typing_extensions",
}


class Import:
    """One import: who, what, and whether for types only."""

    def __init__(self, module: str, target: str, line: int, *, typing_only: bool) -> None:
        self.module, self.target, self.line, self.typing_only = module, target, line, typing_only

    def __repr__(self) -> str:
        return f"{self.module}:{self.line} imports {self.target}"


def module_name(path: Path) -> str:
    """The dotted name of a file below the root."""
    parts = list(path.relative_to(ROOT).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def parse(path: Path) -> ast.Module:
    """The syntax tree of a file."""
    return ast.parse(path.read_text("utf-8"), str(path))


def sources(*packages: str) -> list[Path]:
    """All our files."""
    return sorted(path for package in packages for path in (ROOT / package).rglob("*.py"))


@cache
def imports() -> list[Import]:
    """Every import of the tree; ``from package import module`` names the module."""
    modules = {module_name(path) for path in sources("fetchml_core", "fetchml_cli")}
    found: list[Import] = []
    for path in sources("fetchml_core", "fetchml_cli"):
        tree, module = parse(path), module_name(path)
        package = module if path.name == "__init__.py" else module.rpartition(".")[0]
        typing_only = {
            id(node)
            for block in ast.walk(tree)
            if isinstance(block, ast.If)
            and ast.unparse(block.test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}
            for node in ast.walk(block)
        }
        for node in ast.walk(tree):
            for target in targets(node, package, modules):
                found.append(
                    Import(module, target, getattr(node, "lineno", 0), typing_only=id(node) in typing_only)
                )
    return found


def targets(node: ast.AST, package: str, modules: set[str]) -> list[str]:
    """The modules that one statement imports."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if not isinstance(node, ast.ImportFrom):
        return []
    base = node.module or ""
    if node.level:
        above = package.split(".")[: len(package.split(".")) - node.level + 1]
        base = ".".join([*above, *([node.module] if node.module else [])])
    names = [f"{base}.{alias.name}" for alias in node.names]
    return [name if name in modules else base for name in names]


def unit(module: str) -> str | None:
    """The unit of the table that *module* belongs to; None for the two top packages and strangers."""
    top, _, rest = module.partition(".")
    if top not in {"fetchml_core", "fetchml_cli"} or not rest:
        return None
    return ("cli:" if top == "fetchml_cli" else "") + rest.split(".")[0]


def test_every_unit_stands_in_the_table():
    """A new package or module has to find its layer."""
    units = {unit(module_name(path)) for path in sources("fetchml_core", "fetchml_cli")} - {None}

    assert units <= RANK.keys()


def test_no_import_runs_upwards():
    """Each unit knows its own layer and those below; types count as well."""
    wrong = []
    for found in imports():
        importer, imported = unit(found.module), unit(found.target)
        if importer is None or imported is None or (found.typing_only and imported.startswith("cli:")):
            continue
        if RANK[imported] > RANK[importer]:
            wrong.append(found)

    assert wrong == []


def test_types_of_the_client_run_up_to_its_own_ground_only():
    """Inside the client a type may come from the surroundings (`Cli`), and from nothing else above."""
    wrong = []
    for found in imports():
        importer, imported = unit(found.module), unit(found.target)
        if (
            importer
            and imported
            and found.typing_only
            and RANK[imported] > RANK[importer]
            and imported != "cli:cli"
        ):
            wrong.append(found)

    assert wrong == []


def test_no_two_units_need_each_other():
    """There is no cycle between units; types of the client's surroundings are left out."""
    graph: dict[str, set[str]] = defaultdict(set)
    for found in imports():
        importer, imported = unit(found.module), unit(found.target)
        if importer and imported and importer != imported and not found.typing_only:
            graph[importer].add(imported)
    tuple(graphlib.TopologicalSorter(graph).static_order())


def test_no_two_modules_need_each_other_when_they_are_loaded():
    """Nor between the modules of a unit, but for types."""
    graph: dict[str, set[str]] = defaultdict(set)
    for found in imports():
        if found.target.startswith("fetchml_") and not found.typing_only and found.target != found.module:
            graph[found.module].add(found.target)
    tuple(graphlib.TopologicalSorter(graph).static_order())


def test_the_core_keeps_to_itself():
    """On a host there is Python and what travels with the agent, nothing of the client's."""
    wrong = [
        found
        for found in imports()
        if found.module.startswith("fetchml_core")
        and (top := found.target.partition(".")[0]) != "fetchml_core"
        and top not in CORE_MAY
        and top not in sys.stdlib_module_names
        and top != "tomllib"  # guarded, from 3.11 on
    ]

    assert wrong == []


@pytest.mark.parametrize("library", ["fetchml_cli", "typer", "rich", "paramiko", "fabric"])
def test_the_core_never_imports_a_client_library(library):
    """Named one by one, as the design does."""
    assert not [
        found
        for found in imports()
        if found.module.startswith("fetchml_core") and found.target.partition(".")[0] == library
    ]


def test_the_reader_of_imports_sees_every_form(tmp_path):
    """Relative, aliased, inside a function and for types: this test's own eyes are tested."""
    code = "import a.b as c\nfrom . import states\nfrom ..wire.frame import X\ndef f():\n    from fetchml_core import units\n"
    modules = {"fetchml_core.jobs.states", "fetchml_core.units", "fetchml_core.wire.frame"}
    found = [
        name for node in ast.walk(ast.parse(code)) for name in targets(node, "fetchml_core.jobs", modules)
    ]

    assert sorted(found) == [
        "a.b",
        "fetchml_core.jobs.states",
        "fetchml_core.units",
        "fetchml_core.wire.frame",
    ]
    assert [
        unit(name) for name in ("fetchml_core", "fetchml_core.jobs.job", "fetchml_cli.output.table", "os")
    ] == [
        None,
        "jobs",
        "cli:output",
        None,
    ]


# --- the names of errors ---

KEBAB = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_EXACT = {**{name: cls.status for name, cls in CLASSES.items()}}


def error_classes() -> dict[str, int]:
    """Every error class of ours by name, with its exit status, found from its bases in the source."""
    known = dict(_EXACT)
    classes = [
        node
        for path in sources("fetchml_core", "fetchml_cli")
        for node in ast.walk(parse(path))
        if isinstance(node, ast.ClassDef)
    ]
    for _ in range(3):
        for node in classes:
            if any(isinstance(part, ast.FunctionDef) and part.name == "__init__" for part in node.body):
                continue  # its first argument is no code
            for base in node.bases:
                if ast.unparse(base) in known:
                    known.setdefault(node.name, known[ast.unparse(base)])
    return known


@cache
def codes() -> dict[str, dict[int, list[str]]]:
    """Every literal code, with the statuses it is raised with and where."""
    classes = error_classes()
    found: dict[str, dict[int, list[str]]] = defaultdict(lambda: defaultdict(list))
    for path in sources("fetchml_core", "fetchml_cli"):
        for node in ast.walk(parse(path)):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            name, first = ast.unparse(node.func), node.args[0]
            if name in classes and isinstance(first, ast.Constant) and isinstance(first.value, str):
                found[first.value][classes[name]].append(f"{path.relative_to(ROOT)}:{node.lineno}")
    return found


def test_codes_are_kebab_case():
    """A code is a stable name for scripts: lower-case words joined by hyphens."""
    assert len(codes()) > 50
    assert [code for code in codes() if not KEBAB.fullmatch(code)] == []


def test_one_code_has_one_exit_status():
    """Who searches for a code, or tests for a status, finds one meaning."""
    several = {code: dict(statuses) for code, statuses in codes().items() if len(statuses) > 1}

    assert several == {}
