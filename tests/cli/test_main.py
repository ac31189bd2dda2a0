"""From argv to an exit status."""

import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fetchml_cli.lazy import COMMANDS
from tests.cli.support import ROOT, fake_cli, ml, plain_environ, python, run_in
from tests.cli.verbs import TABLE

HELP = """\
Usage: ml [OPTIONS] COMMAND [ARGS]...

  Run training jobs over SSH on the machines you own.

Options:
  --version   Show the version and exit.
  -h, --help  Show this message and exit.

Commands:
  submit   Freeze the code and queue it as a job.
  status   Show jobs and what they wait for.
  logs     Print or follow what a job writes.
  wait     Wait until jobs end; the status tells how.
  cancel   Stop queued or running jobs.
  hold     Keep queued jobs from starting.
  release  Let held jobs start.
  show     Tell everything about one job.
  why      Tell why a job waits: what is missing, and who has it.
  gpus     Show the host's GPUs and who holds them.
  pull     Fetch the results of a job.
  queue    Look after a host's queue; for its admins.
  worker   Look after a host's worker.
  config   Check, explain and change configuration files.
"""


def test_help_at_80_columns(tmp_path):
    """The help is this text; the verbs come in the order of a job's way."""
    done = ml(tmp_path, "--help", environ={"COLUMNS": "80"})

    assert done.stdout.decode() == HELP
    assert (done.returncode, done.stderr) == (0, b"")


def test_bare_ml_shows_the_help_as_a_mistake(tmp_path):
    """Without a verb the help goes to stderr and the status is 2: a script that lost its words must not go on."""
    ran = run_in(fake_cli(tmp_path))

    assert (ran.status, ran.out) == (2, "")
    assert ran.err == HELP


def test_no_summary_is_cut_at_80_columns():
    """Every summary is shown whole in the help."""
    assert all(len(summary) <= 80 - 10 for _, summary in COMMANDS.values())


def test_a_command_runs_with_the_surroundings_of_the_test(tmp_path):
    """The whole command line runs inside a test, on streams of the test."""
    ran = run_in(
        fake_cli(tmp_path), "do", "well", "--count", "3", "--json", "--", "--count", "x", commands=TABLE
    )

    assert (ran.status, ran.out, ran.err) == (0, "count 3 json True words ['--count', 'x']\n", "")


@pytest.mark.parametrize(("way", "status"), [("well", 0), ("seven", 7), ("exit", 9), ("library-exit", 4)])
def test_a_command_may_end_with_its_own_status(tmp_path, way, status):
    """A returned number, ``typer.Exit`` and ``sys.exit`` are the exit status."""
    ran = run_in(fake_cli(tmp_path), "do", way, commands=TABLE)

    assert (ran.status, ran.err) == (status, "")


@pytest.mark.parametrize(
    ("argv", "lines"),
    [
        (
            ["sumbit"],
            ["error: unknown-command: there is no such command", "  context  sumbit", "  hint     ml submit"],
        ),
        (
            ["qqq"],
            ["error: unknown-command: there is no such command", "  context  qqq", "  hint     ml --help"],
        ),
        (["--json"], ["error: unknown-option: No such option: --json", "  hint     ml --help"]),
    ],
)
def test_a_mistake_names_the_next_command(tmp_path, argv, lines):
    """A mistyped verb gets the nearest one; the status is 2."""
    cli = fake_cli(tmp_path)
    ran = run_in(cli, *argv)

    assert ran.status == 2
    if "--json" not in argv:
        assert ran.err.splitlines() == lines


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--cuont", "3"], "unknown-option"),
        (["--count", "three"], "bad-value"),
        (["--count"], "usage"),
    ],
)
def test_a_mistake_below_a_verb_points_to_its_help(tmp_path, words, code):
    """A wrong option of a verb is explained in our form, with the help of that verb."""
    ran = run_in(fake_cli(tmp_path), "do", "well", *words, commands=TABLE)

    assert ran.status == 2
    assert ran.err.startswith(f"error: {code}: ")
    assert ran.err.endswith("  hint     ml do --help\n")


def test_a_missing_argument_is_named(tmp_path):
    """What is missing is said by its name."""
    ran = run_in(fake_cli(tmp_path), "do", commands=TABLE)

    assert ran.status == 2
    assert ran.err.startswith("error: missing-argument: Missing argument 'way'")


def test_an_escape_in_argv_does_not_reach_the_terminal(tmp_path):
    """What was typed is shown, not obeyed."""
    for argv in (["\x1b[31m\u202e"], ["--\x1b]0;x\x07"], ["do", "well", "--count", "\x1b[2J"]):
        assert not {"\x1b", "\x07", "\u202e"} & set(run_in(fake_cli(tmp_path), *argv, commands=TABLE).err)


