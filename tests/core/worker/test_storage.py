"""The file systems under a worker: lost ones are noticed, full ones are not taken for lost."""

from __future__ import annotations

import os

import pytest

from fetchml_core.fsio import try_lock
from fetchml_core.places import Base
from fetchml_core.worker.storage import Storage, StorageLostError


@pytest.fixture
def base(tmp_path):
    """A base with its folders."""
    made = Base(tmp_path / "base")
    made.make()
    return made


@pytest.fixture
def lock(base):
    """The worker's lock, held."""
    held = try_lock(base.worker_lock)
    yield held
    os.close(held)


def test_what_is_there_is_not_lost(base, lock, tmp_path):
    """Folders that can be used are no news, however often one looks; nothing is left of the look."""
    storage = Storage(base, lock, tmp_path / "data")
    storage.check()
    storage.check()

    assert [path.name for path in base.run.iterdir()] == ["worker.lock"]
    assert list((tmp_path / "data").iterdir()) == []


def test_a_full_disk_is_not_lost(base, lock, small_filesystem):
    """A disk without room takes nothing just now; the worker stays."""
    data = small_filesystem("64k", inodes=2)
    (data / "file").touch()
    with pytest.raises(OSError, match="No space"):
        (data / "more").touch()

    Storage(base, lock, data).check()


@pytest.mark.parametrize("happens", ["removed", "replaced", "lock replaced"])
def test_another_folder_is_told(base, lock, tmp_path, happens):
    """A folder that is gone, or one of the same name, is not the one that the worker has open."""
    data = tmp_path / "data"
    storage = Storage(base, lock, data)
    if happens == "lock replaced":
        base.worker_lock.unlink()
        base.worker_lock.touch()
    else:
        data.rename(tmp_path / "elsewhere")
        if happens == "replaced":
            data.mkdir()

    with pytest.raises(StorageLostError, match=r"worker\.lock" if happens == "lock replaced" else "data"):
        storage.check()


def test_a_file_system_that_was_shut_down_is_told(base, lock, power_disk):
    """Although its folders can still be looked at."""
    data = power_disk.folder / "data"
    storage = Storage(base, lock, data)
    storage.check()
    power_disk.shut_down()

    with pytest.raises(StorageLostError, match="Input/output error"):
        storage.check()
