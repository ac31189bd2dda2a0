"""What a job could do to the folders it shares with us: the worker reads and changes them unharmed."""

from __future__ import annotations

import json
import os
import subprocess

import pytest

from fetchml_core.errors import HostError
from fetchml_core.launcher import control, handover
from fetchml_core.launcher.record import read_record

RECORD = {"version": 1, "attempt": 2, "code": 0, "signal": None, "started": 1.5, "ended": 2.5, "oom": None}


def write(folder, **changes) -> None:
    """Write a record, sound but for the changes."""
    (folder / "exit.json").write_text(json.dumps(RECORD | changes))


def test_record(tmp_path):
    """A sound record is read, unknown fields are passed over, and none is None."""
    assert read_record(tmp_path, 2) is None
    write(tmp_path, new_field=[1])

    assert read_record(tmp_path, 2).code == 0


@pytest.mark.parametrize(
    "changes",
    [
        {"attempt": 3},
        {"attempt": "2"},
        {"code": None},
        {"code": 0, "signal": 9},
        {"code": 256},
        {"code": -1},
        {"code": True},
        {"code": None, "signal": 0},
        {"code": None, "signal": 65},
        {"started": float("nan")},
        {"ended": float("inf")},
        {"ended": 10**30},
        {"log_bytes": -1},
        {"log_bytes": 1e3},
        {"max_rss": 2**60},
        {"oom": "yes"},
        {"error": ["x"]},
    ],
)
def test_damaged_record(tmp_path, changes):
    """A record that our init would not write is an error, never a guess."""
    write(tmp_path, **changes)

    with pytest.raises(HostError, match="damaged"):
        read_record(tmp_path, 2)


def test_record_that_is_no_plain_file(tmp_path):
    """A link, a FIFO, a folder or a huge file in place of the record is an error, at once."""
    path = tmp_path / "exit.json"
    makers = [
        lambda: path.symlink_to("/etc/passwd"),
        lambda: os.mkfifo(path),
        path.mkdir,
        lambda: path.write_bytes(b" " * 100_000),
        lambda: path.write_bytes(b"[" * 60_000),
        lambda: path.write_bytes(b"\xff"),
    ]
    for make in makers:
        make()
        with pytest.raises(HostError):
            read_record(tmp_path, 2)
        path.rmdir() if path.is_dir() else path.unlink()


def test_record_cannot_attack_a_terminal(tmp_path):
    """The text of a record is printable and short."""
    write(tmp_path, error="\x1b]0;x\x07" + "y" * 1000)
    error = read_record(tmp_path, 2).error

    assert error.isprintable()
    assert len(error) == 300


def test_stop_file_in_a_spoilt_folder(tmp_path):
    """A job that put something in the way of its stop file is not told; nothing else happens."""
    folder = tmp_path / "control"
    folder.mkdir()
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    (folder / "stop").symlink_to(victim)
    control.request_stop(tmp_path, "time is up")
    assert (folder / "stop").read_text() == "time is up\n"
    assert victim.read_text() == "untouched"

    (folder / "stop").unlink()
    (folder / "stop").mkdir()
    control.request_stop(tmp_path, "time is up")
    assert [path.name for path in folder.iterdir()] == ["stop"]


def test_go_to_a_spoilt_fifo(tmp_path):
    """A link in place of the FIFO is not followed."""
    (tmp_path / "control").mkdir()
    (tmp_path / "victim").write_text("untouched")
    (tmp_path / "control/go").symlink_to(tmp_path / "victim")

    with pytest.raises(HostError, match="init-gone"):
        control.give_go(tmp_path)
    assert (tmp_path / "victim").read_text() == "untouched"


def test_take_back(tmp_path):
    """Whatever modes a job left, the account can read and remove all of it; nothing outside is touched."""
    outside = tmp_path / "outside"
    outside.write_text("x")
    outside.chmod(0o400)
    folder = tmp_path / "results"
    (folder / "deep/deeper").mkdir(parents=True)
    (folder / "deep/deeper/file").write_text("x")
    (folder / "tool").write_text("x")
    (folder / "link").symlink_to(outside)
    os.mkfifo(folder / "fifo", 0)
    (folder / "tool").chmod(0o4711)
    for name in ("deep/deeper/file", "deep/deeper", "deep"):
        (folder / name).chmod(0)
    failed = handover.take_back([folder, tmp_path / "missing"], os.getuid(), os.getgid(), change_owner=False)

    assert failed == 0
    assert oct((folder / "deep/deeper").stat().st_mode & 0o7777) == "0o700"
    assert oct((folder / "deep/deeper/file").stat().st_mode & 0o7777) == "0o600"
    assert oct((folder / "tool").stat().st_mode & 0o7777) == "0o711"
    assert oct(outside.stat().st_mode & 0o7777) == "0o400"


def test_take_back_of_a_bottomless_folder(tmp_path):
    """Folders nested deeper than a path can name are counted, not followed for ever."""
    name = "d" * 200
    here = os.open(tmp_path, os.O_RDONLY)
    for _ in range(30):
        os.mkdir(name, dir_fd=here)
        there = os.open(name, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = there
    os.close(here)

    assert handover.take_back([tmp_path], os.getuid(), os.getgid(), change_owner=False) == 1
    subprocess.run(["rm", "-rf", tmp_path / name], check=True)