def test_help_into_a_closed_pipe_is_quiet(tmp_path):
    """``ml --help | true`` says nothing."""
    done = _into_closed_pipe(tmp_path, "-m", "fetchml_cli", "--help")

    assert (done.returncode, done.stderr) == (141, b"")


def test_a_flood_into_head_is_quiet(tmp_path):
    """``ml … | head -1`` prints one line and no complaint, like any Unix tool."""
    command = [sys.executable, "-m", "tests.cli.verbs", "do", "flood", "--count", "100000"]
    ours = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=plain_environ(tmp_path), cwd=ROOT
    )
    assert ours.stdout is not None
    head = subprocess.run(["head", "-1"], stdin=ours.stdout, capture_output=True, check=True, timeout=60)
    ours.stdout.close()
    _, err = ours.communicate(timeout=60)

    assert (head.stdout, err, ours.returncode) == (b"line 0\n", b"", 141)


@pytest.mark.parametrize(
    "words", [["-m", "fetchml_cli", "--version"], ["-m", "tests.cli.verbs", "do", "well"]]
)
def test_a_full_disk_under_stdout_is_an_error(tmp_path, words):
    """Output that could not be written is not reported as success."""
    with Path("/dev/full").open("wb") as full:
        done = python(tmp_path, *words, stdout=full, stderr=subprocess.PIPE, capture_output=False)

    assert done.returncode == 1
    assert done.stderr.startswith(b"error: disk-full: ")
    assert b"Traceback" not in done.stderr


def test_ctrl_c_ends_with_130_and_no_traceback(tmp_path):
    """An interrupted command ends at once, silently, with 130."""
    command = [sys.executable, "-m", "tests.cli.verbs", "do", "sleep"]
    running = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=plain_environ(tmp_path), cwd=ROOT
    )
    assert running.stdout is not None
    assert running.stdout.readline() == b"sleeping\n"
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=60)

    assert (running.returncode, err) == (130, b"")


def test_a_thread_that_fails_shows_no_traceback(tmp_path):
    """A bug in a thread is reported like any other; the command ends as it ends."""
    done = python(tmp_path, "-m", "tests.cli.verbs", "do", "thread")

    assert done.returncode == 0
    assert done.stderr.startswith(b"error: bug: ")
    assert b"Traceback" not in done.stderr
    assert len(list((tmp_path / ".ml" / "reports").iterdir())) == 1


def test_a_name_the_locale_cannot_show_is_no_error(tmp_path):
    """In an ASCII locale a name is shown with escapes."""
    environ = {"PYTHONIOENCODING": "ascii", "LC_ALL": "POSIX"}
    done = python(tmp_path, "-m", "tests.cli.verbs", "do", "well", "--", "é", environ=environ)

    assert done.returncode == 0
    assert done.stdout.isascii()


def test_in_a_folder_that_is_gone_commands_still_run(tmp_path):
    """Only a command that needs the current folder misses it."""
    gone = tmp_path / "gone"
    gone.mkdir()
    script = 'cd "$1" && rmdir "$1" && exec "$0" -m tests.cli.verbs do well'
    done = subprocess.run(
        ["sh", "-c", script, sys.executable, gone],
        env=plain_environ(tmp_path),
        capture_output=True,
        check=False,
        timeout=60,
    )

    assert (done.returncode, done.stderr) == (0, b"")


def test_no_completion_of_typer(tmp_path):
    """Typer's completion, which runs Python and in zsh a stranger's text at every Tab, cannot be reached."""
    done = ml(tmp_path, environ={"_ML_COMPLETE": "complete_bash", "COMP_WORDS": "ml s", "COMP_CWORD": "1"})

    assert b"submit\n" not in done.stdout
    assert b"completion" not in ml(tmp_path, "--help").stdout


def test_on_a_terminal_help_has_no_escapes_either(tmp_path):
    """Help is plain text, also on a terminal."""
    leader, follower = pty.openpty()
    done = ml(tmp_path, "--help", stdout=follower, stderr=follower, capture_output=False)
    os.close(follower)
    shown = os.read(leader, 65536)
    os.close(leader)

    assert done.returncode == 0
    assert b"\x1b" not in shown


def _into_closed_pipe(home, *words):
    read, write = os.pipe()
    os.close(read)
    try:
        return python(home, *words, stdout=write, stderr=subprocess.PIPE, capture_output=False)
    finally:
        os.close(write)
