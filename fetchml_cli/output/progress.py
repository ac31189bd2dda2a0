"""Progress of an upload or download, on the terminal of whoever waits for it.

Layer 6. Silent where stderr is no terminal. rich is loaded, and the bar drawn, only after half a second: most
transfers are over by then. The bar is drawn by whoever calls ``advance``, not by a thread: nothing is left
running, and a terminal that went away disturbs nothing but the bar.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.progress import Progress, TaskID

    from fetchml_cli.cli import Cli

DELAY = 0.5  # seconds before a bar is worth drawing
INTERVAL = 0.1  # seconds between two drawings
NARROW = 50  # cells; below, only the percentage is shown


@contextlib.contextmanager
def progress(
    cli: Cli, what: str, total: int | None, *, delay: float = DELAY
) -> Iterator[Callable[[int], None]]:
    """Show how a transfer goes on; yields ``advance(n)``, to be called with the bytes moved since the last call.

    The bar is gone and the cursor back when the block ends, however it ends.

    Args:
        cli: Where to draw.
        what: One word, as in ``"upload"``.
        total: Bytes in all; None where nobody knows.
        delay: Seconds before the bar appears.
    """
    if not cli.err.tty or cli.json or cli.environ.get("TERM", "dumb") == "dumb":
        yield lambda _: None
        return
    bar = _Bar(cli, what, total, delay)
    try:
        yield bar.advance
    finally:
        bar.close()


class _Bar:
    def __init__(self, cli: Cli, what: str, total: int | None, delay: float) -> None:
        self._cli = cli
        self._what = what
        self._total = total
        self._done = 0
        self._next = self._now() + delay
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._broken = False

    def advance(self, count: int) -> None:
        """Note *count* more bytes, and draw when it is time."""
        self._done += count
        if self._broken or self._now() < self._next:
            return
        try:
            self._draw()
        except (OSError, ValueError):  # the terminal is gone; the transfer is not
            self._broken = True
        self._next = self._now() + INTERVAL

    def close(self) -> None:
        """Take the bar away and give the cursor back."""
        if self._bar is not None:
            with contextlib.suppress(OSError, ValueError):
                self._bar.stop()
                self._cli.err.flush()

    def _now(self) -> float:
        return self._cli.clock.boot().seconds

    def _draw(self) -> None:
        if self._bar is None:
            self._bar = self._made()
            self._task = self._bar.add_task(self._what, total=self._total)
            self._bar.start()
        if self._task is not None:
            self._bar.update(self._task, completed=self._done)
        self._bar.refresh()

    def _made(self) -> Progress:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            Progress,
            ProgressColumn,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )

        err = self._cli.err
        console = Console(
            file=err.stream, force_terminal=True, no_color=not err.colour, width=self._cli.width, markup=False
        )
        columns: list[ProgressColumn] = [TextColumn("{task.description}", markup=False)]
        if self._cli.width < NARROW:
            columns.append(
                TextColumn("{task.percentage:>3.0f}%" if self._total else "{task.completed}", markup=False)
            )
        else:
            columns += [
                BarColumn(bar_width=None),
                DownloadColumn(binary_units=True),
                TransferSpeedColumn(),
                TimeRemainingColumn(),
            ]
        return Progress(*columns, console=console, transient=True, auto_refresh=False, expand=False)
