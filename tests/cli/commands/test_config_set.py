"""``ml config set``: one option changes, every other byte stays, nothing is lost or revealed."""

from __future__ import annotations

import contextlib
import difflib
import os
import random
import signal
import stat
import subprocess
import sys

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from fetchml_cli.commands.config import profile_file, toml_edit
from fetchml_core.clock import Clock
from fetchml_core.config.toml_loader import MAX_TOML
from fetchml_core.fsio import try_lock
from tests.cli.support import CASES, fake_cli, plain_environ, run_in
from tests.support.require import need

HOST = ("server", "worker_host")
SECRET = "s3cret-key-of-anna"


@pytest.fixture
def folder(tmp_path):
    """The folder of profiles."""
    path = tmp_path / ".ml"
    path.mkdir(mode=0o700)
    return path


@pytest.fixture
def profile(folder):
    """The default profile's file, with a comment and a key."""
    path = folder / "config.toml"
    path.write_text('# mine\n[server]\nworker_host = "box1" # the big one\n', "utf-8")
    path.chmod(0o600)
    return path


@pytest.fixture
def ml_set(tmp_path):
    """Run the command; returns status, stdout and stderr."""
    return lambda *argv, stdin=b"", **environ: run_in(
        fake_cli(tmp_path, stdin=stdin, **environ), "config", "set", *argv
    )


# --- the text ---


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("[server]\nworker_host = 'a'   # keep\n\n# b\n[cli]\n", '[server]\nworker_host = "N"   # keep\n\n# b\n[cli]\n'),
        ('[server]\r\nworker_host = "a" # c\r\n', '[server]\r\nworker_host = "N" # c\r\n'),
        ('[server]\nworker_user = "u" # c\n\n# about auth\n[auth]\n', '[server]\nworker_user = "u" # c\nworker_host = "N"\n\n# about auth\n[auth]\n'),
        ('[auth]\r\napi_key = "k"\r\n', '[auth]\r\napi_key = "k"\r\n\r\n[server]\r\nworker_host = "N"\r\n'),
        ("[server] # c\n[cli]\n", '[server] # c\nworker_host = "N"\n[cli]\n'),
        ('[server]\n\tworker_user = "u"', '[server]\n\tworker_user = "u"\n\tworker_host = "N"\n'),
        ('server.worker_host = "a" # c\ncli.verbose = true\n', 'server.worker_host = "N" # c\ncli.verbose = true\n'),
        ('server.worker_user = "u"\n# c\ncli.verbose = true\n', 'server.worker_user = "u"\nserver.worker_host = "N"\n# c\ncli.verbose = true\n'),
        ('server.worker_user = "u"\ncli.verbose = true\nserver.worker_host = "a"\n', 'server.worker_user = "u"\ncli.verbose = true\nserver.worker_host = "N"\n'),
        ('server = {worker_host = "a", worker_port = 1} # c\n', 'server = {worker_host = "N", worker_port = 1} # c\n'),
        ('server = { worker_user = "u" } # c\n', 'server = { worker_user = "u", worker_host = "N"} # c\n'),
        ("server = {}\n", 'server = {worker_host = "N"}\n'),
        ('[ "server" ]\n"worker_host"  =  "a"\n', '[ "server" ]\n"worker_host"  =  "N"\n'),
        ('[server]\nworker_host = """\na\nb""" # c\nworker_port = 1\n', '[server]\nworker_host = "N" # c\nworker_port = 1\n'),
        ("", '[server]\nworker_host = "N"\n'),
        ("# only this\n", '# only this\n\n[server]\nworker_host = "N"\n'),
    ],
)  # fmt: skip
def test_set_in_every_way_of_toml(old, new):
    """Sections, dotted keys, inline tables, quoted names, other line ends: the rest stays byte for byte."""
    assert toml_edit.set_value(old, HOST, "N") == new


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('# a\n[server]\nworker_host = "a" # b\nworker_port = 1\n', "# a\n[server]\nworker_port = 1\n"),
        ('[server]\r\nworker_host = "a"\r\n[cli]\r\n', "[server]\r\n[cli]\r\n"),
        ('server.worker_host = "a"\ncli.verbose = true\n', "cli.verbose = true\n"),
        ('server = {worker_user = "u", worker_host = "a"} # c\n', 'server = {worker_user = "u" } # c\n'),
        ("[server]\nworker_port = 1\n", "[server]\nworker_port = 1\n"),
        ("[cli]\n", "[cli]\n"),
    ],
)  # fmt: skip
def test_removed_in_every_way_of_toml(old, new):
    """The line goes with its comment; a section stays."""
    assert toml_edit.remove_value(old, HOST) == new


