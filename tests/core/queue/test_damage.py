"""Bytes of a queue's files that have changed: found and named, moved aside, and never taken for the truth."""

from __future__ import annotations

import gzip
import json
import os
import random
import shutil
from typing import NamedTuple

import pytest
from attrs import evolve

from fetchml_core.errors import FetchError
from fetchml_core.jobs.job import Job
from fetchml_core.jobs.states import State
from fetchml_core.queue import native
from fetchml_core.queue.base import Finished, Outcome, Pause, Started
from fetchml_core.queue.engines import open_queue
from tests.core.queue.contract import LAUNCH, LEASE, SPEC, FakeClock, first
from tests.support.faults import run

ENGINES = ("native", "sqlite", "filesystem")
DAMAGES = int(os.environ.get("FETCHML_DAMAGES", "60"))
WAYS = ("flip", "zero", "cut")
JOBS = 6


class Truth(NamedTuple):
    """What a queue holds, but revisions, which a repair may raise."""

    jobs: dict[int, Job]
    paused: Pause | None


def look(queue) -> Truth:
    """See it."""
    return Truth({job.id: evolve(job, revision=0) for job in queue.jobs()}, queue.paused())


@pytest.fixture
def compacting(monkeypatch):
    """Jobs that have ended go to the history of a native queue at once."""
    monkeypatch.setattr(native, "COMPACT_ENDED", 2)


@pytest.fixture(params=ENGINES)
def good(request, in_memory, compacting):
    """A queue of six jobs in several states: its engine, its folder, which nobody has open, and all its jobs ever were."""
    folder = in_memory / "good"
    folder.mkdir()
    queue = open_queue(request.param, folder / "queue", FakeClock())
    ever = []
    for n in range(JOBS):
        spec = evolve(SPEC, name=f"train-{n}", env={"A": "x" * 40})
        ever.append(queue.submit(spec, user="anna", key=str(n)))
    for n in range(1, 5):
        ever.append(queue.claim(first, LEASE))
        ever.append(queue.advance(n, 1, Started(LAUNCH, LEASE)))
        if n < 4:
            ever.append(queue.advance(n, 1, Finished(Outcome(State.SUCCEEDED, code=n))))
    ever.append(queue.hold(5))
    queue.pause(Pause("root", "a new disk", at=1000.0))
    return request.param, folder, [evolve(job, revision=0) for job in ever]


def damaged(data, way, place):
    """*data* with one thing wrong."""
    if way == "cut":
        return data[:place]
    wrong = 0 if way == "zero" else data[place] ^ 0x21
    return data[:place] + bytes([wrong]) + data[place + 1 :]


def damages(folder, seed):
    """Yield (file, way, place): all files alike, and the places in them by chance."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.stat().st_size]
    rng = random.Random(seed)
    for n in range(DAMAGES):
        path = files[n % len(files)]
        yield path.relative_to(folder), WAYS[n // len(files) % 3], rng.randrange(path.stat().st_size)


def test_damage_is_found_and_never_believed(good, in_memory):
    """#5: a byte flipped, zeroed, a file cut: named, or without effect; once it is moved aside the rest is served."""
    kind, folder, ever = good
    truth = look(open_queue(kind, folder / "queue", FakeClock()))
    assert list(open_queue(kind, folder / "queue", FakeClock()).check()) == []
    case = in_memory / "case"
    for file, way, place in damages(folder, kind):
        shutil.copytree(folder, case)
        path = case / file
        path.write_bytes(damaged(path.read_bytes(), way, place))
        try:
            examine(kind, case / "queue", truth, ever)
        except Exception as error:
            raise AssertionError(f"{way} {file} at {place}: {error}") from error
        shutil.rmtree(case)


