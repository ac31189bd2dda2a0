"""Results: listed and sent as they are, whatever names a job gives its files."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fetchml_core.errors import FetchError, NotFoundError
from fetchml_core.service import results as module
from fetchml_core.wire.output import FetchRequest, ResultsRequest
from fetchml_core.wire.session import CHUNK
from tests.core.service.support import Talk
from tests.core.snapshot.trees import sha


@pytest.fixture
def folder(world):
    """The results folder of job 1, which has ended."""
    return world.results(world.ended())


def listed(world):
    """Ask for the list."""
    return world.ask("results", ResultsRequest("1"))


def fetch(world, path, offset=0, attempt=1):
    """Ask for one file's bytes."""
    talk = Talk()
    world.ask("fetch", FetchRequest(1, attempt, path, offset), talk)
    return talk.received


def test_files_with_size_digest_and_mode(world, folder):
    """Every plain file below the folder, by its relative path."""
    (folder / "deep/er").mkdir(parents=True)
    (folder / "deep/er/model é.bin").write_bytes(b"weights")
    (folder / "run.sh").write_bytes(b"")
    (folder / "run.sh").chmod(0o700)
    files = {file.path: file for file in listed(world).files}

    assert set(files) == {"deep/er/model é.bin", "run.sh"}
    assert files["deep/er/model é.bin"].size == 7
    assert files["deep/er/model é.bin"].digest == sha(b"weights")
    assert [file.executable for _, file in sorted(files.items())] == [False, True]


@pytest.mark.parametrize("offset", [-1, 0, 3, CHUNK, 2 * CHUNK + 5, 2 * CHUNK + 6, 2**63, 2**70])
def test_a_file_from_any_byte_on(world, folder, offset):
    """A transfer that broke goes on where it stopped; beyond the end there is nothing."""
    content = os.urandom(2 * CHUNK + 5)
    (folder / "model").write_bytes(content)

    assert fetch(world, "model", offset) == content[max(0, offset) :]


def test_what_is_no_plain_file_is_named_and_not_sent(world, folder, tmp_path):
    """Links, pipes and names that cannot travel are left out by name; no link is followed."""
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret/key").write_bytes(b"secret")
    (folder / "good").write_bytes(b"1")
    (folder / "link").symlink_to(tmp_path / "secret/key")
    (folder / "folder-link").symlink_to(tmp_path / "secret")
    os.mkfifo(folder / "pipe")
    for name in (b"esc\x1b[2J", b"line\nend", b"bytes\xff", "bidi\u202ex".encode()):
        (folder / os.fsdecode(name)).write_bytes(b"")
    reply = listed(world)

    assert [file.path for file in reply.files] == ["good"]
    assert set(map(os.fsencode, reply.skipped)) == {
        b"link",
        b"folder-link",
        b"pipe",
        b"esc\x1b[2J",
        b"line\nend",
        b"bytes\xff",
        "bidi\u202ex".encode(),
    }


@pytest.mark.parametrize(
    "path",
    [
        "",
        ".",
        "..",
        "../control/log",
        "/etc/passwd",
        "a/../../../server.yaml",
        "link",
        "folder-link/key",
        "deep",
        "pipe",
    ]
    + ["none", "a\0b", "\ud800", "x" * 5000, "good/", "good/x", "deep//good"],
)
def test_hostile_paths_reach_nothing(world, folder, tmp_path, path):
    """Only a plain file below the folder, through no link, is ever sent; anything else is an explained error."""
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret/key").write_bytes(b"secret")
    (folder / "deep").mkdir()
    (folder / "good").write_bytes(b"1")
    (folder / "link").symlink_to(tmp_path / "secret/key")
    (folder / "folder-link").symlink_to(tmp_path / "secret")
    os.mkfifo(folder / "pipe")
    with pytest.raises(FetchError) as caught:
        fetch(world, path)

    assert caught.value.code in {"no-such-result", "not-a-plain-file"}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=30))
def test_any_path_is_answered(world, folder, path):
    """Any text is a file, or an explained error."""
    try:
        assert fetch(world, path) == b""
    except FetchError as error:
        assert error.code in {"no-such-result", "not-a-plain-file"}


@pytest.mark.parametrize("attempt", [0, 2, -1, 2**70])
def test_an_attempt_that_never_was(world, folder, attempt):
    """Has no results."""
    (folder / "good").write_bytes(b"1")
    with pytest.raises(NotFoundError, match="no-such-result"):
        fetch(world, "good", attempt=attempt)


def test_a_job_that_has_not_run_has_none(world):
    """The hint leads to what can be looked at."""
    world.submit()
    with pytest.raises(NotFoundError, match="no-results") as caught:
        listed(world)

    assert caught.value.hint == "ml logs 1"


def test_a_folder_that_is_gone_is_an_empty_list(world):
    """A running job that has left nothing yet."""
    world.running()

    assert listed(world).files == ()


def test_folders_nested_deeper_than_a_path_reaches(world, folder):
    """A job that nests folders without end cannot make the answer fail."""
    (folder / "good").write_bytes(b"1")
    top = os.open(folder, os.O_RDONLY)
    fd = os.dup(top)
    for _ in range(1500):
        os.mkdir("dd", dir_fd=fd)
        below = os.open("dd", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(fd)
    os.close(top)
    reply = listed(world)

    assert [file.path for file in reply.files] == ["good"]
    assert len(reply.skipped) == 1
    from fetchml_core.removal import remove_tree

    remove_tree(folder)


def test_a_file_that_goes_while_it_is_listed(world, folder, mocker):
    """A running job may remove a file in this moment: it is left out, the others are listed."""
    (folder / "a").write_bytes(b"1")
    (folder / "b").write_bytes(b"2")
    real = module.open_below

    def goes(below, path):
        (folder / "a").unlink(missing_ok=True)
        return real(below, path)

    mocker.patch.object(module, "open_below", goes)
    reply = listed(world)

    assert ([file.path for file in reply.files], reply.skipped) == (["b"], ("a",))


def test_too_many_files_are_refused(world, folder, mocker):
    """A list that would swamp both ends is refused with a way out."""
    mocker.patch.object(module, "MAX_FILES", 3)
    for number in range(4):
        (folder / str(number)).write_bytes(b"")
    with pytest.raises(FetchError, match="too-many-results"):
        listed(world)
