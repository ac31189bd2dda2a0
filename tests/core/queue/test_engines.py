"""Whatever the type, no queue is opened where it cannot be safe."""

from __future__ import annotations

import pytest

from fetchml_core.clock import Clock
from fetchml_core.config.resolve import QueueChoice
from fetchml_core.errors import HostError
from fetchml_core.queue.engines import open_chosen

URL = "redis://127.0.0.1:1/0"  # nobody is asked
CHOICES = [
    ("native", {}),
    ("filesystem", {}),
    ("sqlite", {}),
    ("redis", {"url": URL, "fallback": True}),
]


@pytest.mark.parametrize(("kind", "more"), CHOICES)
def test_a_folder_that_others_may_write_to_is_refused(tmp_path, kind, more):
    """The folder of the queue's files counts: of SQLite the one around them."""
    folder = tmp_path / "queue"
    folder.mkdir()
    choice = QueueChoice(kind, folder / "queue.sqlite" if kind == "sqlite" else folder, **more)
    folder.chmod(0o770)
    with pytest.raises(HostError, match="queue-place") as caught:
        open_chosen(choice, Clock())
    assert str(folder) in caught.value.hint

    folder.chmod(0o750)
    assert open_chosen(choice, Clock()).properties.name == kind
