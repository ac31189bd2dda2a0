"""Where errors end."""

import errno
import json
import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fetchml_cli.boundary import error_lines, explain
from fetchml_cli.report import hide_values, report_text
from fetchml_core import __version__, errors
from fetchml_core.errors import CLASSES, BugError, FetchError, NotFoundError
from tests.cli.support import fake_cli, run_in
from tests.cli.verbs import TABLE

ERROR_CLASSES = sorted(CLASSES.values(), key=lambda cls: cls.status)


def ended(home, *words, **settings):
    """Run the test verb with *words*."""
    return run_in(fake_cli(home, **settings), "do", *words, commands=TABLE)


def test_a_known_error_is_three_safe_lines(tmp_path):
    """What happened, the offending value, the next command; nothing of it is obeyed by a terminal."""
    ran = ended(tmp_path, "known", tty=True, colour=True)

    assert ran.status == 5
    assert ran.out == ""
    assert ran.err.splitlines() == [
        r"error: no-such-job: there is no job \x1b[31m42\n",
        r"  context  42\u202e",
        "  hint     ml status -a",
    ]


def test_with_json_an_error_is_one_object_on_stderr(tmp_path):
    """A script reads code, class and status, and the values as they are."""
    ran = ended(tmp_path, "known", "--json")
    shown = json.loads(ran.err)

    assert (ran.status, ran.out, ran.err.count("\n")) == (5, "", 1)
    assert shown["schema"] == 1
    assert shown["error"] == {
        "class": "NotFoundError",
        "code": "no-such-job",
        "message": "there is no job \x1b[31m42\n",
        "context": "42\u202e",
        "hint": "ml status -a",
        "status": 5,
    }
    assert "\x1b" not in ran.err


def test_a_usage_error_is_json_too(tmp_path):
    """``--json`` counts even where the options could not be parsed."""
    ran = ended(tmp_path, "well", "--cuont", "--json")

    assert ran.status == 2
    assert json.loads(ran.err)["error"]["code"] == "unknown-option"


def test_json_after_two_dashes_is_the_jobs_own(tmp_path):
    """``ml submit x -- --json`` asks nothing of us."""
    assert ended(tmp_path, "known", "--", "--json").err.startswith("error: ")


@pytest.mark.parametrize("kind", ERROR_CLASSES)
def test_the_status_comes_from_the_class(kind):
    """No table of statuses but the one of the classes."""
    assert explain(kind("x", "y")).status == kind.status


@given(st.lists(st.text(), min_size=4, max_size=4))
def test_an_error_is_four_short_lines_at_most(texts):
    """Whatever a host writes into an error, it fills no screen and moves no cursor."""
    code, message, context, hint = texts
    lines = error_lines(FetchError(code, message * 100, context=context, hint=hint), report="x")

    assert len(lines) <= 4
    assert all(len(line) <= 600 and "\n" not in line and "\x1b" not in line for line in lines)


def test_detached_says_how_to_come_back(tmp_path):
    """Ctrl-C ends the watching, with 130 and the lines of the command, on stderr."""
    ran = ended(tmp_path, "detached")

    assert (ran.status, ran.out) == (130, "")
    assert ran.err == "job 42 goes on\nml logs -f 42 follows it again\n"


def test_detached_as_json(tmp_path):
    """A script is told the same as an object."""
    ran = ended(tmp_path, "detached", "--json")

    assert (ran.status, json.loads(ran.err)["detached"]["status"]) == (130, 130)


def test_ctrl_c_says_nothing(tmp_path):
    """An interrupted command ends with 130."""
    assert ended(tmp_path, "interrupt").status == 130
    assert ended(tmp_path, "interrupt").err == ""


def test_a_refused_prompt_is_2(tmp_path):
    """'no' at a question changes nothing and is not success."""
    ran = ended(tmp_path, "abort")

    assert ran.status == 2
    assert ran.err.startswith("error: refused: ")


@pytest.mark.parametrize(
    ("error", "code", "status"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "/data/x"), "disk-full", 1),
        (OSError(errno.EDQUOT, "Quota exceeded"), "disk-full", 1),
        (PermissionError(errno.EACCES, "Permission denied", "/root/x"), "not-permitted", 1),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "train.py"), "io-error", 1),
        (ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"), "link-broken", 6),
        (TimeoutError("timed out"), "link-broken", 6),
        (OSError("odd"), "io-error", 1),
    ],
)
def test_an_os_error_is_explained(error, code, status):
    """What the system says is shown with the place, never as a bug of ours."""
    shown = explain(error)

    assert (shown.code, shown.status) == (code, status)
    assert shown.context == (error.filename or "")


def test_a_broken_pipe_to_a_host_is_not_swallowed(tmp_path):
    """Only our own output may end quietly; a connection that broke is an error."""
    ran = ended(tmp_path, "pipe-to-host")

    assert ran.status == 6
    assert ran.err.startswith("error: link-broken: ")


