"""What is read from /proc about a container, and that what cannot be read is not believed."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fetchml_core.launcher.mountinfo import HIDDEN, READ_ONLY, root_is_read_only, unmasked
from fetchml_core.launcher.proof import (
    Expected,
    borrowed,
    cgroup_paths,
    interfaces,
    prove,
    status_problems,
)

PID = 4242
STATUS = {
    "Name": "init",
    "Uid": "1001\t1001\t1001\t1001",
    "NSpid": "4242\t1",
    "CapInh": "0000000000000000",
    "CapPrm": "0000000000000000",
    "CapEff": "0000000000000000",
    "CapBnd": "0000000000000000",
    "CapAmb": "0000000000000000",
    "NoNewPrivs": "1",
    "Seccomp": "2",
}
MOUNTS = (
    "600 500 0:50 / / ro,relatime shared:1 - overlay overlay rw,lowerdir=/l\n"
    "601 600 0:51 / /proc rw - proc proc rw\n"
    "602 600 0:52 / /sys ro,nosuid - sysfs sysfs ro\n"
    "603 601 0:53 /null /proc/keys rw,nosuid - tmpfs tmpfs rw\n"
    "604 601 0:54 / /proc/acpi ro - tmpfs tmpfs ro\n"
    "605 601 0:51 /sys /proc/sys ro - proc proc rw\n"
    "606 602 0:55 / /sys/firmware ro - tmpfs tmpfs ro\n"
)
HEADINGS = "Inter-|   Receive |  Transmit\n face |bytes packets|bytes packets\n"
LOOPBACK = HEADINGS + "    lo:       0       0      0\n"
HOST = {
    "PATH": "/usr/bin",
    "NVIDIA_VISIBLE_DEVICES": "void",
    "TOKEN": "canary",
    "LANG": "C.UTF-8",
    "EMPTY": "",
}
ALL = Expected(pids_limit=64, memory=1 << 30, host_variables=HOST, image_variables=("LANG=C.UTF-8",))


def status(**changes: str) -> str:
    """A /proc/PID/status; an empty value leaves the line out."""
    return "".join(f"{name}:\t{value}\n" for name, value in (STATUS | changes).items() if value)


class Host:
    """A /proc and a /sys/fs/cgroup with one container in them that lacks nothing, to be spoiled by a test."""

    def __init__(self, root) -> None:
        self.proc, self.cgroup = root / "proc", root / "cgroup"
        self.process = self.proc / str(PID)
        for name, text in {
            "status": status(),
            "mountinfo": MOUNTS,
            "environ": "PATH=/usr/bin\0LANG=C.UTF-8\0TOKEN=of the image\0NVIDIA_VISIBLE_DEVICES=void\0",
            "net/dev": LOOPBACK,
            "cgroup": "8:pids:/jobs/7\n4:memory:/jobs/7\n0::/\n",
        }.items():
            self.write(self.process / name, text)
        for name in ("keys", "acpi", "sys"):
            self.write(self.proc / name, "")
        for number, name in enumerate(("ipc", "net")):
            self.link(self.process, name, f"{name}:[{4026532000 + number}]")
            self.link(self.proc / "self", name, f"{name}:[{4026531000 + number}]")
        self.write(self.cgroup / "pids/jobs/7/pids.max", "64\n")
        self.write(self.cgroup / "pids/jobs/pids.max", "max\n")
        self.write(self.cgroup / "memory/jobs/7/memory.limit_in_bytes", "1073741824\n")
        self.write(self.cgroup / "memory/memory.limit_in_bytes", "9223372036854771712\n")

    @staticmethod
    def write(path, text) -> None:
        """Write a file, its folders included."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    @staticmethod
    def link(folder, name, target) -> None:
        """Make a process be in a namespace."""
        link = folder / "ns" / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(target)

    def prove(self, expected=ALL) -> tuple[str, ...]:
        """What does not hold of the container."""
        return prove(PID, expected, self.proc, self.cgroup)


