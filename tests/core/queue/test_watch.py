"""A watch of files is readable after each change of theirs, and misses none."""

from __future__ import annotations

import gc
import multiprocessing
import os
import resource
import select
from pathlib import Path

import pytest

from fetchml_core.fsio import replace_file
from fetchml_core.queue.watch import FileWatch


@pytest.fixture
def watch(tmp_path):
    """A watch of the file ``news`` in a folder that exists."""
    folder = tmp_path / "queue"
    folder.mkdir()
    watch = FileWatch(folder, ["news"])
    yield watch
    watch.close()


def readable(watch, seconds=0.0):
    """Whether there may be news."""
    return bool(select.select([watch], [], [], seconds)[0])


def append(path, data=b"x"):
    """Write to a file as a journal does."""
    with path.open("ab", buffering=0) as file:
        file.write(data)


def overwrite(path):
    """Write in place, as a counter does."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT)
    os.pwrite(fd, b"7", 0)
    os.close(fd)


def move_in(path):
    """Put a finished file in its place from elsewhere."""
    made = path.parent.with_name("made")
    made.write_bytes(b"new")
    made.rename(path)


CHANGES = {
    "append": append,
    "overwrite": overwrite,
    "replace": lambda path: replace_file(path, b"new"),
    "move": move_in,
    "truncate": lambda path: os.truncate(path, 0),
}


@pytest.mark.parametrize("change", CHANGES)
def test_every_kind_of_change_is_news(watch, tmp_path, change):
    """Each of several changes makes it readable again, and nothing else does."""
    path = tmp_path / "queue" / "news"
    path.write_bytes(b"first")
    for _ in range(3):
        watch.clear()
        assert not readable(watch)
        if change == "truncate":
            path.write_bytes(b"grown")
            watch.clear()
        CHANGES[change](path)

        assert readable(watch)


@pytest.mark.parametrize("make", [Path.touch, move_in])
def test_a_file_that_is_made_is_news(watch, tmp_path, make):
    """The file need not be there at first; after it is made, its changes are seen."""
    assert not readable(watch)
    make(tmp_path / "queue" / "news")
    assert readable(watch)
    watch.clear()
    append(tmp_path / "queue" / "news")

    assert readable(watch)


def test_neighbours_are_no_news(watch, tmp_path):
    """Files of other names may be written to all day long."""
    other = tmp_path / "queue" / "other"
    other.touch()
    watch.clear()
    append(other)

    assert not readable(watch)


def test_the_folder_may_come_later(tmp_path):
    """Each folder that is missing is waited for, and then the file in it."""
    folder = tmp_path / "a" / "b" / "c"
    watch = FileWatch(folder, ["news"])
    for place in (tmp_path / "a", tmp_path / "a" / "b", folder):
        assert not readable(watch)
        place.mkdir()
        assert readable(watch)
        watch.clear()
    append(folder / "news")
    assert readable(watch)
    watch.clear()
    (tmp_path / "noise").touch()  # the folders above are no longer watched

    assert not readable(watch)
    watch.close()


def test_the_folder_may_come_all_at_once(tmp_path):
    """A folder that is there with its file before anybody looks is found by the look, and watched after it."""
    folder = tmp_path / "a" / "b"
    watch = FileWatch(folder, ["news"])
    folder.mkdir(parents=True)
    (folder / "news").touch()
    assert readable(watch)
    watch.clear()
    append(folder / "news")

    assert readable(watch)
    watch.close()


def test_a_folder_that_is_moved_away_is_waited_for_again(watch, tmp_path):
    """Somebody moves the queue aside and another is made in its place."""
    folder = tmp_path / "queue"
    folder.rename(tmp_path / "old")
    assert readable(watch)
    watch.clear()
    folder.mkdir()
    assert readable(watch)
    watch.clear()
    append(folder / "news")

    assert readable(watch)


def test_none_left_is_told(tmp_path):
    """Where no descriptor is to be had it is -1, and nothing else fails."""
    used = len(os.listdir("/proc/self/fd"))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    low = max(int(name) for name in os.listdir("/proc/self/fd")) + 1
    held = [os.open("/dev/null", os.O_RDONLY) for _ in range(low - used + 1)]
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(low, soft), hard))
        watch = FileWatch(tmp_path, ["news"])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for fd in held:
            os.close(fd)

    assert watch.fileno() == -1
    watch.clear()
    watch.close()


def test_what_cannot_be_watched_is_told(tmp_path):
    """A path that leads through a file cannot be watched; callers ask instead."""
    (tmp_path / "file").touch()
    watch = FileWatch(tmp_path / "file" / "queue", ["news"])

    assert watch.fileno() == -1
    watch.clear()


def test_it_is_given_back(tmp_path):
    """Closing, twice as well, and collecting both free the descriptor."""
    gc.collect()  # what earlier tests have left
    before = len(os.listdir("/proc/self/fd"))
    watches = [FileWatch(tmp_path, ["news"]) for _ in range(5)]
    watches[0].close()
    watches[0].close()
    assert watches[0].fileno() == -1
    del watches
    gc.collect()

    assert len(os.listdir("/proc/self/fd")) == before


def _clear_in_child(watch, answers):
    watch.clear()
    answers.put(readable(watch))


def test_a_forked_child_takes_nothing_away(watch, tmp_path):
    """What a child has cleared is still news for its parent."""
    append(tmp_path / "queue" / "news")
    context = multiprocessing.get_context("fork")
    answers = context.SimpleQueue()
    child = context.Process(target=_clear_in_child, args=(watch, answers))
    child.start()
    assert answers.get() is False
    child.join()

    assert readable(watch)


def _write_often(path, count):
    for _ in range(count):
        overwrite(path)
        replace_file(path.with_name("counter"), b"%d" % _)


def test_no_change_is_missed(tmp_path):
    """Whoever waits, clears and looks sees the last change of a writer that never rests."""
    folder = tmp_path / "queue"
    watch = FileWatch(folder, ["counter"])
    count = 2000
    folder.mkdir()
    writer = multiprocessing.get_context("fork").Process(target=_write_often, args=(folder / "x", count))
    writer.start()
    seen = -1
    while seen < count - 1:
        assert readable(watch, 5.0), f"nothing after {seen}"
        watch.clear()
        seen = int((folder / "counter").read_bytes()) if (folder / "counter").exists() else -1
    writer.join()

    assert seen == count - 1
    watch.close()
