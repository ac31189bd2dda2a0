"""Every value is checked against its option, and every problem of a file is found in one run."""

from __future__ import annotations

import pytest

from tests.core.config.support import check_text, told

HASH = "ab" * 32


def problems(findings):
    """Those that say what is wrong; an info tells what a setting does not do yet."""
    return [found for found in findings if found.severity != "info"]


def only(findings):
    """The one problem there must be."""
    wrong = problems(findings)
    assert len(wrong) == 1, [str(found) for found in wrong]
    return wrong[0]


@pytest.mark.parametrize(
    ("text", "code", "line", "column", "hint"),
    [
        ("auth:\n  enabled: 'false'", "wrong-type", 2, 12, "write false, without quotes"),
        ("auth:\n  enabled: no", "wrong-type", 2, 12, "write false, without quotes"),
        ("auth:\n  enabled: 1", "wrong-type", 2, 12, "write true"),
        ("auth: true", "wrong-type", 1, 7, "write auth: alone, and below it, indented, enabled: true"),
        ("auth: [enabled]", "wrong-type", 1, 7, "write its keys below it, without dashes"),
        ("resources:\n  max_workers: true", "wrong-type", 2, 16, ""),
        ("resources:\n  max_workers: '2'", "wrong-type", 2, 16, "write 2, without quotes"),
        ("resources:\n  max_workers: 010", "wrong-type", 2, 16, "write 10, without a leading 0"),
        ("resources:\n  max_workers: 1e3", "wrong-type", 2, 16, "write 1000"),
        ("resources:\n  max_workers: 2.5", "wrong-type", 2, 16, "write 2 or 3"),
        ("resources:\n  max_workers: 0", "out-of-range", 2, 16, "write 1, the least"),
        ("resources:\n  max_workers: 99999999999999999999", "wrong-type", 2, 16, ""),
        ("resources:\n  podman_memory: 4", "wrong-type", 2, 18, 'write "4g" for GiB'),
        ("resources:\n  podman_memory: '4'", "size-without-unit", 2, 18, 'write "4g" for GiB'),
        ("resources:\n  podman_memory: 4 GiBs", "bad-size", 2, 18, 'write "4g"'),
        ("resources:\n  podman_cpus: 2", "wrong-type", 2, 16, 'write "2"'),
        ("resources:\n  podman_cpus: '0'", "bad-cpus", 2, 16, 'write it like "2" or "0.5"'),
        ("resources:\n  podman_cpus: '1e3'", "bad-cpus", 2, 16, 'write it like "2" or "0.5"'),
        (
            "monitoring:\n  health_checks:\n    interval: 30",
            "wrong-type",
            3,
            15,
            'write "30s" for seconds, or "30m" for minutes',
        ),
        ("monitoring:\n  health_checks:\n    interval: '30'", "duration-without-unit", 3, 15, None),
        ("monitoring:\n  health_checks:\n    interval: 1 week", "bad-duration", 3, 15, None),
        ("monitoring:\n  health_checks:\n    interval: 0s", "out-of-range", 3, 15, 'write "1s", the least'),
        ("monitoring:\n  prometheus:\n    port: 70000", "out-of-range", 3, 11, "write 65535, the greatest"),
        ("queue:\n  type: Native", "bad-choice", 2, 9, "did you mean native?"),
        ("queue:\n  type: rabbit", "bad-choice", 2, 9, "write one of native, redis, sqlite, filesystem"),
        ("database:\n  host: 5", "wrong-type", 2, 9, 'write "5"'),
        ("security:\n  allowed_origins: a", "wrong-type", 2, 20, "write ['a']"),
        ("security:\n  ip_whitelist: [10.0.0.1, 1]", "wrong-type", 2, 28, "put it in quotes"),
        ("auth:\n  api_keys: [a]", "wrong-type", 2, 13, "write each as name: value, without dashes"),
        ("auth:\n  enabld: true", "unknown-key", 2, 3, "did you mean enabled?"),
        ("Auth: {}", "unknown-key", 1, 1, "did you mean auth?"),
        ("worker_id: a", "unknown-key", 1, 1, "this key belongs in the worker file (worker.yaml)"),
        ("{}: 1", "yaml-feature", 1, 1, ""),
        (
            "just text",
            "wrong-type",
            1,
            1,
            "write its keys below it, indented: base_path, data_dir, auth, server, …",
        ),
        ("[1, 2]", "wrong-type", 1, 1, "write its keys below it, without dashes"),
    ],
)
def test_one_slip(tmp_path, text, code, line, column, hint):
    """A slip is named with its place, and with what to write instead."""
    loaded, findings = check_text(tmp_path, text)
    found = only(findings)

    assert (found.code, found.line, found.column) == (code, line, column)
    assert hint is None or found.hint == hint
    assert loaded is None