@pytest.fixture
def host(tmp_path):
    """A host with one container that lacks nothing."""
    return Host(tmp_path)


def test_a_sound_container_is_proven(host):
    """Nothing is said where all holds."""
    assert host.prove() == ()


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"Seccomp": "0"}, "seccomp"),
        ({"Seccomp": "1"}, "seccomp"),
        ({"NoNewPrivs": "0"}, "no-new-privileges"),
        ({"CapBnd": "00000000a80425fb"}, "CapBnd 00000000a80425fb"),
        ({"CapAmb": "0000000000000400"}, "CapAmb"),
        ({"Uid": "0\t0\t0\t0"}, "root of the host"),
        ({"Uid": "1001\t1001\t0\t1001"}, "root of the host"),
        ({"NSpid": "4242"}, "process table"),
    ],
)
def test_each_line_of_status_counts(host, changes, word):
    """A single wrong line is named, and nothing else is."""
    host.write(host.process / "status", status(**changes))
    (problem,) = host.prove()

    assert word in problem


@pytest.mark.parametrize(
    "name", ["Seccomp", "NoNewPrivs", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "Uid", "NSpid"]
)
def test_a_missing_line_is_no_proof(name):
    """A kernel that does not print a line proves nothing by it."""
    assert len(status_problems(status(**{name: ""}), ALL)) == 1


def test_a_name_cannot_forge_a_line():
    """A program may be named like a line of the file, behind what Python takes for the end of a line."""
    text = status(Name="init\x0cSeccomp:\t2", Seccomp="")

    assert any("seccomp" in problem for problem in status_problems(text, ALL))


def test_only_what_is_expected_is_looked_at(host):
    """With every field off, only user, process table and a network of its own are asked about."""
    host.write(host.process / "status", status(Seccomp="0", NoNewPrivs="0", CapEff="1"))
    host.write(host.process / "mountinfo", "")
    host.write(host.process / "net/dev", "")
    nothing = Expected(
        seccomp=False,
        no_new_privs=False,
        no_caps=False,
        read_only_root=False,
        own_ipc=False,
        masked_paths=False,
        network="full",
    )

    assert host.prove(nothing) == ()
    host.write(host.process / "status", status(Uid="0\t0\t0\t0", NSpid="4242"))
    assert len(host.prove(nothing)) == 2


@pytest.mark.parametrize(
    ("lines", "proven"),
    [
        (["1 0 0:1 / / ro - overlay o rw"], True),
        (["1 0 0:1 / / rw - overlay o ro"], True),
        (["1 0 0:1 / / rw,relatime master:1 - overlay o rw"], False),
        (["1 0 0:1 / / rw - overlay o rw", "2 1 0:2 / /work ro - ext4 d ro"], False),
        (["1 0 0:1 / / ro - overlay o rw", "2 1 0:2 / / rw - tmpfs t rw"], False),
        (["1 0 0:1 / / rw,errors=remount-ro - ext4 d rw,errors=remount-ro"], False),
        (["1 0 0:1 / /ro rw - ext4 ro rw"], False),
        (["broken"], False),
        ([], False),
    ],
)
def test_the_root_mount(lines, proven):
    """The mount that covers / is read-only, by its own options or by its file system's."""
    assert root_is_read_only("\n".join(lines)) is proven


def test_a_writable_root_is_named(host):
    """A root that can be written is the one thing said."""
    host.write(host.process / "mountinfo", MOUNTS.replace(" / ro,", " / rw,"))

    assert host.prove() == ("its root file system can be written",)


def test_what_lies_open_is_named(host):
    """Without a mask a file of the kernel can be read, without read-only it takes orders; each is named."""
    lines = [line for line in MOUNTS.splitlines() if "/proc/keys" not in line]
    host.write(host.process / "mountinfo", "\n".join(lines))
    assert host.prove() == ("it can look into the host's kernel (/proc/keys)",)

    host.write(host.process / "mountinfo", MOUNTS.replace("/proc/sys ro", "/proc/sys rw"))
    assert host.prove() == ("it can give orders to the host's kernel (/proc/sys)",)


