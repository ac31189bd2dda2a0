"""Blobs by their hash: whole, durable, shared by several processes."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fetchml_core.errors import HostError, InputError
from fetchml_core.fsio import try_lock
from fetchml_core.snapshot.store import BlobStore
from tests.core.snapshot.trees import fill_store, sha
from tests.support.require import need

ROOT = Path(__file__).parents[3]


@pytest.fixture
def folder(tmp_path):
    """Where the store lies."""
    return tmp_path / "blobs"


def python(code, *arguments, prefix=(), **options):
    """Start our Python with *code*."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [*prefix, sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options
    )


def blobs(folder):
    """The blobs that have a name."""
    return {path.name: path.read_bytes() for path in folder.glob("??/*")}


def check_whole(folder):
    """Every blob that has a name is what its name says; return how many."""
    found = blobs(folder)
    assert all(sha(data) == name for name, data in found.items())
    return len(found)


def test_what_is_received_is_there(folder):
    """A blob comes back as it was given, private and read-only, and is no longer missing."""
    store = BlobStore(folder)
    sizes = {sha(b"abc"): 3, sha(b""): 0, sha(b"later"): 5}
    assert store.missing(sizes) == list(sizes)
    with store.receive(sha(b"abc"), 3) as writer:
        writer.write(b"a")
        writer.write(b"bc")
    assert store.add_bytes(b"") == sha(b"")
    store.sync()

    assert BlobStore(folder).missing(sizes) == [sha(b"later")]
    assert store.read_bytes(sha(b"abc"), 3) == b"abc"
    fd = store.open(sha(b"abc"), 3)
    assert os.read(fd, 9) == b"abc"
    os.close(fd)
    status = (folder / sha(b"abc")[:2] / sha(b"abc")).stat()
    assert stat.S_IMODE(status.st_mode) == 0o400
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.parametrize("data", [b"ab", b"abcd", b"abd", b""])
def test_damaged_on_arrival(folder, data):
    """Bytes of another size or hash are refused and leave nothing; the next try counts."""
    store = BlobStore(folder)
    with pytest.raises(InputError) as caught, store.receive(sha(b"abc"), 3) as writer:
        writer.write(data)
    assert caught.value.code == "blob-refused"
    store.sync()
    assert blobs(folder) == {}
    assert store.add_bytes(b"abc")
    store.sync()
    assert store.missing({sha(b"abc"): 3}) == []


@pytest.mark.parametrize("digest", ["", "../../../etc/passwd", "A" * 64, "0" * 63, "0" * 63 + "\n", "0" * 65])
def test_a_digest_is_no_path(folder, digest):
    """What is no digest never becomes a path."""
    store = BlobStore(folder)
    for use in (
        lambda: store.missing({digest: 1}),
        lambda: store.receive(digest, 1).__enter__(),
        lambda: store.open(digest, 1),
        lambda: store.read_bytes(digest, 1),
    ):
        with pytest.raises(InputError) as caught:
            use()
        assert caught.value.code == "bad-digest"


def test_not_visible_before_sync(folder):
    """Nobody else counts on a blob that is not durable; its receiver does not ask for it twice."""
    store = BlobStore(folder)
    store.add_bytes(b"abc")

    assert store.missing({sha(b"abc"): 3}) == []
    assert BlobStore(folder).missing({sha(b"abc"): 3}) == [sha(b"abc")]


def test_sender_that_breaks_off(folder):
    """When the stream breaks in the middle of a blob, the whole ones before it are kept, and nothing else."""

    def upload():
        with BlobStore(folder) as store:
            store.add_bytes(b"first")
            with store.receive(sha(b"second"), 6) as writer:
                writer.write(b"sec")
                raise ConnectionError

    with pytest.raises(ConnectionError):
        upload()

    assert blobs(folder) == {sha(b"first"): b"first"}
    assert list((folder / "staging").iterdir()) == []


def test_breaks_off_without_a_context(folder):
    """The same holds for a caller that does not use the store as a context manager."""
    store = BlobStore(folder)
    store.add_bytes(b"first")
    with pytest.raises(ConnectionError), store.receive(sha(b"second"), 6):
        raise ConnectionError

    assert blobs(folder) == {sha(b"first"): b"first"}


