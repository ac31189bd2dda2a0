"""Check one value of a configuration file against its option.

Layer 1, pure. Types are strict: ``"false"`` is no bool, a bool is no number, a number is no text. A value that
does not fit is a problem that says what was expected and what to write instead.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from attrs import frozen

from fetchml_core.errors import InputError
from fetchml_core.units import parse_duration, parse_size

from .findings import show, show_kind
from .node import resolve_plain
from .option import Cpus, Duration, Field, Size, parse_cpus

if TYPE_CHECKING:
    from collections.abc import Callable


@frozen
class Problem(Exception):  # noqa: N818 - not an error of ours: a finding without its place
    """Why a value does not fit."""

    code: str
    message: str
    expected: str = ""
    hint: str = ""


_CURLY = "\u201c\u201d\u201e\u201f\u2018\u2019\u201a\u201b\u00ab\u00bb"
_MARKS = _CURLY + "\"'"
_TRUTH = {"true": "true", "yes": "true", "on": "true", "y": "true", "1": "true", "enabled": "true"} | {
    "false": "false",
    "no": "false",
    "off": "false",
    "n": "false",
    "0": "false",
    "disabled": "false",
}
# Other words for a choice, from elsewhere: a hint names the choice where it is a legal one.
_SYNONYMS: dict[str, tuple[str, ...]] = {
    "debug": ("trace", "verbose", "all", "5"),
    "info": ("information", "notice", "default", "normal"),
    "warning": ("warnings",),
    "error": ("fatal", "critical", "crit", "panic", "err", "errors", "quiet"),
    "postgres": ("postgresql", "pg", "psql", "pgsql"),
    "mysql": ("mariadb", "maria"),
    "sqlite": ("sqlite3", "db"),
    "filesystem": ("file", "files", "fs", "disk", "dir", "directory"),
    "native": ("local", "builtin", "default", "memory"),
    "redis": ("rediss", "valkey"),
    "nvidia": ("cuda", "geforce", "tesla"),
    "amd": ("rocm", "radeon"),
    "apple": ("metal", "mps", "m1", "m2", "m3"),
    "none": ("no", "off", "cpu", "false", "disabled", "isolated"),
    "full": ("host", "bridge", "yes", "on", "true", "all", "internet"),
    "podman": ("docker", "container", "containers", "nerdctl"),
    "process": ("bare", "host", "shell", "subprocess"),
    "required": ("strict", "enforce", "enforced", "must"),
    "best-effort": ("besteffort", "optional", "try"),
}
_TIME_UNITS = {
    "ms": "milliseconds?|millis?|msecs?",
    "h": "hours?|hrs?",
    "m": "minutes?|mins?",
    "s": "seconds?|secs?",
    "d": "days?",
}

_EXPECTED = {
    "bool": "true or false",
    "int": "a whole number",
    "text": "a text",
    "duration": "a duration such as 30m or 500ms",
    "size": "a size such as 4Gi or 512m",
    "cpus": 'a number of CPUs in quotes, such as "2"',
    "list": "a list",
    "map": "a section",
    "section": "a section",
}


def expected_of(field: Field) -> str:
    """Return in words what *field* takes: its type, choices and range."""
    about = field.option
    if about.choices:
        return "one of " + ", ".join(about.choices)
    words = _EXPECTED[field.kind]
    if field.kind == "int" and about.ge is not None:
        words += f" from {about.ge:g}" + (f" to {about.le:g}" if about.le is not None else " up")
    return words


def check_scalar(field: Field, value: object) -> Any:
    """Return *value* as the type of *field*.

    Args:
        field: An option of kind bool, int, text, duration, size or cpus.
        value: A plain value, not None and not the empty string.

    Raises:
        Problem: it does not fit.
    """
    return _CHECKS[field.kind](field, value)


def _wrong(field: Field, value: object, hint: str = "") -> Problem:
    hidden = field.option.secret and not isinstance(value, (dict, list))
    shown = show_kind(value)
    if hidden:
        shown = "a number" if type(value) in {int, float} else "something else"
    expected = expected_of(field)
    if not hint and isinstance(value, (dict, list)):
        hint = _unwrapped(field, value)
    return Problem("wrong-type", f"expected {expected}, got {shown}", expected, hint)


def _unwrapped(field: Field, value: dict[str, Any] | list[Any]) -> str:
    """What to write where a list or a section stands instead of one value."""
    if (
        field.option.secret
        or isinstance(value, dict)
        or len(value) != 1
        or isinstance(value[0].value, (dict, list))
    ):
        return "write one value behind the key"
    return f"write {show(value[0].value)}, without brackets or a dash"


def _bool(field: Field, value: object) -> bool:
    if isinstance(value, bool):
        return value
    word = _TRUTH.get(str(value).lower()) if isinstance(value, (str, int)) else None
    hint = (
        f"write {word}, without quotes"
        if word and isinstance(value, str)
        else f"write {word}"
        if word
        else ""
    )
    if not hint and isinstance(value, str):
        near = nearest(value, ("true", "false"), cutoff=0.6)
        hint = f"did you mean {near}?" if near else "write true or false, without quotes"
    raise _wrong(field, value, hint)


def _int(field: Field, value: object) -> int:
    if type(value) is not int:
        raise _wrong(field, value, _number_hint(field, value))
    about = field.option
    expected = expected_of(field)
    if about.ge is not None and value < about.ge:
        hint = f"write {about.ge:g}, the least" + (" (or remove the key: unset)" if field.optional else "")
        raise Problem("out-of-range", f"expected {expected}, got {value}", expected, hint)
    if about.le is not None and value > about.le:
        raise Problem(
            "out-of-range", f"expected {expected}, got {value}", expected, f"write {about.le:g}, the greatest"
        )
    return value


def _number_hint(field: Field, value: object) -> str:
    """What to write for a number in quotes, with a point, with a unit."""
    if isinstance(value, float) and abs(value) < 10**9:
        near = (int(value),) if value.is_integer() else (int(value), int(value) + 1)
        return f"write {' or '.join(str(number) for number in near if _in_range(field, number) == number)}"
    if not isinstance(value, str) or not value.isascii() or len(value) > 18:
        return ""
    if value.isdigit() and value[0] == "0" and value != "0":
        return f"write {value.lstrip('0') or '0'}, without a leading 0"
    number = resolve_plain(value)
    if type(number) is int:
        return f"write {int(_in_range(field, number))}, without quotes"
    return _number_in(field, value)


def _in_range(field: Field, number: int) -> float:
    """The legal number nearest to *number*."""
    least, greatest = field.option.ge, field.option.le
    if least is not None and number < least:
        return least
    return greatest if greatest is not None and number > greatest else number


def _number_in(field: Field, text: str) -> str:
    """What to write for a number with a unit or with marks of the thousands."""
    bare = re.sub(r"(?<=\d)[,_' ](?=\d{3}\b)", "", text)
    if bare.isdigit():
        return f"write {bare}"
    match = re.fullmatch(r"(\d{1,9})\s*[A-Za-z/%]+", bare, re.ASCII)
    if match is None:
        return "write a whole number, without quotes"
    if field.option.unit == "s":
        try:
            return f"write {parse_duration(bare):g}: it counts seconds"
        except InputError:
            pass
    return f"write {match[1]}" + (
        f": its unit is {field.option.unit}" if field.option.unit else ", without a unit"
    )


def _text(field: Field, value: object) -> str:
    about = field.option
    if not isinstance(value, str):
        simple = (
            isinstance(value, (bool, int)) and not about.secret
        )  # how 1.10 or 1e3 was written is not known
        hint = (
            f'write "{show(value)}"'
            if simple
            else ""
            if isinstance(value, (dict, list))
            else "put it in quotes"
        )
        if isinstance(value, bool) and about.choices:
            hint = _of_choices(about.choices)
        raise _wrong(field, value, hint)
    if about.choices and value not in about.choices:
        raise Problem(
            "bad-choice",
            f"{show(value)} is not {expected_of(field)}",
            expected_of(field),
            _choice(value, about.choices),
        )
    return value


def _choice(value: str, choices: tuple[str, ...]) -> str:
    """What to write instead of *value*: the same in another case or spelling, a synonym, the nearest."""
    word = value.strip(f" \t{_CURLY}\"'").lower()
    if word in choices:
        return f"did you mean {word}?"
    meant = next((choice for choice in choices if word in _SYNONYMS.get(choice, ())), "") or nearest(
        word, choices
    )
    return f"did you mean {meant}?" if meant else _of_choices(choices)


def _of_choices(choices: tuple[str, ...]) -> str:
    return f"write one of {', '.join(choices)}"


def check_marks(value: str, *, secret: bool) -> None:
    """Refuse a text that a slip with quotes has made: no path, name or address looks like that.

    Args:
        value: A text as the file has it, not empty.
        secret: Whether it may be anything: only what surely is a slip counts then.

    Raises:
        Problem: ``stray-quotes`` or ``control-character``.
    """
    first, last = value[0], value[-1]
    if first in _CURLY and last in _CURLY:
        message = "curly quotes do not end a text, they are part of it"
        raise Problem("stray-quotes", message, "", 'use straight quotes: "')
    if secret:
        return
    if (first in _MARKS) != (last in _MARKS) and sum(value.count(mark) for mark in _MARKS) == 1:
        raise Problem("stray-quotes", "a quote on one side only", "", "add the other one, or remove it")
    if any(ord(one) < 32 for one in value):
        message = r"a control character in it: in double quotes \ starts an escape"
        raise Problem("control-character", message, "", r"write / instead of \, or use single quotes")


def _measure(
    make: type[str], parse: Callable[[str], float], spell: Callable[[Field, object], str]
) -> Callable[[Field, object], str]:
    def check(field: Field, value: object) -> str:
        expected = expected_of(field)
        if type(value) in {int, float}:
            raise Problem(
                "wrong-type", f"expected {expected}, got {show(value)}", expected, spell(field, value)
            )
        if not isinstance(value, str):
            raise _wrong(field, value)
        try:
            amount = parse(value)
        except InputError as error:
            message = (
                f"{error.message}: {show(value)}" if show(value)[1:-1] not in error.message else error.message
            )
            raise Problem(error.code, message, expected, spell(field, value) or error.hint) from None
        if field.option.ge is not None and amount < field.option.ge:
            least = f"at least {field.option.ge:g} s"
            hint = f'write "{field.option.ge:g}s", the least'
            raise Problem("out-of-range", f"expected {least}, got {show(value)}", least, hint)
        return make(value)

    return check


def _duration(field: Field, value: object) -> str:
    """What to write for a duration that has no unit or spells it out."""
    text = show(value) if isinstance(value, (int, float)) else str(value).strip().lower().replace(",", ".")
    if re.fullmatch(r"\d{1,9}(\.\d{1,9})?", text, re.ASCII):
        if str(field.default).endswith("ms"):
            return f'write "{text}ms" for milliseconds, or "{text}s" for seconds'
        return f'write "{text}s" for seconds, or "{text}m" for minutes'
    text = re.sub(r"\s+|and", "", text)
    for unit, words in _TIME_UNITS.items():
        text = re.sub(rf"(?<=\d)(?:{words})(?![a-z])", unit, text)
    return f'write "{text}"' if _fits(parse_duration, text) else 'write it like "30s", "5m" or "1h30m"'


def _size(_: Field, value: object) -> str:
    """What to write for a size that has no unit or spells it out."""
    text = str(value).strip().lower().replace(",", ".")
    if re.fullmatch(r"\d{1,15}", text, re.ASCII):
        number = int(text)
        if number >= 1 << 20:
            return f'write "{max(1, number >> 20)}m", which is as much in MiB'
        return f'write "{text}g" for GiB' if number <= 64 else f'write "{text}m" for MiB'
    text = re.sub(
        r"\s*(?:k(?:ilo)?|m(?:ega)?|g(?:iga)?|t(?:era)?)[a-z]*$", lambda match: match[0].strip()[0], text
    )
    return f'write "{text}"' if _fits(parse_size, text) else ""


def _cpus(_: Field, value: object) -> str:
    """What to write for a number of CPUs that is none, or has a unit."""
    if isinstance(value, (int, float)):
        return f'write "{show(value)}"' if value > 0 else 'write it like "2" or "0.5"'
    text = str(value).strip().lower().replace(",", ".")
    if match := re.fullmatch(r"(\d{1,6})m", text, re.ASCII):
        return f'write "{int(match[1]) / 1000:g}"'
    if match := re.fullmatch(r"(\d{1,4}(?:\.\d{1,3})?)\s*(?:cpus?|cores?|vcpus?)?", text, re.ASCII):
        return f'write "{match[1]}"' if _fits(parse_cpus, match[1]) else ""
    return ""


def _fits(parse: Callable[[str], float], text: str) -> bool:
    try:
        parse(text)
    except InputError:
        return False
    return True


_CHECKS: dict[str, Callable[[Field, Any], Any]] = {
    "bool": _bool,
    "int": _int,
    "text": _text,
    "duration": _measure(Duration, parse_duration, _duration),
    "size": _measure(Size, parse_size, _size),
    "cpus": _measure(Cpus, parse_cpus, _cpus),
}


def nearest(word: str, known: tuple[str, ...] | list[str], *, cutoff: float = 0.7) -> str:
    """Return the one of *known* that is most like *word*, "" where none is; case and hyphens hardly count."""
    if len(word) > 64:
        return ""
    bare = _bare(word)
    same = [name for name in known if _bare(name) == bare]
    if same:
        return same[0]
    import difflib

    lowered = {name.lower(): name for name in known}
    near = difflib.get_close_matches(word.lower(), lowered, n=1, cutoff=cutoff)
    return lowered[near[0]] if near else ""


def _bare(name: str) -> str:
    return re.sub(r"[-_ .]", "", name).lower()


def did_you_mean(word: str, known: tuple[str, ...] | list[str]) -> str:
    """Return a hint that names the nearest of *known*, or all of them when they are few."""
    near = nearest(word, known)
    if near:
        return f"did you mean {near}?"
    return f"known: {', '.join(known)}" if len(known) <= 12 else ""
