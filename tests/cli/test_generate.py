"""The manual pages in the repository are those that the program makes of itself."""

from __future__ import annotations

import subprocess

import pytest

from fetchml_cli import generate, manual
from fetchml_cli.lazy import COMMANDS
from tests.support.require import need


def test_committed_pages_are_up_to_date():
    """Whoever changes a command's words makes its page again."""
    assert generate.outdated(generate.FOLDER) == [], f"type: {generate.AGAIN}"


def test_every_command_has_a_page():
    """No verb, and no program of the host, lacks one."""
    expected = {"ml.1", "fetchml-agent.1", "fetchml-worker.1", *(f"ml-{name}.1" for name in COMMANDS)}

    assert set(manual.pages()) == expected


def test_a_page_tells_all_options_and_statuses():
    """What `ml wait --help` says is in its page, remarks between the statuses included."""
    text = manual.pages()["ml-wait.1"].replace("\\-", "-")

    for word in ("--timeout DURATION", "--exit-status job", "--profile NAME", ".B 9\n", ".B 130\n"):
        assert word in text
    assert "--timeout ran out; of several the first of these." in text


def test_check_names_what_differs(tmp_path, capsys):
    """`check` finds a changed, a missing and a surplus page, and says what to type."""
    assert generate.main(["man", str(tmp_path)]) == 0
    assert generate.main(["check", str(tmp_path)]) == 0
    (tmp_path / "ml.1").write_text("changed", "ascii")
    (tmp_path / "ml-wait.1").unlink()
    (tmp_path / "ml-gone.1").write_text("old", "ascii")

    assert generate.main(["check", str(tmp_path)]) == 1

    told = capsys.readouterr().err
    assert [name for name in ("ml.1", "ml-wait.1", "ml-gone.1", generate.AGAIN) if name not in told] == []
    generate.write(tmp_path)
    assert generate.outdated(tmp_path) == []


@pytest.mark.parametrize("text", [".so /etc/passwd", "'br", "a\\fBb", "--name", "~ ^ `"])
def test_text_is_never_a_roff_command(text):
    """What a docstring holds is printed, not obeyed."""
    escaped = manual.roff(text)

    assert not escaped.startswith((".", "'"))
    assert "\\f" not in escaped


def test_formatter_finds_nothing_to_complain_about(tmp_path):
    """groff, with all warnings on, is silent about every page."""
    need("groff")
    generate.write(tmp_path)
    files = sorted(str(path) for path in tmp_path.glob("*.1"))

    done = subprocess.run(
        ["groff", "-man", "-Tascii", "-ww", "-z", *files],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )

    assert (done.returncode, done.stderr) == (0, "")
