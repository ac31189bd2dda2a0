"""What is made of the user's SSH configuration."""

from pathlib import Path

import pytest

from fetchml_cli.transport.homes import Homes
from fetchml_cli.transport.resolve import build, resolve, split_hop
from fetchml_cli.transport.resolve_paramiko import ask_paramiko
from fetchml_cli.transport.target import Target
from fetchml_core.errors import ConfigError

CONFIG = """\
Host box1
  HostName 192.0.2.7
  Port 2200
  User alice
  IdentityFile ~/.ssh/work key
  IdentityFile %d/%r-%n-%h
  IdentitiesOnly yes
  IdentityAgent ~/agent
  UserKnownHostsFile ~/.ssh/kh ~/.ssh/kh2
  HostKeyAlias lab-box
  ConnectTimeout 7
  StrictHostKeyChecking no
Host piped
  ProxyCommand exec nc --proxy "my proxy" %h %p
Host hopped
  ProxyJump bob@first:2201,second
"""


@pytest.fixture
def home(home):
    """A home folder with a configuration."""
    (home.ssh / "config").write_text(CONFIG.replace("~/.ssh/work key", '"~/.ssh/work key"'), "utf-8")
    return home


def test_everything(home, environ):
    """Each option that we honour arrives, with ~ taken as $HOME and tokens expanded."""
    found = resolve(Target("box1"), environ=environ, timeout=10)

    assert (found.host, found.port, found.user) == ("192.0.2.7", 2200, "alice")
    assert found.identities == (home.ssh / "work key", home.path / "alice-box1-192.0.2.7")
    assert found.identities_only
    assert found.agent == str(home.path / "agent")
    assert found.known_hosts[:2] == (home.ssh / "kh", home.ssh / "kh2")
    assert (found.key_name, found.key_port) == ("lab-box", 22)
    assert found.connect_timeout == 7
    assert found.notes == ("StrictHostKeyChecking is always yes here",)


def test_profile_wins(home, environ):
    """User and port of the profile win over the configuration."""
    found = resolve(Target("box1", "carol", 2), environ=environ, timeout=10)

    assert (found.user, found.port) == ("carol", 2)


def test_defaults(home, environ):
    """A host that is not in the configuration has OpenSSH's defaults."""
    found = resolve(Target("192.0.2.9", "dave"), environ={**environ, "SSH_AUTH_SOCK": "/sock"}, timeout=10)

    assert (found.port, found.agent, found.proxy, found.connect_timeout) == (22, "/sock", (), None)
    assert home.ssh / "id_ed25519" in found.identities
    assert found.known_hosts[0] == home.known_hosts
    assert Path("/etc/ssh/ssh_known_hosts") in found.known_hosts


def test_proxy_command(home, environ):
    """A ProxyCommand becomes an argument list; a shell never sees it."""
    assert resolve(Target("piped"), environ=environ, timeout=10).proxy == (
        "nc",
        "--proxy",
        "my proxy",
        "piped",
        "22",
    )


def test_proxy_jump(home, environ):
    """A chain of hops: OpenSSH goes to the last by way of the others, and asks nothing."""
    argv = resolve(Target("hopped"), environ=environ, timeout=10).proxy

    assert argv[0].endswith("ssh")
    assert argv[1:3] == ("-F", str(home.ssh / "config"))
    assert argv[3:] == ("-o", "BatchMode=yes", "-J", "bob@first:2201", "-W", "[hopped]:22", "--", "second")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("hop", ("", "hop", 0)),
        ("me@hop:22", ("me", "hop", 22)),
        ("ssh://me@hop:2201", ("me", "hop", 2201)),
        ("[::1]:2201", ("", "::1", 2201)),
        ("me@[fe80::1]", ("me", "fe80::1", 0)),
    ],
)
def test_hop(text, parts):
    """The forms of a jump host."""
    assert split_hop(text) == parts


def test_without_ssh_program(home, environ, tmp_path):
    """Where no ssh is installed paramiko reads the configuration, and a note says what that misses."""
    found = resolve(Target("box1"), environ={**environ, "PATH": str(tmp_path)}, timeout=10)

    assert (found.host, found.port, found.user) == ("192.0.2.7", 2200, "alice")
    assert found.identities == (home.ssh / "work key", home.path / "alice-box1-192.0.2.7")
    assert "no ssh program" in found.notes[0]


def test_fallback_has_the_defaults(home, environ):
    """The fallback knows the usual names of keys and known_hosts files."""
    homes = Homes(home.path, home.path)
    found = build(
        ask_paramiko(Target("other", "me"), homes), Target("other", "me"), homes=homes, environ=environ
    )

    assert home.known_hosts in found.known_hosts
    assert home.ssh / "id_ed25519" in found.identities


def test_hostile_host_name_of_the_configuration(home, environ):
    """A HostName with shell characters in it, perhaps from a shared file, is refused."""
    settings = {"hostname": ["$(touch x)"]}
    with pytest.raises(ConfigError) as caught:
        build(settings, Target("box1", "me"), homes=Homes(home.path, home.path), environ=environ)
    assert caught.value.code == "bad-host"


def test_revoked_host_keys_are_not_ignored(home, environ):
    """RevokedHostKeys, which we cannot read, is an error and not a silent hole."""
    (home.ssh / "config").write_text("RevokedHostKeys /etc/ssh/revoked\n", "ascii")
    with pytest.raises(ConfigError) as caught:
        resolve(Target("box1"), environ=environ, timeout=10)
    assert caught.value.code == "ssh-option-unsupported"


def test_home_of_the_account(tmp_path):
    """What ssh made of ~ by the account database is taken back to $HOME; other paths stay."""
    homes = Homes(Path("/tmp/h"), Path("/root"))

    assert homes.path("~/.ssh/x") == Path("/tmp/h/.ssh/x")
    assert homes.path("/root/.ssh/x") == Path("/tmp/h/.ssh/x")
    assert homes.path("/etc/x") == Path("/etc/x")
