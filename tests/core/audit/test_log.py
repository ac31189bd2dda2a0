"""The audit trail: a chain that anyone can recompute, whoever writes and whatever is cut."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import re

import pytest

from fetchml_core.audit import log as module
from fetchml_core.audit.log import AuditLog
from fetchml_core.errors import FetchError
from tests.core.queue.contract import FakeClock

FIELDS = {"seq", "ts", "user", "action", "object", "result", "prev", "hash"}


@pytest.fixture
def path(tmp_path):
    """Where the trail lies; its folder is not there yet."""
    return tmp_path / "logs" / "audit.log"


@pytest.fixture
def audit(path):
    """A trail with a clock that stands still."""
    return AuditLog(path, FakeClock())


def write(audit, count, user="anna"):
    """Append *count* records."""
    for number in range(count):
        audit.append(user=user, action="jobs:create", about=f"job {number}", result="allowed")


def check(lines) -> str:
    """Recompute the chain from the module's table alone; return what is wrong, or nothing."""
    last, seq = "0" * 64, 0
    for line in lines:
        try:
            record = json.loads(line)
        except ValueError:
            continue  # a torn line; the next record says so and the chain goes over it
        body = {key: value for key, value in record.items() if key != "hash"}
        text = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        if hashlib.sha256(text.encode()).hexdigest() != record["hash"]:
            return f"record {record['seq']} was changed"
        if (record["prev"], record["seq"]) != (last, seq + 1):
            return f"before record {record['seq']} something is missing"
        last, seq = record["hash"], record["seq"]
    return ""


def test_the_chain_holds(audit, path):
    """Records are numbered without gaps and each carries the hash of the one before."""
    write(audit, 5)
    lines = path.read_bytes().splitlines()

    assert len(lines) == 5
    assert check(lines) == ""
    assert all(set(json.loads(line)) == FIELDS for line in lines)


def test_the_fields_are_those_of_the_table():
    """The module's table names exactly what is written."""
    assert set(re.findall(r"^ {4}(\w+) ", module.__doc__ or "", re.MULTILINE)) - {"field"} == FIELDS


def test_times_are_utc(audit, path):
    """RFC 3339 with offset."""
    write(audit, 1)

    assert json.loads(path.read_bytes())["ts"] == "1970-01-01T00:16:40.000+00:00"


@pytest.mark.parametrize("name", sorted(FIELDS - {"hash", "prev"}))
def test_an_edit_is_found(audit, path, name):
    """A changed field breaks the hash of its record."""
    write(audit, 3)
    lines = path.read_bytes().splitlines()
    record = json.loads(lines[1])
    record[name] = 7 if name == "seq" else "x"
    lines[1] = json.dumps(record, sort_keys=True, separators=(",", ":")).encode()

    assert check(lines)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda lines: lines[:1] + lines[2:], id="delete"),
        pytest.param(lambda lines: lines[1:], id="delete the first"),
        pytest.param(lambda lines: [lines[0], lines[2], lines[1], *lines[3:]], id="swap"),
        pytest.param(lambda lines: [*lines[:2], lines[1], *lines[2:]], id="insert a copy"),
    ],
)
def test_a_missing_moved_or_added_record_is_found(audit, path, change):
    """Every record fixes what stands before it."""
    write(audit, 4)

    assert check(change(path.read_bytes().splitlines()))


def test_a_recomputed_hash_is_found_by_the_next_record(audit, path):
    """Who edits a record and makes its hash fit breaks the link of the next."""
    write(audit, 3)
    lines = path.read_bytes().splitlines()
    record = json.loads(lines[1]) | {"user": "eve"}
    record["hash"] = module.digest(record)
    lines[1] = json.dumps(record).encode()

    assert check(lines) == "before record 3 something is missing"


def test_every_cut_of_the_last_line_is_survived(audit, path):
    """A torn line stays where it is; the next record closes it, says so, and the chain holds."""
    write(audit, 2)
    whole = path.read_bytes()
    begin = whole.index(b"\n") + 1
    for length in range(begin, len(whole)):
        path.write_bytes(whole[:length])
        write(audit, 1)
        lines = path.read_bytes().splitlines()
        record = json.loads(lines[-1])

        assert path.read_bytes().startswith(whole[:length])
        assert check(lines) == ""
        assert record.get("after_torn_line", False) == (length > begin)
        assert record["seq"] == (3 if length == len(whole) - 1 else 2)


def test_processes_share_one_chain(path):
    """Four processes that write at once make one chain of all their records."""
    context = multiprocessing.get_context("fork")
    writers = [
        context.Process(target=write, args=(AuditLog(path, FakeClock()), 25, f"user{number}"))
        for number in range(4)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    lines = path.read_bytes().splitlines()

    assert [writer.exitcode for writer in writers] == [0, 0, 0, 0]
    assert check(lines) == ""
    assert len(lines) == 100


def test_a_record_is_durable_before_append_returns(audit, path, mocker):
    """The file is synced after its last byte was written, the folder when the file is new."""
    synced = []
    real = os.fsync

    def fsync(fd):
        synced.append((os.readlink(f"/proc/self/fd/{fd}"), os.fstat(fd).st_size))
        real(fd)

    mocker.patch("os.fsync", fsync)
    write(audit, 1)
    assert (str(path), path.stat().st_size) in synced
    assert str(path.parent) in dict(synced)
    synced.clear()
    write(audit, 1)

    assert synced == [(str(path), path.stat().st_size)]


@pytest.mark.parametrize("call", ["os.fsync", "os.write"])
def test_a_full_disk_is_an_error(audit, path, mocker, call):
    """What could not be recorded is refused, and the trail goes on when there is space again."""
    write(audit, 1)
    mocker.patch(call, side_effect=OSError(28, "No space left on device"))
    with pytest.raises(FetchError, match="disk-full"):
        write(audit, 1)
    mocker.stopall()
    write(audit, 1)

    assert check(path.read_bytes().splitlines()) == ""


def test_hostile_texts_stay_one_line(audit, path):
    """Line ends, escapes and lone surrogates of a user's words cannot forge a record."""
    audit.append(user='a\n{"seq":9}', action="x", about="\x1b[2J\u2028\ud800" * 400, result="denied")
    write(audit, 1)
    lines = path.read_bytes().splitlines()

    assert len(lines) == 2
    assert check(lines) == ""
    assert len(json.loads(lines[0])["object"]) == 500


def test_the_file_is_private(audit, path):
    """Only the account reads it."""
    write(audit, 1)

    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
