"""Moments and spans: relative for people, RFC 3339 for machines.

Layer 6, pure. Moments are seconds since the epoch. Spans for people come from `fetchml_core.units`.
"""

from __future__ import annotations

from datetime import datetime, timezone

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
