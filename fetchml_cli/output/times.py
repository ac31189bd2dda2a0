"""Moments and spans: relative for people, RFC 3339 for machines.

Layer 6, pure. Moments are seconds since the epoch. Spans for people come from `fetchml_core.units`.
"""

from __future__ import annotations

from datetime import datetime, timezone, tzinfo

from fetchml_core.units import format_duration


def rfc3339(moment: float) -> str:
    """Return *moment* in UTC with whole seconds: ``2026-11-22T19:58:01Z``; "" for one no calendar holds."""
    try:
        return datetime.fromtimestamp(int(moment), timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (OverflowError, OSError, ValueError):
        return ""


def ago(moment: float, now: float) -> str:
    """Return how long *moment* is ago: ``just now``, ``3m12s ago``, ``in 5m00s``.

    Clocks of two machines differ a little; less than two seconds is ``just now`` in both directions.
    """
    seconds = now - moment
    if abs(seconds) < 2:
        return "just now"
    return f"{format_duration(seconds)} ago" if seconds > 0 else f"in {format_duration(-seconds)}"


def local_time(moment: float, now: float, zone: tzinfo | None = None) -> str:
    """Return *moment* on the wall clock, as short as it is clear: ``14:03:09``, ``20 Nov 14:03``, ``2025-11-20``.

    Args:
        moment: What to show.
        now: The present, to leave out the day or the year that goes without saying.
        zone: The time zone, the machine's own where none is given.
    """
    try:
        then, today = (
            datetime.fromtimestamp(value, timezone.utc).astimezone(zone) for value in (moment, now)
        )
    except (OverflowError, OSError, ValueError):
        return ""
    if then.date() == today.date():
        return then.strftime("%H:%M:%S")
    if then.year == today.year:
        return f"{then.day} {_MONTHS[then.month - 1]} {then:%H:%M}"
    return then.strftime("%Y-%m-%d")


_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
