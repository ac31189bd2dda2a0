"""What a word on the command line means."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fetchml_core.errors import InputError
from fetchml_core.snapshot.tree import plan
from tests.core.snapshot.trees import write_tree

HOME = Path("/nonexistent-home")


def planned(path, cwd, **options):
    """Plan with a home folder that is out of the way."""
    return plan(
        Path(path), cwd=cwd, only=options.pop("only", False), home=options.pop("home", HOME), **options
    )


def code(path, cwd, **options):
    """The code of the error that planning gives."""
    with pytest.raises(InputError) as caught:
        planned(path, cwd, **options)
    return caught.value.code


@pytest.fixture
def work(tmp_path):
    """A git work tree with a script two folders down."""
    return write_tree(tmp_path / "work", {".git/HEAD": "", "a/b/train.py": "", "run.sh": ""})


def test_folder(tmp_path):
    """A folder runs its training script, from its top when ml was called outside."""
    write_tree(tmp_path / "job", {"train.py": "", "go/main.py": ""})

    tree = planned("job", tmp_path)
    assert (tree.root, tree.start, tree.command) == (tmp_path / "job", "", ("python3", "-u", "train.py"))
    named = planned("job", tmp_path, train_script="go/main.py")
    assert (named.entry, named.command) == ("go/main.py", ("python3", "-u", "go/main.py"))


def test_script_without_git(tmp_path):
    """A script outside a work tree sends its folder."""
    write_tree(tmp_path / "job", {"train.py": ""})

    tree = planned("job/train.py", tmp_path)
    assert (tree.root, tree.start, tree.script) == (tmp_path / "job", "", "train.py")


@pytest.mark.parametrize(
    ("cwd", "typed", "start", "script"),
    [
        ("", "a/b/train.py", "", "a/b/train.py"),
        ("a", "b/train.py", "a", "b/train.py"),
        ("a/b", "train.py", "a/b", "train.py"),
        ("..", "work/a/b/train.py", "a/b", "train.py"),
        ("a/b", "../../run.sh", "a/b", "../../run.sh"),
    ],
)
def test_script_in_a_work_tree(work, cwd, typed, start, script):
    """The work tree travels, and the job starts where ml was called, or beside the script."""
    tree = planned(typed, work / cwd)

    assert (tree.root, tree.start, tree.script) == (work, start, script)
    assert tree.command[-1] == script


def test_only(work):
    """--only makes a tree of the script alone."""
    tree = planned("b/train.py", work / "a", only=True)

    assert (tree.root, tree.entry, tree.start, tree.only) == (work / "a/b", "train.py", "", True)
    assert code("a", work, only=True) == "only-needs-script"


@pytest.mark.parametrize(
    ("name", "content", "mode", "command"),
    [
        ("a.py", "", 0o644, ("python3", "-u", "a.py")),
        ("a.sh", "", 0o644, ("/bin/sh", "a.sh")),
        ("-c.py", "", 0o644, ("python3", "-u", "./-c.py")),
        ("-c.sh", "", 0o644, ("/bin/sh", "./-c.sh")),
        ("go", "#!/usr/bin/env python3", 0o755, ("./go",)),
        ("go.pl", "#!/usr/bin/perl", 0o755, ("./go.pl",)),
    ],
)
def test_commands(tmp_path, name, content, mode, command):
    """What runs a script follows from its ending or its first line, and its name is never an option."""
    (tmp_path / name).write_text(content)
    (tmp_path / name).chmod(mode)

    assert planned(name, tmp_path).command == command


def test_executable_elsewhere(work):
    """An executable above the place of the caller is named by its way."""
    (work / "go").write_text("#!/bin/sh\n")
    (work / "go").chmod(0o755)

    assert planned("../go", work / "a").command == ("../go",)


@pytest.mark.parametrize(("content", "mode"), [("\x7fELF", 0o755), ("x", 0o644), ("", 0o755)])
def test_not_runnable(tmp_path, content, mode):
    """Anything else is refused, and the error says what works."""
    (tmp_path / "x").write_text(content)
    (tmp_path / "x").chmod(mode)
    with pytest.raises(InputError) as caught:
        planned("x", tmp_path)

    assert caught.value.code == "not-runnable"
    assert ".py" in caught.value.hint


def test_script_that_lacks_its_bit(tmp_path):
    """A script with a first line but no executable bit is refused with the chmod to type."""
    (tmp_path / "x").write_text("#!/bin/sh\n")
    with pytest.raises(InputError) as caught:
        planned("x", tmp_path)

    assert caught.value.hint.startswith("chmod +x ")


def test_fifo(tmp_path):
    """A FIFO is refused without waiting for a writer."""
    os.mkfifo(tmp_path / "x.py")
    assert code("x.py", tmp_path) == "not-runnable"


def test_bad_paths(tmp_path):
    """What is not there, empty or without its script is refused, each by its name."""
    (tmp_path / "empty").mkdir()
    write_tree(tmp_path / "full", {"a": ""})
    write_tree(tmp_path / "other", {"x.py": ""})

    assert code("nothing.py", tmp_path) == "no-such-path"
    assert code("a\0b", tmp_path) == "no-such-path"
    assert code("full/a/b", tmp_path) == "no-such-path"
    assert code("empty", tmp_path) == "empty-folder"
    assert code("full", tmp_path) == "train-script-missing"
    assert code("full", tmp_path, train_script="../other/x.py") == "script-outside-tree"


def test_link_out_of_the_tree(work, tmp_path):
    """A script that is a link out of its tree is refused with the path to type instead."""
    write_tree(tmp_path, {"other/x.py": ""})
    (work / "x.py").symlink_to(tmp_path / "other/x.py")
    with pytest.raises(InputError) as caught:
        planned("x.py", work)

    assert caught.value.code == "script-outside-tree"
    assert str(tmp_path / "other/x.py") in caught.value.hint


def test_links_on_the_way(work, tmp_path):
    """A link to the folder, or to a script of the same tree, is followed."""
    (tmp_path / "short").symlink_to(work / "a")
    (work / "go.py").symlink_to("a/b/train.py")

    assert planned("short/b/train.py", tmp_path).root == work
    assert planned("go.py", work).command == ("python3", "-u", "go.py")


def test_home_is_not_sent(tmp_path):
    """The home folder, and what holds it, needs --allow-large; a script in it alone does not."""
    home = write_tree(tmp_path / "home/me", {"train.py": ""})

    assert code("train.py", home, home=home) == "tree-too-large"
    assert code(".", home, home=home) == "tree-too-large"
    assert code("/", home, home=home, train_script="etc/passwd") == "tree-too-large"
    assert planned("train.py", home, home=home, only=True).root == home
    assert planned("train.py", home, home=home, allow_large=True).root == home
