"""The files in the repository that are made from the program are those that it makes of itself; its own pages."""

from __future__ import annotations

import subprocess

import pytest

from fetchml_cli import generate, manual
from fetchml_cli.commands.config import COMMANDS as CONFIG_COMMANDS
from fetchml_cli.lazy import COMMANDS
from fetchml_cli.roff import roff
from tests.support.require import need


def test_committed_files_are_up_to_date():
    """Whoever changes the words of a command or an option makes the files again."""
    assert generate.outdated(generate.ROOT) == [], f"type: {generate.AGAIN}"


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


def test_the_page_of_a_group_tells_all_of_its_commands():
    """Usage, options and exit statuses of each, in one page."""
    text = manual.pages()["ml-config.1"].replace("\\-", "-")

    for verb in CONFIG_COMMANDS:
        assert f".SS ml config {verb} [OPTIONS]" in text
    for word in ("[OPTIONS] KIND [FILE]", "--effective", "--origin", "--kind KIND"):
        assert word in text
    assert text.count("Exit status:") == len(CONFIG_COMMANDS)


def test_check_names_what_differs(tmp_path, capsys):
    """`check` finds a changed, a missing and a surplus file, and says what to type."""
    assert generate.main(["all", str(tmp_path)]) == 0
    assert generate.main(["check", str(tmp_path)]) == 0
    (tmp_path / "man/man1/ml.1").write_text("changed", "ascii")
    (tmp_path / "configs/schema/api.json").unlink()
    (tmp_path / "man/man5/ml-gone.5").write_text("old", "ascii")
    (tmp_path / "docs/configuration.md").write_text("by hand", "ascii")

    assert generate.main(["check", str(tmp_path)]) == 1

    told = capsys.readouterr().err
    names = ("man/man1/ml.1", "configs/schema/api.json", "man/man5/ml-gone.5", generate.AGAIN)
    assert [name for name in names if name not in told] == []
    assert len(told.splitlines()) == 4
    generate.write(tmp_path)
    assert generate.outdated(tmp_path) == []
    assert (tmp_path / "docs/configuration.md").exists()


@pytest.mark.parametrize("text", [".so /etc/passwd", "'br", "a\\fBb", "--name", "~ ^ `"])
def test_text_is_never_a_roff_command(text):
    """What a docstring holds is printed, not obeyed."""
    escaped = roff(text)

    assert not escaped.startswith((".", "'"))
    assert "\\f" not in escaped


def test_formatter_finds_nothing_to_complain_about(tmp_path):
    """groff, with all warnings on, is silent about every page."""
    need("groff")
    generate.write(tmp_path)
    files = sorted(str(path) for path in tmp_path.glob("man/man?/*"))

    done = subprocess.run(
        ["groff", "-man", "-Tascii", "-ww", "-z", *files],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )

    assert (done.returncode, done.stderr) == (0, "")