@pytest.mark.parametrize("kind", ["proc", "sysfs"])
def test_the_kernels_own_file_system_is_no_mask(kind):
    """A file that was mounted over itself is as open as before."""
    mask = f"7 6 0:51 /keys /proc/keys rw - {kind} x rw"

    assert unmasked(mask, ["/proc/keys"]) == (["/proc/keys"], [])
    assert unmasked(mask.replace(f" {kind} ", " devtmpfs "), ["/proc/keys"]) == ([], [])


def test_all_that_the_kernel_has_is_asked_for(host):
    """Where nothing is mounted, all files that are there are open, those that are not are no matter."""
    assert unmasked("", [*HIDDEN, *READ_ONLY]) == ([*HIDDEN], [*READ_ONLY])
    assert unmasked("", []) == ([], [])
    host.write(host.proc / "kcore", "")
    assert host.prove() == ("it can look into the host's kernel (/proc/kcore)",)


def test_a_variable_of_the_host_is_named(host):
    """By its name and never its value; what the image sets, or Podman everywhere, is no loan."""
    host.write(host.process / "environ", "TOKEN=canary\0PATH=/usr/bin\0LANG=C.UTF-8\0EMPTY=\0")
    (problem,) = host.prove()

    assert problem == "it has variables of the host (EMPTY, TOKEN)"
    assert "canary" not in repr(ALL)
    many = Expected(host_variables={f"N{n}": "1" for n in range(9)})
    host.write(host.process / "environ", "".join(f"N{n}=1\0" for n in range(9)))
    assert host.prove(many) == ("it has variables of the host (N0, N1, N2, N3, N4, …)",)


def test_a_shared_ipc_namespace_is_named(host):
    """The namespace of the host is recognised by its number."""
    host.link(host.process, "ipc", "ipc:[4026531000]")

    assert host.prove() == ("it shares the IPC namespace of the host",)


def test_the_network_of_the_host_is_named(host):
    """A container in the host's network is seen even where the host has only a loopback interface, or a network is granted."""
    host.link(host.process, "net", "net:[4026531001]")

    assert host.prove() == ("it shares the network of the host",)
    assert host.prove(Expected(network="full")) == ("it shares the network of the host",)


def test_another_interface_is_a_network(host):
    """A network of its own that leads out is named with its interfaces."""
    host.write(host.process / "net/dev", LOOPBACK + "  eth0: 1 2 3\n")

    assert host.prove() == ("it has a network (interfaces: lo, eth0)",)
    assert host.prove(Expected(network="full")) == ()
    assert interfaces(LOOPBACK) == ["lo"]


@pytest.mark.parametrize("text", ["", HEADINGS, "unexpected"])
def test_an_odd_list_of_interfaces_is_no_proof(host, text):
    """A list without the loopback interface is not the file we took it for."""
    host.write(host.process / "net/dev", text)

    assert len(host.prove()) == 1


@pytest.mark.parametrize(
    ("file", "text", "word"),
    [
        ("pids/jobs/7/pids.max", "max\n", "pids"),
        ("pids/jobs/7/pids.max", "65\n", "pids"),
        ("memory/jobs/7/memory.limit_in_bytes", "9223372036854771712\n", "memory"),
    ],
)
def test_a_limit_that_is_not_in_force_is_named(host, file, text, word):
    """No limit, or a larger one, is named with what was wanted."""
    host.write(host.cgroup / file, text)
    (problem,) = host.prove()

    assert problem == f"the {word} limit of {64 if word == 'pids' else 1 << 30} is not in force"


