"""The sealed history gives back what was sealed, survives a crash at any place, and finds damage in every byte."""

from __future__ import annotations

import gzip
import json
import os
import random
import shutil
import subprocess
import sys
from collections import Counter

import pytest
from attrs import evolve

from fetchml_core.convert import from_data, to_data
from fetchml_core.errors import FetchError
from fetchml_core.jobs.job import Attempt, Job, Outcome
from fetchml_core.jobs.states import State
from fetchml_core.queue import history as history_module
from fetchml_core.queue.base import ALL, Filter, Stored, select
from fetchml_core.queue.history import History
from fetchml_core.queue.keytable import KeyTable, hash_slot, key_hash, key_slot
from fetchml_core.queue.sealed import STATES, Mark, empty_member, parse_place
from fetchml_core.queue.stored import encode
from tests.core.queue.contract import SPEC

DAMAGES = int(os.environ.get("FETCHML_DAMAGES", "120"))
LOST = 60
FILES = ("jobs.gz", "blocks", "ids", "keys")


def ended(job_id, revision, rng=None):
    """A job that has ended, like no other."""
    rng = rng or random.Random(job_id)
    state = rng.choice(STATES)
    outcome = Outcome(state, f"reason {rng.random()}", code=rng.randrange(256))
    attempt = Attempt(1, "box1", 1.0 + job_id, 2.0 + job_id, rng.random() * 1e6, None, outcome)
    spec = evolve(SPEC, name=rng.choice(["train", "eval"]), snapshot=f"{rng.getrandbits(256):064x}")
    user = rng.choice(["anna", "bob", "zoë"])
    job = Job(job_id, user, spec, 1.0 * job_id, state, (attempt,), ended_at=9.0, revision=revision)
    return Stored(f"{rng.getrandbits(128):032x}", job)


def sealed(folder, *batches):
    """Seal jobs with these ids, a batch each, and return the history, the mark and the jobs."""
    history, mark, jobs, revision = History(folder), Mark(), {}, 0
    for ids in batches:
        batch = []
        for job_id in ids:
            revision += 3
            batch.append(ended(job_id, revision))
        mark = history.seal(batch, mark)
        jobs.update((stored.job.id, stored) for stored in batch)
    return history, mark, jobs


def check_all(history, mark, jobs):
    """Everything is there, in every way of asking."""
    in_order = [jobs[job_id] for job_id in sorted(jobs)]
    assert list(history.export(mark)) == in_order
    assert [history.get(job_id, mark) for job_id in sorted(jobs)] == in_order
    assert [history.find_key(s.job.user, s.key, mark) for s in in_order] == sorted(jobs)
    assert [job.id for job in history.changes(0, mark)] == sorted(
        jobs, key=lambda job_id: jobs[job_id].job.revision
    )
    assert mark.jobs == len(jobs)
    assert mark.counts == Counter(stored.job.state.value for stored in in_order)


def shuffled(ids, seed=1):
    """The ids as jobs of several workers would end."""
    return sorted(ids, key=lambda job_id: job_id + random.Random(seed * 10**9 + job_id).randrange(40))


MANY = [shuffled(range(1, 300)), [5000, 4000, 4500], shuffled(range(300, 2000)), [2001]]


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """A history that is only read: some batches, holes in the ids, ids out of order, two that ended late."""
    folder = tmp_path_factory.mktemp("many")
    return sealed(folder, [i for i in MANY[0] if i not in {1, 77}], *MANY[1:], [77, 1])


