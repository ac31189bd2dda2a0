"""A seccomp profile that would not protect is refused before Podman sees it."""

from __future__ import annotations

import copy
import ctypes
import ctypes.util
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fetchml_core.errors import HostError
from fetchml_core.launcher.seccomp import MAX_BYTES, check_profile, default_profile
from fetchml_core.launcher.seccomp_rules import ALLOWING, BREAKOUTS, DENYING, RefusedError, check_text
from fetchml_core.launcher.syscalls import NAMES
from tests.support.require import missing

REPOSITORY = Path(__file__).parents[3]
SHIPPED = json.loads(default_profile().read_text("utf-8"))
OF_THE_SPECIFICATION = {
    "ptrace",
    "mount",
    "umount2",
    "reboot",
    "kexec_load",
    "open_by_handle_at",
    "perf_event_open",
}
ALLOW_READ = {"names": ["read"], "action": "SCMP_ACT_ALLOW"}
X86 = 0x40000003, 0xC000003E, 0xC00000B7
"""libseccomp's tokens of x86, x86_64 and aarch64."""


@pytest.fixture
def place(tmp_path: Path):
    """Write a profile, from bytes or from data, and return its path."""

    def write(content: object) -> Path:
        path = tmp_path / "custom-profile.json"
        path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
        return path

    return write


def changed(**changes: object) -> dict[str, object]:
    """The shipped profile with some top-level values replaced; None removes one."""
    return {key: value for key, value in (SHIPPED | changes).items() if value is not None}


def with_rule(**rule: object) -> dict[str, object]:
    """The shipped profile with one rule more."""
    return changed(syscalls=[*SHIPPED["syscalls"], ALLOW_READ | rule])


def with_argument(*arguments: object) -> dict[str, object]:
    """The shipped profile with a conditional rule more."""
    return with_rule(args=list(arguments))


def refusal(path: Path, **options: str) -> HostError:
    """The error that a profile gives."""
    with pytest.raises(HostError) as caught:
        check_profile(path, **options)
    assert caught.value.context == str(path)
    assert caught.value.hint
    return caught.value


