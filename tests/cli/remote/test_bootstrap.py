"""Starting the agent on a host: one command that every shell understands, noise skipped, Python found or named."""

import shutil
import subprocess
from pathlib import Path

import pytest

from fetchml_cli.remote import bootstrap
from fetchml_cli.remote.bootstrap import COMMAND, Starting
from fetchml_cli.transport.base import RemoteCommand
from fetchml_core.errors import HostError, UnreachableError
from fetchml_core.wire.frame import MAGIC
from tests.support.require import find_program, missing

from .conftest import builds, read_line, start

SHELLS = {
    "sh": ["sh"],
    "dash": ["dash"],
    "bash": ["bash"],
    "bash-login": ["bash", "-l"],
    "busybox": ["busybox", "sh"],
    "zsh": ["zsh"],
    "fish": ["fish"],
    "csh": ["csh"],
    "tcsh": ["tcsh"],
}


def test_upload_then_warm(host, pack):
    """The first call uploads the build, the second finds it; both end in the agent at the base below HOME."""
    first = start(stream := host.open(), pack)
    greeting = read_line(stream)
    second = start(host.open(), pack)

    assert (first.uploaded, second.uploaded) == (True, False)
    assert greeting == f"base={host.home}/base embedded=False 1\n"
    assert builds(host) == [pack.build()]


@pytest.mark.parametrize("warm", [False, True])
def test_early_bytes_come_first(host, pack, warm):
    """What is sent without waiting reaches the agent, before what is sent later, uploaded or not."""
    if warm:
        start(host.open(), pack)
    start(stream := host.open(), pack, early=b"early" * 3000)
    stream.write(b"-late\n")
    read_line(stream)

    assert read_line(stream) == "early" * 3000 + "-late\n"


def test_stray_print_stays_out(host, pack):
    """What the agent prints by mistake goes to standard error, not between the frames."""
    start(stream := host.open(), pack)
    stream.write(b"x\n")

    assert [read_line(stream)[:4], read_line(stream)] == ["base", "x\n"]


def test_modes(host, pack):
    """Base and everything below belong to the account alone."""
    start(host.open(), pack)

    assert [path for path in (host.home / "base").rglob("*") if path.stat().st_mode & 0o077] == []
    assert (host.home / "base").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    ("base", "place"), [("~/a b", "a b"), ("rel/x", "rel/x"), ("$(touch x);'\"", "$(touch x);'\"")]
)
def test_base(here, pack, base, place):
    """`~` and relative bases lie below HOME; shell characters in it are only characters."""
    start(here.open(), pack, base=base)

    assert (here.home / place / "agent" / pack.build()).is_dir()


def test_absolute_base(here, pack, tmp_path):
    """An absolute base is taken as it is."""
    start(here.open(), pack, base=str(tmp_path / "srv"))

    assert (tmp_path / "srv" / "agent" / pack.build()).is_dir()


def test_installed(here):
    """The local transport runs the package that is installed here, and unpacks nothing."""
    started = Starting(here.open(), base="~/base", timeout=30).finish()

    assert not started.uploaded
    assert builds(here) == []


def test_module_in_the_home_folder(host, pack):
    """A json.py that lies in the home folder is not imported."""
    (host.home / "json.py").write_text("raise SystemExit('mine')", "utf-8")
    shell = RemoteCommand(
        f"cd {host.home}; {COMMAND.shell}", ("/bin/sh", "-c", f"cd {host.home}; {COMMAND.shell}")
    )

    assert start(host.open(shell), pack).uploaded


@pytest.mark.parametrize("shell", SHELLS)
def test_login_shells(here, pack, shell):
    """Whatever the account's login shell is, it runs the command as `SHELL -c COMMAND`."""
    argv = SHELLS[shell]
    program = find_program(argv[0])
    if program is None:
        missing(argv[0], f"no {argv[0]} here; apt-get install -y {argv[0]}")
    stream = here.open(RemoteCommand("", (program, *argv[1:], "-c", COMMAND.shell)))
    start(stream, pack)

    assert read_line(stream).startswith("base=")


def test_command_is_plain():
    """The command is one constant printable line with nothing that a shell could take for its own."""
    inside = COMMAND.shell.removeprefix("exec /bin/sh -c '").removesuffix("'")

    assert COMMAND.shell.isprintable()
    assert not set(inside) & set("'!")
    assert "\\\\" not in inside


@pytest.mark.parametrize("size", [10, 60_000])
def test_noisy_login(there, pack, size):
    """Up to 64 kB of login noise are skipped, with bytes in it that look like the beginning of MAGIC."""
    (there.home / ".bashrc").write_text(
        f"printf '\\0FETCHML/\\0\\0FE'; head -c {size} /dev/zero; echo hello\n", "utf-8"
    )
    start(stream := there.open(), pack)

    assert read_line(stream).startswith("base=")


