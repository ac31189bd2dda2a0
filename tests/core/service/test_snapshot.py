"""Taking in a snapshot: what is announced, what arrives, and what a hostile client sends instead."""

from __future__ import annotations

import pytest

from fetchml_core.errors import FetchError, InputError
from fetchml_core.snapshot.manifest import HEADER, MAX_BYTES
from fetchml_core.snapshot.store import BlobStore
from fetchml_core.wire.jobs import SubmitRequest
from fetchml_core.wire.snapshot import StageRequest, UploadRequest
from tests.core.service.support import FILES, Talk
from tests.core.snapshot.trees import manifest_of, sha

DIGESTS = [sha(content) for content in dict.fromkeys(FILES[name] for name in sorted(FILES))]


def stage(world, data, digest=None, size=None):
    """Announce *data* as a manifest."""
    request = StageRequest(digest or sha(data), len(data) if size is None else size)
    return world.ask("stage", request, Talk([data[:7], data[7:]]))


def line(path, content=b"x", kind="-"):
    """One line of a manifest."""
    return f"{sha(content)} {kind} {len(content)} {path}\n"


def test_all_content_is_missing_at_first_each_once(world):
    """The host names what it lacks in the manifest's order; a content that two files share travels once."""
    assert list(stage(world, manifest_of(FILES).data).missing) == DIGESTS


def test_a_second_submission_of_the_same_tree_sends_nothing(world):
    """What was uploaded is there."""
    manifest = world.stage()

    assert stage(world, manifest.data).missing == ()


def test_only_what_was_not_sent_is_missing_after_a_cut(world):
    """A link that breaks in the middle of an upload costs the blob it broke in, nothing before it."""
    manifest = manifest_of(FILES)
    missing = stage(world, manifest.data).missing
    content = {sha(data): data for data in FILES.values()}
    cut = content[missing[0]] + content[missing[1]][:-1]
    with pytest.raises(ConnectionResetError):
        world.ask("upload", UploadRequest(manifest.digest, missing), Talk(cut))

    assert stage(world, manifest.data).missing == missing[1:]


def test_blobs_arrive_in_any_cut(world):
    """Frames and blobs need not end together, and an empty frame is no end."""
    manifest = manifest_of(FILES | {"empty": b""})
    missing = stage(world, manifest.data).missing
    content = b"".join({sha(data): data for data in [*FILES.values(), b""]}[digest] for digest in missing)
    pieces = [piece for byte in content for piece in (b"", bytes([byte]))]
    reply = world.ask("upload", UploadRequest(manifest.digest, missing), Talk(pieces))

    assert reply.damaged == ()
    assert stage(world, manifest.data).missing == ()


def test_a_damaged_blob_is_named_and_the_others_count(world):
    """A file that changed while it was sent is refused alone."""
    manifest = manifest_of(FILES)
    missing = stage(world, manifest.data).missing
    content = [{sha(data): data for data in FILES.values()}[digest] for digest in missing]
    content[0] = bytes(len(content[0]))
    reply = world.ask("upload", UploadRequest(manifest.digest, missing), Talk(b"".join(content)))

    assert reply.damaged == missing[:1]
    assert stage(world, manifest.data).missing == missing[:1]


def test_a_blob_that_the_snapshot_does_not_hold_is_refused(world):
    """Nobody fills the store with what no manifest names; nothing is read then."""
    manifest = world.stage()
    talk = Talk(b"foreign")
    with pytest.raises(InputError, match="manifest-refused"):
        world.ask("upload", UploadRequest(manifest.digest, (sha(b"foreign"),)), talk)

    assert talk.taken == 0
    assert BlobStore(world.host.data.blobs).missing({sha(b"foreign"): 7})


@pytest.mark.parametrize("digest", ["", "a" * 64, "../../server.yaml", "A" * 64, "a" * 63 + "\n", DIGESTS[0]])
def test_upload_and_submit_want_a_staged_manifest(world, digest):
    """A digest that names no manifest, a file among them, is no snapshot."""
    world.stage()
    with pytest.raises(InputError, match="snapshot-unknown"):
        world.ask("upload", UploadRequest(digest, ()))
    with pytest.raises(InputError, match="snapshot-unknown"):
        world.ask("submit", SubmitRequest("k", world.spec(snapshot=digest)))


@pytest.mark.parametrize("size", [-1, 0, MAX_BYTES + 1, 2**70])
def test_a_manifest_of_an_impossible_size_is_refused_unread(world, size):
    """The announcement is checked before a byte is taken."""
    talk = Talk(b"x")
    with pytest.raises(InputError, match="manifest-refused"):
        world.ask("stage", StageRequest("a" * 64, size), talk)

    assert talk.taken == 0


def test_a_wrong_digest_is_refused(world):
    """The manifest must be the one that was announced."""
    with pytest.raises(InputError, match="not what its digest says"):
        stage(world, manifest_of(FILES).data, digest="a" * 64)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"junk", id="junk"),
        pytest.param(HEADER.encode() + b"\xff\n", id="no utf-8"),
        *(
            pytest.param(f"{HEADER}{lines}".encode(), id=name)
            for name, lines in {
                "absolute": line("/etc/passwd"),
                "up": line("../x"),
                "up inside": line("a/../../x"),
                "empty part": line("a//b"),
                "link kind": line("a", kind="l"),
                "device kind": line("a", kind="c"),
                "case clash": line("A") + line("a"),
                "file and folder": line("a") + line("a/b"),
                "twice": line("a") + line("a"),
                "not sorted": line("b") + line("a"),
                "control": line("a\x1b[2J"),
                "backslash": line("a\\b"),
                "bidi": line("a\u202eb"),
                "negative": f"{sha(b'')} - -1 a\n",
                "two sizes": f"{sha(b'')} - 0 a\n{sha(b'')} - 1 b\n",
                "too large": f"{sha(b'')} - {2**41} a\n",
                "a million": "".join(f"{sha(b'')} - 0 {n:07}\n" for n in range(300_000)),
            }.items()
        ),
    ],
)
def test_hostile_manifests_are_refused(world, data):
    """What would leave the folder, clash or swamp the host is refused, and nothing of it is kept."""
    before = world.everything()
    with pytest.raises(InputError, match="manifest-refused"):
        stage(world, data)

    assert world.everything() == before


def test_submit_wants_every_blob(world):
    """A job whose snapshot is not whole is not accepted."""
    manifest = manifest_of(FILES | {"more": b"more"})
    world.stage()
    stage(world, manifest.data)
    with pytest.raises(FetchError, match="snapshot-incomplete: 1 files"):
        world.ask("submit", SubmitRequest("k", world.spec(snapshot=manifest.digest)))

    assert world.host.queue.jobs() == []