def examine(kind, path, truth, ever):
    """Ask a queue that may be damaged."""
    found = list(open_queue(kind, path, FakeClock()).check())
    try:
        seen = look(open_queue(kind, path, FakeClock()))
    except FetchError as error:
        assert error.code in {"queue-damaged", "queue-format"}, error
        assert str(path) in error.context
        assert error.hint
        assert found
    else:
        assert_true(seen, truth, ever, found)
    assert all(str(path) in damage.place and damage.problem for damage in found), found

    queue = open_queue(kind, path, FakeClock())
    mended = list(queue.check(repair=True))
    assert bool(mended) == bool(found)
    assert not mended or any(damage.repair for damage in mended), mended
    assert list(open_queue(kind, path, FakeClock()).check()) == []
    seen = look(open_queue(kind, path, FakeClock()))
    assert_true(seen, truth, ever, [*found, *mended])
    queue = open_queue(kind, path, FakeClock())
    queue.resume()
    new = queue.submit(SPEC, user="bob", key="new").id
    assert new not in truth.jobs or not seen.jobs  # where nothing at all was left, nobody knows the ids


@pytest.mark.parametrize("good", ["native"], indirect=True)
@pytest.mark.parametrize("booted", [False, True])
def test_the_history_outlives_the_journal(good, in_memory, booted):
    """#5: the journal gone, or cut anywhere, its first records too: what has been moved to the history is served.

    After a boot nobody knows where the journal ended, and a cut behind what it began with is as if it had never gone on.
    """
    kind, folder, ever = good
    truth = look(open_queue(kind, folder / "queue", FakeClock()))
    lines = gzip.decompress((folder / "queue/history/jobs.gz").read_bytes()).splitlines()
    sealed = {job_id: truth.jobs[job_id] for job_id in (json.loads(line)["job"]["id"] for line in lines)}
    assert len(sealed) > 1
    case = in_memory / "case"
    size = len((folder / "queue/journal").read_bytes().rstrip(b"\0"))
    for place in [None, *range(0, size, max(1, size // DAMAGES))]:
        shutil.copytree(folder, case)
        cut(case / "queue/journal", place)
        if booted:
            (case / "queue/state").unlink()
        try:
            if not booted:
                examine(kind, case / "queue", truth, ever)
            open_queue(kind, case / "queue", FakeClock()).check(repair=True)
            now = look(open_queue(kind, case / "queue", FakeClock())).jobs
            new = open_queue(kind, case / "queue", FakeClock()).submit(SPEC, user="bob", key="newer").id
            assert sealed == {job_id: now.get(job_id) for job_id in sealed}
            assert new not in sealed
        except Exception as error:
            raise AssertionError(f"cut at {place}: {error!r}") from error
        shutil.rmtree(case)


def cut(path, place):
    """Leave what stands before *place*; None: nothing, not even the file."""
    if place is None:
        path.unlink()
    else:
        os.truncate(path, place)


def assert_true(seen, truth, ever, found):
    """What is there is true or was so once; what is no longer, or is gone, is named, as far as it can be known."""
    lost = {job for damage in found for job in damage.jobs}
    unknown = any(not damage.jobs for damage in found)
    assert all(job in ever for job in seen.jobs.values()), "a job is what it never was"
    late = {n for n, job in truth.jobs.items() if seen.jobs.get(n) != job}
    assert late <= lost or unknown, f"jobs {late - lost} are not what they were: {found}"
    assert seen.paused == truth.paused or found


def test_a_kill_at_every_call_of_a_repair(good, in_memory):
    """#2: SIGKILL at every call of a repair: done again it comes to the same end, and nothing more is lost."""
    kind, folder, _ = good
    largest = max(
        (path for path in folder.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size
    )
    case = in_memory / "case"
    path = case / largest.relative_to(folder)

    def repair(_):
        return len(open_queue(kind, case / "queue", FakeClock()).check(repair=True))

    ends = []
    for at in range(400):  # the first time undisturbed
        shutil.copytree(folder, case)
        path.write_bytes(damaged(path.read_bytes(), "zero", len(path.read_bytes()) // 2))
        struck = run(repair, "kill", at).struck
        again = repair(None)
        queue = open_queue(kind, case / "queue", FakeClock())
        assert list(queue.check()) == []
        ends.append(look(queue))
        assert ends[-1] == ends[0]
        shutil.rmtree(case)
        if at and not struck:
            assert again == 0
            assert at > 3
            return
