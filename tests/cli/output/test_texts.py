"""JSON, times and the streams."""

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fetchml_cli.output.json import json_line
from fetchml_cli.output.times import ago, rfc3339
from fetchml_cli.output.writer import Writer
from tests.cli.support import fake_cli, text_of

NOW = 1_763_841_481.9  # 2025-11-22T19:58:01Z
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.text(min_size=1).filter(lambda key: key != "schema"), PLAIN, max_size=4))
def test_json_is_one_safe_line(fields):
    """One object on one line, schema first, readable again, and harmless in a terminal."""
    line = json_line(fields)

    assert line.endswith("\n")
    assert line[:-1].isascii()
    assert line[:-1].isprintable()
    assert list(json.loads(line).items()) == [("schema", 1), *fields.items()]


def test_json_escapes_del():
    """DEL needs no escape in JSON, but in a terminal."""
    assert json_line({"name": "\x7f"}) == '{"schema": 1, "name": "\\u007f"}\n'


def test_json_keeps_the_order_it_was_given():
    """Keys come in the order of the caller."""
    assert json_line({"b": 1, "a": {"d": 2, "c": 3}}) == '{"schema": 1, "b": 1, "a": {"d": 2, "c": 3}}\n'


def test_json_has_no_bare_nan():
    """A metric that is no number is a string; any JSON reader accepts the object."""
    line = json_line({"loss": [float("nan"), float("inf"), -float("inf")]})

    assert json.loads(line, parse_constant=pytest.fail)["loss"] == ["NaN", "Infinity", "-Infinity"]


def test_json_is_laid_out_on_a_terminal(tmp_path):
    """People get indented JSON, programs one line."""
    people, programs = fake_cli(tmp_path, tty=True), fake_cli(tmp_path)
    for cli in (people, programs):
        cli.show_json({"id": 42})

    assert text_of(people.out) == '{\n  "schema": 1,\n  "id": 42\n}\n'
    assert text_of(programs.out) == '{"schema": 1, "id": 42}\n'


def test_machines_get_rfc3339():
    """UTC, whole seconds; what no calendar holds is empty."""
    assert rfc3339(NOW) == "2025-11-22T19:58:01Z"
    assert rfc3339(1e20) == ""
    assert rfc3339(float("nan")) == ""


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "just now"), (-1.5, "just now"), (72, "1m12s ago"), (90_000, "1d01h ago"), (-300, "in 5m00s")],
)
def test_people_get_how_long_ago(seconds, shown):
    """Relative, with a little patience for clocks that differ."""
    assert ago(NOW - seconds, NOW) == shown


def test_a_line_is_safe_and_raw_is_raw(tmp_path):
    """`line` shows what a stranger wrote; `raw` hands on bytes that were asked for."""
    cli = fake_cli(tmp_path, tty=True)
    cli.out.line("a\x1b[31m\nb")
    cli.out.raw(b"\x1b[31m")

    assert text_of(cli.out) == "a\\x1b[31m\\nb\n\x1b[31m"


class _Terminal(io.StringIO):
    encoding = "UTF-8"

    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("environ", "colour"),
    [
        ({"TERM": "xterm"}, True),
        ({"TERM": "xterm", "NO_COLOR": "1"}, False),
        ({"TERM": "xterm", "NO_COLOR": ""}, True),
        ({"TERM": "dumb"}, False),
        ({}, False),
    ],
)
def test_no_color_is_honoured(environ, colour):
    """NO_COLOR that is not empty, and a terminal without a name, mean no colour."""
    writer = Writer.of_process(_Terminal(), environ)

    assert (writer.tty, writer.colour, writer.unicode) == (True, colour, True)


def test_hints_are_for_people(tmp_path):
    """A hint is shown on a terminal, and neither to a pipe nor beside JSON."""
    shown = []
    for cli in (
        fake_cli(tmp_path, tty=True),
        fake_cli(tmp_path),
        fake_cli(tmp_path, tty=True).configured(json=True),
    ):
        cli.hint("ml logs -f 42")
        shown.append(text_of(cli.err))

    assert shown == ["ml logs -f 42\n", "", ""]


def test_options_add_to_the_surroundings(tmp_path):
    """What an option says holds; one that was not given changes nothing."""
    cli = fake_cli(tmp_path).configured(profile="admin", verbose=True).configured(json=True)

    assert (cli.profile, cli.verbose, cli.json) == ("admin", True, True)


def test_the_surroundings_never_show_secrets(tmp_path):
    """Neither the environment nor a kept secret is in the repr that a debugger or a log may print."""
    cli = fake_cli(tmp_path, API_KEY="from-environ")
    cli.keep_secret("from-profile")

    assert "from-" not in repr(cli)
