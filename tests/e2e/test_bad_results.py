"""Results that cannot be written here, and results that a hostile job left: nothing is followed, nothing leaves DIR."""

from __future__ import annotations

import subprocess

import pytest

from tests.e2e.said import local_base, refused, said, same, script


@pytest.fixture
def done(ml, tmp_path):
    """``ml`` after a job that left two results."""
    local_base(ml, tmp_path / "base")
    script(
        ml,
        """
        import os, pathlib
        results = pathlib.Path(os.environ["FETCHML_RESULTS"])
        (results / "deep").mkdir()
        (results / "model.txt").write_text("weights")
        (results / "deep" / "log.txt").write_text("loss 0.1")
        """,
    )
    ml.fails(0, "submit", "job", "--wait")
    return ml


def pulled(folder) -> dict[str, str]:
    """The files of a folder by name."""
    return {
        str(path.relative_to(folder)): path.read_text("utf-8") for path in folder.rglob("*") if path.is_file()
    }


RESULTS = {"model.txt": "weights", "deep/log.txt": "loss 0.1"}


def test_into_a_file(done):
    """DIR that is a file: named, and left alone."""
    (done.cwd / "notes").write_text("mine", "utf-8")

    refused(
        done,
        2,
        ["pull", "1", "notes"],
        """
        error: not-a-folder: results go into a folder, and this is a file
          context  <cwd>/notes
          hint     name another: ml pull JOB DIR
        """,
        cwd=done.cwd,
    )
    assert (done.cwd / "notes").read_text("utf-8") == "mine"


def test_below_a_file(done):
    """DIR below a file."""
    (done.cwd / "notes").write_text("mine", "utf-8")

    refused(
        done,
        2,
        ["pull", "1", "notes/out"],
        """
        error: not-a-folder: results go into a folder, and this is a file
          context  <cwd>/notes
          hint     name another: ml pull JOB DIR
        """,
        cwd=done.cwd,
    )


def test_into_an_existing_folder(done):
    """What lies in DIR already and is no result stays; a second pull fetches nothing."""
    (done.cwd / "out").mkdir()
    (done.cwd / "out" / "mine").write_text("mine", "utf-8")

    done.ok("pull", "1", "out")
    again = done.fails(0, "pull", "1", "out")

    assert pulled(done.cwd / "out") == RESULTS | {"mine": "mine"}
    assert "0 fetched" in again.stderr


def test_into_a_folder_that_is_read_only(done, small_filesystem):
    """A file system that takes nothing: which folder, and what the system says."""
    disk = small_filesystem("1m")
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)

    refused(
        done,
        1,
        ["pull", "1", str(disk / "out")],
        """
        error: io-error: could not write the results here: Read-only file system
          context  <disk>/out
          hint     name another folder: ml pull JOB DIR
        """,
        disk=disk,
    )


def test_disk_full_here(done, small_filesystem):
    """No space here, for the results: nothing half of a file has its name; with space the pull goes on."""
    disk = small_filesystem("16k")
    (disk / "ballast").write_bytes(bytes(12 << 10))

    told = done.fails(1, "pull", "1", str(disk / "out"))

    lines = said(told.stderr, disk=disk).splitlines()
    assert lines[0] == "error: disk-full: no space left here for the results"
    assert lines[-1].endswith("then pull again: it goes on where it stopped")
    assert len(lines) <= 4
    (disk / "ballast").unlink()
    subprocess.run(["mount", "-o", "remount,size=1m", str(disk)], check=True)
    done.ok("pull", "1", str(disk / "out"))
    assert pulled(disk / "out") == RESULTS


def test_link_in_the_way_here(done):
    """A link where a result would go is replaced, never written through."""
    target = done.cwd / "precious"
    target.write_text("precious", "utf-8")
    (done.cwd / "out").mkdir()
    (done.cwd / "out" / "model.txt").symlink_to(target)

    done.ok("pull", "1", "out")

    assert target.read_text("utf-8") == "precious"
    assert not (done.cwd / "out" / "model.txt").is_symlink()
    assert pulled(done.cwd / "out") == RESULTS


HOSTILE = r"""
    import os, pathlib, socket
    results = pathlib.Path(os.environ["FETCHML_RESULTS"])
    os.mkfifo(results / "fifo")
    (results / "shadow").symlink_to("/etc/shadow")
    (results / "etc").symlink_to("/etc")
    (results / "loop").symlink_to("loop")
    (results / "up").symlink_to("../../../..")
    socket.socket(socket.AF_UNIX).bind(str(results / "socket"))
    (results / "esc\x1b]0;owned\x07ape\x1b[31m").write_text("named to attack a terminal")
    (results / "two\nlines").write_text("x")
    open(os.fsencode(results) + b"/not-utf-8-\xff", "w").close()
    (results / "-rf").write_text("option")
    (results / "private").mkdir()
    (results / "private" / "key").write_text("mine")
    (results / "private" / "key").chmod(0o600)
    (results / "private").chmod(0o700)
    deep = results
    for _ in range(40):
        deep = deep / ("d" * 50)
        deep.mkdir()
    (results / "good.txt").write_text("good")
    """


@pytest.mark.parametrize("launcher", ["process", "podman"])
def test_hostile_results(ml, tmp_path, request, launcher):
    """Links, FIFOs and odd names are named and left; the rest comes; nothing is followed, no escape is printed."""
    if launcher == "podman":
        request.getfixturevalue("image_python")
    local_base(ml, tmp_path / "base", f"launcher: {launcher}\nsandbox:\n  limits: best-effort\n")
    script(ml, HOSTILE)
    ml.fails(0, "submit", "job", "--wait")

    told = ml.fails(0, "pull", "1", "out")

    assert pulled(ml.cwd / "out") == {"good.txt": "good", "-rf": "option", "private/key": "mine"}
    assert not [path for path in (ml.cwd / "out").rglob("*") if path.is_symlink()]
    same(
        told,
        r"""
        warning: left on the host, its name has control characters: esc\x1b]0;owned\x07ape\x1b[31m
        warning: left on the host, it is no plain file: etc
        warning: left on the host, it is no plain file: fifo
        warning: left on the host, it is no plain file: loop
        warning: left on the host, its name has control characters: not-utf-8-\udcff
        warning: left on the host, it is no plain file: shadow
        warning: left on the host, it is no plain file: socket
        warning: left on the host, its name has control characters: two\nlines
        warning: left on the host, it is no plain file: up
        3 files, 14 B
        """,
    )
    assert told.stdout == f"{ml.cwd}/out\n"


def test_results_of_a_job_that_has_not_run(ml, tmp_path):
    """A queued job has no results: it says what the job is, and what to type."""
    base = local_base(ml, tmp_path / "base")
    script(ml, "import time\ntime.sleep(1000)\n")
    (base / "worker.yaml").write_text("launcher: process\nmax_workers: 1\n", "utf-8")
    ml.ok("submit", "job")
    ml.ok("submit", "job")

    refused(
        ml,
        5,
        ["pull", "2"],
        """
        error: no-results: job 2 is queued: it has not run, so it has no results
          hint     ml logs 2
        """,
    )
    ml.ok("cancel", "1", "2")
