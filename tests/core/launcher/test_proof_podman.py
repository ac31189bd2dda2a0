"""The proof against real containers: one that lacks nothing, and for each protection one that lacks it."""

from __future__ import annotations

import contextlib
import json
import os
import sys

import pytest

from fetchml_core.errors import HostError
from fetchml_core.launcher.podman import SANDBOX, PodmanLauncher
from fetchml_core.launcher.proof import Expected, prove
from fetchml_core.launcher.seccomp import default_profile
from tests.core.launcher.jobs import CLOCK, Attempt, make_spec
from tests.support.leftovers import run_folder

MEMORY, PIDS = 64 << 20, 64
LENT = "FETCHML_TEST_KEY"
TAMPER = """#!{python}
import json, os, sys
argv = sys.argv[1:]
taken, given = json.load(open({file!r}))
if argv[0] == "run":
    argv = ["run", *given, *(word for word in argv[1:] if not word.startswith(tuple(taken)))]
os.execvp("podman", ["podman", *argv])
"""
"""A Podman that does something else than it was told."""
CAPABILITIES = ("Inh", "Prm", "Eff", "Bnd", "Amb")
LACKING: dict[str, tuple[tuple[str, ...], tuple[str, ...], str]] = {
    "seccomp": (
        ("--security-opt=seccomp",),
        ("--security-opt=seccomp=unconfined",),
        "no seccomp filter is in force (Seccomp: 0, not 2)",
    ),
    "no-new-privileges": (
        ("--security-opt=no-new-privileges",),
        (),
        "no-new-privileges is not set (NoNewPrivs: 0)",
    ),
    "capabilities": (
        (),
        ("--cap-add=net_raw",),
        f"it has capabilities ({', '.join(f'Cap{which} 0000000000002000' for which in CAPABILITIES)})",
    ),
    "root": (("--read-only",), (), "its root file system can be written"),
    "network": (("--network",), ("--network=host",), "it shares the network of the host"),
    "ipc": (("--ipc", "--shm-size"), ("--ipc=host",), "it shares the IPC namespace of the host"),
    "pid": (("--pid=",), ("--pid=host",), "it shares the process table of the host"),
    "pids": (("--pids-limit",), ("--pids-limit=-1",), f"the pids limit of {PIDS} is not in force"),
    "memory": (("--memory",), (), f"the memory limit of {MEMORY} is not in force"),
    "mask": (
        (),
        ("--security-opt=unmask=/proc/keys",),
        "it can look into the host's kernel (/proc/keys)",
    ),
    "read-only": (
        (),
        ("--security-opt=unmask=/proc/sys",),
        "it can give orders to the host's kernel (/proc/sys)",
    ),
    "variables": ((), (f"--env={LENT}",), f"it has variables of the host ({LENT})"),
}
"""How the flags that Podman was given begin that it leaves out, what it takes instead, and what is then said."""
FLAGS: dict[str, tuple[str, ...]] = {
    "seccomp": ("--security-opt", f"seccomp={default_profile()}"),
    "no-new-privileges": ("--security-opt", "no-new-privileges"),
    "capabilities": ("--cap-drop", "all"),
    "root": ("--read-only",),
    "network": ("--network", "none"),
    "ipc": ("--ipc", "private"),
    "mask": ("--security-opt", "mask=/proc/interrupts"),
    "user": ("--user", "65534:65534"),
}
"""The hardening flags of a container, by what they give."""


@pytest.fixture(scope="module")
def tampered(podman_root, tmp_path_factory):
    """A launcher, and what makes its Podman leave out and add flags."""
    folder = tmp_path_factory.mktemp("tampered")
    program, file = folder / "podman", folder / "tamper.json"
    program.write_text(TAMPER.format(python=sys.executable, file=str(file)))
    program.chmod(0o755)
    env = podman_root.env | {LENT: "canary"}

    def tamper(taken: tuple[str, ...], given: tuple[str, ...]) -> None:
        file.write_text(json.dumps([taken, given]))

    tamper((), ())
    return PodmanLauncher(env=env, clock=CLOCK, program=str(program)), tamper


@pytest.fixture
def spec(tmp_path, image_busybox):
    """An attempt that leaves a trace."""
    argv = ("touch", "/results/ran")
    return make_spec(tmp_path, argv, image=image_busybox, memory=MEMORY, pids_limit=PIDS)


@pytest.mark.each_podman
def test_a_hardened_container_is_proven(tampered, spec):
    """#24: with all flags the job gets its go, and the record names what was proven."""
    launcher, tamper = tampered
    tamper((), ())
    attempt = Attempt(launcher, spec).go()
    record = attempt.record()
    attempt.clean()

    assert record.code == 0
    assert set(attempt.launched.enforced) == {*SANDBOX, "no-network", "memory", "cpus", "pids"}


@pytest.mark.parametrize("flag", LACKING)
def test_a_missing_protection_refuses_the_go(tampered, spec, podman_root, flag):
    """#24: where Podman does not do one thing it was told, exactly that is said, no code runs, and nothing is left."""
    launcher, tamper = tampered
    taken, given, said = LACKING[flag]
    tamper(taken, given)
    with pytest.raises(HostError) as caught:
        launcher.launch(spec)

    assert (caught.value.code, caught.value.context) == ("sandbox-not-proven", said)
    assert not list((spec.folder / "results").iterdir())
    assert podman_root.run("ps", "-aq", f"--filter=name={spec.name}").stdout == ""


@contextlib.contextmanager
def container(podman, image, flags):
    """Start a container that sleeps, and yield the host's number of its first process."""
    argv = [word for words in flags.values() for word in words]
    name = podman.run("run", "-d", "--pull", "never", *argv, image, "sleep", "60").stdout.strip()
    try:
        yield int(podman.run("inspect", "-f", "{{.State.Pid}}", name).stdout)
    finally:
        podman.run("rm", "-f", "-t", "0", name)


def test_root_of_the_host(podman_root, image_busybox):
    """#24: a container that runs as root is no sandbox, even without a capability."""
    with container(podman_root, image_busybox, FLAGS | {"user": ("--user", "0:0")}) as pid:
        assert prove(pid, Expected()) == ("it runs as root of the host (Uid: 0 0 0 0)",)


@pytest.mark.each_podman
def test_rootless(rootless, rootless_busybox):
    """An account without root can prove its own container, namespaces included, and sees what it lacks."""
    profile = run_folder() / "proof-profile.json"
    profile.write_bytes(default_profile().read_bytes())
    flags = FLAGS | {
        "seccomp": ("--security-opt", f"seccomp={profile}"),
        "user": ("--userns", "keep-id"),
    }
    with container(rootless.podman, rootless_busybox, flags) as pid, acting_as(rootless):
        assert prove(pid, Expected(host_variables=os.environ)) == ()
    with (
        container(rootless.podman, rootless_busybox, flags | {"network": ("--network", "host")}) as pid,
        acting_as(rootless),
    ):
        assert prove(pid, Expected())[0] == LACKING["network"][2]


@contextlib.contextmanager
def acting_as(account):
    """Let this process have the rights of an account, and no capability, for the length of the block."""
    os.setegid(account.gid)
    os.seteuid(account.uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
