"""Take in a snapshot: its manifest first, then only the blobs the host lacks, each verified as it arrives."""

from __future__ import annotations

from collections.abc import Iterator

from fetchml_core.errors import InputError
from fetchml_core.snapshot.manifest import MAX_BYTES, Manifest, parse_manifest
from fetchml_core.snapshot.store import BlobStore
from fetchml_core.wire.snapshot import StageReply, StageRequest, UploadReply, UploadRequest

from .context import Context
from .network import check_network


def stage(context: Context, request: StageRequest) -> StageReply:
    """Check and keep the manifest; say what is missing. A job that may not be here is refused before its tree travels."""
    if not 0 < request.size <= MAX_BYTES:
        raise InputError(
            "manifest-refused", f"a manifest of {request.size} bytes is refused", context=str(MAX_BYTES)
        )
    check_network(context.host, wanted=request.network)
    store = BlobStore(context.host.data.blobs)
    data = b"".join(_exactly(context.talk.uploaded(), request.size))
    manifest = parse_manifest(data)
    if manifest.digest != request.manifest:
        raise InputError(
            "manifest-refused", "the manifest is not what its digest says", context=request.manifest
        )
    context.change("jobs:create", about=f"snapshot {manifest.digest[:12]}")
    if store.missing({manifest.digest: request.size}):
        with store.receive(manifest.digest, request.size) as writer:
            writer.write(data)
        store.sync()
    return StageReply(tuple(store.missing(_sizes(manifest))))


def upload(context: Context, request: UploadRequest) -> UploadReply:
    """Keep the blobs that follow; one that is not what its digest says is named, the others count."""
    store = BlobStore(context.host.data.blobs)
    sizes = _sizes(load_manifest(store, request.manifest))
    if not set(request.blobs) <= sizes.keys():
        raise InputError(
            "manifest-refused", "the upload holds blobs that the snapshot does not", context=request.manifest
        )
    context.change("jobs:create", about=f"{len(request.blobs)} blobs of snapshot {request.manifest[:12]}")
    pieces = _Pieces(context.talk.uploaded())
    damaged = []
    for digest in request.blobs:
        try:
            with store.receive(digest, sizes[digest]) as writer:
                for chunk in pieces.take(sizes[digest]):
                    writer.write(chunk)
        except InputError:
            damaged.append(digest)
    store.sync()
    return UploadReply(tuple(damaged))


def load_manifest(store: BlobStore, digest: str) -> Manifest:
    """Return a staged manifest, or raise ``snapshot-unknown``."""
    try:
        return parse_manifest(store.read_bytes(digest, MAX_BYTES))
    except (OSError, InputError):
        raise InputError(
            "snapshot-unknown", "the host has no such snapshot", context=digest[:64], hint="submit again"
        ) from None


def _sizes(manifest: Manifest) -> dict[str, int]:
    return {entry.digest: entry.size for entry in manifest.entries}


def _exactly(chunks: Iterator[bytes], size: int) -> Iterator[bytes]:
    return _Pieces(chunks).take(size)


class _Pieces:
    """Cuts a stream of chunks into runs of given lengths."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = b""

    def take(self, size: int) -> Iterator[bytes]:
        """Yield the next *size* bytes in pieces."""
        while size:
            if not self._rest:
                self._rest = next(self._chunks)
            piece, self._rest = self._rest[:size], self._rest[size:]
            size -= len(piece)
            yield piece
