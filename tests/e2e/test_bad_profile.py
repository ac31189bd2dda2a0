"""Profiles that are missing or wrong: the file, the line and the word that was meant."""

from __future__ import annotations

from tests.e2e.said import no_jobs, refused, script


def test_profile_that_is_missing(ml):
    """A profile nobody wrote: its path, and those that exist."""
    ml.home.profile("", "lab")
    ml.home.profile("", "box1")

    refused(
        ml,
        5,
        ["status", "--profile", "lba"],
        """
        error: profile-missing: there is no profile lba
          context  <home>/.ml/config-lba.toml
          hint     profiles: box1, lab
        """,
        home=ml.home.path,
    )


def test_no_profile_at_all(ml):
    """Where there is none, the message says where one would be."""
    refused(
        ml,
        5,
        ["status", "--profile", "lab"],
        """
        error: profile-missing: there is no profile lab
          context  <home>/.ml/config-lab.toml
          hint     there are no profiles in <home>/.ml
        """,
        home=ml.home.path,
    )


def test_profile_name_that_is_a_path(ml):
    """A profile is a name, never a path to somewhere."""
    refused(
        ml,
        2,
        ["status", "--profile", "../../etc/passwd"],
        """
        error: bad-profile-name: a profile's name has letters, digits, - and _ only
          context  '../../etc/passwd'
          hint     there are no profiles in <home>/.ml
        """,
        home=ml.home.path,
    )


def test_unknown_key(ml):
    """A key that does not exist is refused with the file, the line, and the key that was meant."""
    ml.home.profile('[server]\nworker_hots = "box"\n')
    script(ml, "print(1)")

    refused(
        ml,
        3,
        ["submit", "job"],
        """
        error: config-invalid: <home>/.ml/config.toml:2:1: unknown key 'worker_hots' in server
          hint     did you mean worker_host? (ml config validate <home>/.ml/config.toml shows the line)
        """,
        home=ml.home.path,
    )


def test_several_mistakes(ml):
    """Several mistakes are told at once, each with its line, in no more than four lines."""
    ml.home.profile(
        '[server]\nworker_port = "22"\nworker_user = 3\n[cli]\ndefault_timeout = "soon"\ncolor = 1\n'
    )

    refused(
        ml,
        3,
        ["status"],
        """
        error: config-invalid: <home>/.ml/config.toml:2:15: server.worker_port: expected a whole number from 1 to 65535, got '22'
          context  <home>/.ml/config.toml:3:15: server.worker_user: expected a text, got 3
                   <home>/.ml/config.toml:5:19: cli.default_timeout: expected a whole number from 1 up, got 'soon'
          hint     ml config validate <home>/.ml/config.toml shows all 4 problems
        """,
        home=ml.home.path,
    )


def test_no_toml(ml):
    """A file that is no TOML says where it stops being one."""
    ml.home.profile("[server]\nworker_host = box1\n")

    refused(
        ml,
        3,
        ["status"],
        """
        error: config-invalid: <home>/.ml/config.toml:2:15: a text without quotes
          hint     put it in quotes: worker_host = "…" (ml config validate <home>/.ml/config.toml shows the line)
        """,
        home=ml.home.path,
    )


def test_port_that_is_none(ml):
    """A port outside 1 to 65535 is refused when the profile is read."""
    ml.home.profile('[server]\nworker_host = "box"\nworker_port = 70000\n')

    refused(
        ml,
        3,
        ["status"],
        """
        error: config-invalid: <home>/.ml/config.toml:3:15: server.worker_port: expected a whole number from 1 to 65535, got 70000
          hint     write 65535, the greatest (ml config validate <home>/.ml/config.toml shows the line)
        """,
        home=ml.home.path,
    )


def test_host_that_is_an_option(ml):
    """A host that looks like an option of ssh never reaches ssh."""
    ml.home.profile('[server]\nworker_host = "-oProxyCommand=touch x"\n')

    refused(
        ml,
        3,
        ["status"],
        """
        error: config-invalid: <home>/.ml/config.toml:2:15: server.worker_host: '-oProxyCommand=touch x' is no host name
          hint     write the host alone, as in: ssh HOST (ml config validate <home>/.ml/config.toml shows the line)
        """,
        home=ml.home.path,
    )


def test_cli_config_to_nowhere(ml):
    """CLI_CONFIG that names no file is an error, never the embedded default in its place."""
    refused(
        ml,
        5,
        ["status"],
        """
        error: profile-missing: CLI_CONFIG names a file that does not exist
          context  /nowhere/config.toml
          hint     unset CLI_CONFIG; there are no profiles in <home>/.ml
        """,
        run={"env": {"CLI_CONFIG": "/nowhere/config.toml"}},
        home=ml.home.path,
    )
    no_jobs(ml)


def test_secret_is_not_shown(ml):
    """A mistake beside the API key is told without the key."""
    ml.home.profile('[auth]\napi_key = "topsecret0123456789"\napi_kye = "topsecret9876543210"\n')

    done = ml.fails(3, "status")

    assert "topsecret" not in done.stderr
    assert "api_kye" in done.stderr