class TestReading:
    """What is sealed comes back."""

    def test_everything_comes_back(self, many):
        """Every job, by id, by key and by revision, and the counts; also in a fresh process's view."""
        history, mark, jobs = many

        check_all(history, mark, jobs)
        check_all(History(history._folder.parent), from_data(to_data(mark), Mark), jobs)
        assert history.check(mark) == []

    def test_what_is_not_here_is_not_found(self, many):
        """Holes, ids beyond the last, and unknown keys give nothing."""
        history, mark, jobs = many
        some = jobs[2]

        assert [history.get(n, mark) for n in (-1, 0, 2000, 3000, 4999, 5001, 10**12)] == [None] * 7
        assert history.find_key(some.job.user, some.key + "x", mark) is None
        assert history.find_key("carla", some.key, mark) is None

    def test_jobs_are_selected_as_from_a_list(self, many):
        """States, user, name, direction, cursor and limit give what `select` gives over a list of all."""
        history, mark, jobs = many
        in_order = [jobs[job_id].job for job_id in sorted(jobs)]
        rng = random.Random(4)
        for _ in range(150):
            wanted = Filter(
                states=frozenset(rng.sample(list(State), rng.choice([0, 0, 1, 3]))),
                user=rng.choice(["", "anna", "zoë", "nobody"]),
                name=rng.choice(["", "tr*"]),
            )
            how = {
                "newest": rng.random() < 0.5,
                "after": rng.choice([0, 1, 2, 77, 2000, 3000, 5000, 9999]),
                "limit": rng.choice([None, 0, 1, 50]),
            }
            assert list(history.jobs(wanted, mark, **how)) == select(in_order, wanted, **how), (wanted, how)

    def test_changes_go_on_behind_any_revision(self, many):
        """Who asks from a revision on gets what is higher, in order."""
        history, mark, jobs = many
        revisions = sorted(stored.job.revision for stored in jobs.values())
        for after in (0, 1, 3, 767, 768, 769, 3000, revisions[-2], revisions[-1], 10**9):
            got = [job.revision for job in history.changes(after, mark, limit=20)]
            assert got == [revision for revision in revisions if revision > after][:20]

    def test_an_older_mark_sees_what_it_saw(self, tmp_path):
        """Who reads while more is sealed is told what counted when he began."""
        history, mark, jobs = sealed(tmp_path, [1, 3], shuffled(range(4, 700)))
        first = {job_id: jobs[job_id] for job_id in (1, 3)}
        old = History(tmp_path / "other").seal(list(first.values()), Mark())

        check_all(history, old, first)
        check_all(history, mark, jobs)

    def test_nothing_is_touched_where_nothing_counts(self, tmp_path):
        """An empty history makes no folder and reads no file."""
        history = History(tmp_path)

        assert history.get(1, Mark()) is None
        assert history.find_key("anna", "k", Mark()) is None
        assert list(history.jobs(ALL, Mark())) == list(history.changes(0, Mark())) == []
        assert history.check(Mark()) == []
        assert history.seal([], Mark()) == Mark()
        assert list(tmp_path.iterdir()) == []

    def test_others_jobs_are_not_read(self, tmp_path):
        """Jobs that a filter leaves out are passed over even where their block is damaged."""
        history, mark = History(tmp_path), Mark()
        for first, user in ((1, "anna"), (21, "bob")):
            batch = [ended(n, n) for n in range(first, first + 20)]
            batch = [evolve(stored, job=evolve(stored.job, user=user)) for stored in batch]
            mark = history.seal(batch, mark)
        spoil(tmp_path / "history" / "jobs.gz", mark.size - 9, b"x")

        assert [job.id for job in history.jobs(Filter(user="anna"), mark)] == list(range(1, 21))
        assert list(history.jobs(Filter(states=frozenset({State.QUEUED})), mark)) == []
        with pytest.raises(FetchError, match="queue-damaged"):
            list(history.jobs(Filter(user="bob"), mark))

    def test_widely_spread_ids_cost_little(self, tmp_path):
        """Ids that are millions apart leave a hole in the file, and are found all the same."""
        history, mark, jobs = sealed(tmp_path, [1, 5_000_000, 2], [4_999_990, 5_000_004])

        check_all(history, mark, jobs)
        assert mark.sparse
        assert (tmp_path / "history" / "ids").stat().st_blocks * 512 < 1 << 20
        assert history.get(3_000_000, mark) is None
        assert [job.id for job in history.jobs(ALL, mark, newest=True, limit=4)] == [
            5_000_004,
            5_000_000,
            4_999_990,
            2,
        ]
        assert history.check(mark) == []

    def test_zcat_reads_it(self, many):
        """Ordinary tools read all jobs as lines of JSON, by revision."""
        history, _, jobs = many
        program = subprocess.run(
            ["gzip", "-dc", history._data.path], capture_output=True, text=True, check=True, timeout=20
        )
        by_revision = sorted(jobs.values(), key=lambda stored: stored.job.revision)

        assert program.stdout.splitlines() == [encode(stored) for stored in by_revision]

    def test_what_cannot_be_sealed_is_refused(self, many):
        """Jobs that have not ended, or come out of order, are a mistake of ours."""
        history, mark, _ = many
        good = ended(9000, mark.revision + 1)
        for bad in (
            [ended(9000, mark.revision)],
            [good, ended(9001, mark.revision + 1)],
            [evolve(good, job=evolve(good.job, state=State.RUNNING))],
            [evolve(good, job=evolve(good.job, id=1 << 32))],
        ):
            with pytest.raises(FetchError, match="seal-refused"):
                history.seal(bad, mark)


