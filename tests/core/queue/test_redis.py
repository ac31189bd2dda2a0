"""The Redis queue keeps the contract, with a real server that is killed, cut off, refuses, and lies."""

from __future__ import annotations

import multiprocessing
import select
import subprocess
import threading
import time

import pytest
import redis
from attrs import evolve

from fetchml_core.clock import Clock
from fetchml_core.errors import FetchError
from fetchml_core.jobs.job import Launched, Outcome, Stop
from fetchml_core.jobs.states import State
from fetchml_core.queue.base import Beat, Finished, Pause, Started, Stored
from fetchml_core.queue.redis import RedisQueue
from fetchml_core.queue.redis_link import PATIENCE_S, Link
from tests.core.queue.contract import SPEC, FakeClock, QueueContract, first
from tests.support.effort import SECONDS, seconds_not_minutes
from tests.support.wait import poll_until

FORK = multiprocessing.get_context("fork")


@pytest.fixture
def clock():
    """A clock that stands still."""
    return FakeClock()


@pytest.fixture
def open_queue(redis_url, clock):
    """A factory of views of one queue."""
    return lambda: RedisQueue(Link(redis_url), clock)


@pytest.fixture
def store(redis_url):
    """The database behind the queue's back."""
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        yield client


@pytest.mark.each_redis
class TestRedis(QueueContract):
    """The contract."""

    @pytest.fixture
    def pass_time(self):
        """Leases are on the server's clock, which nobody here can set."""
        return time.sleep


# --- the way to the server ---


def reach(url, **options):
    """A view on the machine's own clocks."""
    return RedisQueue(Link(url, **options), Clock())


def is_readable(watch, seconds=10.0):
    """Whether there are news in time."""
    return bool(select.select([watch], [], [], seconds)[0])


@pytest.mark.each_redis
def test_a_killed_server_has_what_it_acknowledged(redis_server):
    """Killed in the middle of its work and started again, it has every job that a process was told of."""
    server = redis_server()
    told, ended = [], threading.Event()

    def submit(name):
        queue, number = reach(server.url(), patience=0.1), 0
        while not ended.is_set():
            number += 1
            try:
                told.append(queue.submit(SPEC, user=name, key=str(number)))
            except FetchError as error:
                assert error.code == "queue-unreachable"

    crew = [threading.Thread(target=submit, args=(f"u{n}",)) for n in range(3)]
    for one in crew:
        one.start()
    for _ in range(5):
        before = len(told)
        poll_until(lambda: len(told) > before + 20)  # noqa: B023 - called in this turn only
        server.kill()
        server.start()
    ended.set()
    for one in crew:
        one.join()
    jobs = {job.id: job for job in reach(server.url()).jobs()}

    assert len({job.id for job in told}) == len(told) > 100
    assert all(jobs[job.id] == job for job in told)


def test_a_restart_is_waited_for(redis_server):
    """A server that comes back within the patience is no error, and neither are connections that it has closed."""
    server = redis_server()
    queue = reach(server.url())
    job = queue.submit(SPEC, user="anna", key="k")
    server.kill()
    threading.Timer(0.5, server.start).start()

    assert queue.get(job.id) == job


def test_a_server_that_is_away_is_said_soon(redis_server):
    """The patience ends, the error names the server and no password, and nothing else shows it."""
    server = redis_server()
    link = Link(f"redis://:s3cret@{server.host}:{server.port}/0", patience=0.3)
    server.kill()
    with seconds_not_minutes(time.monotonic), pytest.raises(FetchError) as caught:
        RedisQueue(link, Clock()).revision()

    assert (caught.value.code, caught.value.context) == ("queue-unreachable", server.url())
    assert "redis-cli" in caught.value.hint
    assert "s3cret" not in repr(link) + repr(caught.value) + str(caught.value)
    assert PATIENCE_S < 10


def test_a_server_that_hangs_is_said_soon(redis_server):
    """An open port behind which nobody answers is the same."""
    server = redis_server()
    queue = reach(server.url(), patience=0.3)
    queue.revision()
    server.freeze()
    with seconds_not_minutes(time.monotonic), pytest.raises(FetchError, match="queue-unreachable"):
        queue.revision()
    server.thaw()


@pytest.mark.parametrize("password", ["", "wr0ng"])
def test_a_wrong_password_is_said_at_once(redis_server, password):
    """It is not tried again, and not shown."""
    server = redis_server("--requirepass", "s3cret")
    with seconds_not_minutes(time.monotonic), pytest.raises(FetchError) as caught:
        reach(f"redis://:{password}@{server.host}:{server.port}/0", patience=2 * SECONDS).revision()

    assert caught.value.code == "queue-denied"
    assert "wr0ng" not in str(caught.value)
    assert reach(f"redis://:s3cret@{server.host}:{server.port}/0").revision() == 0


