"""A private copy of the snapshot for one attempt, and what a job wrote into it."""

from __future__ import annotations

import os
import stat
import subprocess

import pytest

from fetchml_core.errors import HostError, InputError
from fetchml_core.snapshot.store import BlobStore
from fetchml_core.snapshot.workspace import CHUNK, CLONE_FROM, materialise, written_outside
from tests.core.snapshot.trees import fill_store, manifest_of, sha

FILES = {
    "train.py": b"print()",
    "run": b"#!/bin/sh\n",
    "a/b/c": b"deep",
    "a/b-c": b"x",
    "a/d": b"deep",
    "b/empty": b"",
    "large": os.urandom(CHUNK + CLONE_FROM + 1),
}


@pytest.fixture
def store(tmp_path):
    """A store with the contents of FILES."""
    made = BlobStore(tmp_path / "blobs")
    fill_store(made, FILES)
    return made


@pytest.fixture
def manifest():
    """The manifest of FILES."""
    return manifest_of(FILES, executable=frozenset({"run"}))


def read_tree(root):
    """Path to content of all files below *root*."""
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def dig(folder, depth):
    """Make folders in folders, deeper than a path can say."""
    here = os.open(folder, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)


def damage(tmp_path, content):
    """Flip the last byte of a stored blob and keep its size."""
    path = tmp_path / "blobs" / sha(content)[:2] / sha(content)
    path.chmod(0o600)
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


def test_layout(tmp_path, store, manifest):
    """All files are there, writable and private; only the executable bit differs."""
    target = tmp_path / "attempt/workspace"
    materialise(manifest, store, target, start="made/here")

    assert read_tree(target) == FILES
    modes = {stat.S_IMODE(path.stat().st_mode) for path in target.rglob("*") if path.is_dir()}
    assert modes == {0o700}
    assert stat.S_IMODE((target / "run").stat().st_mode) == 0o700
    assert stat.S_IMODE((target / "train.py").stat().st_mode) == 0o600
    assert (target / "made/here").is_dir()
    assert [path.name for path in target.parent.iterdir()] == ["workspace"]


def test_nothing_is_shared_with_the_store(tmp_path, store, manifest):
    """A job that writes to its files changes neither the store nor another file with the same content."""
    target = tmp_path / "w"
    materialise(manifest, store, target)
    for path in (target / "a/d", target / "large"):
        with path.open("r+b") as file:
            file.write(b"JUNK")

    assert (target / "a/b/c").read_bytes() == b"deep"
    assert store.read_bytes(sha(b"deep"), 99) == b"deep"
    assert store.read_bytes(sha(FILES["large"]), 1 << 30) == FILES["large"]
    assert all(path.stat().st_nlink == 1 for path in target.rglob("*") if path.is_file())


@pytest.mark.parametrize("name", ["large", "train.py", "a/d"])
def test_flipped_byte(tmp_path, store, manifest, name):
    """A damaged blob is found while it is copied: nothing half-made stays, and the blob is asked for again."""
    damage(tmp_path, FILES[name])
    with pytest.raises(HostError) as caught:
        materialise(manifest, store, tmp_path / "job/w")

    assert caught.value.code == "blob-damaged"
    assert list((tmp_path / "job").iterdir()) == []
    assert store.missing(manifest.blobs()) == [sha(FILES[name])]
    fill_store(store, {name: FILES[name]})
    materialise(manifest, store, tmp_path / "job/w")
    assert read_tree(tmp_path / "job/w") == FILES


def test_missing_blob(tmp_path, store):
    """A file whose content is not on the host is named."""
    with pytest.raises(HostError) as caught:
        materialise(manifest_of(FILES | {"zz/gone": b"gone"}), store, tmp_path / "w")

    assert caught.value.code == "blob-missing"
    assert "zz/gone" in caught.value.context
    assert not list(tmp_path.glob("*w*"))


def test_after_a_killed_try(tmp_path, store, manifest):
    """What a killed try left half-made is replaced; a workspace that is there is not touched."""
    (tmp_path / ".w.half/a").mkdir(parents=True)
    (tmp_path / ".w.half/a/old").write_text("old")
    materialise(manifest, store, tmp_path / "w")
    assert read_tree(tmp_path / "w") == FILES

    with pytest.raises(HostError) as caught:
        materialise(manifest_of({"other": b"deep"}), store, tmp_path / "w")
    assert caught.value.code == "workspace-exists"
    assert read_tree(tmp_path / "w") == FILES


@pytest.mark.parametrize("start", ["..", "/etc", "a/../..", "a\0"])
def test_hostile_start(tmp_path, store, manifest, start):
    """A start folder outside the tree is refused."""
    with pytest.raises(InputError):
        materialise(manifest, store, tmp_path / "w", start=start)
    assert not (tmp_path / "w").exists()


def test_start_that_is_a_file(tmp_path, store, manifest):
    """A start folder that is a file is an error and leaves nothing."""
    with pytest.raises(HostError):
        materialise(manifest, store, tmp_path / "w", start="train.py")
    assert not list(tmp_path.glob("*w*"))


def test_disk_full(tmp_path, store, manifest, small_filesystem):
    """A full disk is a clear error and leaves nothing half-made."""
    disk = small_filesystem(size="300k")
    with pytest.raises(HostError) as caught:
        materialise(manifest, store, disk / "w")

    assert caught.value.code == "disk-full"
    assert list(disk.iterdir()) == []


def test_written_outside(tmp_path, store, manifest):
    """What a job made or changed is named, what it left alone is not; caches of Python do not count."""
    target = tmp_path / "w"
    materialise(manifest, store, target)
    assert written_outside(manifest, target, 9) == []
    (target / "train.py").write_bytes(b"PRINT()")
    (target / "a/b/c").write_bytes(b"longer than before")
    (target / "new/deep").mkdir(parents=True)
    (target / "new/deep/model.pt").write_bytes(b"")
    (target / "__pycache__").mkdir()
    (target / "__pycache__/x.pyc").write_bytes(b"")
    (target / "run").unlink()

    assert written_outside(manifest, target, 9) == ["train.py", "a/b/c", "new/deep/model.pt"]
    assert written_outside(manifest, target, 2) == ["train.py", "a/b/c"]


def test_written_outside_of_a_hostile_tree(tmp_path, store, manifest):
    """Links are named, not followed; names are escaped; a tree without end comes to one."""
    target = tmp_path / "w"
    materialise(manifest, store, target)
    (target / "etc").symlink_to("/etc")
    (target / "large").unlink()
    (target / "large").symlink_to("/dev/zero")
    os.mkfifo(target / "pipe")
    (target / "esc\x1b[2J\n").write_text("")
    (target / os.fsdecode(b"\xff")).write_text("")
    dig(target, 1500)

    found = written_outside(manifest, target, 99)
    subprocess.run(["rm", "-rf", str(target / "d")], check=True)  # too deep for pytest to remove
    assert found == ["esc\\x1b[2J\\x0a", "etc", "large", "pipe", "\\xff"]


def test_workspace_that_is_gone_or_a_link(tmp_path, store, manifest):
    """A workspace that is gone, or was replaced by a link, gives no names."""
    (tmp_path / "link").symlink_to("/etc")
    assert written_outside(manifest, tmp_path / "gone", 9) == []
    assert written_outside(manifest, tmp_path / "link", 9) == []