UNSOUND: dict[str, tuple[object, str]] = {
    "empty": (b"", "damaged"),
    "no-rules-at-all": ({}, "weak"),
    "cut": (default_profile().read_bytes()[:-40], "damaged"),
    "list": ([], "damaged"),
    "no-utf-8": (b'{"defaultAction": "\xff"}', "damaged"),
    "utf-16": (json.dumps(SHIPPED).encode("utf-16"), "damaged"),
    "byte-order-mark": (b"\xef\xbb\xbf" + json.dumps(SHIPPED).encode(), "damaged"),
    "two-objects": (json.dumps(SHIPPED).encode() * 2, "damaged"),
    "duplicate": (b'{"defaultAction": "SCMP_ACT_ERRNO", "defaultAction": "SCMP_ACT_ALLOW"}', "damaged"),
    "nan": (b'{"defaultErrnoRet": NaN}', "damaged"),
    "deep": (b"[" * 100_000, "damaged"),
    "huge-number": (b'{"defaultErrnoRet": ' + b"1" * 5000 + b"}", "damaged"),
    "too-large": (json.dumps(SHIPPED).encode() + b" " * MAX_BYTES, "damaged"),
    "typo-key": (changed(defaultaction="SCMP_ACT_ERRNO"), "typo"),
    "typo-rule-key": (with_rule(arg=[]), "typo"),
    "conditions-on-capabilities": (with_rule(includes={"caps": ["CAP_SYS_ADMIN"]}), "typo"),
    "typo-action": (with_rule(action="SCMP_ACT_ALOW"), "typo"),
    "typo-default": (changed(defaultAction="SCMP_ACT_ERRN0"), "typo"),
    "typo-architecture": (changed(architectures=["SCMP_ARCH_X64_86"]), "typo"),
    "typo-call": (with_rule(names=["opneat"]), "typo"),
    "typo-comparison": (with_argument({"index": 0, "value": 0, "op": "SCMP_CMP_EQUAL"}), "typo"),
    "traced": (with_rule(action="SCMP_ACT_TRACE"), "typo"),
    "allow-by-default": (changed(defaultAction="SCMP_ACT_ALLOW"), "weak"),
    "log-by-default": (changed(defaultAction="SCMP_ACT_LOG"), "weak"),
    "no-default": (changed(defaultAction=None), "weak"),
    "two-conditions-on-one-argument": (
        with_argument(*({"index": 0, "value": value, "op": "SCMP_CMP_NE"} for value in (38, 40))),
        "weak",
    ),
    "fake-success": (with_rule(action="SCMP_ACT_ERRNO", errnoRet=0), "invalid"),
    "fake-success-by-default": (changed(defaultErrnoRet=0), "invalid"),
    "wrong-type-default": (changed(defaultAction=1), "invalid"),
    "wrong-type-rules": (changed(syscalls={"names": ["read"]}), "invalid"),
    "no-rules": (changed(syscalls=[]), "invalid"),
    "wrong-type-rule": (changed(syscalls=["read"]), "invalid"),
    "wrong-type-names": (with_rule(names="read"), "invalid"),
    "no-names": (with_rule(names=[]), "invalid"),
    "wrong-type-name": (with_rule(names=[1]), "invalid"),
    "wrong-type-comment": (with_rule(comment=1), "invalid"),
    "wrong-type-args": (with_rule(args={}), "invalid"),
    "wrong-type-arg": (with_argument("0"), "invalid"),
    "wrong-type-errno": (with_rule(action="SCMP_ACT_ERRNO", errnoRet=True), "invalid"),
    "wrong-index": (with_argument({"index": 6, "value": 0, "op": "SCMP_CMP_EQ"}), "invalid"),
    "wrong-value": (with_argument({"index": 0, "value": 2**64, "op": "SCMP_CMP_EQ"}), "invalid"),
    "wrong-second-value": (
        with_argument({"index": 0, "value": 0, "valueTwo": -1, "op": "SCMP_CMP_EQ"}),
        "invalid",
    ),
    "fractional-value": (with_argument({"index": 0, "value": 1.0, "op": "SCMP_CMP_EQ"}), "invalid"),
    "no-architectures": (changed(architectures=None), "invalid"),
    "empty-architectures": (changed(architectures=[]), "invalid"),
    "both-architectures": (changed(archMap=[{"architecture": "SCMP_ARCH_X86_64"}]), "invalid"),
    "typo-architecture-map": (changed(architectures=None, archMap=[{"architecture": "X86_64"}]), "typo"),
    "wrong-type-architecture-map": (changed(architectures=None, archMap=["SCMP_ARCH_X86"]), "invalid"),
    "wrong-type-sub-architectures": (
        changed(
            architectures=None, archMap=[{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": "X86"}]
        ),
        "invalid",
    ),
    "typo-sub-architecture": (
        changed(
            architectures=None,
            archMap=[{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["X86"]}],
        ),
        "typo",
    ),
}
"""Profiles that would not protect, and the end of the code each is refused with."""


def test_the_shipped_profile_passes():
    """The file that is shipped is sound, is a real file, and is the one in configs."""
    checked = check_profile(default_profile())

    assert checked.path.is_absolute()
    assert not checked.path.is_symlink()
    assert len(checked.sha256) == 64
    assert checked.path.read_bytes() == (REPOSITORY / "configs/seccomp/default-hardened.json").read_bytes()


def test_the_shipped_profile_is_as_specified():
    """Denied by default with EPERM; x86_64, x86 and aarch64; the key calls of the specification are open."""
    named = (
        "open openat read write close mmap mprotect munmap brk clone fork execve exit wait4 socket bind listen accept "
        "connect sendto recvfrom rt_sigaction rt_sigprocmask kill tkill clock_gettime gettimeofday nanosleep "
        "epoll_create epoll_ctl epoll_wait poll select"
    )
    allowed = {
        name for rule in SHIPPED["syscalls"] if rule["action"] == "SCMP_ACT_ALLOW" for name in rule["names"]
    }

    assert (SHIPPED["defaultAction"], SHIPPED["defaultErrnoRet"]) == ("SCMP_ACT_ERRNO", 1)
    assert SHIPPED["architectures"] == ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_AARCH64"]
    assert set(named.split()) <= allowed
    assert not allowed & BREAKOUTS.keys()


def test_the_shipped_profile_explains_itself():
    """Every group has a comment, and no call stands in two groups without a condition."""
    unconditional = [name for rule in SHIPPED["syscalls"] if not rule.get("args") for name in rule["names"]]

    assert all(rule["comment"] for rule in SHIPPED["syscalls"])
    assert len(unconditional) == len(set(unconditional))


def test_no_rule_repeats_the_default():
    """A rule with the default's action and errno is dropped by runc, so none is there to deceive the reader."""
    for rule in SHIPPED["syscalls"]:
        assert (rule["action"], rule.get("errnoRet", 1)) != ("SCMP_ACT_ERRNO", 1)


def test_twins_for_other_architectures():
    """What aarch64 or a 32-bit program calls instead is open wherever the x86-64 call is."""
    allowed = {
        name for rule in SHIPPED["syscalls"] if rule["action"] == "SCMP_ACT_ALLOW" for name in rule["names"]
    }
    at = "access:faccessat dup2:dup3 pipe:pipe2 poll:ppoll select:pselect6 epoll_create:epoll_create1 "
    at += "epoll_wait:epoll_pwait mkdir:mkdirat rename:renameat2 unlink:unlinkat readlink:readlinkat chmod:fchmodat "
    at += "stat:newfstatat getpgrp:getpgid symlink:symlinkat link:linkat chown:fchownat mknod:mknodat signalfd:signalfd4"
    twins = dict(pair.split(":") for pair in at.split())
    twins |= {name.removesuffix("_time64"): name for name in NAMES if name.endswith("_time64")}

    assert not {(old, new) for old, new in twins.items() if old in allowed and new not in allowed}


def test_names_are_those_of_libseccomp():
    """The list of names has all that the installed libseccomp knows for our architectures."""
    library = ctypes.util.find_library("seccomp")
    if library is None:
        missing("libseccomp", "this machine has no libseccomp; apt-get install -y libseccomp2")
    resolve = ctypes.CDLL(library).seccomp_syscall_resolve_num_arch
    resolve.restype = ctypes.c_char_p
    found = {resolve(token, number) for token in X86 for number in range(600)} - {None}

    assert {name.decode() for name in found} <= NAMES


@pytest.mark.parametrize(
    "name", sorted(OF_THE_SPECIFICATION | {"fsmount", "kexec_file_load", "finit_module"})
)
@pytest.mark.parametrize("action", ALLOWING)
@pytest.mark.parametrize(
    "arguments", [[], [{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}]], ids=["always", "sometimes"]
)
def test_breaking_out_is_never_allowed(place, name, action, arguments):
    """None of the specification's seven calls, nor its equal, may be allowed, on whatever condition."""
    error = refusal(place(with_rule(names=["read", name], action=action, args=arguments)))

    assert error.code == "seccomp-profile-weak"
    assert name in error.message


def test_breaking_out_may_be_denied_by_name(place):
    """A rule that denies such a call is welcome."""
    check_profile(place(with_rule(names=["ptrace"], action="SCMP_ACT_KILL_PROCESS")))


@pytest.mark.parametrize("name", UNSOUND)
def test_unsound_profiles_are_refused(place, name):
    """Each way a profile can be wrong is refused with its code, the file and a next step."""
    content, code = UNSOUND[name]

    assert refusal(place(content)).code == f"seccomp-profile-{code}"


@pytest.mark.parametrize("action", DENYING)
def test_stricter_profiles_pass(place, action):
    """Every default that denies, an architecture map, and a comment or none are fine."""
    rules = copy.deepcopy(SHIPPED["syscalls"])
    del rules[0]["comment"]
    architectures = [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]}]
    path = place(changed(defaultAction=action, architectures=None, archMap=architectures, syscalls=rules))

    assert check_profile(path).path == path