class TestSize:
    """A finished job costs little."""

    def test_bytes_of_a_job(self, tmp_path, record_property):
        """At most 300 bytes of disk for a job, all files counted, whatever the fill of the keys."""
        count = 20_000
        _, _, jobs = sealed(tmp_path, *(range(n, n + 5000) for n in range(1, count, 5000)))
        used = sum(file.stat().st_blocks * 512 for file in (tmp_path / "history").iterdir()) / count
        plain = sum(len(encode(stored)) for stored in jobs.values()) / count
        record_property("bytes_per_job", f"{used:.0f} on disk, {plain:.0f} as JSON")

        assert used <= 300


class TestCrash:
    """What a crash left behind the mark does not count."""

    def test_sealing_without_the_mark_changes_nothing(self, tmp_path):
        """A seal whose journal never came is not seen, and the next one, of other jobs, takes its place."""
        history, mark, jobs = sealed(tmp_path, range(1, 301), range(310, 400))
        history.seal([ended(n, mark.revision + n) for n in [305, 410, *range(500, 1200)]], mark)
        check_all(history, mark, jobs)
        check_all(History(tmp_path), mark, jobs)
        assert history.check(mark) == []

        more = [ended(n, mark.revision + n) for n in [304, *range(400, 405), 411, *range(600, 900)]]
        newer = history.seal(more, mark)
        jobs.update((stored.job.id, stored) for stored in more)

        check_all(history, newer, jobs)
        assert (tmp_path / "history" / "jobs.gz").stat().st_size == newer.size
        assert history.get(305, newer) is None
        assert history.get(410, newer) is None
        assert history.check(newer) == []

    def test_first_seal_without_the_mark(self, tmp_path):
        """Likewise where nothing counted before, whatever lies there."""
        history = History(tmp_path)
        history.seal([ended(n, n) for n in range(1, 900)], Mark())
        for name in FILES:
            cut_off(tmp_path / "history" / name, 0.5)
        assert History(tmp_path).get(1, Mark()) is None

        history, mark, jobs = sealed(tmp_path, range(5, 20))

        check_all(history, mark, jobs)
        assert history.check(mark) == []

    def test_the_same_jobs_again(self, tmp_path):
        """Sealing again what was sealed without its mark gives the same files, to the byte."""
        history, mark, _ = sealed(tmp_path, range(1, 301))
        batch = [ended(n, mark.revision + n) for n in range(301, 1500)]
        first = history.seal(batch, mark)
        files = [(tmp_path / "history" / name).read_bytes() for name in FILES]

        assert History(tmp_path).seal(batch, mark) == first
        assert [(tmp_path / "history" / name).read_bytes() for name in FILES] == files

    def test_after_a_failed_sync_all_is_written_again(self, tmp_path, mocker):
        """What a failed sync may have dropped is not taken for written because it can be read."""
        history, mark, jobs = sealed(tmp_path, range(1, 5))
        batch = [ended(n, mark.revision + n) for n in range(5, 9)]
        writes = []
        for failing in (True, False):
            spy = mocker.patch("os.pwrite", side_effect=os.pwrite)
            mocker.patch("os.fsync", side_effect=OSError(5, "Input/output error") if failing else None)
            try:
                mark = history.seal(batch, mark)
            except FetchError as error:
                assert error.code == "io-error"
            mocker.stopall()
            writes.append([(bytes(data), offset) for _, (_, data, offset), _ in spy.mock_calls])

        assert writes[0] == writes[1]
        check_all(history, mark, jobs | {stored.job.id: stored for stored in batch})

    @pytest.mark.parametrize(
        ("call", "step"), [("pwrite", 4), ("ftruncate", 1), ("fsync", 1), ("replace", 1)]
    )
    def test_refused_anywhere(self, tmp_path, mocker, call, step):
        """A disk that is full at any call of a seal leaves the old mark good, and the next seal succeeds."""
        history, mark, jobs = sealed(tmp_path / "good", range(1, 500), [502])
        batch = [ended(n, mark.revision + n) for n in [501, *range(503, 530)]]  # the keys grow
        where = "pathlib.Path.replace" if call == "replace" else f"os.{call}"
        real = getattr(os, call)
        for number in range(0, 100, step):
            folder = tmp_path / f"{number}"
            shutil.copytree(tmp_path / "good", folder)
            calls = iter(range(100))

            def fail(*args, calls=calls, number=number):
                if next(calls) == number:
                    raise OSError(28, "No space left on device")
                return real(*args)

            mocker.patch(where, fail)
            try:
                History(folder).seal(batch, mark)
            except FetchError as error:
                assert error.code == "disk-full"
                mocker.stopall()
            else:
                mocker.stopall()
                break
            history = History(folder)
            check_all(history, mark, jobs)
            newer = history.seal(batch[5:], mark)
            check_all(history, newer, jobs | {stored.job.id: stored for stored in batch[5:]})
            assert history.check(newer) == []
        assert number > 0