@pytest.mark.parametrize(
    "text", ["server = 1\n", "[[server]]\na = 1\n", "server = [1]\n", "a.b.c.d.e.f.g = 1\n", "#" * (33 << 10)]
)
def test_what_cannot_be_edited_is_an_error(text):
    """A section that is none, or a file that tomlkit would take minutes for."""
    with pytest.raises(toml_edit.EditError):
        toml_edit.set_value(text, HOST, "N")


LINES = st.lists(
    st.one_of(st.just(""), st.just("  "), st.text("# ab='\"[]é", max_size=6).map(lambda text: f"# {text}")),
    max_size=3,
)
VALUES = {
    "worker_host": ['"a"', "'b'", '"""c\nd"""', '"é#" # x'],
    "worker_user": ['"${U}"', "''' '''  # y"],
    "worker_port": ["22", "0x16 # z"],
}


@st.composite
def profiles(draw):
    """A profile in any of the three ways of writing a section, with other sections around it."""
    names = draw(st.lists(st.sampled_from(sorted(VALUES)), unique=True))
    pairs = [(name, draw(st.sampled_from(VALUES[name]))) for name in names]
    other = [*draw(LINES), "[cli]", "verbose = true # v", *draw(LINES)]
    way = draw(st.sampled_from(["dotted", "inline", "table", "none"]))
    if way == "inline":
        flat = ", ".join(f"{name} = {text.partition(' #')[0]}" for name, text in pairs if "\n" not in text)
        lines = [f"server = {{ {flat} }} # s", *other]
    elif way == "dotted":
        lines = [line for name, text in pairs for line in (*draw(LINES), f"server.{name} = {text}")] + other
    elif way == "table":
        inner = [line for name, text in pairs for line in (*draw(LINES), f"  {name} = {text}")]
        mine = ["[server] # s", *inner, *draw(LINES)]
        lines = [*mine, *other] if draw(st.booleans()) else [*other, *mine]
    else:
        lines = other
    text = "\n".join([*draw(LINES), *lines]) + draw(st.sampled_from(["", "\n", "\n\n"]))
    return text.replace("\n", "\r\n") if draw(st.booleans()) and '"""' not in text else text


@settings(max_examples=CASES, deadline=None)
@given(profiles(), st.sampled_from([HOST, ("server", "worker_port"), ("auth", "api_key")]), st.booleans())
def test_other_lines_stay(text, key, remove):
    """Whatever the file looks like, at most its own line changes, and a section's header and one blank line come."""
    new = toml_edit.remove_value(text, key) if remove else toml_edit.set_value(text, key, 77)
    changed = [line for line in difflib.ndiff(text.splitlines(), new.splitlines()) if line[0] in "-+"]
    gone = [line[2:] for line in changed if line[0] == "-" and line[2:].strip()]
    come = [line[2:].strip() for line in changed if line[0] == "+"]

    assert len(come) <= (1 if remove else 3)
    assert not gone or key[1] in gone[0] or gone[0].startswith("server = {")
    assert len(gone) <= 2
    assert all(
        key[1] in line or line in {"", f"[{key[0]}]"} or line.startswith("server = {") for line in come
    )
    if text.endswith("\r\n"):
        assert new.count("\n") == new.count("\r\n")


# --- the command ---


def test_the_first_key_makes_a_private_file(ml_set, tmp_path):
    """Folder 0700, file 0600, with nothing but the key; what was done is told on stderr."""
    ran = ml_set("server.worker_host", "box1")
    path = tmp_path / ".ml" / "config.toml"

    assert (ran.status, ran.out) == (0, "")
    assert ran.err == 'server.worker_host = "box1" in ~/.ml/config.toml (a new file)\n'
    assert path.read_text("utf-8") == '[server]\nworker_host = "box1"\n'
    assert [stat.S_IMODE(one.stat().st_mode) for one in (path.parent, path)] == [0o700, 0o600]


def test_values_have_the_type_of_their_option(ml_set, profile):
    """Numbers and bools are written as such, texts quoted, references as they are typed."""
    for key, value in [
        ("server.worker_port", "2222"),
        ("cli.verbose", "true"),
        ("server.worker_user", "${ME}"),
    ]:
        assert ml_set(key, value).status == 0

    assert profile.read_text("utf-8") == (
        '# mine\n[server]\nworker_host = "box1" # the big one\nworker_port = 2222\nworker_user = "${ME}"\n'
        "\n[cli]\nverbose = true\n"
    )


