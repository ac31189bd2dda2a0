"""Files are read for sending, and a changed one is noticed."""

from __future__ import annotations

import os

import pytest

from fetchml_core.snapshot.transfer import CHUNK, WHOLE, FileChanged, read_blob
from tests.core.snapshot.trees import sha


@pytest.mark.parametrize("size", [0, 1, CHUNK, CHUNK + 1, WHOLE, WHOLE + 1, WHOLE + CHUNK])
def test_whole(tmp_path, size):
    """The chunks are the file, none larger than agreed."""
    data = os.urandom(size)
    (tmp_path / "a").write_bytes(data)

    chunks = list(read_blob(tmp_path / "a", sha(data), size))
    assert b"".join(chunks) == data
    assert all(0 < len(chunk) <= CHUNK for chunk in chunks)


@pytest.mark.parametrize("size", [0, 10, WHOLE + 10])
@pytest.mark.parametrize("change", ["longer", "shorter", "other", "gone", "link", "folder"])
def test_changed(tmp_path, size, change):
    """A file that is no longer what was hashed never gives all its chunks; a small one gives none."""
    data = os.urandom(size)
    path = tmp_path / "a"
    path.write_bytes(data)
    if change == "longer":
        path.write_bytes(data + b"x")
    elif size and change == "shorter":
        path.write_bytes(data[:-1])
    elif size and change == "other":
        path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    else:
        path.unlink()
    if change == "link":
        path.symlink_to("/etc/passwd")
    elif change == "folder":
        path.mkdir()
    got = []
    with pytest.raises(FileChanged) as caught:
        got.extend(read_blob(path, sha(data), size))

    assert caught.value.path == path
    assert len(b"".join(got)) < max(size, 1)
    assert size > WHOLE or not got
