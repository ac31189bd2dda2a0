"""``ml config validate``: every problem at once, for a person and for a script, with the statuses 0 and 3."""

from __future__ import annotations

import json
import os
import re

import pytest

from tests.cli.support import fake_cli, ml, run_in
from tests.core.config.support import CONFIGS

WRONG = "auth:\n  enabled: 'true'\nlogging:\n  levl: info\n"
WARNED = "logging:\n  level:\n"
RIGHT = "auth:\n  enabled: false\n"


@pytest.fixture
def check(tmp_path):
    """Run the command in a folder; keywords are files there, or (upper case) the environment."""

    def run(*argv, tty=False, colour=False, files=None, **environ):
        for name, text in (files or {}).items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
            path.chmod(0o600)
        return run_in(fake_cli(tmp_path, tty=tty, colour=colour, **environ), "config", "validate", *argv)

    return run


def test_every_problem_with_its_line_and_fix(check):
    """Findings are the data: they stand on stdout, with the name as it was typed, and the status is 3."""
    ran = check("server.yaml", files={"server.yaml": WRONG})

    assert (ran.status, ran.err) == (3, "")
    assert ran.out == (
        "error: wrong-type: auth.enabled: expected true or false, got 'true'\n"
        " --> server.yaml:2:12\n"
        "  |\n"
        "2 |   enabled: 'true'\n"
        "  |            ^^^^^^\n"
        "  fix  write true, without quotes\n"
        "\n"
        "error: unknown-key: unknown key 'levl' in logging\n"
        " --> server.yaml:4:3\n"
        "  |\n"
        "4 |   levl: info\n"
        "  |   ^^^^\n"
        "  fix  did you mean level?\n"
        "\n"
        "server.yaml: api file (from its keys): 2 errors\n"
    )


def test_a_right_file(check):
    """A file without problems is one line and status 0."""
    ran = check("server.yaml", files={"server.yaml": RIGHT})

    assert (ran.status, ran.out, ran.err) == (0, "server.yaml: api file (from its keys): ok\n", "")


@pytest.mark.parametrize(("text", "plain", "strict"), [(RIGHT, 0, 0), (WARNED, 0, 3), (WRONG, 3, 3)])
def test_strict(check, text, plain, strict):
    """Warnings exit 3 with --strict alone; errors always."""
    assert check("server.yaml", files={"server.yaml": text}).status == plain
    assert check("server.yaml", "--strict").status == strict


def test_infos_are_never_strict(check):
    """What is not active yet is no reason to refuse a file."""
    ran = check("server.yaml", "--strict", files={"server.yaml": "data_dir: a\n"})

    assert ran.status == 0
    assert ran.out.startswith("info: not-active-yet: data_dir is not active yet")


def test_several_files(check):
    """All files are reported, and the worst status wins."""
    ran = check("a.yaml", "b.yaml", files={"a.yaml": WRONG, "b.yaml": RIGHT})

    assert ran.status == 3
    assert [line for line in ran.out.splitlines() if "file (" in line] == [
        "a.yaml: api file (from its keys): 2 errors",
        "b.yaml: api file (from its keys): ok",
    ]


def test_relative_paths_are_taken_from_the_base(check):
    """A file named server.yaml lies in its base: what it names is looked for there."""
    text = "server:\n  tls: {enabled: true, cert_file: cert.pem, key_file: none.pem}\n"
    ran = check("sub/server.yaml", files={"sub/server.yaml": text, "sub/cert.pem": "no certificate"})

    assert "is no PEM certificate" in ran.out
    assert "does not exist" in ran.out


def test_the_kind_can_be_said(check):
    """--kind decides where keys and name do not; another word is status 2."""
    files = {"x.yaml": "logging:\n  level: info\n"}

    assert check("x.yaml", files=files).status == 3
    assert check("x.yaml", "--kind", "worker").out == "x.yaml: worker file (as you said): ok\n"
    assert check("x.yaml", "--kind", "cluster").status == 2