def spoil(path, offset, data):
    """Write *data* at *offset*."""
    with open(path, "r+b") as file:
        file.seek(offset)
        file.write(data)


def cut_off(path, part):
    """Leave that part of a file."""
    os.truncate(path, int(path.stat().st_size * part))


def served(history, mark, jobs):
    """What is served, asked one by one; damage may be told, wrong answers may not."""
    found = set()
    for job_id, stored in jobs.items():
        try:
            got = history.get(job_id, mark)
            by_key = history.find_key(stored.job.user, stored.key, mark)
        except FetchError as error:
            assert error.code == "queue-damaged"
            assert "history/" in error.context
            assert error.hint == "ml queue check --repair"
            continue
        assert (got, by_key) == (stored, job_id)
        found.add(job_id)
    return found


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """Files to be spoilt, with what is in them."""
    folder = tmp_path_factory.mktemp("good")
    _, mark, jobs = sealed(folder, range(1, LOST + 1), [1000, 405, 402], range(500, 540))
    return folder, mark, jobs


class TestDamage:
    """#5: damage anywhere is found, named and mended, and the rest is served."""

    def damages(self, good):
        """Yield ways to spoil a file: name, what for people, and the new bytes."""
        rng = random.Random(5)
        for name in FILES:
            data = (good / "history" / name).read_bytes()
            yield name, "missing", None
            yield name, "empty", b""
            for _ in range(DAMAGES // 12 - 2):
                place = rng.randrange(len(data))
                bit = bytes([data[place] ^ 1 << rng.randrange(8)])
                size = rng.choice([1, 16, 512])
                yield name, f"flip {place}", data[:place] + bit + data[place + 1 :]
                yield (
                    name,
                    f"zero {place}+{size}",
                    (data[:place] + bytes(size) + data[place + size :])[: len(data)],
                )
                yield name, f"cut {place}", data[:place]

    def test_every_byte(self, good, tmp_path):
        """Whatever byte is flipped, zeroed or cut: found, or without effect; never a wrong answer; mended once."""
        source, mark, jobs = good
        count = 0
        for name, what, data in self.damages(source):
            folder = tmp_path / str(count)
            shutil.copytree(source, folder)
            path = folder / "history" / name
            harmless = self.means_the_same(name, path.read_bytes(), data)
            path.unlink() if data is None else path.write_bytes(data)
            self.examine(folder, mark, jobs, harmless=harmless, what=f"{name} {what}")
            shutil.rmtree(folder)
            count += 1
        assert count > 50

    def means_the_same(self, name, before, data):
        """Whether nothing has changed but what fills up a header."""
        if name == "blocks" and data is not None and len(data) >= 40:
            before, data = before[:16] + before[40:], data[:16] + data[40:]
        return before == data

    def examine(self, folder, mark, jobs, *, harmless, what):
        """Find, mend, and look at what is left."""
        alive = served(History(folder), mark, jobs)
        found = History(folder).check(mark)
        name = what.split()[0]
        assert bool(found) is not harmless, what
        assert not harmless or alive == set(jobs), what
        assert all(f"history/{name}" in damage.place for damage in found), (what, found)
        history = History(folder)
        newer, mended = history.repair(mark)
        assert mended == found, what
        lost = {job_id for damage in found for job_id in damage.jobs}
        assert alive <= set(jobs) - lost, what
        assert name == "jobs.gz" or not lost, what
        left = {job_id: stored for job_id, stored in jobs.items() if job_id not in lost}
        check_all(history, newer, left)
        assert history.check(newer) == [], what
        assert len(gzip.decompress((folder / "history" / "jobs.gz").read_bytes()).splitlines()) == len(left)
        more = [ended(2000, newer.revision + 1)]
        check_all(history, history.seal(more, newer), left | {2000: more[0]})

    def test_listing_stops_at_damage_only(self, good, tmp_path):
        """The newest are listed while an older block is damaged; a listing that needs that block says so."""
        source, mark, _ = good
        shutil.copytree(source, tmp_path / "queue")
        history = History(tmp_path / "queue")
        spoil(tmp_path / "queue" / "history" / "jobs.gz", 100, b"XX")

        assert len(list(history.jobs(ALL, mark, newest=True, limit=40))) == 40
        with pytest.raises(FetchError, match="queue-damaged") as caught:
            list(history.jobs(ALL, mark))
        assert caught.value.context == f"{tmp_path}/queue/history/jobs.gz at byte 0"

    def test_an_entry_of_another_job(self, good, tmp_path):
        """An entry that is whole but names another job's line gives no wrong job, and is mended."""
        source, mark, jobs = good
        shutil.copytree(source, tmp_path / "queue")
        history = History(tmp_path / "queue")
        place = parse_place(history._ids.entries(2, 1), 2)
        history._ids.put(1, place.pack(1))

        with pytest.raises(FetchError, match="queue-damaged"):
            history.get(1, mark)
        assert len(history.repair(mark)[1]) == 1
        check_all(history, mark, jobs)

    def test_a_key_that_is_missing(self, good, tmp_path):
        """Keys that are whole but lack a job are found by a check, and written anew."""
        source, mark, jobs = good
        shutil.copytree(source, tmp_path / "queue")
        history = History(tmp_path / "queue")
        history._keys.create(len(jobs))
        history._keys.add(
            [key_slot(s.job.user, s.key, s.job.id) for s in list(jobs.values())[:-1]], len(jobs)
        )

        assert len(history.check(mark)) == len(history.repair(mark)[1]) == 1
        check_all(history, mark, jobs)

    def test_a_lost_block_is_put_aside(self, good, tmp_path):
        """The damaged bytes are kept, the jobs that are lost are named, and their keys and ids are free of errors."""
        source, mark, _ = good
        shutil.copytree(source, tmp_path / "queue")
        path = tmp_path / "queue" / "history" / "jobs.gz"
        spoil(path, 100, b"XX")
        member = path.read_bytes()
        history = History(tmp_path / "queue")
        _, (damage,) = history.repair(mark)
        (aside,) = (tmp_path / "queue" / "damaged").iterdir()

        assert member.startswith(aside.read_bytes())
        assert damage.jobs == tuple(range(1, LOST + 1))
        assert str(aside.parent) in damage.repair

    def test_a_repair_that_is_cut_short(self, good, tmp_path):
        """After a repair whose mark never came, another one brings the same."""
        source, mark, jobs = good
        shutil.copytree(source, tmp_path / "queue")
        spoil(tmp_path / "queue" / "history" / "jobs.gz", 100, b"XX")
        first, _ = History(tmp_path / "queue").repair(mark)
        history = History(tmp_path / "queue")

        assert len(history.check(mark)) == 1
        assert history.repair(mark)[0] == first
        check_all(history, first, {n: stored for n, stored in jobs.items() if n > LOST})

    def test_damage_in_all_files_at_once(self, good, tmp_path):
        """Without any of the derived files, and with a block damaged, the others are found."""
        source, mark, jobs = good
        folder = tmp_path / "queue"
        shutil.copytree(source, folder)
        for name in ("blocks", "ids", "keys"):
            (folder / "history" / name).unlink()
        spoil(folder / "history" / "jobs.gz", 100, b"XX")
        history = History(folder)
        newer, found = history.repair(mark)

        assert {damage.place.split("/")[-1].split()[0] for damage in found} == set(FILES)
        check_all(history, newer, {n: stored for n, stored in jobs.items() if n > LOST})
        assert history.check(newer) == []

    @pytest.mark.parametrize("tail", [b"", bytes(5000), b"\x1f\x8b", b"junk" * 99])
    @pytest.mark.parametrize("missing", [(), ("blocks",), ("blocks", "ids", "keys")])
    def test_the_mark_is_lost(self, good, tmp_path, tail, missing):
        """All that is there counts, whatever a crash has left behind it, and the mark is what it was."""
        source, mark, jobs = good
        folder = tmp_path / "queue"
        shutil.copytree(source, folder)
        with (folder / "history" / "jobs.gz").open("ab") as file:
            file.write(tail)
        for name in missing:
            (folder / "history" / name).unlink()
        history = History(folder)

        files = {damage.place.split("/")[-1].split()[0] for damage in history.check(None)}
        assert files == {"jobs.gz", *missing}
        assert history.repair(None)[0] == mark
        check_all(history, mark, jobs)
        assert history.check(mark) == []

    def test_the_mark_of_ids_far_apart_is_lost(self, tmp_path):
        """Room that was left out between ids is no damage."""
        history, mark, jobs = sealed(tmp_path, [1, 2, 3, 5_000_000, 5_000_001])

        assert len(history.check(None)) == 1
        assert history.repair(None)[0] == mark
        check_all(history, mark, jobs)

    def test_a_block_is_lost_with_the_mark(self, good, tmp_path):
        """It is put aside and its jobs are named; the others are served."""
        source, mark, jobs = good
        shutil.copytree(source, tmp_path / "queue")
        spoil(tmp_path / "queue" / "history" / "jobs.gz", 100, b"XX")
        history = History(tmp_path / "queue")
        newer, found = history.repair(None)

        assert [damage.jobs for damage in found if damage.jobs] == [tuple(range(1, LOST + 1))]
        assert (newer.blocks, newer.size, newer.last_id) == (mark.blocks, mark.size, mark.last_id)
        check_all(history, newer, {n: stored for n, stored in jobs.items() if n > LOST})

    def test_the_folder_is_gone(self, good, tmp_path):
        """Where nothing is left, that is told, and after a repair the queue goes on without those jobs."""
        _, mark, jobs = good
        history = History(tmp_path)
        with pytest.raises(FetchError, match="queue-damaged"):
            history.seal([ended(2000, 10**6)], mark)
        assert served(history, mark, jobs) == set()
        assert len(History(tmp_path).check(mark)) == len(history.repair(mark)[1]) >= len(FILES)
        newer, _ = history.repair(mark)
        more = ended(2000, 10**6)

        check_all(history, history.seal([more], newer), {2000: more})

    @pytest.mark.parametrize("name", ["blocks", "ids", "keys"])
    def test_newer_tables_are_refused(self, good, tmp_path, name):
        """A file of a newer version is left alone by everybody."""
        source, mark, _ = good
        shutil.copytree(source, tmp_path / "queue")
        path = tmp_path / "queue" / "history" / name
        history = History(tmp_path / "queue")
        table = {"blocks": history._blocks, "ids": history._ids, "keys": history._keys.table}[name]
        extra = table.extra
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("fetchml_core.queue.sealed.VERSION", b"2")
            table.begin(extra)
        before = path.read_bytes()
        for use in (
            lambda h: h.seal([ended(2000, 10**6)], mark),
            lambda h: h.check(mark),
            lambda h: h.repair(mark),
            lambda h: [h.get(1, mark), h.find_key("anna", "k", mark)],
        ):
            with pytest.raises(FetchError, match="queue-format"):
                use(History(tmp_path / "queue"))
        assert path.read_bytes() == before

    def test_newer_blocks_are_refused(self, tmp_path):
        """A block of a newer version is left alone by everybody."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("fetchml_core.queue.sealed.VERSION", b"12")
            member = history_module.pack_member([encode(ended(1, 3)).encode() + b"\n"])
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(history_module, "pack_member", lambda lines: member)
            history, mark, _ = sealed(tmp_path, [1])
        for use in (history.check, history.repair, lambda mark: history.get(1, mark)):
            with pytest.raises(FetchError, match="queue-format"):
                use(mark)

    def test_unknown_fields_stay(self, tmp_path):
        """A field that a newer version wrote is ignored, and is still there after a repair."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(
                history_module,
                "encode",
                lambda stored: json.dumps({**json.loads(encode(stored)), "later": 1}),
            )
            _, mark, jobs = sealed(tmp_path, range(1, 10), range(10, 20))
        (tmp_path / "history" / "ids").unlink()
        spoil(tmp_path / "history" / "jobs.gz", mark.size - 5, b"xx")
        newer, _ = History(tmp_path).repair(mark)

        check_all(History(tmp_path), newer, {n: stored for n, stored in jobs.items() if n < 10})
        lines = gzip.decompress((tmp_path / "history" / "jobs.gz").read_bytes()).splitlines()
        assert [json.loads(line)["later"] for line in lines] == [1] * 9

    def test_empty_members(self):
        """A member without content has any length that is asked for, down to the shortest."""
        assert empty_member(30) == b""
        for length in (50, 51, 1000):
            member = empty_member(length)
            assert (len(member), gzip.decompress(member)) == (length, b"")