def test_too_noisy_login(there, pack):
    """More noise is an error that shows how it begins, safely, and says what to do."""
    (there.home / ".bashrc").write_text(
        "printf '\\033]0;evil\\007 Welcome\\n'; head -c 70000 /dev/zero\n", "utf-8"
    )
    with pytest.raises(UnreachableError) as caught:
        start(there.open(), pack)

    assert caught.value.code == "noisy-login"
    assert "Welcome" in caught.value.context
    assert caught.value.context.isprintable()
    assert "~/.bashrc" in caught.value.hint


@pytest.mark.parametrize("script", ["echo 'account closed'; exit 1\n", "echo 'account closed' >&2; exit 1\n"])
def test_login_that_ends(there, pack, script):
    """A login that ends before the agent: what it said is shown."""
    (there.home / ".bashrc").write_text(script, "utf-8")
    with pytest.raises(UnreachableError) as caught:
        start(there.open(), pack)

    assert caught.value.code == "agent-not-started"
    assert "account closed" in caught.value.context


def test_silent_login(here, pack):
    """A login that hangs is given up."""
    stream = here.open(RemoteCommand("", ("sleep", "60")))
    with pytest.raises(UnreachableError) as caught:
        start(stream, pack, timeout=0.5)

    assert caught.value.code == "host-silent"


def pythons(folder, **versions):
    """A PATH folder with the tools of a small host and these Pythons, of pyenv versions."""
    folder.mkdir()
    for name in ("tr", "cut", "sh"):
        (folder / name).symlink_to(shutil.which(name))
    for name, version in versions.items():
        found = sorted(Path("~/.pyenv/versions").expanduser().glob(f"{version}.*/bin/python"))
        if not found:
            pytest.skip(f"no Python {version} here")
        (folder / name.replace("_", ".")).write_text(f'#!/bin/sh\nexec {found[-1]} "$@"\n', "utf-8")
        (folder / name.replace("_", ".")).chmod(0o755)
    return folder


def shell_with(path):
    """The command, run by a shell with this PATH."""
    return RemoteCommand("", ("/bin/sh", "-c", f"PATH={path}; export PATH; {COMMAND.shell}"))


@pytest.mark.parametrize("version", ["2.7", "3.6", "3.9"])
def test_python_too_old(here, pack, tmp_path, version):
    """An old python3 alone: one line that names the version found."""
    path = pythons(tmp_path / "bin", python3=version)
    with pytest.raises(HostError) as caught:
        start(here.open(shell_with(path)), pack)

    assert caught.value.code == "python-too-old"
    assert f"Python{version}." in caught.value.context.replace(" ", "")
    assert "3.10" in caught.value.message


def test_newer_python_beside_an_old_one(here, pack, tmp_path):
    """An old python3 does not hide a newer python3.X."""
    path = pythons(tmp_path / "bin", python3="3.9", python3_12="3.12")

    assert start(here.open(shell_with(path)), pack).python.startswith("3.12")


@pytest.mark.parametrize("version", ["3.10", "3.11", "3.12", "3.13"])
def test_every_python(here, pack, tmp_path, version):
    """All Pythons from 3.10 on do."""
    path = pythons(tmp_path / "bin", python3=version)

    assert start(here.open(shell_with(path)), pack).python.startswith(version)


def test_no_python(here, pack, tmp_path):
    """No Python at all: one line, and the fix."""
    path = pythons(tmp_path / "bin")
    with pytest.raises(HostError) as caught:
        start(here.open(shell_with(path)), pack)

    assert caught.value.code == "python-missing"
    assert "apt install python3" in caught.value.hint


def test_python_that_is_gone_mid_way(here, pack):
    """A Python that dies at once leaves its last words in the error."""
    with pytest.raises(UnreachableError) as caught:
        start(here.open(RemoteCommand("", ("/bin/sh", "-c", "echo libpython missing >&2; exit 127"))), pack)

    assert caught.value.code == "agent-not-started"
    assert "libpython missing" in caught.value.context


def test_nothing_secret_in_the_process_list(here, pack):
    """Early bytes, which hold the API key, and the base are on no command line and in no environment."""
    start(stream := here.open(), pack, base="~/canary-base", early=b"canary-key\n")
    read_line(stream)
    seen = subprocess.run(["ps", "axeww", "-o", "args"], capture_output=True, text=True, check=True).stdout

    assert "canary-key" not in seen
    assert "canary-base" not in seen


def test_magic_is_the_one_of_the_wire():
    """Loader and wire agree on MAGIC."""
    text = Path(bootstrap.__file__).with_name("loader.py").read_text("utf-8")

    assert f"MAGIC = {MAGIC!r}".replace("'", '"').replace("\\x00", "\\0") in text