@pytest.mark.parametrize(
    ("key", "value", "hint"),
    [
        ("server.worker_port", "70000", "ml config set server.worker_port 65535"),
        ("server.worker_port", "0", "ml config set server.worker_port 1"),
        ("server.worker_port", "ssh", "ml config set server.worker_port 22"),
        ("server.worker_port", "022", "ml config set server.worker_port 22"),
        ("cli.default_timeout", "30s", "ml config set cli.default_timeout 30"),
        ("cli.verbose", "yes", "ml config set cli.verbose true"),
        ("cli.verbose", "0", "ml config set cli.verbose false"),
        ("server.worker_user", "${U", "write $${ for a plain ${"),
        ("server.worker_port", "${1}", "write $${ for a plain ${"),
        ("server.worker_base", "a\x1bb", ""),
        ("server.worker_base", "a\udcffb", ""),
    ],
)
def test_a_value_that_does_not_fit_is_two(ml_set, profile, key, value, hint):
    """With the nearest one that does; the file stays."""
    before = profile.read_bytes()
    ran = ml_set(key, value)

    assert (ran.status, ran.out) == (2, "")
    assert "bad-value" in ran.err
    assert hint in ran.err
    assert profile.read_bytes() == before


def test_an_unknown_key_is_five(ml_set, tmp_path):
    """And nothing is made."""
    ran = ml_set("server.worker_hots", "box1")

    assert ran.status == 5
    assert "ml config set server.worker_host" in ran.err
    assert list(tmp_path.iterdir()) == []


def test_nothing_unsets(ml_set, profile):
    """An empty value removes the key and says so; twice does no harm."""
    first, second = ml_set("server.worker_host", ""), ml_set("server.worker_host", "")

    assert first.err == "server.worker_host is unset in ~/.ml/config.toml\n"
    assert second.err == "server.worker_host is unset in ~/.ml/config.toml, as it was\n"
    assert profile.read_text("utf-8") == "# mine\n[server]\n"


def test_unsetting_the_last_key_leaves_a_file_that_loads(ml_set, profile, tmp_path):
    """An empty file would be an error of the next command."""
    profile.write_text('server.worker_host = "a"\n', "utf-8")
    ml_set("server.worker_host", "")

    assert run_in(fake_cli(tmp_path), "config", "get", "server.worker_host").out == "\n"


def test_unsetting_without_a_file_makes_none(ml_set, tmp_path):
    """There is nothing to unset."""
    assert ml_set("server.worker_host", "").status == 0
    assert not (tmp_path / ".ml" / "config.toml").exists()


def test_profiles_by_name_and_by_variable(ml_set, folder, tmp_path):
    """--profile and CLI_CONFIG name the file, also one that does not exist yet."""
    ml_set("server.worker_host", "a", "--profile", "lab")
    ml_set("server.worker_host", "b", CLI_CONFIG="~/other.toml")

    assert 'worker_host = "a"' in (folder / "config-lab.toml").read_text("utf-8")
    assert 'worker_host = "b"' in (tmp_path / "other.toml").read_text("utf-8")
    assert ml_set("server.worker_host", "a", "--profile", "../x").status == 2


# --- secrets ---


def test_a_secret_is_not_taken_from_the_command_line(ml_set, profile):
    """Everybody on the machine sees it there; it is not repeated either."""
    before = profile.read_bytes()
    ran = ml_set("auth.api_key", SECRET)

    assert ran.status == 2
    assert "ml config set auth.api_key < FILE" in ran.err
    assert SECRET not in ran.err
    assert profile.read_bytes() == before


def test_a_secret_comes_from_standard_input(ml_set, profile):
    """The first line of it, and it is not shown."""
    ran = ml_set("auth.api_key", stdin=f"{SECRET}\r\nmore\n".encode())

    assert (ran.status, ran.err) == (0, "auth.api_key = *** in ~/.ml/config.toml\n")
    assert f'api_key = "{SECRET}"\n' in profile.read_text("utf-8")


@pytest.mark.parametrize(
    ("stdin", "code"),
    [(b"", "no-value"), (b"\n", "no-value"), (b"\xff\n", "bad-value"), (b"x" * 5000, "bad-value")],
)
def test_standard_input_without_a_secret_changes_nothing(ml_set, profile, stdin, code):
    """An empty pipe, or something that is no key."""
    before = profile.read_bytes()
    ran = ml_set("auth.api_key", stdin=stdin)

    assert ran.status == 2
    assert code in ran.err
    assert profile.read_bytes() == before


