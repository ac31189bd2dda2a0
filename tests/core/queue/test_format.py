"""docs/queue-format.md is enough to write a reader: this one knows nothing of the code that wrote the files."""

from __future__ import annotations

import gzip
import json
import struct
import subprocess
import zlib
from pathlib import Path

import pytest

from fetchml_core.jobs.job import Outcome, Stop
from fetchml_core.jobs.states import State
from fetchml_core.queue import native
from fetchml_core.queue.base import Finished, Pause, Requeued, Started
from fetchml_core.queue.native import NativeQueue
from tests.core.queue.contract import LAUNCH, LEASE, SPEC, FakeClock, first

DOCUMENT = Path(__file__).parents[3] / "docs" / "queue-format.md"


def read_native(folder):
    """Return the state of every job, and the pause."""
    data = (folder / "journal").read_bytes()
    first_line, _, rest = data.partition(b"\n")
    assert first_line.split(b" ")[:2] == [b"FETCHML-QUEUE", b"2"]
    states, pause, history, n = {}, None, {}, 0
    for line in rest.split(b"\0")[0].split(b"\n")[:-1]:
        crc, length, body = line.split(b" ", 2)
        assert (int(crc, 16), int(length)) == (zlib.crc32(body), len(body))
        event = json.loads(body)
        kind = event["e"]
        if kind == "base":
            n, history, pause = event["n"], event["history"], event.get("pause")
            continue
        if kind == "job":
            assert event["job"].get("state", "queued") == event["state"]
            states[event["id"]] = event["state"]
            continue
        n += 1
        assert event["n"] == n
        if kind in {"pause", "resume"}:
            pause = event.get("pause")
        else:
            states[event["id"]] = event.get("state", "queued")
    with (folder / "history" / "jobs.gz").open("rb") as file:
        for line in gzip.decompress(file.read(history["size"])).splitlines():
            job = json.loads(line)["job"]
            states[job["id"]] = job["state"]
    return states, pause


@pytest.fixture
def folder(tmp_path, mocker):
    """A queue that has seen much."""
    mocker.patch.object(native, "COMPACT_ENDED", 3)
    queue = NativeQueue(tmp_path / "queue", FakeClock())
    for n in range(20):
        queue.submit(SPEC, user="ünal", key=f"k\n{n}")
    for n in range(9):
        job = queue.claim(first, LEASE)
        queue.advance(job.id, job.attempt.number, Started(LAUNCH, LEASE))
        if n % 4 == 3:
            queue.advance(job.id, job.attempt.number, Requeued(Outcome(State.LOST)))
        elif n != 7:
            queue.advance(
                job.id, job.attempt.number, Finished(Outcome([State.SUCCEEDED, State.FAILED][n % 2]))
            )
    queue.hold(20)
    queue.stop(19, Stop("anna"))
    queue.pause(Pause("anna", "disk"))
    return tmp_path / "queue"


def test_a_reader_by_the_document_reads_all(folder):
    """Journal and history together tell every job's state."""
    states, pause = read_native(folder)

    assert states == {job.id: job.state.value for job in NativeQueue(folder, FakeClock()).jobs()}
    assert len(set(states.values())) >= 5
    assert pause == {"by": "anna", "reason": "disk"}


def test_tables_of_the_history_are_as_documented(folder):
    """From a job's id by way of ``ids`` and ``blocks`` to its line."""
    history = folder / "history"
    ids, blocks = (history / "ids").read_bytes(), (history / "blocks").read_bytes()
    assert (ids[:8], blocks[:8], (history / "keys").read_bytes()[:8]) == (
        b"FMLJOBS1",
        b"FMLBLCK1",
        b"FMLKEYS1",
    )
    ended = [job for job in NativeQueue(folder, FakeClock()).jobs() if job.id in {1, 2, 3}]
    for job in ended:
        entry = ids[job.id * 16 : job.id * 16 + 16]
        number, row, state, _, zero, tag = struct.unpack(">LBBBBL", entry[:12])
        block = blocks[(number + 1) * 40 : (number + 2) * 40]
        offset, length, count, low, high, member_tag = struct.unpack(">QLLQQL", block[:36])
        member = (history / "jobs.gz").read_bytes()[offset : offset + length]

        assert zero == 0
        assert tag == member_tag == zlib.crc32(member)
        assert struct.unpack(">L", entry[12:])[0] == zlib.crc32(entry[:12], job.id)
        assert state == 1 + ["succeeded", "failed", "cancelled", "timed-out", "lost"].index(job.state.value)
        lines = gzip.decompress(member).splitlines()
        assert len(lines) == count
        record = json.loads(lines[row])["job"]
        assert record["id"] == job.id
        assert low <= record["revision"] <= high


def test_the_commands_of_the_document_work(folder):
    """A person who types them sees the jobs."""
    commands = [line.strip() for line in DOCUMENT.read_text("utf-8").splitlines() if line.startswith("    ")]
    journal, history = (next(c for c in commands if c.startswith(word)) for word in ("tr ", "zcat "))
    for command, said in ((journal, '"e": "hold"'), (history, "succeeded")):
        done = subprocess.run(
            command, shell=True, cwd=folder.parent, capture_output=True, text=True, check=True
        )

        assert said in done.stdout
