"""A growing output is read on and on, across its parts and gaps."""

from __future__ import annotations

import os

import pytest

from fetchml_core.launcher.log import SETTLED_S, LogChunk, LogReader
from tests.core.queue.contract import FakeClock

CLOCK = FakeClock()


@pytest.fixture
def reader(tmp_path):
    """Reads the output below *tmp_path*; its time is that of `CLOCK`."""
    return LogReader(tmp_path, CLOCK)


def change(folder, *, seconds_ago=10 * SETTLED_S):
    """Make the folder one in which a file came or went so long ago."""
    os.utime(folder, (CLOCK.time - seconds_ago, CLOCK.time - seconds_ago))


def test_reads_on_from_part_to_part(tmp_path, reader):
    """It goes on where it was, tells of a gap, and sees a part that comes after it has found nothing."""
    change(tmp_path)
    assert reader.read(100) == LogChunk(0, b"")

    (tmp_path / "log").write_bytes(b"0123")
    assert (reader.read(3), reader.read(3)) == (LogChunk(0, b"012"), LogChunk(3, b"3"))
    change(tmp_path)
    assert reader.read(3) == LogChunk(4, b"")

    with (tmp_path / "log").open("ab") as log:
        log.write(b"45")
    assert (reader.read(3), reader.read(3)) == (LogChunk(4, b"45"), LogChunk(6, b""))

    (tmp_path / "log.9").write_bytes(b"9")
    assert (reader.read(3), reader.read(3)) == (LogChunk(9, b"9", dropped=3), LogChunk(10, b""))


def test_a_folder_that_comes_later(tmp_path):
    """A reader may be there before the job."""
    late = LogReader(tmp_path / "control", CLOCK)
    assert late.read(9) == LogChunk(0, b"")

    (tmp_path / "control").mkdir()
    (tmp_path / "control/log").write_bytes(b"x")

    assert late.read(9) == LogChunk(0, b"x")


def test_a_part_that_comes_in_the_moment_of_the_look(tmp_path, reader):
    """The folder's time is the same before and after: for as long as that can be, each look lists the folder."""
    (tmp_path / "log").write_bytes(b"0")
    change(tmp_path, seconds_ago=SETTLED_S / 2)
    assert (reader.read(9), reader.read(9)) == (LogChunk(0, b"0"), LogChunk(1, b""))

    (tmp_path / "log.1").write_bytes(b"1")
    change(tmp_path, seconds_ago=SETTLED_S / 2)

    assert reader.read(9) == LogChunk(1, b"1")
