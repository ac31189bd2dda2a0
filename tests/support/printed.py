"""What is kept of a job's output."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fetchml_core.launcher.log import cut_mark, read_log

if TYPE_CHECKING:
    from pathlib import Path


def printed(control: Path) -> bytes:
    """The kept output, as people see it: a mark in each gap."""
    found, offset = b"", 0
    while (chunk := read_log(control, offset, 1 << 18)).data:
        found += (cut_mark(chunk.dropped) if chunk.dropped else b"") + chunk.data
        offset = chunk.next
    return found
