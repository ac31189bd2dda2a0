"""Hostile and careless files, through the real program: one clear answer each, soon and in little memory.

What is measured are processor time and memory of the whole process. The promise is 2 s and 256 MB; a busy machine may take
twice its time for the same work, so the time is compared with that of a fixed piece of work in the same minute.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.measured import ROOT, run_measured, without_override

MOST_CPU_S = 2.0
MOST_MEMORY = 256 << 20
#: What the work of `slowness` takes on an idle CPU of the slowest machine that we know.
YARDSTICK_S = 1.0
INVALID = 3
HASH = "ab" * 32
# As the console script does it; in the second one PyYAML finds no compiled parser, as on a bare host.
START = "import sys; sys.argv[0] = 'ml'; from fetchml_cli.main import main; sys.exit(main())"
PURE = "import sys; sys.modules['yaml._yaml'] = None; " + START
BOTH = pytest.mark.parametrize("parser", [START, PURE], ids=["compiled", "pure"])


def keys(count):
    """A file of *count* keys that nobody knows."""
    return "".join(f"key{i}: 1\n" for i in range(count))


def person(*lines):
    """An api file with one person who has these further lines."""
    return f"auth:\n  api_keys:\n    al:\n      hash: {HASH}\n" + "".join(f"      {line}\n" for line in lines)


def each(count, line):
    """*count* lines, numbered."""
    return [line.format(i) for i in range(count)]


class Case(NamedTuple):
    """A file, and what is said of it: the finding's code, its line and column (0: it has no place), and a word of it."""

    name: str
    data: str | bytes
    code: str
    line: int = 0
    column: int = 0
    word: str = ""
    status: int = INVALID


