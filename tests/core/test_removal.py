"""`fetchml_core.removal` removes whatever a job can leave behind."""

from __future__ import annotations

import os

import pytest

from fetchml_core.removal import remove_tree


def test_removes_a_tree_of_any_depth(tmp_path):
    """A tree deeper than the stack and the longest path is removed."""
    (tmp_path / "t").mkdir()
    here = os.open(tmp_path / "t", os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("deeper", dir_fd=here)
        os.close(os.open("file", os.O_WRONLY | os.O_CREAT, dir_fd=here))
        below = os.open("deeper", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    remove_tree(tmp_path / "t")

    assert list(tmp_path.iterdir()) == []


def test_follows_no_link(tmp_path):
    """A link goes, what it names stays."""
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "file").write_text("x")
    (tmp_path / "t" / "below").mkdir(parents=True)
    (tmp_path / "t" / "below" / "link").symlink_to(tmp_path / "kept")
    (tmp_path / "t" / "link").symlink_to(tmp_path / "kept")
    remove_tree(tmp_path / "t")

    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
    assert (tmp_path / "kept" / "file").exists()


def test_a_link_is_not_removed_as_a_folder(tmp_path):
    """The path itself must be a folder: a link to one is refused and left."""
    (tmp_path / "kept").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "kept")

    with pytest.raises(OSError, match="link"):
        remove_tree(tmp_path / "link")
    assert (tmp_path / "kept").exists()


def test_names_that_are_in_the_way(tmp_path):
    """A job that guesses the names used while removing gains nothing."""
    for number in range(1, 4):
        (tmp_path / "t" / f".removed-{number}" / "x" / "y").mkdir(parents=True)
    remove_tree(tmp_path / "t")

    assert not (tmp_path / "t").exists()


def test_nothing_to_remove(tmp_path):
    """A folder that is not there is no error."""
    remove_tree(tmp_path / "t")


@pytest.mark.skipif(os.geteuid() == 0, reason="root needs no rights")
def test_folders_without_rights(tmp_path):
    """A folder of mode 0 is opened up first."""
    (tmp_path / "t" / "shut" / "in").mkdir(parents=True)
    (tmp_path / "t" / "shut").chmod(0)
    remove_tree(tmp_path / "t")

    assert not (tmp_path / "t").exists()
