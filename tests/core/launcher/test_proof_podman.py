"""The proof against real containers: one that lacks nothing, and for each flag one that lacks it."""

from __future__ import annotations

import contextlib
import os

import pytest

from fetchml_core.launcher.proof import Expected, prove
from fetchml_core.launcher.seccomp import default_profile
from tests.support.leftovers import run_folder

LIMITED = Expected(pids_limit=64, memory=64 << 20)
SECCOMP = ("--security-opt", f"seccomp={default_profile()}")
NO_NEW_PRIVILEGES = ("--security-opt", "no-new-privileges")
CAPABILITIES = ("Inh", "Prm", "Eff", "Bnd", "Amb")
FLAGS: dict[str, tuple[str, ...]] = {
    "seccomp": SECCOMP,
    "no-new-privileges": NO_NEW_PRIVILEGES,
    "capabilities": ("--cap-drop", "all"),
    "root": ("--read-only",),
    "network": ("--network", "none"),
    "ipc": ("--ipc", "private"),
    "pid": (),
    "user": ("--user", "65534:65534"),
    "pids": ("--pids-limit", "64"),
    "memory": ("--memory", "64m"),
}
"""The hardening flags of a container, by what they give."""
LACKING: dict[str, tuple[tuple[str, ...], str]] = {
    "seccomp": (
        ("--security-opt", "seccomp=unconfined"),
        "no seccomp filter is in force (Seccomp: 0, not 2)",
    ),
    "no-new-privileges": ((), "no-new-privileges is not set (NoNewPrivs: 0)"),
    "capabilities": (
        ("--cap-drop", "all", "--cap-add", "net_raw"),
        f"it has capabilities ({', '.join(f'Cap{which} 0000000000002000' for which in CAPABILITIES)})",
    ),
    "root": ((), "its root file system can be written"),
    "network": (("--network", "host"), "it shares the network of the host"),
    "ipc": (("--ipc", "host"), "it shares the IPC namespace of the host"),
    "pid": (("--pid", "host"), "it shares the process table of the host"),
    "user": (("--user", "0:0"), "it runs as root of the host (Uid: 0 0 0 0)"),
    "pids": (("--pids-limit", "-1"), "the pids limit of 64 is not in force"),
    "memory": ((), "the memory limit of 67108864 is not in force"),
}
"""What stands in place of a flag, and the one thing that is then said."""


@contextlib.contextmanager
def container(podman, image, flags):
    """Start a container that sleeps, and yield the host's number of its first process."""
    argv = [word for words in flags.values() for word in words]
    name = podman.run("run", "-d", "--pull", "never", *argv, image, "sleep", "60").stdout.strip()
    try:
        yield int(podman.run("inspect", "-f", "{{.State.Pid}}", name).stdout)
    finally:
        podman.run("rm", "-f", "-t", "0", name)


@pytest.mark.each_podman
def test_a_hardened_container_is_proven(podman_root, image_busybox):
    """With all flags nothing is said."""
    with container(podman_root, image_busybox, FLAGS) as pid:
        assert prove(pid, LIMITED) == ()


@pytest.mark.each_podman
@pytest.mark.parametrize("flag", LACKING)
def test_a_missing_flag_is_named(podman_root, image_busybox, flag):
    """Without one of the flags exactly that is said."""
    instead, said = LACKING[flag]
    with container(podman_root, image_busybox, FLAGS | {flag: instead}) as pid:
        assert prove(pid, LIMITED) == (said,)


@pytest.mark.each_podman
def test_rootless(rootless, rootless_busybox):
    """An account without root can prove its own container, namespaces included, and sees what it lacks."""
    profile = run_folder() / "proof-profile.json"
    profile.write_bytes(default_profile().read_bytes())
    flags = FLAGS | {
        "seccomp": ("--security-opt", f"seccomp={profile}"),
        "user": ("--userns", "keep-id"),
        "pids": (),  # rootless limits need cgroup v2
        "memory": (),
    }
    with container(rootless.podman, rootless_busybox, flags) as pid, acting_as(rootless):
        assert prove(pid, Expected()) == ()
    with (
        container(rootless.podman, rootless_busybox, flags | {"network": LACKING["network"][0]}) as pid,
        acting_as(rootless),
    ):
        assert prove(pid, Expected()) == (LACKING["network"][1],)


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
