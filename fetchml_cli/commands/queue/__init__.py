"""``ml queue``: the group of the verbs about a host's queue as a whole.

Which verb is in which module, for `lazy`: help lists them, and only the one that was typed is imported.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fetchml_cli.lazy import group_app

if TYPE_CHECKING:
    from collections.abc import Mapping

COMMANDS: Mapping[str, tuple[str, str]] = {
    "stats": ("fetchml_cli.commands.queue.stats", "Tell how the queue stands."),
    "pause": ("fetchml_cli.commands.queue.pause", "Start no more jobs; running ones go on."),
    "resume": ("fetchml_cli.commands.queue.resume", "Start jobs again."),
    "check": ("fetchml_cli.commands.queue.check", "Verify all that is stored; repair it."),
    "migrate": ("fetchml_cli.commands.queue.migrate", "Move all jobs to a queue of another type."),
}

app = group_app(COMMANDS)


@app.callback()
def queue() -> None:
    """Look after a host's queue; for its admins."""
