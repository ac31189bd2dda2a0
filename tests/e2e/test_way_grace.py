"""How a job in a container is ended: the grace, and the end of all that it has started."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from tests.support.wait import poll_until

SAVER = """
import signal
def save(*_):
    folder = os.environ["FETCHML_CHECKPOINT_DIR"]
    print("told:", open(os.environ["FETCHML_STOP_FILE"]).read().strip(), flush=True)
    gate()
    with open(os.path.join(folder, "saved"), "w") as file:
        file.write("weights")
    sys.exit(0)
signal.signal(signal.SIGTERM, save)
print("began", flush=True)
while True:
    time.sleep(0.05)
"""
STUBBORN = """
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
for kind in ("child", "session", "orphan"):
    if os.fork() == 0:
        if kind != "child":
            os.setsid()
        if kind != "orphan" or os.fork() == 0:
            print(kind, flush=True)
            os.execve("/bin/sh", ["sh", "-c", "while :; do sleep 1; done", MARK], {"PATH": os.environ["PATH"]})
        os._exit(0)
while True:
    time.sleep(0.05)
"""


def marked(mark: str) -> list[str]:
    """Processes of this machine with *mark* in their command line."""
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                words = (process / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if mark.encode() in words:
                found.append(process.name)
    return found


@pytest.mark.parametrize("pair", ["local-rootful"])
def test_grace_and_kill_in_a_container(way, pair):
    """#17: a drain waits for the checkpoint, as long as the file allows; then a cancel leaves nothing of a job that ignores it."""
    host = way(pair, graceful_timeout="1h")
    saver = host.submit(SAVER)
    host.until_prints(saver, "began")
    host.ml.ok("worker", "drain", "--cancel", "--reason", "new disk")
    host.until_prints(saver, "told: the worker was drained: new disk")
    assert host.state(saver) == "stopping"
    host.open(saver)
    host.ml.fails(7, "wait", str(saver))
    ended = host.show(saver)["job"]["attempts"][-1]["outcome"]

    assert (ended["state"], ended["code"]) == ("cancelled", 0)
    assert (host.data / "jobs" / str(saver) / "checkpoint" / "saved").read_text() == "weights"

    poll_until(lambda: not host.ml.json("worker", "status")["worker"]["alive"], "the worker has ended")
    host.configure(graceful_timeout="1s")
    host.ml.ok("worker", "resume")
    mark = uuid.uuid4().hex
    stubborn = host.submit(f"MARK = {mark!r}\n{STUBBORN}")
    for kind in ("child", "session", "orphan"):
        host.until_prints(stubborn, kind)
    host.ml.ok("cancel", str(stubborn))
    host.ml.fails(7, "wait", str(stubborn))
    ended = host.show(stubborn)["job"]["attempts"][-1]["outcome"]

    assert (ended["state"], ended["signal"], ended["failure"]) == ("cancelled", 9, None)
    assert marked(mark) == []