@pytest.mark.each_redis
def test_a_full_server_is_said(redis_server):
    """What Redis refuses stands in the error, and the queue goes on when there is room."""
    server = redis_server("--maxmemory", "3mb")
    queue, number = reach(server.url()), 0
    with pytest.raises(FetchError, match=r"queue-refused.*maxmemory"):  # noqa: PT012 - until it is full
        while True:
            queue.submit(evolve(SPEC, env={"A": "x" * 50_000}), user="anna", key=str(number))
            number += 1
    with redis.Redis.from_url(server.url()) as client:
        client.config_set("maxmemory", "0")

    assert queue.submit(SPEC, user="anna", key="more").id == number + 1


def test_threads_share_few_connections(redis_url):
    """More askers than connections wait for each other."""
    queue = reach(redis_url, connections=2)
    crew = [
        threading.Thread(target=lambda n=n: queue.submit(SPEC, user="anna", key=str(n))) for n in range(16)
    ]
    for one in crew:
        one.start()
    for one in crew:
        one.join()

    assert len(queue.jobs()) == 16


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """A folder with ca.pem, and a key and certificate of 127.0.0.1 by it."""
    folder = tmp_path_factory.mktemp("tls")

    def openssl(*words):
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)

    new = ("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")
    openssl(*new, "-x509", "-subj", "/CN=ca", "-keyout", "ca.key", "-out", "ca.pem")
    for name, address in (("good", "127.0.0.1"), ("other", "127.0.0.2")):
        openssl(*new[:-2], "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr")
        (folder / "names").write_text(f"subjectAltName=IP:{address}\n")
        sign = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "names")
        openssl("x509", "-req", "-in", f"{name}.csr", *sign, "-out", f"{name}.pem")
    return folder


@pytest.fixture
def tls_server(redis_server, certificates):
    """A factory of servers that speak TLS only: ``tls_server(certificate)`` returns the URL."""

    def make(name):
        words = (
            "--tls-cert-file",
            f"{certificates / name}.pem",
            "--tls-key-file",
            f"{certificates / name}.key",
        )
        server = redis_server(
            *words, "--tls-ca-cert-file", str(certificates / "ca.pem"), "--tls-auth-clients", "no", tls=True
        )
        return f"rediss://{server.host}:{server.port}/0"

    return make


@pytest.mark.each_redis
def test_tls(tls_server, certificates):
    """With the CA at hand the queue works over TLS, its news too."""
    queue = reach(f"{tls_server('good')}?ssl_ca_certs={certificates / 'ca.pem'}")
    watch = queue.watch()
    watch.clear()
    for n in range(50):
        queue.submit(SPEC, user="anna", key=str(n))

    assert is_readable(watch)
    poll_until(lambda: (watch.clear(), not is_readable(watch, 0))[1])
    queue.hold(1)
    assert is_readable(watch)
    watch.close()


@pytest.mark.parametrize(("name", "ca"), [("good", False), ("other", True)])
def test_a_stranger_is_not_trusted(tls_server, certificates, name, ca):
    """A certificate of an unknown CA, or of another host, is refused, without trying again."""
    query = f"?ssl_ca_certs={certificates / 'ca.pem'}" if ca else ""
    refused = pytest.raises(FetchError, match=r"queue-unreachable(.|\n)*certificate verify failed")
    with seconds_not_minutes(time.monotonic), refused:
        reach(tls_server(name) + query, patience=2 * SECONDS).revision()


# --- answers that are lost ---


@pytest.mark.parametrize("down", [0, 40])
def test_a_lost_answer_changes_nothing_twice(shared_redis, redis_url, proxy, clock, down):
    """Whatever is asked again, as the link broke before the answer came: it has been done once."""
    line = proxy(shared_redis.host, shared_redis.port)
    queue = RedisQueue(Link(f"redis://{line.host}:{line.port}/{redis_url.rpartition('/')[2]}"), clock)
    queue.revision()

    def cut(call):
        before = queue.revision()
        line.cut_after(down=down)
        threading.Timer(0.2, line.cut).start()
        answer = call()
        time.sleep(0.25)
        assert queue.revision() == before + 1
        return answer

    job = cut(lambda: queue.submit(SPEC, user="anna", key="k"))
    assert job.id == 1
    assert len(cut(lambda: queue.submit_array([SPEC, SPEC][:1], user="anna", key="a"))) == 1
    lease = queue.lease("w", 60.0)
    claimed = cut(lambda: queue.claim(first, lease))
    assert (claimed.id, claimed.attempt.number, claimed.lease) == (1, 1, lease)
    cut(lambda: queue.advance(1, 1, Started(Launched("process", pid=7, start_ticks=9), lease)))
    done = cut(lambda: queue.advance(1, 1, Finished(Outcome(State.SUCCEEDED))))
    assert done.state is State.SUCCEEDED


