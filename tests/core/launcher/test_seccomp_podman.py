"""The shipped seccomp profile under real Podman: what it closes, what it leaves open, and that work gets done.

The probes are C programs in tests/probes: they ask the filter of a container about a call without letting the
call happen. ``FETCHML_UPDATE_GOLDEN=1`` writes the map of all calls anew; review it as code.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import fnmatch
import json
import os
import platform
import re
import subprocess
from pathlib import Path

import pytest

from fetchml_core.launcher.seccomp import default_profile
from tests.support.require import find_python, missing, need

PROBES = Path(__file__).parents[2] / "probes"
PAGE = Path(__file__).parents[3] / "docs" / "sandbox.md"
CALL = re.compile(r"`([a-z0-9_]+\*?)`")
STEPS = ["work_with_files", "work_with_processes", "work_with_sockets", "work_with_time_and_signals"]
UNKNOWN = -1
"""What libseccomp answers for a name that is no system call."""
MAP = Path(__file__).parent / "golden" / "seccomp-x86_64.txt"
PROFILE = ("--security-opt", f"seccomp={default_profile()}")
NO_NEW_PRIVILEGES = ("--security-opt", "no-new-privileges")
HARDENED = (
    *("run", "--rm", "--pull", "never", "--network", "none", "--cap-drop", "all", "--read-only"),
    *("--user", "65534:65534", *NO_NEW_PRIVILEGES, *PROFILE),
)
BLOCKED = {
    "ptrace": 101,
    "mount": 165,
    "umount2": 166,
    "reboot": 169,
    "kexec_load": 246,
    "perf_event_open": 298,
    "open_by_handle_at": 304,
}
"""The seven names of the specification with their numbers on x86-64."""
BY_THE_KERNEL = {335, 336, 453}
"""uretprobe and uprobe, which newer kernels answer before any filter is asked; map_shadow_stack, ENOSYS on most CPUs."""
LAST_OLD = 456
"""The last call that libseccomp 2.5.4 knows; about later ones a newer libseccomp has more to say."""
NEWER = {462: "mseal", 463: "setxattrat", 464: "getxattrat", 465: "listxattrat", 466: "removexattrat"}
"""The later ones that the profile opens."""


@pytest.fixture(scope="module")
def ask(podman_root, image_busybox, tmp_path_factory):
    """Compile a probe, run it in a container, and return its answers: question to verdict."""
    need("gcc")
    if platform.machine() != "x86_64":
        pytest.skip("the probes speak x86-64")
    folder = tmp_path_factory.mktemp("probes")

    def run(name: str, *flags: str) -> dict[str, str]:
        program = folder / name
        argv = [
            "gcc",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-O1",
            "-static",
            "-o",
            str(program),
            str(PROBES / f"{name}.c"),
        ]
        subprocess.run(argv, check=True)
        done = podman_root.run(*(flags or HARDENED), "-v", f"{program}:/probe:ro", image_busybox, "/probe")
        return dict(line.rsplit(" ", 1) for line in done.stdout.splitlines())

    return run


@pytest.fixture(scope="module")
def calls(ask):
    """What the profile says to every system call number."""
    return {int(number): verdict for number, verdict in ask("syscall_map").items()}


@pytest.fixture(scope="module")
def arguments(ask):
    """What the profile says where it depends on an argument."""
    return ask("syscall_arguments")


def verdicts(arguments: dict[str, str], *starts: str) -> set[str]:
    """The verdicts of the questions whose name begins with one of *starts*."""
    found = {verdict for question, verdict in arguments.items() if question.startswith(starts)}
    assert found, starts
    return found


@pytest.mark.each_podman
def test_every_call_is_answered_as_reviewed(calls):
    """#20: the whole map of calls 0 to 480 equals the reviewed one."""
    if os.environ.get("FETCHML_UPDATE_GOLDEN"):
        write_map(calls)
    reviewed = {number: verdict.split("|") for number, _, verdict in read_map()}

    assert reviewed.keys() == calls.keys() == set(range(481))
    differs = {number: verdict for number, verdict in calls.items() if verdict not in reviewed[number]}
    assert differs.keys() <= BY_THE_KERNEL