def bug(home):
    """Run a command that meets a mistake of ours, with secrets all about; return how it ended and its report."""
    secret = ("--env", "TOKEN=abc123secret", "--", "--password", "opensesame")
    ran = ended(home, "bug", *secret, USER_TOKEN="environ-value-1")
    [report] = (home / ".ml" / "reports").iterdir()
    return ran, report


def test_a_bug_names_its_report(tmp_path):
    """A mistake of ours is 70, four lines, and a private file; the terminal sees no traceback and no message."""
    ran, report = bug(tmp_path)
    text = report.read_text()

    assert ran.status == 70
    assert len(ran.err.splitlines()) == 4
    assert str(report) in ran.err
    assert "Traceback" not in ran.err
    assert "hunter2" not in ran.err
    assert stat.S_IMODE(report.stat().st_mode) == 0o600
    assert stat.S_IMODE(report.parent.stat().st_mode) == 0o700
    assert "ValueError: cannot use ***" in text
    assert f"fetchml {__version__}" in text
    assert "in explode" in text


def test_a_bug_report_holds_no_secrets(tmp_path):
    """The key, values of --env, the job's arguments and the environment stay out of the report."""
    text = bug(tmp_path)[1].read_text()

    for secret in ("hunter2hunter2", "abc123secret", "opensesame", "environ-value-1"):
        assert secret not in text
    assert "--env TOKEN=***" in text
    assert "-- (2 arguments of the job)" in text


def test_a_bug_report_as_json_names_the_file(tmp_path):
    """A script gets the path in a field."""
    shown = json.loads(ended(tmp_path, "bug", "--json").err)["error"]

    assert shown["status"] == 70
    assert shown["report"].startswith(str(tmp_path / ".ml" / "reports"))


def test_a_bug_of_ours_that_was_foreseen_keeps_its_words(tmp_path):
    """A BugError with a code is shown with it, and reported like any other."""
    ran = ended(tmp_path, "our-bug")

    assert ran.status == 70
    assert ran.err.startswith("error: impossible-state: the host answered twice\n")
    assert "  report   " in ran.err


def test_without_a_home_a_bug_is_still_told(tmp_path):
    """Where no report can be written, the error is shown without one."""
    ran = ended(tmp_path / "nowhere", "bug")

    assert ran.status == 70
    assert "report   " not in ran.err
    assert not (tmp_path / "nowhere").exists()


def test_reports_do_not_pile_up(tmp_path):
    """Twenty reports are kept, the newest."""
    folder = tmp_path / ".ml" / "reports"
    folder.mkdir(parents=True)
    for number in range(30):
        (folder / f"bug-20200101T0000{number:02}Z-1.txt").touch()
    ended(tmp_path, "bug")

    kept = sorted(path.name for path in folder.iterdir())
    assert len(kept) == 20
    assert not kept[-1].startswith("bug-2020")


def test_a_cause_is_reported_and_cleaned_too():
    """A chained error's message is searched for secrets as well; long tokens go even when nobody named them."""
    error = ValueError("bad key 0123456789abcdef0123456789abcdef")
    error.__cause__ = KeyError("sesame-sesame")
    text = report_text(error, [], when=0, home="/home/ada", secrets=["sesame-sesame"])

    assert "KeyError" in text
    assert "sesame-sesame" not in text
    assert "0123456789abcdef" not in text


@pytest.mark.parametrize(
    ("argv", "shown"),
    [
        (["submit", "train.py", "--name", "run"], ["submit", "train.py", "--name", "run"]),
        (["--env", "A=b", "--env=A=b", "-e", "c"], ["--env", "A=***", "--env=***", "-e", "***"]),
        (["--api-key", "k", "x"], ["--api-key", "***", "x"]),
        (["a", "--", "b", "c"], ["a", "--", "(2 arguments of the job)"]),
        (["--env"], ["--env"]),
    ],
)
def test_values_that_may_be_secret_are_hidden(argv, shown):
    """What was typed is told without values of --env, of key-like options, or the job's arguments."""
    assert hide_values(argv) == shown


def test_nobody_reading_stderr_does_not_change_the_status(tmp_path):
    """An error that cannot be shown still has its status."""
    cli = fake_cli(tmp_path)
    cli.err.stream.close()

    assert explain(NotFoundError("x", "y")).status == 5
    from fetchml_cli.main import run

    assert run(["do", "known"], lambda: cli, TABLE) == 5


def test_every_class_of_error_has_its_own_status():
    """Two classes never share a status."""
    assert len({cls.status for cls in ERROR_CLASSES}) == len(ERROR_CLASSES)
    assert BugError in ERROR_CLASSES
    assert errors.FetchError not in ERROR_CLASSES
