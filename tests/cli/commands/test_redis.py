"""What people are told of a queue in Redis: that it is away, that it is back, what it may lose."""

from __future__ import annotations

import json

import pytest

from fetchml_core.queue.fallback import AWAY_S
from tests.core.service.support import WORKER_FILE, World
from tests.support.wait import poll_until


@pytest.fixture
def box(tmp_path, run_verb):
    """A host whose queue lies in Redis, made for a server; its worker lives, and does nothing."""
    (tmp_path / "train.py").write_text("print(1)\n")
    (tmp_path / ".ml").mkdir(mode=0o700)

    def make(server):
        extra = f"queue:\n  type: redis\n  fallback_to_filesystem: true\nredis_url: {server.url()}\n"
        return World(tmp_path / ".ml" / "local", worker=WORKER_FILE + extra)

    return make


def submit(ml):
    """Submit the script; return what was printed."""
    ran = ml("submit", "--only", "--allow-large", "train.py")
    assert ran.status == 0, ran.err
    return ran


def test_away_and_back(box, redis_server, run_verb):
    """The mode is told wherever somebody looks, since when and how many jobs wait here; it is over when it is over."""
    server = redis_server()
    with box(server).worker_lives():
        assert "(1st in line)" in submit(run_verb).out
        assert run_verb("status").err == ""
        server.kill()

        ran = submit(run_verb)
        away = f"Redis at {server.url()} is away since 20"
        assert away in ran.err
        assert "(99 more)" in ran.err
        shown = run_verb("status")
        assert away in shown.err
        assert "1 job lies on this host until Redis can take it" in shown.err
        since = shown.err.partition("since ")[2][:20]
        told = json.loads(run_verb("status", "--json").out)
        assert [job["state"] for job in told["jobs"]] == ["queued"]
        assert since in told["notes"][0]
        assert since in json.loads(run_verb("show", "last", "--json").out)["notes"][0]
        assert since in run_verb("show", "last").out
        server.start()

        def is_back():
            return json.loads(run_verb("status", "--json").out)["notes"] == []

        poll_until(is_back, "Redis is asked again", timeout=5 * AWAY_S)
        assert json.loads(run_verb("queue", "stats", "--json").out)["jobs"]["queued"] == 2


def test_what_a_server_may_lose(box, redis_server, run_verb):
    """A server whose settings can lose a job is named at every submit, and in the numbers of the queue."""
    with box(redis_server("--appendonly", "no")).worker_lives():
        assert "Redis runs without appendonly" in submit(run_verb).err
        assert "Redis runs without appendonly" in run_verb("queue", "stats").out