def test_a_damaged_installation_is_told_apart():
    """Where the shipped profile itself is wrong, the advice is not to copy it."""
    assert "install" in refusal(default_profile(), sha256="0" * 64).hint


def test_a_typo_gets_a_suggestion(place):
    """A runtime would skip a misspelt call in silence; the error offers the right one."""
    assert "openat" in refusal(place(with_rule(names=["opneat"]))).message
    assert "defaultErrnoRet" in refusal(place(changed(defaultErrnoret=1))).message


def test_a_missing_file_is_named(tmp_path):
    """A path that leads nowhere is its own error."""
    assert refusal(tmp_path / "none.json").code == "seccomp-profile-missing"


def test_a_link_is_refused(place, tmp_path):
    """What is checked must be what Podman opens, so a link is refused, even to a good profile."""
    link = tmp_path / "link.json"
    link.symlink_to(place(SHIPPED))

    error = refusal(link)
    assert error.code == "seccomp-profile-unreadable"
    assert "link" in error.message


def test_no_plain_file_is_refused(tmp_path):
    """A folder is refused, and so is a FIFO, without waiting for a writer."""
    os.mkfifo(tmp_path / "fifo.json")

    assert refusal(tmp_path).code == "seccomp-profile-unreadable"
    assert refusal(tmp_path / "fifo.json").code == "seccomp-profile-unreadable"


