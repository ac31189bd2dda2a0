"""Every value is checked against its option, and every problem of a file is found in one run."""

from __future__ import annotations

import pytest

from tests.core.config.support import check_text, told

HASH = "ab" * 32


def only(findings):
    """The one finding there must be."""
    assert len(findings) == 1, [str(found) for found in findings]
    return findings[0]


@pytest.mark.parametrize(
    ("text", "code", "line", "column", "hint"),
    [
        ("auth:\n  enabled: 'false'", "wrong-type", 2, 12, "write false, without quotes"),
        ("auth:\n  enabled: no", "wrong-type", 2, 12, "write false, without quotes"),
        ("auth:\n  enabled: 1", "wrong-type", 2, 12, ""),
        ("auth: true", "wrong-type", 1, 7, ""),
        ("auth: [enabled]", "wrong-type", 1, 7, ""),
        ("resources:\n  max_workers: true", "wrong-type", 2, 16, ""),
        ("resources:\n  max_workers: '2'", "wrong-type", 2, 16, "write 2, without quotes"),
        ("resources:\n  max_workers: 010", "wrong-type", 2, 16, "write 10, without a leading 0"),
        ("resources:\n  max_workers: 1e3", "wrong-type", 2, 16, "write 1000"),
        ("resources:\n  max_workers: 2.5", "wrong-type", 2, 16, ""),
        ("resources:\n  max_workers: 0", "out-of-range", 2, 16, ""),
        ("resources:\n  max_workers: 99999999999999999999", "wrong-type", 2, 16, ""),
        ("resources:\n  podman_memory: 4", "wrong-type", 2, 18, 'write "4m"'),
        ("resources:\n  podman_memory: '4'", "size-without-unit", 2, 18, "write 4m or 4g"),
        ("resources:\n  podman_memory: 4 GiBs", "bad-size", 2, 18, "write it like 512m, 4Gi or 16g"),
        ("resources:\n  podman_cpus: 2", "wrong-type", 2, 16, 'write "2"'),
        ("resources:\n  podman_cpus: '0'", "bad-cpus", 2, 16, 'write it like "2" or "0.5"'),
        ("resources:\n  podman_cpus: '1e3'", "bad-cpus", 2, 16, 'write it like "2" or "0.5"'),
        ("monitoring:\n  health_checks:\n    interval: 30", "wrong-type", 3, 15, 'write "30s"'),
        ("monitoring:\n  health_checks:\n    interval: '30'", "duration-without-unit", 3, 15, None),
        ("monitoring:\n  health_checks:\n    interval: 1 week", "bad-duration", 3, 15, None),
        ("monitoring:\n  health_checks:\n    interval: 0s", "out-of-range", 3, 15, ""),
        ("monitoring:\n  prometheus:\n    port: 70000", "out-of-range", 3, 11, ""),
        ("queue:\n  type: Native", "bad-choice", 2, 9, "did you mean native?"),
        ("queue:\n  type: rabbit", "bad-choice", 2, 9, "known: native, redis, sqlite, filesystem"),
        ("database:\n  host: 5", "wrong-type", 2, 9, 'write "5"'),
        ("security:\n  allowed_origins: a", "wrong-type", 2, 20, "write ['a']"),
        ("security:\n  ip_whitelist: [a, 1]", "wrong-type", 2, 21, "put it in quotes"),
        ("auth:\n  api_keys: [a]", "wrong-type", 2, 13, ""),
        ("auth:\n  enabld: true", "unknown-key", 2, 3, "did you mean enabled?"),
        ("Auth: {}", "unknown-key", 1, 1, "did you mean auth?"),
        ("worker_id: a", "unknown-key", 1, 1, "this key belongs in the worker file (worker.yaml)"),
        ("{}: 1", "yaml-feature", 1, 1, ""),
        ("just text", "wrong-type", 1, 1, ""),
        ("[1, 2]", "wrong-type", 1, 1, ""),
    ],
)
def test_one_slip(tmp_path, text, code, line, column, hint):
    """A slip is named with its place, and with what to write instead."""
    loaded, findings = check_text(tmp_path, text)
    found = only(findings)

    assert (found.code, found.line, found.column) == (code, line, column)
    assert hint is None or found.hint == hint
    assert loaded is None


def test_all_problems_at_once(tmp_path):
    """One run finds every problem, in the order of the file."""
    text = "auth:\n  enabled: 'no'\nx: 1\nqueue:\n  type: no\nauth:\n  a: 1\n"

    assert told(check_text(tmp_path, text)[1]) == [
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

    assert not findings
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

    assert [(found.code, found.severity) for found in findings] == [("empty-value", "warning")]
    assert not loaded.config.auth.enabled


def test_references_are_expanded_after_parsing(tmp_path):
    """A variable's value is text: it cannot add keys, and `$${` is a plain `${`."""
    evil = "x\nadmin: true\n# \"'"
    text = 'redis:\n  password: ${PW}\n  addr: "$${PW} ${HOST}:1 $HOME $"\n'
    loaded, findings = check_text(tmp_path, text, environ={"PW": evil, "HOST": "h", "HOME": "no"})

    assert not findings
    assert loaded.config.redis.password == evil
    assert loaded.config.redis.addr == "${PW} h:1 $HOME $"


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
    assert told(findings) == [("wrong-type", 3, 11), ("wrong-type", 4, 14)]
    assert "s3cret" not in repr(findings)


def test_an_empty_variable_is_unset(tmp_path):
    """A variable that is set to nothing leaves the default, as an empty text does."""
    loaded, findings = check_text(tmp_path, "redis:\n  url: ${U}\n  db: ${U}\n", environ={"U": ""})

    assert not findings
    assert (loaded.config.redis.url, loaded.config.redis.db) == ("redis://localhost:6379", 0)


@pytest.mark.parametrize(
    "text",
    [
        "auth:\n  api_keys:\n    al: s3cret",
        "auth:\n  api_keys:\n    al:\n      hash: [s3cret]",
        "auth:\n  api_keys:\n    al:\n      hash: s3cret",
        "auth:\n  api_keys: s3cret",
        "database:\n  password: {a: s3cret}",
        "database:\n  password: 'CHANGE_ME s3cret'",
        "redis:\n  password: 's3cret\n",
        "redis:\n  url: s3cret: x\n",
    ],
)
def test_findings_never_show_secrets(tmp_path, text):
    """What may be a secret is in no finding."""
    _, findings = check_text(tmp_path, text)

    assert findings
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

    assert not findings
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

    assert told(check_text(tmp_path, text, "cli")[1]) == [
        ("wrong-type", 2, 15),
        ("unknown-key", 3, 1),
        ("wrong-type", 5, 19),
    ]