class TestKeys:
    """The table of the idempotency keys."""

    def slots(self, count, bits=64, seed=1):
        """Slots whose hashes differ in few bits only."""
        rng = random.Random(seed)
        top = rng.getrandbits(64 - bits) << bits if bits < 64 else 0
        return [hash_slot((top | rng.getrandbits(bits)).to_bytes(8, "big"), n + 1) for n in range(count)]

    def test_equal_hashes_are_told_apart_by_the_job(self, tmp_path):
        """A slot of another job with the same hash, or of one that does not count, leads nobody astray."""
        history, mark, jobs = sealed(tmp_path, [1, 2, 9])
        digest = key_hash(jobs[2].job.user, jobs[2].key)
        keys = KeyTable(tmp_path / "history" / "keys")
        keys.create(10)
        keys.add([hash_slot(digest, 1), hash_slot(digest, 7), hash_slot(digest, 10**6)], 10)
        keys.add([key_slot(s.job.user, s.key, s.job.id) for s in jobs.values()], 10)

        assert list(keys.find(digest)) == [1, 7, 10**6, 2]
        assert history.find_key(jobs[2].job.user, jobs[2].key, mark) == 2

    @pytest.mark.parametrize("bits", [64, 50, 8])
    def test_it_grows(self, tmp_path, bits):
        """Slots stay findable while the table doubles, at random and where all hashes crowd together."""
        keys = KeyTable(tmp_path / "keys")
        keys.create(0)
        other = KeyTable(tmp_path / "keys")
        slots = self.slots(3000 if bits > 50 else 250, bits)
        for start in range(0, len(slots), 50):
            keys.add(slots[start : start + 50], start + 50)
            assert other.table.extra  # it is open while the file is replaced
            assert all(slots[n][:8] and other_finds(other, slots[n]) for n in (0, start, start + 49))
        keys.add(slots[:50], len(slots))

        assert all(other_finds(other, slot) for slot in slots)
        assert sorted(slot for _, slot in keys.slots()) == sorted(slots)
        assert not other_finds(other, hash_slot(bytes(8), 1))

    def test_the_end_of_the_table(self, tmp_path):
        """Where the last slots are taken, the table grows rather than lose one."""
        keys = KeyTable(tmp_path / "keys")
        keys.create(0)
        slots = [hash_slot(((1 << 64) - 1 - (n << 52)).to_bytes(8, "big"), n + 1) for n in range(400)]
        keys.add(slots, len(slots))

        assert all(other_finds(keys, slot) for slot in slots)


def other_finds(keys, slot):
    """Whether a key's hash leads to its job."""
    return int.from_bytes(slot[8:12], "big") in set(keys.find(slot[:8]))


NEWEST = """
import resource, sys
from pathlib import Path
from fetchml_core.queue.base import ALL
from fetchml_core.queue.history import History
from fetchml_core.queue.sealed import Mark
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
mark = Mark(blocks={blocks}, size={size}, jobs={jobs}, last_id={last_id})
jobs = list(History(Path({folder!r})).jobs(ALL, mark, newest=True, limit=50))
print(len(jobs), jobs[0].id, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_newest_in_a_fresh_process(tmp_path):
    """The newest 50 of many are a few reads: 4 MB of memory at most."""
    _, mark, _ = sealed(tmp_path, *(shuffled(range(n, n + 2000)) for n in range(1, 10_000, 2000)))
    values = {name: getattr(mark, name) for name in ("blocks", "size", "jobs", "last_id")}
    program = NEWEST.format(folder=str(tmp_path), **values)
    text = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    count, newest, kilobytes = map(int, text.stdout.split())

    assert (count, newest) == (50, 10_000)
    assert kilobytes < 4096