def test_a_path_no_system_knows_is_refused(tmp_path):
    """A NUL in the configured path gives an error, not a traceback."""
    assert refusal(tmp_path / "a\0b").code == "seccomp-profile-unreadable"


def test_a_relative_path_becomes_absolute(place, monkeypatch):
    """Podman may run in another folder, so the result is absolute."""
    path = place(SHIPPED)
    monkeypatch.chdir(path.parent)

    assert check_profile(Path(path.name)).path == path


def test_a_change_after_the_check_is_seen(place):
    """With the digest of an earlier check, another content is refused however sound it is."""
    first = check_profile(place(SHIPPED))
    path = place(with_rule())

    assert check_profile(path).sha256 != first.sha256
    assert refusal(path, sha256=first.sha256).code == "seccomp-profile-changed"


json_like = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(sorted(NAMES)[:9]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*SHIPPED, *ALLOW_READ, "x"]), inner)
    ),
    max_leaves=12,
)


def refused(data: bytes) -> str:
    """The kind of refusal these bytes get, empty when they pass; any other exception fails the test."""
    try:
        check_text(data)
    except RefusedError as error:
        return error.kind
    return ""


@given(st.binary(max_size=64) | json_like.map(lambda value: json.dumps(value).encode()))
def test_total(data):
    """Any small bytes are refused; nothing else is raised."""
    assert refused(data)


@given(st.sampled_from(sorted(SHIPPED)), json_like)
def test_total_in_every_place(key, value):
    """Any value in any place of a sound profile passes or is refused."""
    refused(json.dumps(SHIPPED | {key: value}).encode())


@given(
    st.lists(st.sampled_from(sorted(NAMES)), min_size=1, max_size=5), st.sampled_from((*ALLOWING, *DENYING))
)
def test_closed(names, action):
    """A profile is refused as weak exactly when it allows a call that breaks out."""
    profile = changed(syscalls=[{"names": names, "action": action}])
    opens = action in ALLOWING and bool(BREAKOUTS.keys() & set(names))

    assert refused(json.dumps(profile).encode()) == ("weak" if opens else "")