class Twice(Link):
    """Sends every script twice, as whoever has lost the first answer does."""

    def run(self, script, *args):
        """See `Link.run`."""
        super().run(script, *args)
        return super().run(script, *args)


def test_what_is_sent_twice_is_done_once(redis_url, clock):
    """Each step of a job's way, its answer lost and asked again: one change, and the same answer."""
    queue = RedisQueue(Twice(redis_url), clock)
    lease = queue.lease("w", 60.0)
    revisions = [
        queue.submit(SPEC, user="anna", key="k").revision,
        queue.hold(1).revision,
        queue.release(1).revision,
        queue.claim(first, lease).revision,
        queue.advance(1, 1, Started(Launched("process", pid=7, start_ticks=9), lease)).revision,
        queue.advance(1, 1, Beat(evolve(lease, until=lease.until + 1))).revision,
        queue.stop(1, Stop("anna")).revision,
        queue.advance(1, 1, Finished(Outcome(State.CANCELLED))).revision,
    ]

    assert revisions == [1, 2, 3, 4, 5, 5, 6, 7]
    assert len(queue.get(1).attempts) == 1
    assert [job.id for job in queue.submit_array([SPEC] * 3, user="anna", key="a")] == [2, 3, 4]
    queue.adopt([Stored("b", evolve(queue.get(4), id=9))])
    assert [job.id for job in queue.jobs()] == [1, 2, 3, 4, 9]


def test_a_pause_in_the_middle_of_a_claim_counts(open_queue):
    """Somebody pauses while the worker chooses: no job is given out after that."""
    queue, other = open_queue(), open_queue()
    queue.submit(SPEC, user="anna", key="k")

    def choose(jobs):
        if jobs:
            other.pause(Pause("anna"))
        return first(jobs)

    assert queue.claim(choose, queue.lease("w", 9.0)) is None
    assert queue.get(1).state is State.QUEUED


# --- news ---


def test_news_come_at_once(open_queue):
    """A change wakes who watches, a heartbeat does not, and after a look it is quiet."""
    queue = open_queue()
    queue.submit(SPEC, user="anna", key="1")
    job = queue.claim(first, queue.lease("w", 60.0))
    watch = open_queue().watch()
    watch.clear()
    queue.advance(job.id, 1, Beat(queue.lease("w", 60.0)))
    assert not is_readable(watch, 0.1)
    queue.submit(SPEC, user="anna", key="2")

    assert is_readable(watch)
    watch.clear()
    assert not is_readable(watch, 0.1)
    watch.close()
    assert watch.fileno() == -1


def test_a_watch_outlives_its_server(redis_server, monkeypatch):
    """A lost connection wakes; the next look makes a new one, or says that it must be asked until there is one."""
    monkeypatch.setattr("fetchml_core.queue.redis_link.RECONNECT_S", 0.0)
    server = redis_server()
    queue = reach(server.url())
    watch = queue.watch()
    server.kill()
    assert is_readable(watch)
    watch.clear()
    assert watch.fileno() == -1
    server.start()
    watch.clear()
    queue.submit(SPEC, user="anna", key="k")

    assert is_readable(watch)
    watch.close()


# --- what lies there ---


def test_databases_are_apart(redis_server):
    """Two queues on one server do not know of each other."""
    server = redis_server()
    one, two = reach(server.url(1)), reach(server.url(2))
    watch = two.watch()
    watch.clear()
    one.submit(SPEC, user="anna", key="k")

    assert two.jobs() == []
    assert not is_readable(watch, 0.1)
    watch.close()


def test_homes_claim_their_own(redis_url, clock):
    """A job is claimed where it was submitted, and seen, held and released everywhere."""
    box1, box2 = (RedisQueue(Link(redis_url), clock, home) for home in ("box1-1", "box2-2"))
    job = box1.submit(SPEC, user="anna", key="k")
    assert job.home == "box1-1"
    box2.hold(job.id)
    assert box1.claim(first, box1.lease("w1", 9.0)) is None
    assert box2.claim(first, box2.lease("w2", 9.0)) is None
    box2.release(job.id)

    assert box2.claim(first, box2.lease("w2", 9.0)) is None
    own = box2.submit(SPEC, user="bob", key="k")
    later = RedisQueue(Link(redis_url), clock, "box2-2")
    assert later.claim(first, later.lease("w2", 9.0)).id == own.id
    assert box1.claim(first, box1.lease("w1", 9.0)).id == job.id


def test_newer_layout_is_refused(open_queue, store):
    """A queue of a later version is left alone."""
    store.set("fetchml:format", "2")

    with pytest.raises(FetchError, match="has layout 2, we read 1"):
        open_queue().submit(SPEC, user="anna", key="k")
    assert store.keys() == ["fetchml:format"]