def test_json(check):
    """One object: every field of every finding, with the sums."""
    ran = check("server.yaml", "--json", files={"server.yaml": "data_dir: a\ndata_dir: b\n"})
    said = json.loads(ran.out)
    (file,) = said["files"]

    assert ran.status == 3
    assert (said["schema"], said["errors"], said["warnings"]) == (1, 1, 0)
    assert (file["file"], file["kind"], file["reason"]) == (
        "server.yaml",
        "api",
        "from its name, server.yaml",
    )
    assert file["findings"][1]["severity"] == "error"
    assert file["findings"][1] == {
        "code": "duplicate-key",
        "severity": "error",
        "message": "'data_dir' stands here and in line 1",
        "file": "server.yaml",
        "line": 2,
        "column": 1,
        "key": "'data_dir'",
        "expected": "each key once",
        "hint": "keep one of lines 1 and 2",
        "blocks_start": False,
        "also": [{"line": 1, "column": 1}],
    }


def test_a_legacy_file_shows_the_yaml_it_becomes(check):
    """The deprecated TOML worker file is answered with YAML, its secrets masked, for people and for scripts."""
    text = 'worker_id = "box"\nredis_password = "s3cret"\n[metrics]\nenabled = false\n'
    ran = check("worker.toml", files={"worker.toml": text})
    said = json.loads(check("worker.toml", "--json").out)

    assert 'as YAML:\n  worker_id: "box"\n  redis_password: ***\n' in ran.out
    assert said["files"][0]["replacement"].startswith('worker_id: "box"\nredis_password: ***\n')
    assert "s3cret" not in ran.out + json.dumps(said)


def test_no_secret_is_shown(check):
    """Neither text nor JSON shows the value of a secret, whatever is wrong with its line."""
    files = {"server.yaml": "redis:\n  password: 's3cret\n", "b.yaml": "redis:\n  pasword: s3cret\n  db: x\n"}
    ran, said = check("server.yaml", "b.yaml", files=files), check("server.yaml", "b.yaml", "--json")

    assert ran.status == 3
    assert "s3cret" not in ran.out + ran.err + said.out


def test_colour_is_for_terminals(check):
    """On a terminal severities and marks are coloured; in a pipe and without colour the text is the same, plain."""
    files = {"server.yaml": WRONG}
    plain, bare, painted = (
        check("server.yaml", files=files),
        check("server.yaml", tty=True),
        check("server.yaml", tty=True, colour=True),
    )

    assert plain.out == bare.out == re.sub(r"\x1b\[[0-9;]*m", "", painted.out)
    assert "\x1b[1;31merror\x1b[0m: wrong-type" in painted.out
    assert "\x1b[1;31m^^^^^^\x1b[0m\n" in painted.out


def test_what_is_no_file(check, tmp_path):
    """Missing file, directory, FIFO, unreadable link: one clear line each, status 3, and nothing waits."""
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "loop").symlink_to("loop")
    said = {name: check(name) for name in ("none.yaml", ".", "fifo", "loop", "fifo/x")}

    assert {ran.status for ran in said.values()} == {3}
    assert {name: ran.out.splitlines()[0] for name, ran in said.items()} == {
        "none.yaml": "error: file-missing: there is no such file",
        ".": "error: not-a-file: this is a directory",
        "fifo": "error: not-a-file: this is no regular file",
        "loop": "error: file-unreadable: cannot be read: Too many levels of symbolic links",
        "fifo/x": "error: file-missing: there is no such file",
    }
    assert {ran.err for ran in said.values()} == {""}


def test_a_name_that_harms_a_terminal(check):
    """A file's name is shown spelt out."""
    ran = check("a\x1b[2J.yaml", files={"a\x1b[2J.yaml": WRONG})

    assert "\x1b" not in ran.out
    assert "a\\x1b[2J.yaml: api file" in ran.out


def test_without_files_and_without_configuration(check, tmp_path):
    """Where there is no file the defaults count, and the command that writes one is named."""
    ran = check()

    assert (ran.status, ran.out) == (0, "")
    assert ran.err.splitlines() == [
        f"there is no {name} in {folder}: the defaults count (ml config init {kind} writes one)"
        for name, folder, kind in (
            ("config.toml", tmp_path / ".ml", "profile"),
            ("server.yaml", tmp_path / ".ml/local", "api"),
            ("worker.yaml", tmp_path / ".ml/local", "worker"),
        )
    ]