def test_what_the_page_says_is_closed_is_closed(calls):
    """#20: each call that docs/sandbox.md lists as closed is refused, those by the specification among them."""
    section = PAGE.read_text("utf-8").partition("## What is closed")[2].partition("\n## ")[0]
    words = {word for line in section.splitlines() if line.startswith("|") for word in CALL.findall(line)}
    assert words > BLOCKED.keys()
    numbers = {name: number for number, name, _ in read_map() if fnmatch_any(name, words)}

    assert len(numbers) > 50
    open_ = {name for name, number in numbers.items() if calls[number] not in {"EPERM", "ENOSYS"}}
    assert open_ == set()


def test_every_name_of_the_profile_is_known():
    """#20: libseccomp, which skips a name that it does not know, knows all but the newest."""
    resolve = library().seccomp_syscall_resolve_name
    profile = json.loads(default_profile().read_text("utf-8"))
    names = {name for rule in profile["syscalls"] for name in rule["names"]}

    assert len(names) > 300
    unknown = {name for name in names if resolve(name.encode()) == UNKNOWN}
    assert unknown <= {*NEWER.values(), "uretprobe"}


@pytest.mark.parametrize("name", BLOCKED)
def test_blocked_by_the_specification(calls, arguments, name):
    """#20: each of the seven calls is refused by the filter itself, by the 64-bit door and the 32-bit one."""
    assert calls[BLOCKED[name]] == "EPERM"
    assert arguments[f"i386-{name}"] == "EPERM"


def test_namespaces_are_closed(arguments):
    """#21: no namespace can be made, by clone, by unshare, by 32-bit clone, or with a high bit set."""
    assert verdicts(arguments, "clone-NEW", "i386-clone-NEW", "unshare-NEW") == {"EPERM"}


def test_clone3_looks_like_an_old_kernel(arguments):
    """#21: clone3 is ENOSYS, so that libc falls back to clone, which makes threads."""
    assert arguments["clone3"] == arguments["i386-clone3"] == "ENOSYS"
    assert arguments["clone"] == "open"


def test_dangerous_socket_families_are_closed(arguments):
    """#21: AF_ALG and AF_VSOCK are closed by every door, high bits or not, and so is what no job needs."""
    for family in ("ALG", "VSOCK", "PACKET", "BLUETOOTH", "XDP"):
        assert verdicts(arguments, f"socket-{family}", f"i386-socket-{family}", f"socketpair-{family}") <= {
            "EPERM"
        }
    assert verdicts(arguments, "socket-NETLINK-NETFILTER", "socket-NETLINK-CRYPTO", "socketpair-VSOCK") == {
        "EPERM"
    }


def test_socketcall_is_closed(arguments):
    """#21: the 32-bit multiplexer, which would go round the rules for families, is ENOSYS for every family."""
    assert verdicts(arguments, "i386-socketcall-") == {"ENOSYS"}


def test_ordinary_sockets_are_open(arguments):
    """#21: local, IPv4, IPv6 and route sockets can be made, by the 32-bit door too."""
    names = ("UNIX", "INET", "INET6")
    questions = [f"{door}socket-{name}" for name in names for door in ("", "i386-")]
    for question in [*questions, "socket-NETLINK-ROUTE", "socketpair-UNIX"]:
        assert arguments[question] == "open"


def test_terminals_cannot_be_typed_into(arguments):
    """#21: TIOCSTI is closed with any high bits; other ioctls, sign-extended ones too, are open."""
    assert verdicts(arguments, "ioctl-TIOCSTI", "i386-ioctl-TIOCSTI") == {"EACCES"}
    assert arguments["ioctl-FIONREAD"] == arguments["ioctl-sign-extended"] == "open"


def test_address_randomisation_stays(arguments):
    """#21: the call personality takes the five harmless values only."""
    taken = {
        question
        for question, verdict in arguments.items()
        if question.startswith("personality") and verdict == "open"
    }

    assert taken == {f"personality-{value}" for value in ("0", "0x8", "0x20000", "0x20008", "0xffffffff")}
    assert verdicts(arguments, "personality-0x4", "personality-0x1") == {"EPERM"}


def test_x32_is_killed(arguments):
    """#21: the third x86 door, whose numbers differ, ends the program."""
    assert verdicts(arguments, "x32-") == {"SIGSYS"}


def test_32_bit_programs_run(arguments):
    """The 32-bit door is there for programs that need it, with the calls of today's libc."""
    for question in ("i386-getpid", "i386-clock_gettime64", "i386-futex_time64"):
        assert arguments[question] == "open"


