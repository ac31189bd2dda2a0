"""Small files of the kernel, in /proc and /sys, as text or number. Layer 2; a file that is not there tells nothing."""

from __future__ import annotations

from pathlib import Path

PROC, SYS = Path("/proc"), Path("/sys")


def read_text(path: Path) -> str:
    """Return what *path* says, without blanks around it; empty where it cannot be read."""
    try:
        return path.read_text("utf-8", "replace").strip()
    except OSError:
        return ""


def read_number(path: Path) -> int | None:
    """Return the whole number in *path*, None where there is none."""
    text = read_text(path)
    return int(text) if text.isascii() and text.lstrip("-").isdigit() else None
