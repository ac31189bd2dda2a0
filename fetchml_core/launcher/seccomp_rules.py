"""What a seccomp profile must say to protect, as a pure function over its bytes.

Layer 2, no I/O. A container runtime is forgiving where we must not be: a profile holding ``{}`` runs the job with
no filter at all, an unknown system call name or a rule that repeats the default action is skipped in silence, and
of two keys with one name the last counts. Here each of these is refused.

Invariants (tests of the same names): total -- any bytes pass or raise `RefusedError`; closed -- a profile that
passes denies by default and allows none of `BREAKOUTS`, on whatever condition.
"""

from __future__ import annotations

import difflib
import functools
import json
from typing import TYPE_CHECKING, Any

from .syscalls import NAMES

if TYPE_CHECKING:
    from collections.abc import Iterable

_MAX_ERRNO = 4095  # the kernel cuts larger ones
_MAX_UINT64 = 2**64 - 1

DENYING = ("SCMP_ACT_ERRNO", "SCMP_ACT_KILL", "SCMP_ACT_KILL_THREAD", "SCMP_ACT_KILL_PROCESS")
ALLOWING = ("SCMP_ACT_ALLOW", "SCMP_ACT_LOG")
# TRACE and NOTIFY hand the decision to a program that nobody runs here.
ACTIONS = (*DENYING, *ALLOWING, "SCMP_ACT_TRAP")
COMPARISONS = tuple(f"SCMP_CMP_{name}" for name in ("EQ", "NE", "LT", "LE", "GE", "GT", "MASKED_EQ"))
ARCHITECTURES = tuple(
    "SCMP_ARCH_" + name
    for name in (
        *("X86_64", "X86", "X32", "AARCH64", "ARM", "RISCV64", "LOONGARCH64", "S390X", "S390"),
        *("PPC64LE", "PPC64", "PPC", "MIPS", "MIPS64", "MIPS64N32", "MIPSEL", "MIPSEL64", "MIPSEL64N32"),
    )
)

BREAKOUTS: dict[str, str] = {
    "ptrace": "takes over other processes",
    "mount": "changes what the container sees as its files",
    "umount2": "uncovers what a mount hides",
    "reboot": "stops the host",
    "kexec_load": "replaces the host's kernel",
    "open_by_handle_at": "opens files of the host past the container's root",
    "perf_event_open": "reads what the kernel and others do",
    # The same by another name: a list that closes only the seven above has these as its holes.
    "umount": "is umount2",
    **dict.fromkeys(
        (
            "fsopen",
            "fspick",
            "fsconfig",
            "fsmount",
            "move_mount",
            "open_tree",
            "open_tree_attr",
            "mount_setattr",
        ),
        "is a part of mount",
    ),
    "pivot_root": "is a part of mount",
    "kexec_file_load": "is kexec_load",
    **dict.fromkeys(("init_module", "finit_module", "create_module"), "loads code into the host's kernel"),
}
"""Calls no profile may allow, on whatever condition, and why: the specification's seven first."""

_TOP = ("defaultAction", "defaultErrnoRet", "architectures", "archMap", "syscalls")
_RULE = ("comment", "names", "action", "errnoRet", "args")
_ARGUMENT = ("index", "value", "valueTwo", "op")
_ARCH = ("architecture", "subArchitectures")


class RefusedError(Exception):
    """What is wrong with a profile: the end of its error code, and a sentence."""

    def __init__(self, kind: str, sentence: str) -> None:
        super().__init__(sentence)
        self.kind = kind
        self.sentence = sentence


@functools.lru_cache(maxsize=4)
def check_text(data: bytes) -> None:
    """Refuse profile bytes that are not sound or would not protect; nothing is returned."""
    profile = _parse(data)
    _keys(profile, _TOP, "the profile")
    _check_default(profile)
    _check_architectures(profile)
    rules = profile.get("syscalls")
    if not isinstance(rules, list) or not rules:
        raise RefusedError("invalid", "syscalls must be a list of rules; without one no program can start")
    for number, rule in enumerate(rules, 1):
        _check_rule(rule, f"rule {number}")


def _parse(data: bytes) -> dict[str, Any]:
    try:
        # Not json.loads(bytes): that guesses UTF-16 and a byte order mark, which Podman does not read.
        profile = json.loads(
            data.decode("utf-8"), object_pairs_hook=_no_duplicates, parse_constant=_no_constant
        )
    except (ValueError, RecursionError) as error:
        raise RefusedError("damaged", f"the seccomp profile is no JSON: {str(error)[:200]}") from None
    if not isinstance(profile, dict):
        raise RefusedError("damaged", "the seccomp profile is no JSON object")
    return profile


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    whole = dict(pairs)
    if len(whole) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise RefusedError("damaged", f"the key {twice!r} stands twice in one object; only one can count")
    return whole


