"""Check one value of a configuration file against its option.

Layer 1, pure. Types are strict: ``"false"`` is no bool, a bool is no number, a number is no text. A value that
does not fit is a problem that says what was expected and what to write instead.
"""

from __future__ import annotations

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
    shown = "something else" if hidden else show_kind(value)
    expected = expected_of(field)
    return Problem("wrong-type", f"expected {expected}, got {shown}", expected, hint)


def _bool(field: Field, value: object) -> bool:
    if isinstance(value, bool):
        return value
    meant = {"true": "true", "yes": "true", "on": "true", "false": "false", "no": "false", "off": "false"}
    word = meant.get(value.lower()) if isinstance(value, str) else None
    raise _wrong(field, value, f"write {word}, without quotes" if word else "")


def _int(field: Field, value: object) -> int:
    if type(value) is not int:
        raise _wrong(field, value, _number_hint(value))
    about = field.option
    if (about.ge is not None and value < about.ge) or (about.le is not None and value > about.le):
        expected = expected_of(field)
        raise Problem("out-of-range", f"expected {expected}, got {value}", expected)
    return value


def _number_hint(value: object) -> str:
    if isinstance(value, float) and value.is_integer() and abs(value) < 10**9:
        return f"write {int(value)}"
    if not isinstance(value, str) or not value.isascii() or len(value) > 18:
        return ""
    if value.isdigit() and value[0] == "0" and value != "0":
        return f"write {value.lstrip('0') or '0'}, without a leading 0"
    return f"write {value}, without quotes" if type(resolve_plain(value)) is int else ""


def _text(field: Field, value: object) -> str:
    about = field.option
    if not isinstance(value, str):
        simple = isinstance(value, (bool, int, float)) and not about.secret
        raise _wrong(field, value, f'write "{show(value)}"' if simple else "put it in quotes")
    if about.choices and value not in about.choices:
        near = did_you_mean(value, about.choices)
        raise Problem("bad-choice", f"{show(value)} is not {expected_of(field)}", expected_of(field), near)
    return value


def _measure(make: type[str], parse: Callable[[str], float], unit: str) -> Callable[[Field, object], str]:
    def check(field: Field, value: object) -> str:
        expected = expected_of(field)
        if type(value) in {int, float}:
            hint = f'write "{show(value)}{unit}"' if unit else f'write "{show(value)}"'
            raise Problem("wrong-type", f"expected {expected}, got {show(value)}", expected, hint)
        if not isinstance(value, str):
            raise _wrong(field, value)
        try:
            amount = parse(value)
        except InputError as error:
            raise Problem(error.code, f"{error.message}: {show(value)}", expected, error.hint) from None
        if field.option.ge is not None and amount < field.option.ge:
            least = f"at least {field.option.ge:g} s"
            raise Problem("out-of-range", f"expected {least}, got {show(value)}", least)
        return make(value)

    return check


_CHECKS: dict[str, Callable[[Field, Any], Any]] = {
    "bool": _bool,
    "int": _int,
    "text": _text,
    "duration": _measure(Duration, parse_duration, "s"),
    "size": _measure(Size, parse_size, "m"),
    "cpus": _measure(Cpus, parse_cpus, ""),
}


def did_you_mean(word: str, known: tuple[str, ...] | list[str]) -> str:
    """Return a hint that names the nearest of *known*, or all of them when they are few."""
    if len(word) <= 64:
        import difflib

        by_case = [name for name in known if name.lower() == word.lower()]
        near = by_case or difflib.get_close_matches(word, known, n=1, cutoff=0.7)
        if near:
            return f"did you mean {near[0]}?"
    return f"known: {', '.join(known)}" if len(known) <= 8 else ""