def test_an_empty_value_unsets_a_secret(ml_set, profile):
    """An empty argument reveals nothing."""
    ml_set("auth.api_key", stdin=SECRET.encode())

    assert ml_set("auth.api_key", "").status == 0
    assert SECRET not in profile.read_text("utf-8")


def test_other_keys_need_a_value(ml_set):
    """Standard input is for secrets."""
    assert ml_set("server.worker_host", stdin=b"box1\n").status == 2


def test_a_person_is_asked_and_sees_nothing(tmux, home):
    """The terminal shows neither the key nor its length."""
    terminal = tmux.start()
    terminal.type(f"{sys.executable} -m fetchml_cli config set auth.api_key")
    terminal.wait_for("(not shown):")
    terminal.type(SECRET)
    shown = terminal.wait_for("auth.api_key = ***")

    assert "s3cret" not in shown
    assert f'api_key = "{SECRET}"' in (home.path / ".ml" / "config.toml").read_text("utf-8")


def test_ctrl_c_at_the_question_leaves_everything_as_it_was(tmux, home):
    """The file is not made, the status is 130, and the terminal shows again what is typed."""
    terminal = tmux.start()
    terminal.type(f"{sys.executable} -m fetchml_cli config set auth.api_key; echo ended $?")
    terminal.wait_for("(not shown):")
    terminal.send_keys("C-c")
    terminal.wait_for("\nended 130")
    terminal.type("stty -a | tr ' ' '\\n' | grep -x 'echo'")

    terminal.wait_for("\necho\n")
    assert not (home.path / ".ml" / "config.toml").exists()


# --- what is checked before ---


@pytest.mark.parametrize(
    "text",
    [
        "[server\n",
        "server = 1\n",
        "[server]\nworker_prot = 1\n",
        '[cli]\nverbose = "x"\n',
        "\x00",
        "[a]\n[a]\n",
    ],
)
def test_a_broken_profile_is_refused(ml_set, profile, text):
    """With the command that explains it; it is not made worse."""
    profile.write_text(text, "utf-8")
    ran = ml_set("server.worker_host", "box1")

    assert ran.status == 3
    assert "ml config validate ~/.ml/config.toml" in ran.err or "[server]" in ran.err
    assert profile.read_text("utf-8") == text


def test_a_change_that_mends_the_profile_is_made(ml_set, profile):
    """The way out of a broken profile is not barred."""
    profile.write_text("[server]\nworker_port = 70000\n", "utf-8")

    assert ml_set("server.worker_port", "22").status == 0
    assert profile.read_text("utf-8") == "[server]\nworker_port = 22\n"


def test_an_unset_variable_elsewhere_is_no_hindrance(ml_set, profile):
    """It is set where the profile is used."""
    profile.write_text('[auth]\napi_key = "${NOT_HERE}"\n', "utf-8")

    assert ml_set("server.worker_host", "box1").status == 0
    assert 'api_key = "${NOT_HERE}"\n' in profile.read_text("utf-8")


@pytest.mark.parametrize("size", [MAX_TOML + 1, (8 << 20) + 1])
def test_a_file_over_the_limits_is_refused(ml_set, profile, size):
    """Quickly, and it stays as it is."""
    profile.write_text("#" * size, "utf-8")

    assert ml_set("server.worker_host", "box1").status == 3
    assert profile.stat().st_size == size


def test_a_folder_in_its_place_is_refused(ml_set, folder):
    """One clear line."""
    (folder / "config.toml").mkdir()

    assert ml_set("server.worker_host", "box1").status == 3


# --- the file ---


def test_a_readable_file_becomes_private(ml_set, profile):
    """Once, and it is told."""
    profile.chmod(0o644)
    first, second = ml_set("server.worker_host", "box2"), ml_set("server.worker_host", "box3")

    assert "could be read by others" in first.err
    assert "warning" not in second.err
    assert stat.S_IMODE(profile.stat().st_mode) == 0o600


def test_a_readable_file_becomes_private_even_without_a_change(ml_set, profile):
    """Setting what is set already."""
    profile.chmod(0o640)
    ml_set("server.worker_host", "box1")

    assert stat.S_IMODE(profile.stat().st_mode) == 0o600