YAML = [
    Case("twice", "auth:\n  enabled: true\nauth:\n  enabled: false\n", "duplicate-key", 3, 1, "line 1"),
    Case("admin-as-text", person('admin: "false"'), "wrong-type", 5, 14, "true or false"),
    Case("aliases", "a: &a [x,x]\nb: &b [*a,*a]\nc: [*b,*b]\n", "yaml-feature", 1, 4, "anchors"),
    Case("alias", "auth: *a\n", "yaml-feature", 1, 7, "aliases"),
    Case("merge-bomb", "a: &a {x: 1}\nb: {<<: [*a,*a]}\n", "yaml-feature", 1, 4, "anchors"),
    Case("merge", "auth:\n  <<: {enabled: true}\n", "yaml-feature", 2, 3, "merge"),
    Case("tag", "auth: !!python/object/apply:os.system [id]\n", "yaml-feature", 1, 7, "tags"),
    Case("own-tag", "auth: !secret x\n", "yaml-feature", 1, 7, "tags"),
    Case(
        "documents", "auth:\n  enabled: true\n---\nauth:\n  enabled: true\n", "yaml-feature", 3, 1, "second"
    ),
    Case("brackets", "auth: " + "[" * 2000, "too-deep", 1, 22, "16"),
    Case("braces", "auth: " + "{a: " * 2000, "too-deep", 1, 67, "16"),
    Case("dashes", "- " * 100_000, "too-deep", 1, 33, "16"),
    Case("stairs", "".join(f"{' ' * i}a:\n" for i in range(1000)), "too-deep", 17, 17, "16"),
    Case("long-number", "resources:\n  max_workers: " + "9" * 5000, "wrong-type", 2, 16, "whole number"),
    Case("tab", "auth:\n\tenabled: true\n", "yaml-syntax", 2, 1, "spaces"),
    Case("not-utf8", b"auth:\n  enabled: true # \xe9\n", "not-utf8", 2, 19),
    Case("utf16", "auth:\n".encode("utf-16"), "not-utf8", 1, 1, "UTF-16"),
    Case("bom", b"\xef\xbb\xbfauth:\n  enabled: true\n", "not-utf8", 1, 1, "byte order mark"),
    Case("nul", b"auth:\n  enabled: \0\n", "control-character", 2, 12, "NUL"),
    Case("bell", b"auth:\n  enabled: \x07\n", "control-character", 2, 12),
    Case("crlf", b"auth:\r\n  enabled: true\r\n  enabld: 1\r\n", "unknown-key", 3, 3, "enabled"),
    Case("lone-cr", b"auth:\r  enabled: true\r  enabld: 1\r", "unknown-key", 3, 3, "enabled"),
    Case("empty", "", "file-empty"),
    Case("blank", " \n\n", "file-empty"),
    Case("comments", "# a\n# b\n", "file-empty"),
    Case("dashes-only", "---\n", "file-empty"),
    Case("a-text", "hello\n", "wrong-type", 1, 1),
    Case("a-list", "- a\n", "wrong-type", 1, 1),
    Case("over-8-mb", "auth:\n" + "#" * (8 << 20), "file-too-large", 0, 0, "8192 KiB"),
]
# Within the limits of size, and as dear as they get.
DEAR = [
    Case("60000-keys", keys(60_000), "unknown-key", 1, 1),
    Case("300000-keys", keys(300_000), "too-many-keys", 200_001, 1, "200000"),
    Case("twice-100000-times", "auth: {}\n" + "a: 1\n" * 100_000, "duplicate-key", 3, 1),
    Case("permissions", person("permissions:", *each(190_000, "  p{}: true")), "unknown-permission", 6, 9),
    Case("bad-permissions", person("permissions:", *each(190_000, "  p{}: 1")), "wrong-type", 6, 13),
    Case("roles", person("roles:", *each(190_000, "- r{}")), "unknown-role", 6, 9),
    Case(
        "people",
        "auth:\n  api_keys:\n" + "\n".join(each(40_000, "    u{0}: {{hash: {0:064x}}}")),
        "",
        status=0,
    ),
    Case("lists", "auth: [" + "[]," * 2_600_000 + "]", "too-many-keys", 1, 600_008),
    Case("empty-lines", "auth:\n  enabld: true\n" + "\n" * 8_000_000, "unknown-key", 2, 3),
    Case("short-lines", "auth:\n  enabld: true\n" + "#a\n" * 2_700_000, "unknown-key", 2, 3),
    Case("folded", "base_path: >\n" + " a\n" * 2_600_000 + "x: 1\n", "unknown-key", 2_600_002, 1),
    Case("long-text", 'x: 1\nbase_path: "' + "a" * 8_000_000 + '"\n', "unknown-key", 1, 1),
    Case("references", 'base_path: "' + "${A}" * 1_900_000 + '"\n', "env-unset", 1, 12),
    Case("one-long-line", "auth: {" + ", ".join(each(1500, "ke{}: 1")) + "}", "unknown-key", 1, 8),
    Case("longer-line", "auth: {" + ", ".join(each(150_000, "ke{}: 1")) + "}", "unknown-key", 1, 8),
    Case("open-quotes", person("permissions:", *each(20_000, "  password{}: '\n")), "wrong-type", 6, 20),
    Case("slip-below-much", "auth:\n" + "# comment\n" * 700_000 + "  enabled true\n x: [", "yaml-syntax"),
    Case("slip-below-nothing", "auth:\n" + "\n" * 8_000_000 + "  enabled true\n x: [", "yaml-syntax"),
    Case("slip-behind-blanks", "auth:\n  enabled" + " " * 1_000_000 + "true\n  x: [", "yaml-syntax"),
    Case("slip-among-quotes", "auth:\n" + "  ' \"\n" * 100_000, "yaml-syntax"),
    Case("slip-in-one-line-of-quotes", "auth: " + "'a\" " * 100_000, "yaml-syntax"),
    Case("slip-in-short-lines-of-quotes", "auth:\n" + ("'a\" " * 100 + "\n") * 10_000, "yaml-syntax"),
    Case(
        "slip-in-lines-of-blanks",
        "auth:\n" + ("  a" + " " * 490 + "\n") * 10_000 + "b: c: d\n",
        "yaml-syntax",
    ),
    Case("slip-in-lists", "auth:\n" + ("- - - - - - - - - a b c = { [\n") * 10_000, "wrong-type"),
    Case("slip-in-escapes", "auth:\n" + '  "' + "\\n" * 200 + "\n" * 10_000 + '\\q"\n', "yaml-syntax"),
    Case(
        "secrets-everywhere",
        "redis:\n" + "\n".join(each(20_000, "  password: [\n\n\n ' a' ]")),
        "duplicate-key",
        6,
        3,
    ),
]
TOML = [
    Case("dotted", ".".join("a" * 20_000) + " = 1", "too-deep", 1, 1),
    Case("dotted-header", "[" + ".".join("a" * 20_000) + "]", "too-deep", 1, 2),
    Case("dotted-quoted", ".".join(["'a'"] * 20_000) + " = 1", "too-deep", 1, 1),
    Case("long-number", "[server]\nworker_port = " + "9" * 5000, "toml-syntax", 2, 15, "number"),
    Case("big-number", "[server]\nworker_port = " + "9" * 40, "wrong-type", 2, 15),
    Case("hex-number", "[server]\nworker_port = 0x" + "f" * 200_000, "wrong-type", 2, 15),
    Case("arrays", "[server]\nworker_host = " + "[" * 50_000, "too-deep", 2, 15),
    Case("closed-arrays", "[server]\nworker_host = " + "[" * 300 + "]" * 300, "too-deep", 2, 15),
    Case("tables", "a = " + "{b = " * 20_000, "too-deep", 1, 5),
    Case("twice", "[server]\nworker_port = 1\nworker_port = 2\n", "toml-syntax", 3, 0),
    Case("headers", "".join(each(11_000, "[a{}.b.c.d.e.f]\nx=1\n")), "unknown-key"),
    Case("long-word", '[server]\nworker_hst = "' + "a" * 250_000 + '"\n', "unknown-key", 2, 1, "worker_host"),
    Case("long-bare-word", "[server]\n" + "a" * 250_000 + " = 1\n", "unknown-key", 2, 1),
    Case("words", "a " * 120_000, "toml-syntax", 1, 0),
    Case("quotes", '"' * 250_000, "toml-syntax", 1, 0),
    Case("over-256-kb", "#" * (257 << 10), "file-too-large", 0, 0, "256 KiB"),
    Case("slip-in-a-long-line", "a = '" + "b' " * 80_000 + "\n", "toml-syntax"),
    Case("slip-in-long-lines", ("a = [" + "' " * 200 + "\n") * 600, "toml-syntax"),
    Case("slip-below-much", "# a\n" * 60_000 + "a = [\n", "toml-syntax"),
    Case("nothing", "# a\n", "", status=0),
    Case("empty", "", "file-empty"),
    Case("crlf", b"[server]\r\nworker_port = 'x'\r\n", "wrong-type", 2, 15),
    Case("lone-cr", b"[server]\rworker_port = 1\r", "toml-syntax", 1, 0),
    Case("not-utf8", b"[server]\n# \xe9\n", "not-utf8", 2, 3),
    Case("bom", b"\xef\xbb\xbf[server]\n", "not-utf8", 1, 1),
    Case("nul", b"[server]\n# \0\n", "control-character", 2, 3),
]


