"""Hashes are remembered, and never wrong."""

from __future__ import annotations

import os

import pytest

from fetchml_core.snapshot import scan as scan_module
from fetchml_core.snapshot.scan import scan
from tests.core.snapshot.trees import NOW, sha, write_tree


@pytest.fixture
def hashed(monkeypatch):
    """The names of the files that were read, in order."""
    names = []
    real = scan_module.hash_file

    def spy(found):
        names.append(found.path)
        return real(found)

    monkeypatch.setattr(scan_module, "hash_file", spy)
    return names


def digests(root, cache, now=NOW):
    """Path to digest of the tree."""
    return {entry.path: entry.digest for entry in scan(root, now=now, cache=cache).manifest.entries}


def test_unchanged_files_are_not_read_again(tmp_path, hashed):
    """A second scan of an unchanged tree reads no file, and a changed file alone is read."""
    root, cache = write_tree(tmp_path / "t", {"a": "1", "d/b": "2"}), tmp_path / "deep/cache"
    first = digests(root, cache)
    assert hashed == ["a", "d/b"]
    hashed.clear()
    assert digests(root, cache) == first
    assert hashed == []
    (root / "a").write_text("3")
    assert digests(root, cache)["a"] == sha(b"3")
    assert hashed == ["a"]


def test_same_size_and_time(tmp_path):
    """A file changed behind its size and modification time is hashed again: ctime cannot be set."""
    root, cache = write_tree(tmp_path / "t", {"a": "1"}), tmp_path / "cache"
    before = (root / "a").stat()
    digests(root, cache)
    (root / "a").write_text("2")
    os.utime(root / "a", ns=(before.st_atime_ns, before.st_mtime_ns))

    assert digests(root, cache)["a"] == sha(b"2")


def test_young_files_are_not_remembered(tmp_path, hashed):
    """A file that changed within the last two seconds is hashed again: a second change could leave no trace."""
    root, cache = write_tree(tmp_path / "t", {"a": "1"}), tmp_path / "cache"
    changed = (root / "a").stat().st_ctime
    digests(root, cache, now=changed + 1)
    digests(root, cache, now=changed + 1)
    assert hashed == ["a", "a"]
    digests(root, cache, now=changed + 3)
    hashed.clear()
    digests(root, cache, now=changed + 3)
    assert hashed == []


def test_another_file_of_the_same_name(tmp_path):
    """A file put in place of another is another file, although size and modification time agree."""
    root, cache = write_tree(tmp_path / "t", {"a": "1", "b": "2"}), tmp_path / "cache"
    for name in "ab":
        os.utime(root / name, (1, 1))
    digests(root, cache)
    (root / "b").rename(root / "a")

    assert digests(root, cache) == {"a": sha(b"2")}


def test_damaged_cache_is_no_cache(tmp_path):
    """No change of a byte, cut or junk in the cache gives a wrong hash or an error."""
    root, cache = write_tree(tmp_path / "t", {"a": "1"}), tmp_path / "cache"
    right = digests(root, cache)
    whole = cache.read_bytes()
    variants = [whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :] for at in range(0, len(whole), 7)]
    variants += [whole[:at] for at in range(0, len(whole), 13)] + [b"", b"\xff" * 100, whole + b"x"]
    for data in variants:
        cache.write_bytes(data)
        assert digests(root, cache) == right


def test_cache_that_cannot_be_kept(tmp_path):
    """A cache in a place that cannot be written, or that is a folder, is done without."""
    root = write_tree(tmp_path / "t", {"a": "1"})
    write_tree(tmp_path, {"file": ""})
    (tmp_path / "folder").mkdir()

    assert digests(root, tmp_path / "file/cache")
    assert digests(root, tmp_path / "folder")


def test_gone_files_are_forgotten(tmp_path):
    """The cache does not grow with files that are gone."""
    root, cache = write_tree(tmp_path / "t", {"a": "1", "gone": "2"}), tmp_path / "cache"
    digests(root, cache)
    (root / "gone").unlink()
    digests(root, cache)

    assert b"gone" not in cache.read_bytes()