def test_without_files_those_in_use_are_checked(check, tmp_path):
    """The profile, and where it means this machine the api file and the worker file of its base."""
    base = tmp_path / "base"
    files = {
        ".ml/config.toml": f'[server]\nworker_base = "{base}"\n',
        "base/server.yaml": RIGHT,
        "base/worker.yaml": "max_workers: none\n",
    }
    ran = check(files=files)

    assert ran.status == 3
    assert [line for line in ran.out.splitlines() if "in use here" in line] == [
        f"{tmp_path}/.ml/config.toml: profile file (in use here): ok",
        f"{base}/server.yaml: api file (in use here): ok",
        f"{base}/worker.yaml: worker file (in use here): 1 error",
    ]


def test_one_kind_of_those_in_use(check, tmp_path):
    """--kind without a file checks that kind alone."""
    files = {".ml/config.toml": "[server]\n", ".ml/local/worker.yaml": "max_workers: 2\n"}
    ran = check("--kind", "worker", files=files)

    assert ran.out == f"{tmp_path}/.ml/local/worker.yaml: worker file (in use here): ok\n"
    assert ran.err == ""


def test_fetchml_config_counts(check, tmp_path):
    """The api file that FETCHML_CONFIG names is the one in use."""
    ran = check("--kind", "api", files={"lab.yaml": WRONG}, FETCHML_CONFIG=str(tmp_path / "lab.yaml"))

    assert ran.status == 3
    assert ran.out.endswith("lab.yaml: api file (in use here): 2 errors\n")


def test_files_of_another_machine_are_not_looked_for(check, tmp_path):
    """Where the profile means another machine, its files lie there, and the command to type there is named."""
    files = {".ml/config.toml": '[server]\nworker_host = "box1"\n', ".ml/local/server.yaml": WRONG}
    ran = check(files=files)

    assert ran.status == 0
    assert ran.out == f"{tmp_path}/.ml/config.toml: profile file (in use here): ok\n"
    assert "ml worker status tells whether they have errors" in ran.err


def test_a_misnamed_file_is_a_finding(check):
    """server.yml in the base is said like any other problem, and the rest is checked all the same."""
    ran = check(files={".ml/local/server.yml": RIGHT, ".ml/local/worker.yaml": "max_workers: 2\n"})

    assert ran.status == 3
    assert "error: config-misnamed: the file must be named server.yaml" in ran.out
    assert "worker.yaml: worker file (in use here): ok" in ran.out


def test_a_profile_by_name(check, tmp_path):
    """--profile picks the profile; one that does not exist is status 5."""
    files = {".ml/config-lab.toml": '[server]\nworker_host = "lab"\n'}

    assert "config-lab.toml: profile file" in check("--profile", "lab", files=files).out
    assert check("--profile", "none").status == 5


def test_a_yaml_profile_is_refused(check):
    """A profile is TOML: the same keys as YAML are told so."""
    ran = check("config.yaml", files={"config.yaml": "server:\n  worker_host: a\ncli:\n  verbose: true\n"})

    assert "error: wrong-format: the profile is TOML, this is YAML" in ran.out


def test_a_bad_variable_does_not_stop_it(check):
    """A FETCH_ML_* variable without a legal value is a finding of the worker file, and no end of the command."""
    ran = check(
        "worker.yaml",
        "server.yaml",
        files={"worker.yaml": "max_workers: 2\n", "server.yaml": RIGHT},
        FETCH_ML_TOTAL_CPU="many",
    )

    assert "FETCH_ML_TOTAL_CPU" in ran.out
    assert ran.out.endswith("server.yaml: api file (from its keys): ok\n")


def test_the_shipped_file_in_a_process_of_its_own(tmp_path):
    """`ml config validate` of the shipped prod file: its missing TLS files alone are errors."""
    done = ml(tmp_path, "config", "validate", str(CONFIGS / "api/prod.yaml"))
    errors = [line for line in done.stdout.decode().splitlines() if line.startswith("error")]

    assert done.returncode == 3
    assert [line.split(": ")[1] for line in errors] == ["tls-file-unusable", "tls-file-unusable"]
    assert done.stderr == b""