def test_limits(folder):
    """A blob larger than the reader allows is not read, a missing one is named by the system."""
    store = BlobStore(folder)
    fill_store(store, {"a": b"abc"})
    with pytest.raises(HostError) as caught:
        store.read_bytes(sha(b"abc"), 2)
    assert caught.value.code == "blob-too-large"
    with pytest.raises(FileNotFoundError):
        store.read_bytes(sha(b"x"), 2)
    with pytest.raises(FileNotFoundError):
        store.open(sha(b"x"), 2)


@pytest.mark.parametrize("damage", [b"abd", b"ab", b""])
def test_flipped_bytes(folder, damage):
    """A blob that is no longer what it was is put aside, so that it is asked for again and heals."""
    store = BlobStore(folder)
    fill_store(store, {"a": b"abc"})
    path = folder / sha(b"abc")[:2] / sha(b"abc")
    path.chmod(0o600)
    path.write_bytes(damage)
    with pytest.raises(HostError) as caught:
        store.read_bytes(sha(b"abc"), 9)
    assert caught.value.code == "blob-damaged"

    assert store.missing({sha(b"abc"): 3}) == [sha(b"abc")]
    fill_store(store, {"a": b"abc"})
    assert store.read_bytes(sha(b"abc"), 9) == b"abc"


def test_cut_blob_is_missing(folder):
    """A blob of the wrong size is asked for again, and replaced."""
    store = BlobStore(folder)
    fill_store(store, {"a": b"abc"})
    path = folder / sha(b"abc")[:2] / sha(b"abc")
    path.chmod(0o600)
    path.write_bytes(b"")
    assert store.missing({sha(b"abc"): 3}) == [sha(b"abc")]
    fill_store(store, {"a": b"abc"})

    assert check_whole(folder) == 1


def test_link_in_place_of_a_blob(folder, tmp_path):
    """A link that stands where a blob should is not followed."""
    (tmp_path / "x").write_bytes(b"abc")
    path = folder / sha(b"abc")[:2] / sha(b"abc")
    path.parent.mkdir(parents=True)
    path.symlink_to(tmp_path / "x")

    with pytest.raises(OSError, match="symbolic"):
        BlobStore(folder).read_bytes(sha(b"abc"), 9)


def test_leftovers_of_the_dead(folder):
    """What a killed process had on its way in is removed by the next one; what a living one has is not."""
    code = (
        "import sys, time; from pathlib import Path; from fetchml_core.snapshot.store import BlobStore\n"
        "store = BlobStore(Path(sys.argv[1])); store.add_bytes(b'left'); print('ready', flush=True); time.sleep(60)"
    )
    child = python(code, folder)
    try:
        assert child.stdout.readline() == b"ready\n"
        store = BlobStore(folder)
        store.add_bytes(b"a")
        store.sync()
        assert len(list((folder / "staging").glob("*/*"))) == 1
    finally:
        child.kill()
        child.communicate()
    store.add_bytes(b"b")
    store.sync()

    assert list((folder / "staging").iterdir()) == []


def test_name_is_not_given_while_somebody_publishes(folder):
    """Who looks for blobs waits for a publisher, so that it sees durable names only."""
    store = BlobStore(folder)
    fill_store(store, {"a": b"abc"})
    code = (
        "import sys; from pathlib import Path; from fetchml_core.snapshot.store import BlobStore\n"
        "print('ready', flush=True); print(BlobStore(Path(sys.argv[1])).missing({sys.argv[2]: 3}), flush=True)"
    )
    lock = try_lock(folder / "lock")
    assert lock is not None
    with python(code, folder, sha(b"abc")) as child:
        try:
            assert child.stdout.readline() == b"ready\n"
            with pytest.raises(subprocess.TimeoutExpired):
                child.wait(0.3)
            os.close(lock)
            assert child.stdout.readline() == b"[]\n"
        finally:
            child.kill()


def test_publisher_that_died(folder):
    """The mark of a publisher that died is cleared by whoever looks next, after its names were synced."""
    fill_store(BlobStore(folder), {"a": b"abc"})
    (folder / "publishing").touch()

    assert BlobStore(folder).missing({sha(b"abc"): 3}) == []
    assert not (folder / "publishing").exists()


MANY_WRITERS = """
import sys
from pathlib import Path
from fetchml_core.snapshot.store import BlobStore
store = BlobStore(Path(sys.argv[1]))
for turn in range(10):
    for number in range(20):
        store.add_bytes(b"%d" % number * 1000)
    store.sync()
"""


