"""The clocks: one for people, one that nobody can set."""

from __future__ import annotations

import time

from fetchml_core.clock import Clock


def test_the_boot_clock_runs_on_and_names_its_boot():
    """Two moments of one boot can be compared; the id is the kernel's."""
    clock = Clock()
    first, second = clock.boot(), clock.boot()

    assert first.boot_id == second.boot_id != ""
    assert first.seconds <= second.seconds
    assert Clock().boot().boot_id == first.boot_id


def test_the_wall_clock_is_the_epochs():
    """Seconds since the epoch."""
    assert abs(Clock().now() - time.time()) < 60


def test_sleep_sleeps():
    """At least as long as asked."""
    begin = time.monotonic()
    Clock().sleep(0.01)
    assert time.monotonic() - begin >= 0.01


def test_a_system_without_a_boot_id_still_has_a_clock(mocker):
    """Not Linux: one boot like another."""
    mocker.patch("pathlib.Path.read_text", side_effect=FileNotFoundError)

    assert Clock().boot().boot_id == "unknown"
