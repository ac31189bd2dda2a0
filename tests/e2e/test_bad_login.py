"""Accounts whose login is unusual: noisy scripts, no Python, an old Python, a script that exits."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from tests.e2e.said import PROCESS, no_jobs, refused, said, script


@pytest.fixture
def server(sshd, home):
    """A host that ``ml`` is set up for."""
    one = sshd()
    home.connect(one, str(one.home / "base"))
    return one


def bashrc(server, text: str) -> None:
    """Give the account a login script."""
    (server.home / ".bashrc").write_text(text, "utf-8")


def test_some_noise(ml, server):
    """20 kB of greetings from a login script change nothing."""
    bashrc(server, "head -c 20000 /dev/zero | tr '\\0' '#'; echo; echo 'Welcome to box1'\n")

    no_jobs(ml)


def test_too_much_noise(ml, server):
    """100 kB are an error that names the script to mend and shows how the noise begins."""
    bashrc(server, "echo 'Welcome to box1'; head -c 100000 /dev/zero | tr '\\0' '#'\n")

    refused(
        ml,
        6,
        ["status"],
        """
        error: noisy-login: a login script on the host printed more than 64 KiB before the agent could speak
          context  it begins: Welcome to box1
          hint     make ~/.bashrc there silent for shells that are not interactive
        """,
    )


def test_login_script_that_exits(ml, server):
    """A login script that ends the shell: what it said."""
    bashrc(server, "echo 'This account is closed.'; exit 1\n")

    refused(
        ml,
        6,
        ["status"],
        """
        error: agent-not-started: the login at 127.0.0.1 worked, but its shell ended before the agent could speak
          context  it said: This account is closed.
          hint     does the account have a login shell, and nothing in ~/.bashrc that exits?
        """,
        port=server.port,
    )


@pytest.fixture
def path_of(sshd, home, tmp_path):
    """A host whose PATH has only what is given: name to program."""

    def make(**programs: str):
        folder = tmp_path / "path"
        folder.mkdir()
        for name in ("sh", "tr", "cut"):
            (folder / name).symlink_to(shutil.which(name) or name)
        for name, text in programs.items():
            (folder / name).write_text(text, "utf-8")
            (folder / name).chmod(0o755)
        for parent in tmp_path.parents:
            if parent.name.startswith("pytest"):
                parent.chmod(0o755)
        one = sshd(env={"PATH": str(folder)})
        home.connect(one, str(one.home / "base"))
        (one.home / ".bashrc").write_text(f"PATH={folder}\n", "utf-8")
        return one

    return make


def test_no_python(ml, path_of):
    """A host without Python: the line that installs one."""
    path_of()

    refused(
        ml,
        1,
        ["status"],
        """
        error: python-missing: there is no Python on the host: 3.10 or newer is needed
          hint     on the host: apt install python3
        """,
    )


def test_old_python(ml, path_of):
    """A host with an older Python only: the version found, the version needed."""
    old = '#!/bin/sh\n[ "$1" = -V ] && echo "Python 3.8.10" && exit\nexit 97\n'
    path_of(python3=old)

    refused(
        ml,
        1,
        ["status"],
        """
        error: python-too-old: the host's Python is too old: 3.10 or newer is needed
          context  found python3=Python3.8.10
          hint     install a newer one on the host so that python3.11, or another from 3.10 on, is on its PATH
        """,
    )


def test_worker_file_over_ssh(ml, server):
    """A mistake in the host's worker file is told with the path on the host, and a command that is there."""
    base = server.home / "base"
    base.mkdir(mode=0o700)
    (base / "worker.yaml").write_text(PROCESS + "max_wrokers: 2\n", "utf-8")
    script(ml, "print(1)")
    done = ml.fails(3, "submit", "job")
    first, hint = said(done.stderr, base=base).splitlines()
    command = done.stderr.partition("(")[2].rpartition(" shows the line)")[0]
    there = subprocess.run(
        ["sh", "-c", command], env={}, capture_output=True, text=True, check=False, timeout=60
    )

    assert first == "error: config-invalid: <base>/worker.yaml:2:1: unknown key 'max_wrokers'"
    assert hint.startswith("  hint     did you mean max_workers? (PYTHONPATH=<base>/agent/")
    assert (there.returncode, "unknown key 'max_wrokers'" in there.stdout) == (3, True), there