def test_writers_of_the_same_blobs(folder):
    """Several processes that store the same blobs at once all succeed."""
    children = [python(MANY_WRITERS, folder) for _ in range(3)]
    for child in children:
        assert (child.communicate()[1], child.returncode) == (b"", 0)

    assert check_whole(folder) == 20
    assert list((folder / "staging").iterdir()) == []


FOREVER = """
import os, sys
from pathlib import Path
from fetchml_core.snapshot.store import BlobStore
store = BlobStore(Path(sys.argv[1]))
print("ready", flush=True)
while True:
    for number in range(5):
        store.add_bytes(os.urandom(5000))
    store.sync()
"""


def test_kill_at_any_moment(folder):
    """A kill -9 in the middle leaves no blob that is not whole, and a store that works."""
    for turn in range(6):
        child = python(FOREVER, folder)
        assert child.stdout.readline() == b"ready\n"
        time.sleep(0.02 + 0.013 * turn)
        child.kill()
        child.communicate()
        check_whole(folder)
    fill_store(BlobStore(folder), {"a": b"abc"})

    assert BlobStore(folder).missing({sha(b"abc"): 3}) == []
    assert check_whole(folder) > 1
    assert list((folder / "staging").iterdir()) == []


ONE_SYNC = """
import sys
from pathlib import Path
from fetchml_core.errors import FetchError
from fetchml_core.snapshot.store import BlobStore
store = BlobStore(Path(sys.argv[1]))
for number in range(int(sys.argv[2])):
    store.add_bytes(b"%d" % number)
try:
    store.sync()
except FetchError as error:
    print(error.code)
store.add_bytes(b"after")
store.sync()
print(len(store.missing({__import__("hashlib").sha256(b"0").hexdigest(): 1})))
"""


@pytest.mark.parametrize(
    ("count", "fault"),
    [(3, "fsync:error=EIO:when=N"), (40, "syncfs:error=EIO:when=1"), (3, "rename:error=ENOSPC:when=2")],
)
def test_failed_sync(folder, count, fault):
    """After a failed sync nothing received since the last one counts, and the store goes on working."""
    need("strace")
    fill_store(BlobStore(folder), {"before": b"before"})
    for when in range(1, 6) if fault.endswith("N") else (0,):
        call = fault.partition(":")[0]
        inject = fault.replace("when=N", f"when={when}")
        prefix = ("strace", "-qq", "-f", "-o", "/dev/null", "-e", f"trace={call}", "-e", f"inject={inject}")
        out, err = python(ONE_SYNC, folder, count, prefix=prefix).communicate()
        assert out.split()[:2] in ([b"io-error", b"1"], [b"disk-full", b"1"]), err
        assert sorted(blobs(folder).values()) == [b"after", b"before"]
        (folder / sha(b"after")[:2] / sha(b"after")).unlink()


def test_killed_while_publishing(folder):
    """A kill -9 at each rename leaves names only of whole blobs, made durable by whoever looks next."""
    need("strace")
    for when in (1, 2, 3):
        inject = f"inject=rename:signal=KILL:when={when}"
        prefix = ("strace", "-qq", "-f", "-o", "/dev/null", "-e", "trace=rename", "-e", inject)
        python(ONE_SYNC, folder, 3, prefix=prefix).communicate()
        assert (folder / "publishing").exists()
        check_whole(folder)
        BlobStore(folder).missing({sha(b"0"): 1})
        assert not (folder / "publishing").exists()


@pytest.mark.parametrize("limits", [{"size": "256k"}, {"size": "4m", "inodes": 12}])
def test_disk_full(small_filesystem, limits):
    """A full disk, or one out of inodes, is a clear error; what was stored stays, and it works again after."""
    folder = small_filesystem(**limits) / "blobs"
    store = BlobStore(folder)
    fill_store(store, {"first": b"first"})
    ballast = folder.parent / "ballast"
    ballast.write_bytes(bytes(100 << 10))
    with pytest.raises(HostError) as caught:
        fill_store(store, {str(number): b"%d" % number * 10_000 for number in range(30)})
    assert caught.value.code == "disk-full"
    assert "df" in caught.value.hint
    assert store.read_bytes(sha(b"first"), 9) == b"first"
    check_whole(folder)

    for name in set(blobs(folder)) - {sha(b"first")}:
        (folder / name[:2] / name).unlink()
        (folder / name[:2]).rmdir()
    ballast.unlink()
    fill_store(store, {"second": b"second"})
    assert BlobStore(folder).missing({sha(b"first"): 5, sha(b"second"): 6}) == []