def test_the_probe_sees_an_open_door(ask):
    """#21: without the profile the same questions are answered otherwise: the probe measures the filter."""
    unconfined = [flag if flag != PROFILE[1] else "seccomp=unconfined" for flag in HARDENED]
    answers = ask("syscall_arguments", *unconfined)

    for question in ("clone-NEWUSER", "socket-VSOCK", "i386-socketcall-ALG", "ioctl-TIOCSTI", "i386-ptrace"):
        assert answers[question] == "open"


@pytest.mark.parametrize("more", [(), ("--read-only",), ("--read-only", *NO_NEW_PRIVILEGES)], ids=len)
def test_usage_lines_of_the_specification(podman_root, image_busybox, tmp_path, more):
    """The profile alone starts a container, also where no-new-privileges is not set and the runtime needs more."""
    data = tmp_path / "data"
    data.write_text("Seccomp test passed\n")
    done = podman_root.run(
        "run", "--rm", *PROFILE, *more, "-v", f"{data}:/data:ro", image_busybox, "cat", "/data"
    )

    assert done.stdout == "Seccomp test passed\n"


@pytest.mark.parametrize("image", ["image_python", "image_torch"])
def test_real_work_gets_done(request, podman_root, image):
    """#23: files, processes by fork, spawn and forkserver, shared memory, sockets, timers, NumPy and PyTorch work."""
    need("image-python" if image == "image_python" else "image-torch")
    name = request.getfixturevalue(image)
    flags = ("--tmpfs", "/tmp:rw,nosuid,nodev", "-v", f"{PROBES / 'real_work.py'}:/probe/real_work.py:ro")
    done = podman_root.run(*HARDENED, *flags, name, "python3", "/probe/real_work.py", timeout=170)

    more = ["work_with_numpy", "work_with_torch"] if image == "image_torch" else []
    assert done.stdout.split() == [*STEPS, *more]


def test_real_work_gets_done_by_every_python(podman_root, image_torch):
    """#23: by each newer Python that is at hand, brought into the container: each asks the kernel for other things."""
    need("image-torch")
    script = ("-v", f"{PROBES / 'real_work.py'}:/probe/real_work.py:ro", "--tmpfs", "/tmp:rw,nosuid,nodev")
    env = ("--env", "LD_LIBRARY_PATH=/python/lib", "--env", "PYTHONHOME=/python")
    for version in ("3.10", "3.11", "3.12", "3.13", "3.14"):
        prefix = find_prefix(version)
        if prefix not in {"", "/usr"}:  # the system's own is like the image's
            argv = (f"/python/bin/python{version}", "/probe/real_work.py")
            done = podman_root.run(
                *HARDENED, *script, "-v", f"{prefix}:/python:ro", *env, image_torch, *argv, timeout=300
            )
            assert done.stdout.split()[: len(STEPS)] == STEPS, version


def find_prefix(version: str) -> str:
    """Where a Python of this version is installed, empty where there is none."""
    python = find_python(version)
    argv = [python or "false", "-c", "import sys; print(sys.base_prefix)"]
    return subprocess.run(argv, capture_output=True, text=True, check=False).stdout.strip()


def fnmatch_any(name: str, patterns: set[str]) -> bool:
    """Whether the page means this call: by its name, or by its first letters and a star."""
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def library() -> ctypes.CDLL:
    """The installed libseccomp."""
    name = ctypes.util.find_library("seccomp")
    if name is None:
        missing("libseccomp", "this machine has no libseccomp; apt-get install -y libseccomp2")
    return ctypes.CDLL(name)


def read_map() -> list[tuple[int, str, str]]:
    """Return number, name and verdict of each call; where libseccomp's version decides, two verdicts with a bar."""
    lines = [line.split() for line in MAP.read_text("ascii").splitlines()]
    return [(int(number), name, verdict) for number, name, verdict in lines]


def write_map(found: dict[int, str]) -> None:
    """Write the reviewed map: number, name, verdict, a line each."""
    resolve = library().seccomp_syscall_resolve_num_arch
    resolve.restype = ctypes.c_char_p
    lines = []
    for number, verdict in found.items():
        name = NEWER.get(number) or (resolve(0xC000003E, number) or b"-").decode()
        told = "-" if number in BY_THE_KERNEL else verdict
        if number > LAST_OLD:
            told = "open|ENOSYS" if number in NEWER else "EPERM|ENOSYS"
        lines.append(f"{number} {name} {told}\n")
    MAP.parent.mkdir(exist_ok=True)
    MAP.write_text("".join(lines), "ascii")
