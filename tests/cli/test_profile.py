"""What the keys of a profile do."""

from __future__ import annotations

from fetchml_cli.commands.common import load_profile
from tests.cli.support import fake_cli, ml


def write(home, text):
    """Write the default profile."""
    (home / ".ml").mkdir(exist_ok=True)
    (home / ".ml" / "config.toml").write_text(text)
    (home / ".ml" / "config.toml").chmod(0o600)


def test_port_that_is_not_written_is_left_to_ssh(tmp_path):
    """The default of worker_port must not overrule a Port in ~/.ssh/config; a written one does."""
    write(tmp_path, '[server]\nworker_host = "box1"\n')
    assert load_profile(fake_cli(tmp_path)).server.worker_port == 0

    write(tmp_path, '[server]\nworker_host = "box1"\nworker_port = 22\n')
    assert load_profile(fake_cli(tmp_path)).server.worker_port == 22


def test_api_key_is_kept_out_of_reports(tmp_path):
    """From the moment it is read the key counts as a secret."""
    write(tmp_path, '[auth]\napi_key = "open sesame"\n')
    cli = fake_cli(tmp_path)
    load_profile(cli)

    assert "open sesame" in cli.secrets


def test_verbose_says_what_was_reached(tmp_path):
    """With cli.verbose each command names host, user and transport on stderr."""
    write(tmp_path, "[cli]\nverbose = true\n")
    loud = ml(tmp_path, "status").stderr.decode()
    write(tmp_path, "[cli]\nverbose = false\n")
    quiet = ml(tmp_path, "status").stderr.decode()

    assert "as local (local, agent" in loud
    assert "as local" not in quiet
