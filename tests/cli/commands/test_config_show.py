"""``ml config show``."""

from __future__ import annotations

import json

import pytest

from fetchml_core.config.findings import Report
from fetchml_core.config.kinds import kind_named
from fetchml_core.config.load import parse
from fetchml_core.config.option import walk
from tests.cli.support import fake_cli, run_in
from tests.core.config.support import SAMPLES

HASH = "0123456789abcdef" * 4
API = f"""\
auth:
  enabled: true
  api_keys:
    alice:
      hash: {HASH}
      admin: true
logging:
  level: warn
  file: ${{LOGS}}/a.log
redis:
  url: redis://:hunter2@redis:6379/0
security:
  production_mode: false
  ip_whitelist: [10.0.0.0/8]
"""


def show(home, *words, **settings):
    """Run the command."""
    return run_in(fake_cli(home, **settings), "config", "show", *words)


@pytest.fixture
def api(tmp_path):
    """A folder with an api file."""
    (tmp_path / "server.yaml").write_text(API, "utf-8")
    return tmp_path


def test_it_shows_what_the_file_says_with_secrets_masked(api):
    """Nothing else: no default, and references as they stand there."""
    ran = show(api, "server.yaml", LOGS="/logs")

    assert ran.status == 0
    assert ran.out == (
        "auth:\n"
        "  enabled: true\n"
        "  api_keys:\n"
        "    alice:\n"
        '      hash: "***"\n'
        "      admin: true\n"
        "\n"
        "security:\n"
        "  production_mode: false\n"
        '  ip_whitelist: ["10.0.0.0/8"]  # (not active yet)\n'
        "\n"
        "redis:\n"
        '  url: "redis://:***@redis:6379/0"\n'
        "\n"
        "logging:\n"
        '  level: "warn"\n'
        '  file: "${LOGS}/a.log"\n'
    )


def test_effective_shows_every_option_and_what_counts(api):
    """Defaults, what references stand for, and what the environment overrides."""
    ran = show(api, "server.yaml", "--effective", LOGS="/logs", FETCHML_LOG_LEVEL="debug")

    assert '  file: "/logs/a.log"\n' in ran.out
    assert '  level: "debug"\n' in ran.out
    assert '  address: ":9101"\n' in ran.out
    assert "hunter2" not in ran.out
    assert HASH not in ran.out
    for key, _ in walk(kind_named("api").cls):
        if "*" not in key:
            assert f"{key[-1]}:" in ran.out


def test_origin_tells_line_variable_environment_and_default(api):
    """Behind each value, as a comment."""
    ran = show(api, "server.yaml", "--effective", "--origin", LOGS="/logs", FETCHML_LOG_LEVEL="debug")
    told = {line.split(":")[0].strip(): line.partition("  # ")[2] for line in ran.out.splitlines()}

    assert told["hash"] == "server.yaml:5"
    assert told["file"] == "server.yaml:9 via ${LOGS}"
    assert told["level"] == "environment FETCHML_LOG_LEVEL"
    assert told["audit_file"] == "default"


def test_origin_of_what_the_file_says_names_what_overrides_it(api):
    """The value is the file's, and it does not count."""
    ran = show(api, "server.yaml", "--origin", LOGS="/logs", FETCHML_LOG_LEVEL="debug")

    (line,) = [line for line in ran.out.splitlines() if "level:" in line]
    assert '"warn"' in line
    assert line.endswith("# server.yaml:8, overridden by environment FETCHML_LOG_LEVEL")


def test_an_option_without_a_value_is_shown_as_unset(api):
    """A number that has no default is a comment: a file cannot say it."""
    ran = show(api, "server.yaml", "--effective", LOGS="/logs")

    assert "#   requests_per_sec: unset\n" in ran.out


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_every_sample_is_shown_in_its_own_syntax(tmp_path, path):
    """What comes out can be read by the same parser, comments and all."""
    ran = show(tmp_path, str(path), "--effective", "--origin", REDIS_PASSWORD="hunter2")
    report = Report("")

    parse(ran.out, report, toml=path.suffix == ".toml")

    assert (ran.status, ran.err) == (0, "")
    assert report.sorted() == ()
    assert "hunter2" not in ran.out
    assert "CHANGE_ME" not in ran.out


