"""``ml config get``: one value, plain, for a script or a person."""

from __future__ import annotations

import json

import pytest

from tests.cli.support import Ran, fake_cli, run_in

PROFILE = '[server]\nworker_host = "box1"\nworker_port = 2222\n[auth]\napi_key = "s3cret-key"\n[cli]\nverbose = true\n'


@pytest.fixture
def get(tmp_path):
    """Run the command with a profile; returns status, stdout and stderr."""
    folder = tmp_path / ".ml"
    folder.mkdir()
    (folder / "config.toml").write_text(PROFILE, "utf-8")
    (folder / "config-lab.toml").write_text('server.worker_host = "${LAB}"\n', "utf-8")
    for file in folder.iterdir():
        file.chmod(0o600)
    return lambda *argv, tty=False, **environ: run_in(
        fake_cli(tmp_path, tty=tty, **environ), "config", "get", *argv
    )


@pytest.mark.parametrize(
    ("key", "shown"),
    [
        ("server.worker_host", "box1"),
        ("server.worker_port", "2222"),
        ("server.worker_user", ""),
        ("cli.verbose", "true"),
        ("cli.default_timeout", "30"),
        ("auth.api_key", "s3cret-key"),
    ],
)
def test_the_value_that_counts(get, key, shown):
    """Plain text on stdout and nothing else; where the profile is silent the default."""
    assert get(key) == Ran(0, f"{shown}\n", "")


def test_a_terminal_does_not_show_a_secret(get):
    """It stays in scroll-back and recordings; the way to have it is told."""
    plain, as_json = get("auth.api_key", tty=True), get("auth.api_key", "--json", tty=True)

    assert plain.out == "***\n"
    assert "ml config get auth.api_key > FILE" in plain.err
    assert "s3cret" not in as_json.out + as_json.err
    assert get("auth.api_key", tty=True, CLI_CONFIG="~/.ml/config-lab.toml", LAB="x").out == "\n"


def test_json_keeps_the_type(get):
    """Numbers and bools are what they are."""
    assert json.loads(get("server.worker_port", "--json").out) == {
        "schema": 1,
        "key": "server.worker_port",
        "value": 2222,
    }
    assert json.loads(get("cli.verbose", "--json").out)["value"] is True


def test_another_profile_with_a_reference(get):
    """``${NAME}`` is what it stands for; an unset name is an error of the configuration."""
    assert get("server.worker_host", "--profile", "lab", LAB="box9").out == "box9\n"
    assert get("server.worker_host", "--profile", "lab").status == 3
    assert get("server.worker_host", "--profile", "none").status == 5


@pytest.mark.parametrize(
    ("word", "near"),
    [
        ("server.worker_hots", "server.worker_host"),
        ("worker_host", "server.worker_host"),
        ("api-key", "auth.api_key"),
        ("SERVER.worker_port", "server.worker_port"),
        ("auth.enabled", ""),
        ("x" * 5000, ""),
        ("", ""),
        ("server.__class__", ""),
    ],
)
def test_an_unknown_key_is_five(get, word, near):
    """With the key that was meant, or all of them."""
    ran = get(word)

    assert (ran.status, ran.out) == (5, "")
    assert f"ml config get {near}\n" in ran.err if near else "known: server.worker_host, " in ran.err
    assert len(ran.err) < 600


def test_a_section_names_its_keys(get):
    """A section has no value of its own."""
    ran = get("auth")

    assert (ran.status, ran.out) == (2, "")
    assert "ml config get auth.api_key" in ran.err


def test_without_a_profile_the_defaults_count(tmp_path):
    """And nothing is made."""
    ran = run_in(fake_cli(tmp_path), "config", "get", "server.worker_port")

    assert (ran.status, ran.out) == (0, "22\n")
    assert list(tmp_path.iterdir()) == []
