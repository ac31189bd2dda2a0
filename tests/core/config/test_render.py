"""What a person reads: the line with the caret under the trouble, the fix, and never a secret."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fetchml_core.config.excerpt import LONGEST, WIDTH, excerpt, hidden_parts, hide_secrets
from fetchml_core.config.findings import Finding, Place
from fetchml_core.config.kinds import kind_named
from fetchml_core.config.render import plain, render
from fetchml_core.config.validate import Checked, validate
from tests.core.config.support import SAMPLES
from tests.support.effort import seconds_not_minutes


def shown(findings, lines=(), kind="api"):
    """The text for *findings* in a file of *lines*."""
    checked = Checked(
        Path("f"),
        "f.yaml",
        kind_named(kind) if kind else None,
        "from its keys",
        tuple(findings),
        tuple(lines),
    )
    return "\n".join(plain(line).rstrip() for line in render(checked))


def finding(line=0, column=0, severity="error", **more):
    """A finding in f.yaml."""
    return Finding("some-code", severity, "something is wrong", "f.yaml", line, column, **more)


def looked_up(tmp_path, text, kind="api", environ=None, name="server.yaml"):
    """What is said of *text*."""
    path = tmp_path / name
    path.write_text(text, "utf-8", newline="")
    checked = validate(path, environ or {}, kind=kind_named(kind), name=name)
    return "\n".join(plain(line).rstrip() for line in render(checked))


def marked(line, column):
    """The text above the marks of the excerpt of *line*."""
    part = excerpt([line], Place(1, column))
    assert part is not None
    cells = "".join(one * width(one) if width(one) else "" for one in part.text)  # one sign a cell
    return cells[part.start : part.start + part.cells]


def width(character):
    """Cells of a character."""
    return (
        2 if unicodedata.east_asian_width(character) in "WF" else 0 if unicodedata.combining(character) else 1
    )


def test_a_finding():
    """Severity, code, message, place, the line with its marks, what was expected and the fix."""
    text = shown(
        [finding(2, 9, expected="a number", hint="write 3")], ["auth:", "  port: 'three'  # comment", "x: 1"]
    )

    assert text == (
        "error: some-code: something is wrong\n"
        " --> f.yaml:2:9\n"
        "  |\n"
        "2 |   port: 'three'  # comment\n"
        "  |         ^^^^^^^\n"
        "  expected  a number\n"
        "  fix       write 3\n"
        "\n"
        "f.yaml: api file (from its keys): 1 error"
    )


def test_both_lines():
    """A further place is shown too, with other marks, in the order of the file."""
    text = shown([finding(10, 1, also=(Place(9, 1),))], [""] * 8 + ["db: 1", "db: 2"])

    assert " 9 | db: 1\n   | --\n10 | db: 2\n   | ^^\n" in text


def test_expected_is_not_said_twice():
    """What the message says already is not repeated."""
    assert "expected" not in shown([finding(expected="wrong")])


def test_infos_come_last_and_are_short():
    """What is merely not active yet follows in one line each."""
    text = shown([finding(1, 1, "info"), finding(2, 1, "warning")], ["a: 1", "b: 2"])

    assert text.count("some-code") == 2
    assert text.splitlines()[-3:] == [
        "info: some-code: something is wrong (line 1)",
        "",
        "f.yaml: api file (from its keys): 1 warning",
    ]


@pytest.mark.parametrize(
    ("severities", "end"),
    [
        ([], "ok"),
        (["info"], "ok"),
        (["error"], "1 error"),
        (["warning", "error", "warning"], "1 error, 2 warnings"),
    ],
)
def test_the_last_line_sums_up(severities, end):
    """The last line says what the file is, why, and how much is wrong with it."""
    text = shown([finding(severity=severity) for severity in severities])

    assert text.splitlines()[-1] == f"f.yaml: api file (from its keys): {end}"


def test_no_kind():
    """A file that is nothing we know says so."""
    assert shown([], kind="") == "f.yaml: of no known kind: ok"


def test_colour_is_in_spans():
    """The severity and its marks are spans of their own, for whoever paints."""
    checked = Checked(Path("f"), "f", None, "", (finding(1, 1),), ("a: 1",))
    styled = [(style, text) for line in render(checked) for style, text in line if style]

    assert styled == [("error", "error"), ("error", "^"), ("error", "1 error")]


@pytest.mark.parametrize(
    ("line", "column", "under"),
    [
        ("level: info", 1, "level"),
        ("level: info  # x", 8, "info"),
        ('level: "a b" # x', 8, '"a b"'),
        ("level: 'it''s'", 8, "'it'"),
        ('level: "open', 8, '"open'),
        ("roles: [user, admin]", 8, "[user, admin]"),
        ("roles: [user, admin]", 15, "admin"),
        ("path: [x", 7, "["),
        ("level:", 9, ""),
        ("level: ", 1, "level"),
        ("\tlevel: info", 1, "    "),
        ("\tlevel:\tinfo", 9, "info"),
        ("level: \u65e5\u672c", 8, "\u65e5\u65e5\u672c\u672c"),
        ("roles: [\u65e5\u672c, admin]", 13, "admin"),
        ("path: e\u0301x", 7, "ex"),
        ("level: a\x1b[31mb", 8, "a\\x1b[31mb"),
        ("level: \u202eab", 8, "\\u202eab"),
        ("level: a\u200bb", 8, "a\\u200bb"),
        ("level: a\u3164b", 8, "a\\u3164b"),
        ("level:\xa0x", 7, "\\xa0"),
    ],
)
def test_the_caret_is_under_the_token(line, column, under):
    """Quotes, brackets, tabs, wide, combining and control characters keep the marks under the right place."""
    found = marked(line, column)

    assert found == under or (under == "" and len(found) <= 1)


def test_long_lines_are_windowed():
    """Of a long line the part around the trouble is shown, with the marks under it."""
    line = "level: " + "a" * 300 + " info " + "b" * 300
    part = excerpt([line], Place(1, 309))

    assert len(part.text) <= WIDTH + 6
    assert part.text.startswith("...")
    assert part.text.endswith("...")
    assert part.text[part.start :].startswith("info ")


def test_a_giant_line_is_not_shown():
    """Nobody reads a line of a megabyte, and nothing waits for it."""
    lines = ["a: " + "x{'" * (1 << 20)] * 2
    with seconds_not_minutes():
        assert excerpt(lines, Place(2, 5)) is None
        assert excerpt(["level: " + "{" * (LONGEST - 10)], Place(1, 5)) is not None


@pytest.mark.parametrize("place", [Place(0, 0), Place(3, 1), Place(-1, 1)])
def test_a_place_outside_the_file(place):
    """A place that is none has no excerpt."""
    assert excerpt(["a: 1", "b: 2"], place) is None


SECRET = "s3cret-hunter2"
HIDDEN = [
    f"password: {SECRET}",
    f'  password: "{SECRET}"',
    f"password:{SECRET}",
    f"password = {SECRET}",
    f"password {SECRET}",
    f'password: "{SECRET}',
    f"pasword: {SECRET}",
    f"Password: {SECRET}",
    f'"password": {SECRET}',
    f"redis_pasword: {SECRET}",
    f"hash: {SECRET} # {SECRET}",
    f"connection: {SECRET}",
    f"api-key = '{SECRET}'",
    f"anything: {SECRET}",
    f"token: {SECRET}",
    f"al: {{hash: {SECRET}, admin: true}}",
    f"al: {{hash: '{SECRET}'",
    f"al: {{admin: true, hash: {SECRET}",
    f"url: redis://:{SECRET}@redis:6379",
    f"redis_url: 'redis://me:{SECRET}@redis:6379/0'",
    f"redis_url: 'redis://me:{SECRET}",
    f"url: redis://:{SECRET}/x@y@redis",
    f"addr: redis://:{SECRET}@redis:6379",
    f"listen_addr: http://{SECRET}@host",
    f"- password: {SECRET}",
    f"  - {SECRET}",
    f"  {SECRET}",
    f"# password: {SECRET}",
    f"redis.password = {SECRET}",
    f"password: {{a: {SECRET}}}",
    f"password: [{SECRET}, {SECRET}]",
]


@pytest.mark.parametrize("line", HIDDEN)
def test_a_secret_is_masked(line):
    """Whatever form the line of a secret has, the secret is not shown, wherever the trouble is."""
    for column in range(1, len(line) + 2):
        assert SECRET not in excerpt([line], Place(1, column)).text
        assert "hunter2" not in excerpt([line], Place(1, column)).text


@pytest.mark.parametrize(
    "lines",
    [
        [f'password: "{SECRET[:3]}', f"  {SECRET}", f'  level: {SECRET}"', "level: info"],
        ["password: |", f"  level: {SECRET}", f"    {SECRET}", "", f"  enabled: {SECRET}"],
        ["redis:", "  password:", f"    {SECRET}"],
        ["password:", f"  - {SECRET}"],
        ["hash: >-", f"  {SECRET}"],
        ['api_key = """', f"level = {SECRET}", '"""'],
        ["al: {", f"  hash: {SECRET},", "  admin: true}"],
    ],
)
def test_a_secret_of_several_lines(lines):
    """A secret that goes on below its key is masked there too."""
    for number in range(1, len(lines) + 1):
        assert SECRET not in excerpt(lines, Place(number, 1)).text


@pytest.mark.parametrize(
    "line",
    [
        'level: "info"',
        "max_wrokers: 3",
        "podmanCpus: 2",
        "hash: ${HASH}",
        'redis_url: "redis://:${REDIS_PASSWORD}@redis:6379/0"',
        "url: redis://redis:6379",
        'api_key = "<your-api-key>"',
        "hash: CHANGE_ME_SHA256_ADMIN_USER_KEY",
        "[server]",
        "auth:",
        "hash:",
        "  enabled false",
        "security: {production_mode: maybe, ip_whitelist: [a, b]}",
        "# yaml-language-server: $schema=../schema/api.json",
    ],
)
def test_what_is_no_secret_is_shown(line):
    """A line is shown where the schema knows that it holds no secret, or the secret is elsewhere."""
    assert excerpt([line], Place(1, 1)).text == line


def test_items_of_a_plain_list_are_shown():
    """Items of a list that holds no secrets are shown."""
    lines = [
        "security:",
        "  ip_whitelist:",
        '    - "10.0.0.0/8"',
        "    - x",
        "  allowed_origins:",
        "  - http://a",
    ]

    assert hide_secrets(lines) == lines


PERMISSIONS = ["auth:", "  api_keys:", "    al:", "      permissions:", '        "jobs:read": yes']


def test_permissions_are_shown():
    """Names that the file chooses are shown where their values are no secrets."""
    assert excerpt(PERMISSIONS, Place(5, 22)).text == PERMISSIONS[4]


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_only_secrets_are_masked(path):
    """Of the shipped files only the database's connection is masked: the rest are placeholders."""
    lines = path.read_text("utf-8").split("\n")
    changed = [before for before, after in zip(lines, hide_secrets(lines), strict=True) if before != after]

    assert all(line.lstrip().startswith("connection:") for line in changed)


