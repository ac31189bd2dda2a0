"""Text from a peer, made safe for a terminal and an error message.

Layer 5, pure. What a host, a login script or an SSH server says may hold escape sequences; it is shown as text.
"""

from __future__ import annotations


def printable(text: str | bytes, *, limit: int = 400) -> str:
    """Return *text* on one line: control and other unprintable characters as escapes, at most *limit* characters."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", "backslashreplace")
    words = " ".join(text.split(" "))
    safe = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in words)
    return safe if len(safe) <= limit else safe[: limit - 3] + "..."


def last_lines(data: bytes, *, count: int = 3) -> str:
    """Return the last *count* lines of *data* that are not empty, joined by `` | `` and safe to show."""
    lines = [line.strip() for line in data.splitlines() if line.strip()]
    return " | ".join(printable(line, limit=200) for line in lines[-count:])
