"""`fetchml_core.removal` removes whatever a job can leave behind."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

import pytest

from fetchml_core.removal import remove_tree

NOBODY = 65534


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


def test_folders_without_rights():
    """A folder of mode 0 is opened up first; root needs no rights, so an ordinary user removes it."""
    place = Path(tempfile.mkdtemp())
    (place / "t" / "shut" / "in" / "deep").mkdir(parents=True)
    child = os.fork()
    if child == 0:
        status = 1
        with contextlib.suppress(BaseException):
            if os.geteuid() == 0:
                for path in (place, *place.rglob("*")):
                    os.chown(path, NOBODY, NOBODY)
                os.setgid(NOBODY)
                os.setuid(NOBODY)
            (place / "t" / "shut" / "in").chmod(0)
            (place / "t" / "shut").chmod(0)
            remove_tree(place / "t")
            status = int((place / "t").exists())
        os._exit(status)
    _, ended = os.waitpid(child, 0)
    place.rmdir()

    assert ended == 0
