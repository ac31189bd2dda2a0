"""What a durable queue is for: processes are killed and the power fails, and nothing that was acknowledged is lost.

The same tests for every engine. Children say on a pipe what was acknowledged to them; afterwards the queue is asked.
"""

from __future__ import annotations

import math
import multiprocessing
import os
import random
import signal
import time

import pytest

from fetchml_core.clock import Clock
from fetchml_core.errors import FetchError
from fetchml_core.jobs.job import Lease, Outcome
from fetchml_core.jobs.states import State
from fetchml_core.queue import native
from fetchml_core.queue.base import Finished
from fetchml_core.queue.engines import open_queue
from fetchml_core.queue.redis import RedisQueue
from fetchml_core.queue.redis_link import Link
from tests.core.queue.contract import SPEC, first

ENGINES = ("native", "sqlite", "filesystem")
PROCESSES = 4
KILLS = int(os.environ.get("FETCHML_KILLS", "120"))
CUTS = int(os.environ.get("FETCHML_CUTS", "12"))
FORK = multiprocessing.get_context("fork")


def reach(kind, place):
    """A view of the queue at *place*, a path or a URL."""
    if kind == "redis":
        return RedisQueue(Link(place), Clock())
    return open_queue(kind, place, Clock())


def work(kind, path, name, pipe):
    """Submit, claim and finish for ever, and tell each thing that was acknowledged."""
    try:
        _work(reach(kind, path), name, pipe)
    except (FetchError, OSError) as error:  # the power is gone
        tell(pipe, "failed", 0, "_".join(str(error).split()))


def tell(pipe, word, job, rest):
    """Say what was acknowledged, and when; one write, so that a kill cannot cut it."""
    os.write(pipe, f"{time.monotonic()} {word} {job} {rest}\n".encode())


def _work(queue, name, pipe):
    number = 0
    while True:
        number += 1
        job = queue.submit(SPEC, user="anna", key=f"{name}-{number}")
        tell(pipe, "submitted", job.id, f"{name}-{number}")
        job = queue.claim(first, Lease(name, "boot-1", 1e9))
        if job is not None:
            tell(pipe, "claimed", job.id, job.attempt.number)
            queue.advance(job.id, job.attempt.number, Finished(Outcome(State.SUCCEEDED)))
            tell(pipe, "finished", job.id, job.attempt.number)


class Crew:
    """Children that work on one queue until they are killed."""

    def __init__(self, kind, path):
        self._kind, self._path = kind, path
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        self._text = b""
        self._children = [self._start() for _ in range(PROCESSES)]

    def _start(self):
        name = f"w{random.getrandbits(64):x}"
        child = FORK.Process(target=work, args=(self._kind, self._path, name, self._write))
        child.start()
        return child

    def kill_one(self):
        """Kill one of them in the middle of whatever it does, and start another."""
        place = random.randrange(PROCESSES)
        self._kill(self._children[place])
        self._children[place] = self._start()
        self.listen()

    def kill_all(self):
        """Kill all of them."""
        for child in self._children:
            self._kill(child)
        self.listen()

    def listen(self):
        """Take in what was said, before the pipe is full."""
        try:
            while chunk := os.read(self._read, 1 << 16):
                self._text += chunk
        except BlockingIOError:
            pass

    def heard(self, what, before=math.inf):
        """What was acknowledged until *before*, as (job, rest) pairs."""
        lines = (line.split() for line in self._text.decode().splitlines())
        return [(int(job), rest) for at, word, job, rest in lines if word == what and float(at) < before]

    def close(self):
        """Leave nothing behind."""
        self.kill_all()
        os.close(self._read)
        os.close(self._write)

    @staticmethod
    def _kill(child):
        if child.is_alive():
            os.kill(child.pid, signal.SIGKILL)
        child.join()


@pytest.fixture
def crew():
    """A factory of crews; they end with the test."""
    made = []

    def make(kind, path):
        made.append(Crew(kind, path))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture(autouse=True)
def compact_often(mocker):
    """Let the native queue begin its journal anew so often that kills and cuts meet it in the middle."""
    mocker.patch.object(native, "COMPACT_ENDED", 8)


def assert_true_to_its_word(queue, crew, before=math.inf):
    """Nothing acknowledged is lost, nothing was given out twice, nothing is there twice."""
    submitted, claimed, finished = (crew.heard(what, before) for what in ("submitted", "claimed", "finished"))
    jobs = {job.id: job for job in queue.jobs()}
    cut = before != math.inf

    assert len({job for job, _ in submitted}) == len(submitted)
    assert len(set(claimed)) == len(claimed)
    assert {job for job, _ in submitted} <= set(jobs)
    if queue.properties.claim_survives_power_cut or not cut:
        assert {job for job, _ in claimed} <= {job.id for job in jobs.values() if job.attempts}
    assert {jobs[job].state for job, _ in finished} <= {State.SUCCEEDED}
    for job, key in submitted[-20:]:
        assert queue.submit(SPEC, user="anna", key=key).id == job  # asked again: the same job


@pytest.mark.parametrize("kind", [*ENGINES, "redis"])
def test_killed_processes_lose_nothing(kind, tmp_path, crew, request):
    """#1: processes that submit, claim and finish are killed at random; what was acknowledged to them holds."""
    path = request.getfixturevalue("redis_url") if kind == "redis" else tmp_path / "queue"
    crew = crew(kind, path)
    for _ in range(KILLS):
        time.sleep(random.uniform(0, 0.02))
        crew.kill_one()
    crew.kill_all()

    assert crew.heard("finished")
    assert not crew.heard("failed")
    assert_true_to_its_word(reach(kind, path), crew)


@pytest.mark.parametrize("kind", ENGINES)
def test_power_cuts_lose_nothing(kind, power_disk, crew):
    """#4: the disk loses its power under load, again and again; what was acknowledged before holds."""
    path = power_disk.folder / "queue"
    for _ in range(CUTS):
        crew_now = crew(kind, path)
        time.sleep(random.uniform(0.05, 0.25))
        # A system call that the shutdown meets half-way may return as if it had worked; a real cut returns from none.
        before = time.monotonic()
        power_disk.shut_down()
        crew_now.kill_all()
        power_disk.unmount()
        power_disk.mount()

        assert_true_to_its_word(open_queue(kind, path, Clock()), crew_now, before)
        os.sync()


def fill(disk):
    """Write to *disk* until nothing fits; return the file."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            return ballast


@pytest.mark.parametrize("kind", ENGINES)
def test_full_disk_accepts_nothing_and_loses_nothing(kind, small_filesystem):
    """#14: a disk that is full is told as such; what was there stays, and with space it goes on in the same process."""
    disk = small_filesystem("1m")
    queue = open_queue(kind, disk / "queue", Clock())
    accepted = [queue.submit(SPEC, user="anna", key=str(n)).id for n in range(5)]
    ballast = fill(disk)
    error = None
    for n in range(1000):  # what is left of the last page may take one more
        try:
            accepted.append(queue.submit(SPEC, user="anna", key=f"more-{n}").id)
        except FetchError as caught:
            error = caught
            break

    assert error is not None
    assert error.code == "disk-full"
    assert [job.id for job in queue.jobs()] == accepted

    ballast.unlink()
    assert queue.submit(SPEC, user="anna", key="again").id == accepted[-1] + 1
    assert [job.id for job in open_queue(kind, disk / "queue", Clock()).jobs()] == [
        *accepted,
        accepted[-1] + 1,
    ]
