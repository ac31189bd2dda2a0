"""``ml config init``."""

from __future__ import annotations

import os

import pytest

from fetchml_core.config.kinds import all_kinds, kind_named
from fetchml_core.config.starter import starter
from tests.cli.support import fake_cli, ml, run_in


def init(home, *words, **settings):
    """Run the command."""
    return run_in(fake_cli(home, **settings), "config", "init", *words)


@pytest.mark.parametrize(
    ("kind", "file"), [("api", "server.yaml"), ("worker", "worker.yaml"), ("profile", ".ml/config.toml")]
)
def test_each_kind_has_a_place_and_is_its_owners_alone(tmp_path, kind, file):
    """In the current folder, or in ~/.ml, which is made; a loose umask changes nothing."""
    before = os.umask(0)
    try:
        ran = init(tmp_path, kind)
    finally:
        os.umask(before)

    assert (ran.status, ran.out) == (0, "")
    path = tmp_path / file
    assert path.stat().st_mode & 0o7777 == 0o600
    assert path.read_text("utf-8").startswith("#")
    if kind == "profile":
        assert path.parent.stat().st_mode & 0o7777 == 0o700


def test_what_was_written_can_be_shown_at_once(tmp_path):
    """The file is one that the program reads, in the place where it looks."""
    init(tmp_path, "profile")

    assert run_in(fake_cli(tmp_path), "config", "show").status == 0
    assert init(tmp_path, "profile", "--profile", "lab").status == 0
    assert run_in(fake_cli(tmp_path), "config", "show", "--profile", "lab").status == 0


@pytest.mark.parametrize("kind", [kind.name for kind in all_kinds()])
def test_a_dash_prints_it(tmp_path, kind):
    """To look at, or to write elsewhere; no file is made."""
    ran = init(tmp_path, kind, "-")

    assert ran.out == starter(next(one for one in all_kinds() if one.name == kind))
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_there_is_never_changed(tmp_path):
    """Nor one that a link names, even one to nowhere."""
    (tmp_path / "server.yaml").write_text("mine", "utf-8")
    (tmp_path / "link.yaml").symlink_to("nowhere.yaml")

    for file in ("server.yaml", "link.yaml"):
        ran = init(tmp_path, "api", file)
        assert ran.status == 2
        assert (
            ran.err.splitlines()[0] == "error: file-exists: there is such a file already; it was not changed"
        )
        assert str(tmp_path / file) in ran.err
    assert (tmp_path / "server.yaml").read_text("utf-8") == "mine"
    assert not (tmp_path / "nowhere.yaml").exists()


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("api", "server.toml"), "wrong-format"),
        (("api", "missing/server.yaml"), "no-folder"),
        (("gateway",), "unknown-kind"),
        (("profile", "--profile", "../x"), "bad-profile-name"),
        (("worker", "--profile", "lab"), "usage"),
        (("profile", "x.toml", "--profile", "lab"), "usage"),
    ],
)
def test_mistakes_write_nothing(tmp_path, words, code):
    """Each says what is wrong, with status 2."""
    ran = init(tmp_path, *words)

    assert ran.status == 2
    assert f"error: {code}: " in ran.err
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_said(tmp_path):
    """What the system says, with status 1."""
    ran = init(tmp_path, "api", "/proc/server.yaml")

    assert ran.status in {1, 2}
    assert "/proc" in ran.err


def test_a_profile_that_will_not_be_used_is_said(tmp_path):
    """CLI_CONFIG names another one."""
    ran = init(tmp_path, "profile", CLI_CONFIG="/elsewhere/config.toml")

    assert ran.status == 0
    assert (
        "warning: CLI_CONFIG names another profile, which is used instead: /elsewhere/config.toml" in ran.err
    )


def test_a_person_is_told_what_to_type_next(tmp_path):
    """With the name as they typed it, fit for a shell."""
    ran = init(tmp_path, "worker", "my worker.yaml", tty=True)

    assert "ml config validate 'my worker.yaml'" in ran.err
    assert "ml config validate 'my worker.yaml'" in (tmp_path / "my worker.yaml").read_text("utf-8")


def test_names_are_shown_safely(tmp_path):
    """A file's name cannot move the cursor, nor end the comment that it stands in."""
    name = "a\x1b[2J\nauth: yes\n.yaml"
    ran = init(tmp_path, "worker", name)

    assert ran.status == 0
    assert "\x1b" not in ran.err
    assert (tmp_path / name).read_text("utf-8") == starter(kind_named("worker"))


def test_validate_has_nothing_to_say_right_after(tmp_path):
    """As a person would do it, in a process of its own."""
    for kind in all_kinds():
        assert ml(tmp_path, "config", "init", kind.name, str(tmp_path / kind.file)).returncode == 0
        done = ml(tmp_path, "config", "validate", "--strict", str(tmp_path / kind.file))
        assert done.returncode == 0, done.stdout + done.stderr
        assert b"warning" not in done.stdout