def test_a_limit_above_counts(host):
    """A smaller limit of a group above holds for the container too."""
    host.write(host.cgroup / "pids/jobs/7/pids.max", "max\n")
    host.write(host.cgroup / "pids/jobs/pids.max", "10\n")

    assert host.prove() == ()


@pytest.mark.parametrize("where", ["", "unified"])
def test_cgroup_version_2(host, where):
    """In version 2 all limits lie in one tree, beside version 1 in a folder of its own."""
    host.write(host.process / "cgroup", "0::/user.slice/job.scope/container\n")
    scope = host.cgroup / where / "user.slice/job.scope"
    host.write(scope / "pids.max", "64\n")
    host.write(scope / "container/pids.max", "max\n")
    host.write(scope / "memory.max", "1073741824\n")

    assert host.prove() == ()
    host.write(scope / "memory.max", "max\n")
    assert host.prove() == ("the memory limit of 1073741824 is not in force",)


def test_cgroup_paths():
    """The controller is found in version 1, alone or with others, and the version 2 path beside it."""
    text = "9:name=systemd:/a\n8:cpu,pids:/b:c\n0::/d\n"

    assert cgroup_paths(text, "pids") == ("/b:c", "/d")
    assert cgroup_paths(text, "memory") == (None, "/d")
    assert cgroup_paths("", "memory") == (None, None)


@pytest.mark.parametrize("line", ["8:pids:/../other\n", "8:pids:/unknown\n", "8:cpu:/jobs/7\n", ""])
def test_a_limit_that_cannot_be_found_is_no_proof(host, line):
    """A group outside ours, one that is not there, and none at all prove nothing."""
    host.write(host.process / "cgroup", line)
    (problem,) = host.prove(Expected(pids_limit=64))

    assert "pids limit cannot be proven" in problem


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("status", "the state of the process cannot be proven: /proc/PID/status: "),
        ("environ", "an environment of its own cannot be proven"),
        ("ns/ipc", "an IPC namespace of its own cannot be proven"),
        ("ns/net", "a network of its own cannot be proven"),
        ("net/dev", "a network of its own cannot be proven"),
    ],
)
def test_unreadable(host, name, says):
    """Whatever cannot be read counts as not proven, and does not hide the rest."""
    (host.process / name).unlink()
    host.write(host.cgroup / "pids/jobs/7/pids.max", "max\n")
    first, second = host.prove()

    assert first.startswith(says)
    assert "pids limit" in second


def test_unreadable_mounts(host):
    """They are what two questions are answered from."""
    (host.process / "mountinfo").unlink()

    assert [problem.partition(" cannot")[0] for problem in host.prove()] == [
        "a read-only root",
        "what is masked",
    ]


def test_a_process_that_is_gone_is_no_proof(host):
    """No process, no proof."""
    (problem,) = prove(PID + 1, ALL, host.proc, host.cgroup)

    assert "4243" in problem


def test_one_process(host, monkeypatch):
    """All is read of the process that was opened, even if another one gets its number meanwhile."""
    opened = os.open

    def swap(path, flags, *rest, **more):
        descriptor = opened(path, flags, *rest, **more)
        if path == host.process:
            host.process.rename(host.proc / "gone")
            host.write(host.process / "status", status(Seccomp="0"))
        return descriptor

    monkeypatch.setattr(os, "open", swap)

    assert host.prove() == ()


def test_our_own_process_is_not_sandboxed():
    """Against the real /proc: the process that runs this test is named in every point."""
    problems = " ".join(prove(os.getpid(), Expected()))

    for word in ("seccomp", "root file system", "IPC namespace", "shares the network"):
        assert word in problems


@given(st.text(max_size=200))
def test_parsers_take_any_text(text):
    """Whatever a file holds, the parsers answer."""
    assert status_problems(text, ALL)
    root_is_read_only(text)
    unmasked(text, HIDDEN)
    borrowed(text, ALL)
    interfaces(text)
    cgroup_paths(text, "pids")
