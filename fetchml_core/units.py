"""Sizes and durations as people write them: ``4Gi``, ``512m``, ``30m``, ``1h30m``.

Sizes follow Podman's rules: letters of either case, powers of 1024 with or without the ``i``.
Durations follow Go's, as in the configuration reference. A bare number is refused where a unit is needed.
"""

from __future__ import annotations

import contextlib
import functools
import re

from .errors import InputError

_SIZE = re.compile(r"(\d{1,15})(?:\.(\d{1,6}))?\s*([kmgtp]?)i?b?", re.ASCII | re.IGNORECASE)
DURATION = r"([0-9]{1,12}(\.[0-9]{1,9})?(ns|us|ms|s|m|h|d|w))+"
"""A duration, as a regular expression: durationpy would take more, and ignore what it does not know."""
_DURATION = re.compile(DURATION)
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
MAX_SIZE = 2**53


def parse_size(text: str, *, unit_needed: bool = True) -> int:
    """Return the number of bytes that *text* names.

    Raises:
        InputError: ``bad-size`` when it is no size, ``size-without-unit`` for a bare number.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise InputError(
            "bad-size", "this is not a size", context=text, hint="write it like 512m, 4Gi or 16g"
        )
    whole, fraction, letter = match[1], match[2] or "", match[3].lower()
    if unit_needed and text.strip()[-1].isdigit():
        raise InputError(
            "size-without-unit", "a size needs a unit", context=text, hint=f"write {text}m or {text}g"
        )
    scale = 1 << 10 * _POWERS[letter]
    size = int(whole) * scale + (int(fraction) * scale // 10 ** len(fraction) if fraction else 0)
    if size > MAX_SIZE:
        raise InputError("bad-size", "this size is beyond any machine", context=text)
    return size


def format_size(size: int) -> str:
    """Return *size* bytes for people: ``1.5 GiB``, ``12 B``."""
    number = float(size)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if number < 1024:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1024
    return f"{number:.1f} TiB"


def format_cpus(cpus: float) -> str:
    """Return a number of CPUs for people: ``1 CPU``, ``0.5 CPUs``."""
    return f"{cpus:g} {'CPU' if cpus == 1 else 'CPUs'}"


@functools.lru_cache(maxsize=64)
def parse_duration(text: str) -> float:
    """Return the seconds that *text* names, at least 0.

    Raises:
        InputError: ``bad-duration``, or ``duration-without-unit`` for a bare number.
    """
    import durationpy  # late: a client that only shows jobs needs it not

    text = text.strip()
    if text.isascii() and text.isdigit():
        raise InputError(
            "duration-without-unit",
            f"{text} of what?",
            context=text,
            hint=f"write {text}m for minutes or {text}h for hours",
        )
    seconds = -1.0
    if _DURATION.fullmatch(text):
        with contextlib.suppress(OverflowError, durationpy.DurationError):
            seconds = durationpy.from_str(text).total_seconds()
    if not 0 <= seconds < 10**9:
        raise InputError(
            "bad-duration", "this is not a duration", context=text, hint="write it like 30m, 1h30m or 500ms"
        )
    return seconds


def format_duration(seconds: float) -> str:
    """Return *seconds* for a column: ``8s``, ``3m12s``, ``2h05m``, ``3d04h``."""
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole}s"
    minutes, second = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes}m{second:02}s"
    hours, minute = divmod(minutes, 60)
    if hours < 24:
        return f"{hours}h{minute:02}m"
    days, hour = divmod(hours, 24)
    return f"{days}d{hour:02}h"