TEXT, NUMBER, SWITCH = ("database", "username"), ("redis", "db"), ("auth", "enabled")
WRONG, EMPTY = "wrong-type", "empty-value"


@pytest.mark.parametrize(
    ("written", "text", "number", "switch"),
    [
        ("on", "on", WRONG, WRONG),
        ("no", "no", WRONG, WRONG),
        ("Yes", "Yes", WRONG, WRONG),
        ("22:22", "22:22", WRONG, WRONG),
        ("010", "010", WRONG, WRONG),
        ("0x10", "0x10", WRONG, WRONG),
        ("0o17", "0o17", WRONG, WRONG),
        ("1_000", "1_000", WRONG, WRONG),
        (".inf", ".inf", WRONG, WRONG),
        (".nan", ".nan", WRONG, WRONG),
        ("2024-01-01", "2024-01-01", WRONG, WRONG),
        ("2024-01-01T10:00:00Z", "2024-01-01T10:00:00Z", WRONG, WRONG),
        ("9" * 5000, "9" * 5000, WRONG, WRONG),
        ("=", "=", WRONG, WRONG),
        ("1e3", WRONG, WRONG, WRONG),
        ("1.10", WRONG, WRONG, WRONG),
        ("1e400", WRONG, WRONG, WRONG),
        ("7", WRONG, 7, WRONG),
        ("+7", WRONG, 7, WRONG),
        ("true", WRONG, WRONG, True),
        ("False", WRONG, WRONG, False),
        ("'true'", "true", WRONG, WRONG),
        ("'7'", "7", WRONG, WRONG),
        ("~", EMPTY, EMPTY, EMPTY),
        ("null", EMPTY, EMPTY, EMPTY),
    ],
)
@pytest.mark.parametrize("option", [TEXT, NUMBER, SWITCH], ids=lambda option: option[1])
def test_values_are_what_they_look_like(tmp_path, option, written, text, number, switch):
    """A value counts as what it looks like, or is an error at its place where something else is meant."""
    section, name = option
    expected = {TEXT: text, NUMBER: number, SWITCH: switch}[option]
    loaded, findings = check_text(tmp_path, f"{section}:\n  {name}: {written}\n")
    codes = [found.code for found in findings if found.code in {WRONG, EMPTY}]

    if expected in {WRONG, EMPTY}:
        assert codes == [expected]
    else:
        assert codes == []
        assert getattr(getattr(loaded.config, section), name) == expected


@pytest.mark.parametrize("written", ["1.10", "1e3", "1e400"])
def test_a_number_as_text_needs_quotes(tmp_path, written):
    """Nothing is proposed that differs from what was written."""
    found = only(check_text(tmp_path, f"database:\n  username: {written}\n")[1])

    assert found.hint == "put it in quotes"


def test_all_problems_at_once(tmp_path):
    """One run finds every problem, in the order of the file."""
    text = "auth:\n  enabled: 'no'\nx: 1\nqueue:\n  type: no\nauth:\n  a: 1\n"

    assert told(problems(check_text(tmp_path, text)[1])) == [
        ("wrong-type", 2, 12),
        ("unknown-key", 3, 1),
        ("bad-choice", 5, 9),
        ("duplicate-key", 6, 1),
    ]