def test_a_link_stays_a_link(ml_set, folder, tmp_path):
    """A profile among the dotfiles is changed there, and nothing else appears beside it."""
    there = tmp_path / "dotfiles"
    there.mkdir()
    (there / "ml.toml").write_text("[server]\n", "utf-8")
    (folder / "config.toml").symlink_to(there / "ml.toml")
    ml_set("server.worker_host", "box1")

    assert (folder / "config.toml").is_symlink()
    assert (there / "ml.toml").read_text("utf-8") == '[server]\nworker_host = "box1"\n'
    assert [path.name for path in there.iterdir()] == ["ml.toml"]


def test_root_leaves_the_file_to_its_owner(ml_set, profile):
    """With sudo and the user's home: file and lock stay theirs."""
    need("root")
    for path in (profile.parent, profile):
        os.chown(path, 4321, 4321)
    ml_set("server.worker_host", "box2")

    assert {path.stat().st_uid for path in profile.parent.iterdir()} == {4321}


class Waiting(Clock):
    """A clock that does something while somebody waits."""

    def __init__(self, while_waiting) -> None:
        super().__init__()
        self.while_waiting = while_waiting

    def sleep(self, seconds: float) -> None:
        """Do it."""
        self.while_waiting()


def test_two_changes_at_once_lose_nothing(tmp_path, profile):
    """The second reads the file when the first has let go of it."""
    lock = try_lock(profile.parent / profile_file.LOCK)

    def other_ends() -> None:
        nonlocal lock
        if lock is not None:
            profile.write_text("[cli]\nverbose = true\n", "utf-8")
            os.close(lock)
            lock = None

    cli = evolve(fake_cli(tmp_path), clock=Waiting(other_ends))

    assert run_in(cli, "config", "set", "server.worker_host", "box1").status == 0
    assert lock is None
    assert profile.read_text("utf-8") == '[cli]\nverbose = true\n\n[server]\nworker_host = "box1"\n'


def test_a_change_that_never_ends_is_told(tmp_path, profile):
    """Somebody stopped it in the middle; we do not wait for ever."""
    lock = try_lock(profile.parent / profile_file.LOCK)
    cli = evolve(fake_cli(tmp_path), clock=Waiting(lambda: None))
    ran = run_in(cli, "config", "set", "server.worker_host", "box1")
    os.close(lock)

    assert ran.status == 1
    assert "profile-busy" in ran.err


LOOP = """
import itertools, sys
from pathlib import Path
from tests.cli.support import fake_cli, run_in
for letter in itertools.cycle("ab"):
    assert run_in(fake_cli(Path(sys.argv[1])), "config", "set", "server.worker_base", letter * 3000).status == 0
    print("done", flush=True)
"""


def test_a_kill_leaves_the_old_or_the_new_file(ml_set, tmp_path, folder):
    """At any moment; what the killed one left behind goes with the next change."""
    path = folder / "config.toml"
    for _ in range(4):
        with subprocess.Popen(
            [sys.executable, "-c", LOOP, str(tmp_path)], env=plain_environ(tmp_path), stdout=subprocess.PIPE
        ) as loop:
            for _ in range(random.randint(1, 4)):
                assert loop.stdout.readline() == b"done\n"
            Clock().sleep(random.random() * 0.01)
            loop.send_signal(signal.SIGKILL)
        text = path.read_text("utf-8")
        assert text in {f'[server]\nworker_base = "{letter * 3000}"\n' for letter in "ab"}

    (folder / ".config.toml.1.tmp").write_text(SECRET, "utf-8")
    assert ml_set("server.worker_base", "x").status == 0
    assert sorted(one.name for one in folder.iterdir()) == ["config.toml", profile_file.LOCK]


def fill(path) -> None:
    """Write to a file until nothing more fits on its disk."""
    with contextlib.suppress(OSError), path.open("wb", buffering=0) as full:
        while full.write(bytes(4096)):
            pass


def test_a_full_disk_leaves_the_old_file(small_filesystem):
    """And says so."""
    home = small_filesystem(size="64k")
    assert run_in(fake_cli(home), "config", "set", "server.worker_host", "box1").status == 0
    before = (home / ".ml" / "config.toml").read_bytes()
    fill(home / "full")
    ran = run_in(fake_cli(home), "config", "set", "server.worker_host", "box2")

    assert ran.status == 1
    assert "disk-full" in ran.err
    assert "as it was" in ran.err
    assert (home / ".ml" / "config.toml").read_bytes() == before
    assert sorted(one.name for one in (home / ".ml").iterdir()) == ["config.toml", profile_file.LOCK]