def _no_constant(word: str) -> float:
    raise RefusedError("damaged", f"{word} is no JSON number")


def _check_default(profile: dict[str, Any]) -> None:
    action = profile.get("defaultAction")
    if action is None:
        raise RefusedError("weak", "defaultAction is missing: the job would run without any filter")
    _word(action, (*ACTIONS, "SCMP_ACT_TRACE", "SCMP_ACT_NOTIFY"), "defaultAction")
    if action not in DENYING:
        raise RefusedError(
            "weak", f"defaultAction {action} does not deny; it must be one of {', '.join(DENYING)}"
        )
    _errno(profile.get("defaultErrnoRet"), "defaultErrnoRet")


def _check_architectures(profile: dict[str, Any]) -> None:
    if ("architectures" in profile) == ("archMap" in profile):
        raise RefusedError("invalid", "the profile needs one of architectures and archMap")
    where = "architectures" if "architectures" in profile else "archMap"
    listed = profile[where]
    if not isinstance(listed, list) or not listed:
        raise RefusedError("invalid", f"{where} must be a list with at least one entry")
    for entry in listed:
        if where == "architectures":
            _word(entry, ARCHITECTURES, where)
            continue
        _keys(entry, _ARCH, where)
        _word(entry.get("architecture"), ARCHITECTURES, where)
        for name in _strings(entry.get("subArchitectures", []), f"subArchitectures in {where}"):
            _word(name, ARCHITECTURES, where)


def _check_rule(rule: Any, where: str) -> None:
    _keys(rule, _RULE, where)
    names = _strings(rule.get("names"), f"names in {where}")
    if not names:
        raise RefusedError("invalid", f"{where} names no system call")
    for name in names:
        _word(name, NAMES, f"{where}, system call", loose=True)
    action = rule.get("action")
    _word(action, ACTIONS, f"{where}, action")
    _errno(rule.get("errnoRet"), f"errnoRet in {where}")
    if not isinstance(rule.get("comment", ""), str):
        raise RefusedError("invalid", f"the comment in {where} is no text")
    _check_arguments(rule.get("args", []), where)
    for name in names:
        if action in ALLOWING and name in BREAKOUTS:
            raise RefusedError("weak", f"{where} allows {name}, which {BREAKOUTS[name]}")


def _check_arguments(arguments: Any, where: str) -> None:
    if not isinstance(arguments, list):
        raise RefusedError("invalid", f"args in {where} must be a list")
    seen = set()
    for argument in arguments:
        _keys(argument, _ARGUMENT, f"args in {where}")
        _word(argument.get("op"), COMPARISONS, f"{where}, op")
        _number(argument.get("index"), 0, 5, f"index in {where}")
        _number(argument.get("value"), 0, _MAX_UINT64, f"value in {where}")
        _number(argument.get("valueTwo", 0), 0, _MAX_UINT64, f"valueTwo in {where}")
        if argument["index"] in seen:
            # runc makes two rules of them: "not 38 and not 40" becomes "not 38 or not 40", which is everything.
            raise RefusedError(
                "weak", f"{where} has two conditions on argument {argument['index']}; runc joins them by OR"
            )
        seen.add(argument["index"])


def _keys(value: Any, known: tuple[str, ...], where: str) -> None:
    if not isinstance(value, dict):
        raise RefusedError("invalid", f"{where} is no JSON object")
    for key in value:
        _word(key, known, f"{where}, key")


def _word(value: Any, known: Iterable[str], where: str, *, loose: bool = False) -> None:
    """Refuse a word that is not *known*; *loose* lists are too long to be shown."""
    if not isinstance(value, str):
        raise RefusedError("invalid", f"{where}: {value!r:.80} is no text")
    if value in known:
        return
    near = difflib.get_close_matches(value, sorted(known), n=1)
    advice = (
        f"did you mean {near[0]}?"
        if near
        else "see man 2 syscalls"
        if loose
        else f"known: {', '.join(known)}"
    )
    raise RefusedError("typo", f"{where}: nobody knows {value!r:.80}; {advice}")


def _strings(value: Any, where: str) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise RefusedError("invalid", f"{where} must be a list of texts")
    return value


def _number(value: Any, low: int, high: int, where: str) -> None:
    if type(value) is not int or not low <= value <= high:
        raise RefusedError(
            "invalid", f"{where} must be a whole number from {low} to {high}, not {value!r:.80}"
        )


def _errno(value: Any, where: str) -> None:
    """Errno 0 would tell the program that the denied call went well."""
    if value is not None:
        _number(value, 1, _MAX_ERRNO, where)
