"""Every engine does what the model says (`FETCHML_MODEL` sets how many stories are told)."""

from __future__ import annotations

import pytest
import redis
from hypothesis.stateful import run_state_machine_as_test

from fetchml_core.queue.engines import open_queue
from fetchml_core.queue.redis import RedisQueue
from fetchml_core.queue.redis_link import Link
from tests.core.queue.model import SETTINGS, QueueModel

ENGINES = ("native", "sqlite", "filesystem")


@pytest.mark.parametrize("kind", ENGINES)
def test_engine_keeps_to_the_model(kind):
    """Whatever is done in whatever order, the queue agrees with the oracle."""

    class Model(QueueModel):
        def open_view(self, folder, clock):
            return open_queue(kind, folder / "queue", clock)

    run_state_machine_as_test(Model, settings=SETTINGS)


def test_redis_keeps_to_the_model(redis_url):
    """Likewise on a server; each story begins with an empty database."""
    begun = set()

    class Model(QueueModel):
        def open_view(self, folder, clock):
            if folder not in begun:
                begun.add(folder)
                with redis.Redis.from_url(redis_url) as client:
                    client.flushdb()
            return RedisQueue(Link(redis_url), clock)

    run_state_machine_as_test(Model, settings=SETTINGS)