@given(st.lists(st.text(max_size=30), min_size=1, max_size=4), st.integers(0, 6), st.integers(0, 40))
def test_any_text_is_safe(lines, line, column):
    """Whatever stands in a file, its excerpt is printable, and its marks lie within it or right behind."""
    part = excerpt(lines, Place(line, column))

    if part is not None:
        assert all(one.isprintable() or unicodedata.category(one) == "Zs" for one in part.text)
        assert part.cells >= 1


@given(st.text(max_size=40), st.sampled_from(["password", "hash", "api_key", "redis_url", "connection"]))
def test_any_secret_is_masked(value, key):
    """Behind the name of a secret everything is masked but blanks, references and addresses."""
    line = f"{key}: x{value}".replace("\n", "").replace("\r", "")
    begin = len(key) + 2
    hidden = [at for start, end in hidden_parts([line], 0) for at in range(start, end)]
    rest = {at for at in range(begin, len(line)) if not line[at].isspace()}

    assert rest <= set(hidden) or "://" in line


def test_a_file_that_cannot_be_parsed_keeps_its_secrets(tmp_path):
    """A slip on the line of a secret shows the place and not the secret."""
    text = looked_up(tmp_path, f'redis:\n  password: "{SECRET}\n  db: 0\n')

    assert "2 |   password: ***\n  |             ^^^" in text
    assert SECRET not in text


def test_lines_are_counted_as_the_parser_counts_them(tmp_path):
    """CRLF, a lone CR and a next-line sign end a line in YAML: the excerpt is that of the line named."""
    text = looked_up(tmp_path, "data_dir: a\r\nbase_path: b\rauth:\x85  enabled: 5\n")

    assert " --> server.yaml:4:12\n  |\n4 |   enabled: 5\n" in text


def test_a_hostile_name(tmp_path):
    """A file's name cannot harm a terminal."""
    text = looked_up(tmp_path, "auth: 5\n", name="a\x1b[31m\nb.yaml")

    assert all(line.isprintable() for line in text.split("\n"))
