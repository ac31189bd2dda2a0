"""What stays at home: git's rules as git applies them, then ours."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fetchml_core.snapshot.ignore import IgnoreRules, parse_rules
from fetchml_core.snapshot.walk import Walker
from tests.core.snapshot.trees import write_tree
from tests.support.require import need

if TYPE_CHECKING:
    from pathlib import Path


def travels(root: Path) -> set[str]:
    """The paths that travel from *root*."""
    return {found.path for found in Walker(root).walk()}


def git_travels(root: Path) -> set[str]:
    """What git would add from *root*."""
    command = [
        "git",
        "-C",
        str(root),
        "-c",
        "core.excludesFile=",
        "ls-files",
        "-z",
        "--others",
        "--exclude-standard",
    ]
    done = subprocess.run(command, check=True, capture_output=True)
    return set(done.stdout.decode().split("\0")) - {""}


NAMES = ["a", "b", "ab", "a.py", "b.txt", "foo", "a[b", "x y", "!n", "#c", "a*b", "-", "]"]
FOLDERS = ["", "a/", "foo/", "a/foo/", "foo/foo/", "a/b/ab/", "x y/"]
TREE = {folder + name: "" for folder in FOLDERS for name in NAMES if folder + name + "/" not in FOLDERS}
TREE = {path: "" for path in TREE if not any(folder.startswith(f"{path}/") for folder in FOLDERS)}

# fmt: off
ATOMS = [
    "a", "b", "foo", "*", "**", "***", "?", "/", "/", ".py", "[ab]", "[!a]", "[^a]", "[a-f]", "[f-a]", "[]]", "[]-]",
    "[[:alpha:]]", "[[:no:]]", "[a\\]]", "[a-", "[", "-", "\\", " ", "x y", "!", "#",
]
# fmt: on
atoms = st.sampled_from(ATOMS)
patterns = st.builds(
    lambda sign, body: sign + "".join(body), st.sampled_from(["", "", "!"]), st.lists(atoms, max_size=5)
)
files = st.lists(patterns, max_size=5).map("\n".join)


@pytest.fixture(scope="module")
def work_tree(tmp_path_factory):
    """One git work tree for all examples, which differ by their ignore files only."""
    need("git")
    root = write_tree(tmp_path_factory.mktemp("git"), TREE)
    subprocess.run(["git", "init", "-q", str(root)], check=True, capture_output=True)
    return root


@given(root=files, nested=files)
@example(root="*\n!*/\n!*.py", nested="")
@example(root="a/**\n!a/b/\n!a/b/ab/**", nested="")
@example(root="foo\n!/foo/", nested="")
@example(root="/foo/*\n!/foo/foo", nested="*\n!a")
@example(root="a \nb\\ \r\n", nested="!a.py\r")
@example(root="a\n!/a***", nested="[f-a]*")
@settings(max_examples=50, deadline=None)
def test_as_git_does(work_tree, root, nested):
    """The files that travel are those that git would add, for any rules in two ignore files."""
    write_tree(work_tree, {".gitignore": root, "foo/.gitignore": nested})

    assert travels(work_tree) == git_travels(work_tree)


def test_git_rules_of_folders_above(tmp_path):
    """A folder of a work tree is read under the rules of the folders above it."""
    top = write_tree(
        tmp_path, {".git/HEAD": "", ".gitignore": "*.bin\n/exp/out/", "exp/a.bin": "", "exp/out/x": ""}
    )
    write_tree(top, {"exp/train.py": "", "exp/deep/out/x": ""})

    assert travels(top / "exp") == {"train.py", "deep/out/x"}


def test_a_folder_that_is_ignored_but_named(tmp_path):
    """Whoever names a folder that git ignores gets it."""
    write_tree(tmp_path, {".git/HEAD": "", ".gitignore": "out/", "out/a": ""})

    assert travels(tmp_path / "out") == {"a"}


def test_mlignore_wins(tmp_path):
    """A line of any .mlignore beats every .gitignore, also one deeper in the tree."""
    write_tree(tmp_path, {".mlignore": "!weights.bin\n*.md", "sub/.gitignore": "weights.bin\n!README.md"})
    write_tree(tmp_path, {"sub/weights.bin": "", "sub/README.md": "", "README.md": ""})

    assert travels(tmp_path) == {".mlignore", "sub/.gitignore", "sub/weights.bin"}


def test_mlignore_deeper_wins(tmp_path):
    """Of two .mlignore files the one nearer to the file decides."""
    write_tree(
        tmp_path, {".mlignore": "*.csv", "data/.mlignore": "!small.csv", "data/small.csv": "", "a.csv": ""}
    )

    assert travels(tmp_path) == {".mlignore", "data/.mlignore", "data/small.csv"}


@pytest.mark.parametrize(
    "path",
    [
        "__pycache__/a.py",
        "a.pyc",
        "pkg/__pycache__/x",
        ".venv/x",
        "node_modules/x/y",
        ".mypy_cache/x",
        ".pytest_cache/x",
        ".ruff_cache/x",
        ".ipynb_checkpoints/x",
        ".DS_Store",
        ".tox/x",
        ".git/config",
        ".hg/x",
        "sub/.svn/x",
    ],
)
def test_built_in(tmp_path, path):
    """What nobody wants stays at home, even where a .gitignore takes everything back."""
    write_tree(tmp_path, {path: "", "train.py": "", ".gitignore": "!*\n!**/*"})

    assert travels(tmp_path) == {"train.py", ".gitignore"}


def test_virtual_environments(tmp_path):
    """A virtual environment stays at home under any name; a folder that is only named like one travels."""
    write_tree(
        tmp_path, {"venv/a.py": "", "my-env/pyvenv.cfg": "", "my-env/bin/x": "", "conda/conda-meta/x": ""}
    )

    assert travels(tmp_path) == {"venv/a.py"}


def test_built_in_can_be_taken_back(tmp_path):
    """An .mlignore brings back what is left out by name, but never the folders of version control."""
    write_tree(
        tmp_path, {".mlignore": "!node_modules/\n!env/\n!.git/", "node_modules/x": "", ".git/config": ""}
    )
    write_tree(tmp_path, {"env/pyvenv.cfg": ""})

    assert travels(tmp_path) == {".mlignore", "node_modules/x", "env/pyvenv.cfg"}


def test_linked_data_stays_at_home(tmp_path):
    """A rule for a folder holds for a link to a folder too: a linked data set is no error."""
    write_tree(tmp_path / "elsewhere", {"big": ""})
    root = write_tree(tmp_path / "tree", {".gitignore": "data/", "train.py": ""})
    (root / "data").symlink_to(tmp_path / "elsewhere")

    assert travels(root) == {".gitignore", "train.py"}


def test_ignored_are_counted(tmp_path):
    """What was left out is counted, a folder as one."""
    walker = Walker(
        write_tree(tmp_path, {".gitignore": "*.log", "a.log": "", "__pycache__/a": "", "__pycache__/b": ""})
    )

    assert len(list(walker.walk())) == 1
    assert walker.ignored == 2


def test_comments_and_blank_lines():
    """Comments, blank lines and lone slashes are no rules; an escaped mark is a name."""
    rules = parse_rules("\ufeff# c\n\n/\n!\n   \n\\#x\n\\!y\n")
    assert [rule.pattern for rule in rules] == ["\\#x", "\\!y"]

    here = IgnoreRules().enter("", git_text="\\#x\n\\!y")
    assert here.ignored("#x", is_folder=False)
    assert here.ignored("!y", is_folder=False)
