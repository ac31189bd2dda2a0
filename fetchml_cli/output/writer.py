"""One output stream and what is known about it.

Layer 6. `Writer.line` makes its text safe for a terminal; `Writer.write` takes text that is safe already (a
table, a filtered log), `Writer.raw` bytes that the user asked for as they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TextIO

from fetchml_cli.output.safe import safe_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class Writer:
    """A text stream.

    Args:
        stream: Where text goes; one with a ``buffer`` for `raw`.
        tty: Whether a person looks at it.
        colour: Whether that person sees colour.
    """

    def __init__(self, stream: TextIO, *, tty: bool = False, colour: bool = False) -> None:
        self.stream = stream
        self.tty = tty
        self.colour = tty and colour

    @classmethod
    def of_process(cls, stream: TextIO, environ: Mapping[str, str]) -> Writer:
        """Return the writer for a standard *stream*."""
        colour = not environ.get("NO_COLOR") and environ.get("TERM", "dumb") != "dumb"
        return cls(stream, tty=stream.isatty(), colour=colour)

    @property
    def unicode(self) -> bool:
        """Whether more than ASCII can be shown."""
        return (getattr(self.stream, "encoding", None) or "").lower().replace("-", "") == "utf8"

    def line(self, text: str = "") -> None:
        """Write one line; what could move the cursor or hide text is shown as text."""
        self.stream.write(safe_text(text) + "\n")

    def named(self, rows: Iterable[tuple[str, str]]) -> None:
        """Write a line for each name and what there is to say of it, one below the other."""
        pairs = list(rows)
        width = max(len(name) for name, _ in pairs)
        for name, text in pairs:
            self.line(f"{name:<{width}}  {text}".rstrip())

    def write(self, text: str) -> None:
        """Write *text* as it is; the caller answers for it being safe."""
        self.stream.write(text)

    def raw(self, data: bytes) -> None:
        """Write *data* untouched, after the text so far."""
        self.stream.flush()
        buffer: Any = getattr(self.stream, "buffer", None)
        if buffer is not None:
            buffer.write(data)

    def flush(self) -> None:
        """Hand everything to the system."""
        self.stream.flush()
