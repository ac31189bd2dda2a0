"""The shipped seccomp profile under real Podman: what it closes, what it leaves open, and that work gets done.

The probes are C programs in tests/probes: they ask the filter of a container about a call without letting the
call happen. ``FETCHML_UPDATE_GOLDEN=1`` writes the map of all calls anew; review it as code.
"""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path

import pytest

from fetchml_core.launcher.seccomp import default_profile
from tests.support.require import need

PROBES = Path(__file__).parents[2] / "probes"
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
NEW_AND_OPEN = {462, 463, 464, 465, 466}
"""mseal and the *xattrat calls."""


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
    """The whole map of calls 0 to 456 equals the reviewed one."""
    found = {number: verdict for number, verdict in calls.items() if number <= LAST_OLD}
    if os.environ.get("FETCHML_UPDATE_GOLDEN"):
        write_map(found)
    reviewed = {}
    for line in MAP.read_text("ascii").splitlines():
        number, _, verdict = line.split()
        reviewed[int(number)] = verdict

    assert reviewed == {
        number: "-" if number in BY_THE_KERNEL else verdict for number, verdict in found.items()
    }


def test_later_calls_are_closed(calls):
    """A call newer than the map is open only if the profile names it; to others it looks like an old kernel."""
    later = {number: verdict for number, verdict in calls.items() if number > LAST_OLD}

    assert {number for number, verdict in later.items() if verdict == "open"} <= NEW_AND_OPEN
    assert set(later.values()) <= {"open", "EPERM", "ENOSYS"}


@pytest.mark.parametrize("name", BLOCKED)
def test_blocked_by_the_specification(calls, arguments, name):
    """Each of the seven calls is refused by the filter itself, by the 64-bit door and the 32-bit one."""
    assert calls[BLOCKED[name]] == "EPERM"
    assert arguments[f"i386-{name}"] == "EPERM"


def test_namespaces_are_closed(arguments):
    """No namespace can be made, by clone, by unshare, by 32-bit clone, or with a high bit set."""
    assert verdicts(arguments, "clone-NEW", "i386-clone-NEW", "unshare-NEW") == {"EPERM"}


def test_clone3_looks_like_an_old_kernel(arguments):
    """clone3 is ENOSYS, so that libc falls back to clone, which makes threads."""
    assert arguments["clone3"] == arguments["i386-clone3"] == "ENOSYS"
    assert arguments["clone"] == "open"


def test_dangerous_socket_families_are_closed(arguments):
    """AF_ALG and AF_VSOCK are closed by every door, high bits or not, and so is what no job needs."""
    for family in ("ALG", "VSOCK", "PACKET", "BLUETOOTH", "XDP"):
        assert verdicts(arguments, f"socket-{family}", f"i386-socket-{family}", f"socketpair-{family}") <= {
            "EPERM"
        }
    assert verdicts(arguments, "socket-NETLINK-NETFILTER", "socket-NETLINK-CRYPTO", "socketpair-VSOCK") == {
        "EPERM"
    }


def test_socketcall_is_closed(arguments):
    """The 32-bit multiplexer, which would go round the rules for families, is ENOSYS for every family."""
    assert verdicts(arguments, "i386-socketcall-") == {"ENOSYS"}


def test_ordinary_sockets_are_open(arguments):
    """Local, IPv4, IPv6 and route sockets can be made, by the 32-bit door too."""
    names = ("UNIX", "INET", "INET6")
    questions = [f"{door}socket-{name}" for name in names for door in ("", "i386-")]
    for question in [*questions, "socket-NETLINK-ROUTE", "socketpair-UNIX"]:
        assert arguments[question] == "open"


def test_terminals_cannot_be_typed_into(arguments):
    """TIOCSTI is closed with any high bits; other ioctls, sign-extended ones too, are open."""
    assert verdicts(arguments, "ioctl-TIOCSTI", "i386-ioctl-TIOCSTI") == {"EACCES"}
    assert arguments["ioctl-FIONREAD"] == arguments["ioctl-sign-extended"] == "open"


def test_address_randomisation_stays(arguments):
    """The call personality takes the five harmless values only."""
    taken = {
        question
        for question, verdict in arguments.items()
        if question.startswith("personality") and verdict == "open"
    }

    assert taken == {f"personality-{value}" for value in ("0", "0x8", "0x20000", "0x20008", "0xffffffff")}
    assert verdicts(arguments, "personality-0x4", "personality-0x1") == {"EPERM"}


def test_x32_is_killed(arguments):
    """The third x86 door, whose numbers differ, ends the program."""
    assert verdicts(arguments, "x32-") == {"SIGSYS"}


def test_32_bit_programs_run(arguments):
    """The 32-bit door is there for programs that need it, with the calls of today's libc."""
    for question in ("i386-getpid", "i386-clock_gettime64", "i386-futex_time64"):
        assert arguments[question] == "open"


def test_the_probe_sees_an_open_door(ask):
    """Without the profile the same questions are answered otherwise: the probe measures the filter."""
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
    """Files, processes by fork, spawn and forkserver, shared memory, sockets, timers and NumPy work."""
    need("image-python" if image == "image_python" else "image-torch")
    name = request.getfixturevalue(image)
    flags = ("--tmpfs", "/tmp:rw,nosuid,nodev", "-v", f"{PROBES / 'real_work.py'}:/probe/real_work.py:ro")
    done = podman_root.run(*HARDENED, *flags, name, "python3", "/probe/real_work.py", timeout=120)

    steps = ["work_with_files", "work_with_processes", "work_with_sockets", "work_with_time_and_signals"]
    assert done.stdout.split() == steps + (["work_with_numpy"] if image == "image_torch" else [])


def write_map(found: dict[int, str]) -> None:
    """Write the reviewed map: number, name, verdict, a line each."""
    import ctypes

    resolve = ctypes.CDLL("libseccomp.so.2").seccomp_syscall_resolve_num_arch
    resolve.restype = ctypes.c_char_p
    lines = []
    for number, verdict in found.items():
        name = (resolve(0xC000003E, number) or b"-").decode()
        lines.append(f"{number} {name} {'-' if number in BY_THE_KERNEL else verdict}\n")
    MAP.parent.mkdir(exist_ok=True)
    MAP.write_text("".join(lines), "ascii")
