"""JSON for scripts: one object, one line, ``schema`` first.

Layer 6, pure. Keys keep the order in which they are given. Everything beyond printable ASCII is escaped, so the object is
the same in every locale and safe in every terminal. JSON knows no NaN: a metric that is none becomes the string
``"NaN"``, ``"Infinity"`` or ``"-Infinity"``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

SCHEMA = 1


def json_line(fields: Mapping[str, Any], *, indent: int | None = None) -> str:
    """Return *fields*, plain data, as one JSON object with a newline; with *indent* laid out for people."""
    return json.dumps({"schema": SCHEMA, **_plain(fields)}, indent=indent, allow_nan=False) + "\n"


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value