def test_every_flipped_byte_is_found(open_queue, store):
    """Damage at any place of a record is told, never taken for a job."""
    open_queue().submit(SPEC, user="anna", key="k")
    good = store.hget("fetchml:jobs", "1")
    for place in range(len(good)):
        store.hset("fetchml:jobs", "1", good[:place] + chr(ord(good[place]) ^ 1) + good[place + 1 :])
        with pytest.raises(FetchError, match="queue-damaged"):
            open_queue().get(1)


def test_repair_sets_damage_aside(open_queue, store):
    """What is damaged is named, kept aside, and the rest is served again; without repair nothing changes."""
    queue = open_queue()
    for n in range(4):
        queue.submit(SPEC, user="anna", key=str(n))
    assert queue.check() == []
    store.hset("fetchml:jobs", "1", b"\xff nonsense")
    store.zrem("fetchml:in:queued", "2")
    store.srem("fetchml:queued:", "3")
    store.hset("fetchml:keys", "lost", "77")

    found = queue.check()
    assert [damage.place.rpartition("fetchml:")[2] for damage in found] == [
        "jobs 1",
        "jobs 2",
        "jobs 3",
        "keys lost",
    ]
    assert (found, found[0].jobs) == (queue.check(repair=True), (1,))
    assert queue.check() == []
    assert [job.id for job in queue.jobs()] == [2, 3, 4]
    assert queue.claim(lambda jobs: jobs[1], queue.lease("w", 9.0)).id == 3
    assert store.hkeys("fetchml:damaged") == ["1"]


def test_damage_keeps_nobody_from_the_rest(open_queue, store):
    """Other jobs are claimed, by who read the line before and by who reads it now; lists tell of the damage."""
    old = open_queue()
    for n in range(3):
        old.submit(SPEC, user="anna", key=str(n))
    old.claim(lambda _: None, old.lease("w", 9.0))
    old.hold(1)
    store.hset("fetchml:jobs", "1", "nonsense")

    assert [queue.claim(first, queue.lease("w", 9.0)).id for queue in (old, open_queue())] == [2, 3]
    with pytest.raises(FetchError, match="queue-damaged"):
        old.jobs()


def test_a_repaired_line_is_known(open_queue, store):
    """What a repair takes out of the line, or puts back, counts for workers that read it before."""
    before, between = open_queue(), open_queue()
    for n in range(2):
        before.submit(SPEC, user="anna", key=str(n))
    before.claim(lambda _: None, before.lease("w", 9.0))
    store.hset("fetchml:jobs", "1", "nonsense")
    store.srem("fetchml:queued:", "2")
    between.claim(lambda _: None, between.lease("w", 9.0))
    open_queue().check(repair=True)

    assert between.claim(first, between.lease("w", 9.0)).id == 2
    assert before.claim(first, before.lease("w", 9.0)) is None


def test_a_line_is_known_whole_after_many_changes(open_queue):
    """A worker that slept while more happened than is told one by one reads the line anew."""
    worker, other = open_queue(), open_queue()
    other.submit(SPEC, user="anna", key="k")
    worker.claim(lambda _: None, worker.lease("w", 9.0))
    other.claim(first, other.lease("w2", 9.0))
    other.submit_array([SPEC] * 1200, user="anna", key="a")
    offered = []
    worker.claim(offered.extend, worker.lease("w", 9.0))

    assert [job.id for job in offered] == list(range(2, 1202))


@pytest.mark.each_redis
@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), []),
        (("--appendonly", "no"), ["without appendonly"]),
        (("--appendfsync", "everysec"), ["appendfsync everysec"]),
        (("--maxmemory-policy", "allkeys-lru"), ["maxmemory-policy allkeys-lru"]),
        (
            ("--appendonly", "no", "--maxmemory-policy", "volatile-ttl"),
            ["without appendonly", "volatile-ttl"],
        ),
    ],
)
def test_settings_that_lose_jobs_are_said(redis_server, options, said):
    """What the server may lose is told, with the line to change."""
    notes = reach(redis_server(*options).url()).notes()

    assert len(notes) == len(said)
    for note, word in zip(notes, said, strict=True):
        assert word in note
        assert ". Set: " in note


def test_an_idle_claim_reads_no_jobs_again(open_queue, redis_url):
    """A long line is read once, then only what has changed: a look is cheap."""
    queue = open_queue()
    queue.submit_array([SPEC] * 2000, user="anna", key="a")
    queue.claim(lambda _: None, queue.lease("w", 9.0))
    with redis.Redis.from_url(redis_url) as client:
        before = client.info("stats")["total_net_output_bytes"]
        queue.claim(lambda _: None, queue.lease("w", 9.0))
        after = client.info("stats")["total_net_output_bytes"]

    assert after - before < 100_000
