"""Files are found by their names; only a file that is really absent counts as absent."""

from __future__ import annotations

import subprocess
import sys

import pytest

from fetchml_core.config.find import find_profile, find_server_file, find_worker_file, list_profiles
from fetchml_core.errors import ConfigError, InputError, NotFoundError


def test_server_file_in_the_base(tmp_path):
    """The api file is `server.yaml` in the base; none there, and no base either, is none."""
    assert find_server_file(tmp_path, {}) is None
    assert find_server_file(tmp_path / "none", {}) is None
    (tmp_path / "server.yaml").touch()

    assert find_server_file(tmp_path, {}) == tmp_path / "server.yaml"
    assert find_server_file(tmp_path, {"FETCHML_CONFIG": ""}) == tmp_path / "server.yaml"


def test_server_file_by_variable(tmp_path):
    """FETCHML_CONFIG names another file, from the base when relative; a missing one is an error."""
    (tmp_path / "server.yaml").touch()
    (tmp_path / "other.yaml").touch()

    assert find_server_file(tmp_path, {"FETCHML_CONFIG": "other.yaml"}) == tmp_path / "other.yaml"
    assert (
        find_server_file(tmp_path, {"FETCHML_CONFIG": str(tmp_path / "other.yaml")})
        == tmp_path / "other.yaml"
    )
    with pytest.raises(ConfigError) as caught:
        find_server_file(tmp_path, {"FETCHML_CONFIG": "none.yaml"})
    assert caught.value.code == "config-missing"


@pytest.mark.parametrize("name", ["server.yml", "server.toml", "server.json", "Server.yaml", "SERVER.YML"])
def test_a_misnamed_api_file_is_not_absent(tmp_path, name):
    """A file that was meant to be the api file must not leave auth off."""
    (tmp_path / name).touch()
    with pytest.raises(ConfigError) as caught:
        find_server_file(tmp_path, {})

    assert (caught.value.code, caught.value.context) == ("config-misnamed", str(tmp_path / name))


def test_a_dead_link_is_not_absent(tmp_path):
    """A link to nowhere is handed to the loader, which refuses it."""
    (tmp_path / "server.yaml").symlink_to("nowhere")
    (tmp_path / "server.yml").touch()

    assert find_server_file(tmp_path, {}) == tmp_path / "server.yaml"


def test_a_base_that_cannot_be_read_is_not_empty(tmp_path):
    """A base that cannot be listed is an error, not a base without an api file."""
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(ConfigError) as caught:
        find_server_file(tmp_path / "loop", {})

    assert caught.value.code == "config-unreadable"


def test_worker_file(tmp_path):
    """The worker file is what was typed, else `worker.yaml` in the base."""
    assert find_worker_file(tmp_path, None) is None
    (tmp_path / "worker.yml").touch()
    with pytest.raises(ConfigError):
        find_worker_file(tmp_path, None)
    (tmp_path / "worker.yaml").touch()

    assert find_worker_file(tmp_path, None) == tmp_path / "worker.yaml"
    assert find_worker_file(tmp_path, tmp_path / "worker.yml") == tmp_path / "worker.yml"
    with pytest.raises(ConfigError) as caught:
        find_worker_file(tmp_path, str(tmp_path / "none"))
    assert caught.value.code == "config-missing"


@pytest.fixture
def home(tmp_path):
    """A home with two profiles and no default one."""
    (tmp_path / ".ml").mkdir()
    for name in ("config-admin.toml", "config-box1.toml", "config-.toml", "config-a b.toml", "other.toml"):
        (tmp_path / ".ml" / name).touch()
    return tmp_path


def test_profiles(home):
    """--profile beats CLI_CONFIG, which beats the default file; no file at all is the embedded default."""
    admin = home / ".ml" / "config-admin.toml"

    assert find_profile(home, {}, None) is None
    assert find_profile(home / "none", {}, "") is None
    assert find_profile(home, {"CLI_CONFIG": ""}, None) is None
    assert find_profile(home, {}, "admin") == admin
    assert find_profile(home, {"CLI_CONFIG": "~/.ml/config-box1.toml"}, "admin") == admin
    assert find_profile(home, {"CLI_CONFIG": str(admin)}, None) == admin
    assert find_profile(home, {"CLI_CONFIG": "~/.ml/config-admin.toml"}, None) == admin
    (home / ".ml" / "config.toml").touch()
    assert find_profile(home, {}, None) == home / ".ml" / "config.toml"


def test_a_dead_link_is_no_embedded_default(home):
    """A profile that is a link to nowhere is handed to the loader, which refuses it; it does not mean this machine."""
    (home / ".ml" / "config.toml").symlink_to("nowhere")

    assert find_profile(home, {}, None) == home / ".ml" / "config.toml"


@pytest.mark.parametrize(("environ", "name"), [({}, "nobody"), ({"CLI_CONFIG": "/none/x.toml"}, None)])
def test_a_missing_profile_lists_those_that_exist(home, environ, name):
    """Whoever names a profile that is not there is told which are."""
    with pytest.raises(NotFoundError) as caught:
        find_profile(home, environ, name)

    assert caught.value.code == "profile-missing"
    assert "admin, box1" in caught.value.hint


def test_a_missing_profile_without_others(tmp_path):
    """With no profile at all the hint names the folder."""
    with pytest.raises(NotFoundError) as caught:
        find_profile(tmp_path, {}, "a")

    assert str(tmp_path / ".ml") in caught.value.hint


@pytest.mark.parametrize("name", ["../x", "a/b", "a b", ".", "a.b", "\x1b[1m", "ä", "x" * 65, "a\n"])
def test_profile_names(home, name):
    """A profile's name cannot be a path or an escape."""
    with pytest.raises(InputError) as caught:
        find_profile(home, {}, name)

    assert caught.value.code == "bad-profile-name"
    assert str(caught.value).replace("\n", "").isprintable()


def test_list_profiles(home):
    """Only names that --profile takes are listed."""
    assert list_profiles(home / ".ml") == ["admin", "box1"]


def test_looking_for_files_is_cheap():
    """Neither finding a file nor the defaults import a parser or a converter."""
    code = (
        "import sys, pathlib\n"
        "import fetchml_core.config.find\n"
        "assert not {'yaml', 'cattrs', 'fetchml_core.config.option'} & set(sys.modules)\n"
        "from fetchml_core.config.load import load_profile, load_server, load_worker\n"
        "from fetchml_core.config.resolve import resolve_queue\n"
        "resolve_queue(load_server(None, {}), load_worker(None, {}), pathlib.Path('/b'))\n"
        "print(*sorted({'yaml', 'cattrs', 'tomllib', 'durationpy', 'difflib'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == ""