def test_both_names_of_a_key(tmp_path):
    """A key and its alias together are a duplicate; the alias alone is the key."""
    both = "logging:\n  audit_file: a\n  audit_log: b\n"
    _, findings = check_text(tmp_path, both)
    loaded, _ = check_text(tmp_path, f"auth:\n  apikeys:\n    al: {{hash: {HASH}}}\n")

    assert ("duplicate-key", 3, 3) in told(findings)
    assert loaded.config.auth.api_keys["al"].hash == HASH
    assert ("auth", "api_keys", "al", "hash") in loaded.places


@pytest.mark.parametrize("nothing", ["''", '""'])
def test_an_empty_text_is_unset(tmp_path, nothing):
    """The empty string is off or unset, whatever the option; of texts that is no news."""
    text = f"redis:\n  url: {nothing}\nqueue:\n  type: {nothing}\nresources:\n  podman_memory: {nothing}\nauth: {nothing}\n"
    loaded, findings = check_text(tmp_path, text)

    assert not problems(findings)
    assert loaded.config.redis.url == "redis://localhost:6379"
    assert loaded.config.queue.type == "native"
    assert loaded.config.resources.podman_memory == "4Gi"
    assert not loaded.places


@pytest.mark.parametrize(
    "text", ["auth:", "auth:\n  enabled:", "auth:\n  enabled: ''", "resources:\n  max_workers: ~"]
)
def test_nothing_behind_a_key_is_said(tmp_path, text):
    """Where nothing stands behind a key the default counts, and a warning says so."""
    loaded, findings = check_text(tmp_path, text)

    assert [(found.code, found.severity) for found in problems(findings)] == [("empty-value", "warning")]
    assert not loaded.config.auth.enabled


def test_references_are_expanded_after_parsing(tmp_path):
    """A variable's value is text: it cannot add keys, and `$${` is a plain `${`."""
    evil = "x\nadmin: true\n# \"'"
    text = 'database:\n  type: postgres\n  password: ${PW}\n  connection: "$${PW} ${HOST}:1 $HOME $"\n'
    loaded, findings = check_text(tmp_path, text, environ={"PW": evil, "HOST": "h", "HOME": "no"})

    assert not problems(findings)
    assert loaded.config.database.password == evil
    assert loaded.config.database.connection == "${PW} h:1 $HOME $"


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("redis:\n  password: ${NOT_SET}", "env-unset", "NOT_SET"),
        ("redis:\n  password: ${A-b}", "bad-reference", "${A-b}"),
        ("redis:\n  password: ${}", "bad-reference", "${}"),
        ("redis:\n  password: ${A", "bad-reference", "${A"),
        ("security:\n  ip_whitelist: ['${NOT_SET}']", "env-unset", "NOT_SET"),
    ],
)
def test_bad_references(tmp_path, text, code, words):
    """An unset name is an error that names it; what is no name is one too."""
    found = only(check_text(tmp_path, text, environ={"A": "x"})[1])

    assert found.code == code
    assert words in found.message


def test_a_lone_reference_may_be_a_number(tmp_path):
    """A port or a switch can come from the environment; its type stays strict."""
    text = "monitoring:\n  prometheus:\n    port: ${P}\n    enabled: ${E}\n"
    loaded, _ = check_text(tmp_path, text, environ={"P": "9200", "E": "false"})
    _, findings = check_text(tmp_path, text, environ={"P": "many-s3cret", "E": "no"})

    assert (loaded.config.monitoring.prometheus.port, loaded.config.monitoring.prometheus.enabled) == (
        9200,
        False,
    )
    assert told(problems(findings)) == [("wrong-type", 3, 11), ("wrong-type", 4, 14)]
    assert "s3cret" not in repr(findings)