def ml_validate(path, cwd, *words, start=START, prefix=()):
    """What ``ml config validate`` says of *path*, called in the folder *cwd*."""
    env = {"HOME": str(cwd), "PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "LANG": "C.UTF-8"}
    argv = [sys.executable, "-c", start, "config", "validate", *words, str(path)]
    return run_measured(argv, env, cwd, prefix=prefix)


def assert_clear(done, case, path):
    """The answer has its status, names the place, and came soon and in little memory."""
    told = (
        f"{done.status} after {done.cpu_s:.2f} s, {done.memory >> 20} MB\n{done.out[:3000]}{done.err[:3000]}"
    )
    assert done.status == case.status, told
    assert "Traceback" not in done.out + done.err, told
    assert (done.out + done.err).replace("\n", "").isprintable(), told
    assert case.code in done.out, told
    assert case.word in done.out, told
    if case.column:
        assert f"{path}:{case.line}:{case.column}\n" in done.out, told
    elif case.line:
        assert f"{path}:{case.line}:" in done.out, told
    assert done.cpu_s < MOST_CPU_S or done.cpu_s < MOST_CPU_S * slowness(), told
    assert done.memory < MOST_MEMORY, told


def slowness():
    """How many times slower than an idle one the machine is just now: two busy threads of a core share it."""
    work = "d = {}\nfor i in range(1_000_000): d[str(i)] = [i]"
    done = run_measured([sys.executable, "-I", "-S", "-c", work], {}, ROOT)
    return done.cpu_s / YARDSTICK_S


def name_of(case):
    """Its name, for pytest."""
    return case.name


def make(tmp_path, case, name):
    """Write the file of *case*, and return its path."""
    path = tmp_path / name
    path.write_bytes(case.data if isinstance(case.data, bytes) else case.data.encode())
    return path


@BOTH
@pytest.mark.parametrize("case", YAML, ids=name_of)
def test_yaml(tmp_path, case, parser):
    """A hostile or careless YAML file gets one clear line with its place, whichever parser PyYAML has."""
    path = make(tmp_path, case, "server.yaml")

    assert_clear(ml_validate(path, tmp_path, start=parser), case, path)


@pytest.mark.parametrize("case", DEAR, ids=name_of)
def test_dear_yaml(tmp_path, case):
    """What is as big as the limits allow stays within the promised time and memory."""
    path = make(tmp_path, case, "server.yaml")

    assert_clear(ml_validate(path, tmp_path), case, path)


@pytest.mark.parametrize("case", DEAR, ids=name_of)
def test_dear_yaml_for_the_pure_parser(tmp_path, case):
    """Without a compiled parser what would take long is refused by its size; what is read stays within the promise."""
    path = make(tmp_path, case, "server.yaml")
    done = ml_validate(path, tmp_path, start=PURE)
    refused = case._replace(code="file-too-large", line=0, column=0, word="2048 KiB", status=INVALID)
    many = case._replace(code="too-many-keys", line=0, column=0, word="50000", status=INVALID)
    expected = refused if len(case.data) > 2 << 20 else many if "too-many-keys" in done.out else case

    assert_clear(done, expected, path)


@pytest.mark.parametrize("case", TOML, ids=name_of)
def test_toml(tmp_path, case):
    """So does a TOML file."""
    path = make(tmp_path, case, "config.toml")

    assert_clear(ml_validate(path, tmp_path), case, path)


def nothing_there(path):
    """Make nothing."""


def sparse(path):
    """Make a file of a gigabyte that takes no room."""
    with path.open("wb") as file:
        file.truncate(1 << 30)


def listening(path):
    """Make a socket."""
    with socket.socket(socket.AF_UNIX) as server:
        os.chdir(path.parent)  # a socket's path is short
        server.bind(path.name)


@pytest.mark.parametrize(
    ("make_it", "code"),
    [
        (nothing_there, "file-missing"),
        (Path.mkdir, "not-a-file"),
        (os.mkfifo, "not-a-file"),
        (listening, "file-unreadable"),
        (sparse, "file-too-large"),
        (lambda path: path.symlink_to(path.name), "file-unreadable"),
        (lambda path: path.symlink_to("nowhere"), "file-missing"),
        (lambda path: path.symlink_to("/dev/zero"), "not-a-file"),
        (lambda path: path.symlink_to("/dev/full"), "not-a-file"),
        (lambda path: path.symlink_to("/dev/null"), "not-a-file"),
        (lambda path: path.symlink_to("/proc/self/environ"), "control-character"),
        (lambda path: path.symlink_to("/proc/self/mem"), "file-unreadable"),
        (lambda path: path.symlink_to("/proc/self/pagemap"), "file-"),
        (lambda path: path.symlink_to("/proc/self/status"), ""),
    ],
    ids=[
        *("missing", "directory", "fifo", "socket", "1-gb", "loop", "dead-link", "zero", "full", "null"),
        *("environ", "mem", "pagemap", "status"),
    ],
)
def test_what_is_no_ordinary_file(tmp_path, monkeypatch, make_it, code):
    """Whatever a name stands for, nothing waits and one line says what it is."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "server.yaml"
    make_it(path)

    assert_clear(ml_validate(path, tmp_path), Case("", "", code), path)


def test_a_file_that_may_not_be_read(tmp_path):
    """A file of another account is one line that names it."""
    path = tmp_path / "server.yaml"
    path.write_text("auth:\n")
    path.chmod(0)
    done = ml_validate(path, tmp_path, prefix=without_override())

    assert_clear(done, Case("", "", "file-unreadable", word="Permission denied"), path)


def test_a_folder_that_may_not_be_entered(tmp_path):
    """So is a file in a folder of another account."""
    folder = tmp_path / "closed"
    folder.mkdir()
    (folder / "server.yaml").write_text("auth:\n")
    folder.chmod(0)
    try:
        done = ml_validate(folder / "server.yaml", tmp_path, prefix=without_override())
    finally:
        folder.chmod(0o700)

    assert_clear(done, Case("", "", "file-unreadable", word="Permission denied"), folder)


def test_a_file_that_grows(tmp_path):
    """A file that somebody writes to is read once, and no more of it than the limit."""
    path = tmp_path / "server.yaml"
    path.write_text("auth:\n  enabld: true\n")
    stop = threading.Event()

    def grow():
        with path.open("a") as file:
            while not stop.is_set() and file.tell() < 64 << 20:
                file.write("# more\n" * 20_000)
                file.flush()

    writer = threading.Thread(target=grow)
    writer.start()
    try:
        done = ml_validate(path, tmp_path)
    finally:
        stop.set()
        writer.join()

    assert_clear(
        done, Case("", "", "file-too-large" if "file-too-large" in done.out else "unknown-key"), path
    )


@pytest.mark.parametrize(
    "name", ["a\nb.yaml", "\x1b[2J\x1b]0;x\x07.yaml", "a\rb.yaml", "\u202eb.yaml", "-x.yaml"]
)
@pytest.mark.parametrize("words", [(), ("--json",)])
def test_names_of_files(tmp_path, name, words):
    """The name of a file cannot attack a terminal, whatever it is."""
    path = tmp_path / name
    path.write_text("auth:\n  enabld: true\n")
    done = ml_validate(path, tmp_path, *words)

    assert_clear(done, Case("", "", "unknown-key"), "")
    assert len(done.err.splitlines()) <= 1


def test_a_name_that_is_no_text(tmp_path):
    """A name that is not UTF-8 is shown spelt out."""
    path = os.fsdecode(os.fsencode(tmp_path) + b"/\xff.yaml")
    Path(path).write_text("auth:\n  enabld: true\n")

    assert_clear(ml_validate(path, tmp_path), Case("", "", "unknown-key"), "")
    assert_clear(ml_validate(path, tmp_path, "--json"), Case("", "", "unknown-key"), "")
