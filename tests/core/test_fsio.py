"""Files that survive a power cut, and files that a stranger may have made."""

from __future__ import annotations

import json
import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fetchml_core import fsio
from fetchml_core.errors import HostError
from fetchml_core.fsio import (
    locked,
    make_folder,
    open_below,
    open_plain_file,
    read_json,
    read_plain_file,
    replace_file,
    try_lock,
    write_all,
    write_durably,
)


@pytest.fixture
def calls(mocker):
    """The order of syncs and renames, by path."""
    seen = []
    sync, replace = os.fsync, os.replace

    def fsync(fd):
        seen.append(("sync", os.path.basename(os.readlink(f"/proc/self/fd/{fd}"))))
        sync(fd)

    def rename(source, target):
        seen.append(("rename", os.path.basename(target)))
        replace(source, target)

    mocker.patch("os.fsync", fsync)
    mocker.patch("os.replace", rename)
    return seen


def test_durable_means_bytes_then_name_then_folder(tmp_path, calls):
    """The order without which a power cut loses the file."""
    write_durably(tmp_path / "file", b"new")

    assert calls == [("sync", f".file.{os.getpid()}.tmp"), ("rename", "file"), ("sync", tmp_path.name)]
    assert (tmp_path / "file").read_bytes() == b"new"


@pytest.mark.parametrize("call", ["os.write", "os.fsync", "os.replace"])
def test_a_write_that_fails_leaves_the_file_as_it_was(tmp_path, mocker, call):
    """And nothing beside it."""
    path = tmp_path / "file"
    path.write_bytes(b"old")
    mocker.patch(call, side_effect=OSError(28, "No space left on device"))
    with pytest.raises(OSError, match="No space"):
        write_durably(path, b"new")
    mocker.stopall()

    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_a_replaced_file_is_private_unless_said_otherwise(tmp_path):
    """Mode 0600."""
    replace_file(tmp_path / "a", b"")
    replace_file(tmp_path / "b", b"", mode=0o644)

    assert [(tmp_path / name).stat().st_mode & 0o777 for name in "ab"] == [0o600, 0o644]


def test_a_link_laid_in_the_way_is_not_followed(tmp_path):
    """The temporary name may be a stranger's link."""
    (tmp_path / f".file.{os.getpid()}.tmp").symlink_to(tmp_path / "victim")
    with pytest.raises(OSError):  # noqa: PT011 - ELOOP
        replace_file(tmp_path / "file", b"x")

    assert not (tmp_path / "victim").exists()


def test_short_writes_go_on(tmp_path, mocker):
    """Every byte is written, however few the kernel takes at once."""
    real = os.write
    mocker.patch("os.write", lambda fd, data: real(fd, data[:3]))
    fd = os.open(tmp_path / "f", os.O_WRONLY | os.O_CREAT)
    write_all(fd, b"0123456789")
    os.close(fd)

    assert (tmp_path / "f").read_bytes() == b"0123456789"


def test_folders_are_made_with_their_parents_durable_and_private(tmp_path, calls):
    """Each new name is synced in its parent; an existing folder costs nothing."""
    make_folder(tmp_path / "a" / "b")
    assert calls == [("sync", tmp_path.name), ("sync", "a")]
    calls.clear()
    make_folder(tmp_path / "a" / "b")

    assert calls == []
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o700


@pytest.fixture
def strange(tmp_path):
    """A folder as a job may leave it."""
    (tmp_path / "secret").write_bytes(b"secret")
    folder = tmp_path / "folder"
    (folder / "deep").mkdir(parents=True)
    (folder / "plain").write_bytes(b"plain")
    (folder / "deep" / "plain").write_bytes(b"deep")
    (folder / "link").symlink_to(tmp_path / "secret")
    (folder / "up").symlink_to(tmp_path)
    os.mkfifo(folder / "pipe")
    return folder


@pytest.mark.parametrize("name", ["link", "pipe", "deep", "none", "up/secret"])
def test_only_plain_files_are_opened(strange, name):
    """No link is followed at the end, no FIFO waits, no folder is read."""
    if name == "up/secret":  # a link on the way is `open_below`'s to refuse
        assert read_plain_file(strange / name, limit=9) == b"secret"
        return
    with pytest.raises((OSError, HostError)):
        open_plain_file(strange / name)


@pytest.mark.parametrize(
    "name",
    [
        "link",
        "pipe",
        "deep",
        "none",
        "up/secret",
        "../secret",
        "",
        ".",
        "/etc/passwd",
        "deep/",
        "a\0",
        "\ud800",
    ],
)
def test_below_a_folder_nothing_leads_out(strange, name):
    """No part of the way is a link or leaves."""
    with pytest.raises((OSError, HostError)):
        open_below(strange, name)


@pytest.mark.parametrize(("name", "content"), [("plain", b"plain"), ("deep/plain", b"deep")])
def test_below_a_folder_plain_files_are_found(strange, name, content):
    """The other side."""
    fd = open_below(strange, name)
    assert os.read(fd, 100) == content
    os.close(fd)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.text(max_size=20))
def test_any_name_opens_a_file_below_or_is_refused(strange, name):
    """Any text: a file below, or one of two errors; no descriptor is left open."""
    before = len(os.listdir("/proc/self/fd"))
    try:
        os.close(open_below(strange, name))
    except (OSError, HostError):
        pass
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_read_is_bounded(strange):
    """A stranger's file may be endless."""
    assert read_plain_file(strange / "plain", limit=2) == b"pl"


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"\xff", b"[" * 100_000, b"[" + b" " * 200 + b"]"],
    ids=["empty", "open", "bytes", "deep", "long"],
)
def test_json_that_is_none_is_damage(tmp_path, data):
    """Named with its file; only a missing one is None."""
    (tmp_path / "f").write_bytes(data)
    with pytest.raises(HostError, match="damaged-file"):
        read_json(tmp_path / "f", limit=100 if data.endswith(b" ]") else 1 << 20)
    assert read_json(tmp_path / "none") is None


def test_json_is_read(tmp_path):
    """As it was written."""
    (tmp_path / "f").write_text(json.dumps({"a": [1, None]}))

    assert read_json(tmp_path / "f") == {"a": [1, None]}


def test_locks_exclude_and_end_with_their_descriptor(tmp_path):
    """One exclusive, or several shared."""
    path = tmp_path / "lock"
    with locked(path):
        assert try_lock(path) is None
        assert try_lock(path, shared=True) is None
    with locked(path, shared=True):
        shared = try_lock(path, shared=True)
        assert shared is not None
        assert try_lock(path) is None
        os.close(shared)
    fd = try_lock(path)
    assert fd is not None
    os.close(fd)
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_lock_that_cannot_be_tried_leaves_no_descriptor(tmp_path, mocker):
    """An error that is no 'held' passes through."""
    mocker.patch("fcntl.flock", side_effect=OSError(5, "I/O error"))
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(OSError, match="I/O"):
        fsio.try_lock(tmp_path / "lock")

    assert len(os.listdir("/proc/self/fd")) == before
