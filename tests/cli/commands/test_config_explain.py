"""``ml config explain``."""

from __future__ import annotations

import json

import pytest

from fetchml_core.config.environment import VARIABLES
from fetchml_core.config.explain import topics_of
from fetchml_core.config.kinds import all_kinds
from tests.cli.support import fake_cli, run_in


def explain(home, *words, **settings):
    """Run the command."""
    return run_in(fake_cli(home, **settings), "config", "explain", *words)


def test_an_option_is_told_with_all_that_is_known(tmp_path):
    """Type, values, default, unit, variable, reader and an example."""
    ran = explain(tmp_path, "auth.api_keys.alice.hash")

    assert ran.status == 0
    assert ran.out.splitlines()[0] == "auth.api_keys.<user>.hash"
    for word in (
        "SHA-256",
        "the api file (server.yaml)",
        "none: it must be written",
        "identify",
        "      alice:",
    ):
        assert word in ran.out


def test_a_section_lists_its_keys(tmp_path):
    """Each with a line of help."""
    ran = explain(tmp_path, "server.tls")

    assert [line.split()[0] for line in ran.out.splitlines() if "server.tls." in line] == [
        "server.tls.enabled",
        "server.tls.cert_file",
        "server.tls.key_file",
    ]


def test_an_end_that_fits_several_lists_them(tmp_path):
    """Who types max_gpus sees both."""
    ran = explain(tmp_path, "max_gpus")

    assert [line.split("\t")[1] for line in ran.out.splitlines()] == [
        "scheduler.plugin_quota.per_plugin_limits.<plugin>.max_gpus",
        "scheduler.plugin_quota.user_overrides.<user>.max_gpus",
    ]


def test_a_whole_key_names_others_that_end_alike(tmp_path):
    """max_workers is a key, and the end of another one."""
    ran = explain(tmp_path, "max_workers")

    assert ran.out.startswith("max_workers\n")
    assert "see also  resources.max_workers\n" in ran.out


def test_a_key_with_two_meanings_is_told_twice(tmp_path):
    """`auth` is a section of the api file and another one of the profile."""
    ran = explain(tmp_path, "auth")

    assert ran.out.count("\nauth\n") + ran.out.startswith("auth\n") == 2


@pytest.mark.parametrize("name", [variable.name for variable in VARIABLES])
def test_environment_variables_are_explained(tmp_path, name):
    """All of those that we read."""
    ran = explain(tmp_path, name)

    assert ran.status == 0
    assert ran.out.startswith(f"{name}\n")
    assert f"export {name}=" in ran.out


def test_unknown_words_say_what_was_meant(tmp_path):
    """Nothing is printed for the others then; the hint can be typed."""
    ran = explain(tmp_path, "auth.enabled", "auth.api_keys.bob.hsh")

    assert (ran.status, ran.out) == (5, "")
    assert ran.err.splitlines() == [
        "error: unknown-key: there is no such option",
        "  context  auth.api_keys.bob.hsh",
        "  hint     did you mean auth.api_keys.<user>.hash? ml config explain 'auth.api_keys.<user>.hash'",
    ]


def test_without_a_key_everything_is_listed_for_programs(tmp_path):
    """A row for each option of each kind, and for each variable."""
    rows = [line.split("\t") for line in explain(tmp_path).out.splitlines()]

    told = [(row[0], row[1]) for row in rows]
    assert told == [
        *((kind.name, topic.name) for kind in all_kinds() for topic in topics_of(kind)),
        *(("environment", one.name) for one in VARIABLES),
    ]
    assert {len(row) for row in rows} == {5}


def test_without_a_key_people_see_the_tree_of_each_file(tmp_path):
    """Sections are indented, and no line is wider than the terminal."""
    ran = explain(tmp_path, tty=True, width=100)

    for kind in all_kinds():
        assert f"{kind.title} ({kind.file})\n" in ran.out
    assert "\n      <user>.hash " in ran.out
    assert max(map(len, ran.out.splitlines())) <= 100


def test_json_has_options_and_variables(tmp_path):
    """One object; the names are those that were found."""
    told = json.loads(explain(tmp_path, "worker_port", "CLI_CONFIG", "--json").out)

    assert [(one["key"], one["default"]) for one in told["options"]] == [("server.worker_port", 22)]
    assert [one["name"] for one in told["variables"]] == ["CLI_CONFIG"]
    everything = json.loads(explain(tmp_path, "--json").out)
    assert len(everything["variables"]) == len(VARIABLES)
    assert len(everything["options"]) > 100
