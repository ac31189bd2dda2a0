"""``ml worker``: the group of the verbs about a host's worker.

Which verb is in which module, for `lazy`: help lists them, and only the one that was typed is imported.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fetchml_cli.lazy import group_app

if TYPE_CHECKING:
    from collections.abc import Mapping

COMMANDS: Mapping[str, tuple[str, str]] = {
    "status": ("fetchml_cli.commands.worker.status", "Tell how the worker is."),
    "start": ("fetchml_cli.commands.worker.start", "Run a worker until it is stopped."),
    "stop": ("fetchml_cli.commands.worker.stop", "End the worker; running jobs go on."),
    "drain": ("fetchml_cli.commands.worker.drain", "Take no new jobs; end with the running ones."),
    "resume": ("fetchml_cli.commands.worker.resume", "Take jobs again."),
}

app = group_app(COMMANDS)


@app.callback()
def worker() -> None:
    """Look after a host's worker; all but status is for its admins."""