def test_without_a_file_it_is_the_profile_in_use(tmp_path):
    """--profile, then CLI_CONFIG, then ~/.ml/config.toml."""
    (tmp_path / ".ml").mkdir()
    (tmp_path / ".ml/config.toml").write_text('[server]\nworker_host = "one"\n', "utf-8")
    (tmp_path / ".ml/config-lab.toml").write_text('[server]\nworker_host = "lab"\n', "utf-8")
    (tmp_path / "named").write_text('[server]\nworker_host = "named"\n', "utf-8")
    named = str(tmp_path / "named")

    assert show(tmp_path).out == '[server]\nworker_host = "one"\n'
    assert 'worker_host = "named"' in show(tmp_path, CLI_CONFIG=named).out
    assert 'worker_host = "lab"' in show(tmp_path, "--profile", "lab", CLI_CONFIG=named).out


def test_without_a_profile_it_is_the_embedded_default(tmp_path):
    """Said on stderr; what counts can be seen."""
    ran = show(tmp_path)

    assert (ran.status, ran.out) == (0, "")
    assert "there is no profile: jobs run on this machine" in ran.err
    assert "default_timeout = 30\n" in show(tmp_path, "--effective").out


def test_a_file_with_errors_is_refused_with_the_first_of_them(tmp_path):
    """Status 3, and the command that tells all."""
    (tmp_path / "server.yaml").write_text("auth:\n  enabeld: true\n  enabled: 1\n", "utf-8")

    ran = show(tmp_path, "server.yaml")

    assert (ran.status, ran.out) == (3, "")
    assert "server.yaml:2:3: unknown key 'enabeld' in auth" in ran.err
    assert "server.yaml:3:12: " in ran.err
    assert "  hint     ml config validate server.yaml\n" in ran.err


@pytest.mark.parametrize(
    ("words", "status", "code"),
    [
        (("nothing.yaml",), 5, "file-missing"),
        (("--profile", "nobody"), 5, "profile-missing"),
        (("server.yaml", "--profile", "lab"), 2, "usage"),
        (("server.yaml", "--kind", "gateway"), 2, "unknown-kind"),
        (("--kind", "api"), 2, "missing-argument"),
        ((".",), 3, "config-invalid"),
    ],
)
def test_mistakes(api, words, status, code):
    """Each with its status and code."""
    ran = show(api, *words)

    assert (ran.status, ran.out) == (status, "")
    assert f"error: {code}: " in ran.err


def test_kind_can_be_said_where_nothing_tells(tmp_path):
    """A name and keys that fit several kinds."""
    (tmp_path / "x").write_text("logging:\n  level: info\n", "utf-8")

    assert show(tmp_path, "x").status == 3
    assert show(tmp_path, "x", "--kind", "worker").out == 'logging:\n  level: "info"\n'


def test_json_has_value_origin_and_what_the_file_says(api):
    """For scripts: secrets are masked there too."""
    told = json.loads(show(api, "server.yaml", "--json", LOGS="/logs").out)
    options = {one["key"]: one for one in told["options"]}

    assert (told["file"], told["kind"]) == ("server.yaml", "api")
    assert options["auth.api_keys.alice.hash"]["value"] == "***"
    assert options["logging.file"] | {"written": "", "value": ""} == {
        "key": "logging.file",
        "value": "",
        "written": "",
        "origin": "file",
        "file": "server.yaml",
        "line": 9,
        "variables": ["LOGS"],
        "secret": False,
        "active": True,
    }
    assert "server.address" not in options
    everything = json.loads(show(api, "server.yaml", "--json", "--effective", LOGS="/logs").out)
    assert "server.address" in {one["key"] for one in everything["options"]}


def test_values_cannot_harm_a_terminal(tmp_path):
    """What a file holds is shown, never obeyed."""
    (tmp_path / "worker.yaml").write_text('train_script: "a\\u202eb.py"\n', "utf-8")

    ran = show(tmp_path, "worker.yaml", tty=True)

    assert ran.status == 0, ran.err
    assert ran.out == 'train_script: "a\\u202eb.py"\n'
