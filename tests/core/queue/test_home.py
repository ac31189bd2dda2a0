"""A host has one name among those that share its queue, for as long as its data folder is there."""

from __future__ import annotations

import multiprocessing
import stat

import pytest

from fetchml_core.clock import Clock
from fetchml_core.errors import FetchError
from fetchml_core.queue.fallback import FallbackQueue
from fetchml_core.queue.home import find_home
from fetchml_core.queue.redis import RedisQueue
from fetchml_core.service.host import open_host


def test_it_is_made_once(tmp_path):
    """Processes that ask at once, and later ones, on a machine by another name too, get the same name."""
    with multiprocessing.get_context("fork").Pool(4) as pool:
        found = set(pool.starmap(find_home, [(tmp_path / "data", "box1")] * 8))
    found.add(find_home(tmp_path / "data", "box9"))

    assert len(found) == 1
    assert found.pop().startswith("box1-")
    assert stat.S_IMODE((tmp_path / "data" / "home.json").stat().st_mode) == 0o600


def test_two_folders_are_two_hosts(tmp_path):
    """Two bases on one machine, or two machines of one name, are told apart; a strange name does no harm."""
    names = {find_home(tmp_path / str(n), "bo\x1b x/1") for n in range(2)}

    assert len(names) == 2
    assert all(name.startswith("bo--x-1-") for name in names)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"home": 1}'])
def test_a_damaged_name_is_said(tmp_path, text):
    """No other name is made in its place: the jobs of the first would wait for ever."""
    (tmp_path / "home.json").write_text(text)

    with pytest.raises(FetchError, match="damaged-file"):
        find_home(tmp_path, "box1")
    assert (tmp_path / "home.json").read_text() == text


@pytest.mark.parametrize(("fallback", "engine"), [("false", RedisQueue), ("true", FallbackQueue)])
def test_a_host_by_its_files(tmp_path, redis_url, fallback, engine):
    """The files of a base lead to its queue in Redis, under the name of its data folder."""
    text = f"redis_url: {redis_url}\nqueue: {{type: redis, fallback_to_filesystem: {fallback}}}\n"
    (tmp_path / "worker.yaml").write_text(text)
    host = open_host(tmp_path, {}, Clock())

    assert isinstance(host.queue, engine)
    assert host.queue.home == find_home(tmp_path / "data", "other")
    assert str(host.queue_path) == redis_url
    assert host.queue_notes() == ()
