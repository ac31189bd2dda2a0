"""What stats, pause and resume share: a pause as data."""

from __future__ import annotations

from typing import Any

from fetchml_cli.output.times import rfc3339
from fetchml_core.wire.queue import PauseInfo


def pause_fields(pause: PauseInfo | None) -> dict[str, Any] | None:
    """Return a pause for ``--json``."""
    if pause is None:
        return None
    at = rfc3339(pause.at)
    return {"by": pause.by, "reason": pause.reason, "at": at, "moved_to": pause.moved_to or None}