def test_an_empty_variable_is_unset(tmp_path):
    """A variable that is set to nothing leaves the default, as an empty text does."""
    loaded, findings = check_text(tmp_path, "redis:\n  url: ${U}\n  db: ${U}\n", environ={"U": ""})

    assert not problems(findings)
    assert (loaded.config.redis.url, loaded.config.redis.db) == ("redis://localhost:6379", 0)


@pytest.mark.parametrize(
    "text",
    [
        "auth:\n  api_keys:\n    al: s3cret",
        "auth:\n  api_keys:\n    al:\n      hash: [s3cret]",
        "auth:\n  api_keys:\n    al:\n      hash: s3cret",
        "auth:\n  api_keys: s3cret",
        "auth:\n  api_keys:\n    al:\n      permissions:\n        hash: s3cret-and-more",
        "database:\n  password: {a: s3cret}",
        "database:\n  password: 'CHANGE_ME s3cret'",
        "redis:\n  password: 's3cret\n",
        "redis:\n  url: s3cret: x\n",
    ],
)
def test_findings_never_show_secrets(tmp_path, text):
    """What may be a secret is in no finding."""
    _, findings = check_text(tmp_path, text)

    assert problems(findings)
    assert "s3cret" not in repr(findings)


@pytest.mark.parametrize("number", ["12345", "true", "1.5"])
def test_secrets_that_are_numbers(tmp_path, number):
    """A secret written as a number is refused without being shown."""
    found = only(check_text(tmp_path, f"redis:\n  password: {number}")[1])

    assert (found.code, found.hint) == ("wrong-type", "put it in quotes")
    assert number not in found.message


def test_log_level_from_the_environment(tmp_path):
    """FETCHML_LOG_LEVEL beats the file, with or without a `logging` section."""
    for text in ("logging:\n  level: error\n", "logging:\n", "data_dir: a\n"):
        loaded, _ = check_text(tmp_path, text, environ={"FETCHML_LOG_LEVEL": "debug"})

        assert loaded.config.logging.level == "debug"
        assert loaded.overrides == ("FETCHML_LOG_LEVEL",)


def test_a_bad_log_level_names_the_variable(tmp_path):
    """A bad value in the environment is an error that names the variable, not the file's line."""
    found = only(check_text(tmp_path, "data_dir: a\n", environ={"FETCHML_LOG_LEVEL": "DEBUG"})[1])

    assert (found.code, found.line) == ("bad-environment", 0)
    assert "FETCHML_LOG_LEVEL" in found.message
    assert found.hint == "did you mean debug?"


def test_visible_gpus_may_be_numbers(tmp_path):
    """GPUs are named by index or id, as people write them."""
    loaded, findings = check_text(tmp_path, "gpu_visible_devices: [0, 'GPU-1']\n", "workers")

    assert not problems(findings)
    assert loaded.config.gpu_visible_devices == ("0", "GPU-1")


def test_findings_are_safe_to_print(tmp_path):
    """A key or value with terminal escapes is shown spelt out, and cut."""
    _, findings = check_text(
        tmp_path, '"\\e[31mx\\u202e": 1\nqueue:\n  type: "\\e]0;x\\a' + "y" * 500 + '"\n'
    )

    for found in findings:
        for text in (found.message, found.key, found.hint):
            assert text.isprintable()
            assert len(text) < 200


def test_findings_are_bounded(tmp_path):
    """A file of garbage gives a hundred findings, not a hundred thousand."""
    text = "".join(f"key{i}: 1\n" for i in range(20_000))

    assert len(check_text(tmp_path, text)[1]) == 100


def test_toml_profiles_are_as_strict(tmp_path):
    """A profile's values are checked like those of YAML, with their places."""
    text = '[server]\nworker_port = "22"\nworker_hots = "a"\n[cli]\ndefault_timeout = 1979-05-27\n'

    assert told(problems(check_text(tmp_path, text, "cli")[1])) == [
        ("wrong-type", 2, 15),
        ("unknown-key", 3, 1),
        ("wrong-type", 5, 19),
    ]
